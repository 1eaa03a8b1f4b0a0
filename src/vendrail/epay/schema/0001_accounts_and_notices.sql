-- Card sites that speak Epay: their numbers and keys, their charges, and what they are told.

create table epay.data_key (
    id      uuid primary key,
    sealed  bytea not null,
    made_at timestamptz not null
);

create table epay.account (
    pid          bigint generated always as identity (start with 1001) primary key,
    merchant     uuid not null unique,
    is_open      boolean not null default true,
    is_suspended boolean not null default false,
    can_refund   boolean not null default false,
    key_id       uuid not null,   -- Binds the sealed key to this row, and changes with it.
    data_key     uuid not null,
    sealed       bytea not null,
    made_at      timestamptz not null,
    keyed_at     timestamptz not null
);

create table epay.charge (
    "order"      uuid primary key,
    pid          bigint not null,
    number       text not null,
    type         text not null,   -- As it was asked for; empty: the buyer chose.
    title        text not null,
    amount_minor bigint not null check (amount_minor > 0),
    notify_url   text not null,
    return_url   text not null,
    param        text not null,
    made_at      timestamptz not null,
    unique (pid, number)
);
create index charge_of_account on epay.charge (pid, "order");

create table epay.notice (
    "order"  uuid primary key,
    number   bigint generated always as identity,  -- In the order in which charges were paid.
    pid      bigint not null,
    state    text not null default 'waiting' check (state in ('waiting', 'taken', 'given_up')),
    attempts int not null default 0,
    due_at   timestamptz not null,  -- While it is being told: when its teller is given up for lost.
    lease    uuid,                  -- The teller that holds it; fences its write.
    problem  text not null default '',
    told_at  timestamptz
);
create index notice_due on epay.notice (due_at) where state = 'waiting';
create index notice_first on epay.notice (pid, number) where state = 'waiting' and attempts <= 1;
create index notice_of_account on epay.notice (pid, number);

create table epay.cursor (
    source text primary key,
    xid    xid8 not null default '0',
    id     bigint not null default 0
);
insert into epay.cursor (source) values ('orders');
