-- Payouts that are decided together.
set local lock_timeout = '5s';

create table payouts.batch (
    id          uuid primary key,
    currency    text not null,
    merchant    uuid,
    payouts     int not null check (payouts > 0),
    sum_minor   bigint not null check (sum_minor > 0),
    made_at     timestamptz not null,
    made_by     text not null,
    is_approved boolean,
    reason      text not null default '',
    decided_at  timestamptz,
    decided_by  text not null default '',
    is_ended    boolean not null default false  -- The decision has come to all of its payouts.
);
create index batch_open on payouts.batch (decided_at) where decided_at is not null and not is_ended;

create table payouts.batch_payout (
    batch   uuid not null,
    payout  uuid not null,
    outcome text not null default '',  -- How deciding it ended; empty: not yet.
    primary key (batch, payout)
);
create index batch_payout_open on payouts.batch_payout (batch, payout) where outcome = '';
