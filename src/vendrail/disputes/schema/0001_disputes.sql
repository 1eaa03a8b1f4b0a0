-- Disputes, where the money of each stands, and what merchants say against them.
set local lock_timeout = '5s';

create table disputes.dispute (
    id              uuid primary key,
    capture         uuid not null,
    channel         uuid not null,
    channel_name    text not null,
    case_number     text not null,
    provider_number text not null,
    order_id        uuid,
    merchant        uuid,
    amount_minor    bigint not null check (amount_minor > 0),
    captured_minor  bigint not null,
    currency        text not null,
    fee_minor       bigint not null default 0 check (fee_minor >= 0),
    reason          text not null,
    outcome         text not null check (outcome in ('open', 'won', 'lost')),
    step            text not null default 'told' check (step in ('told', 'frozen', 'ended')),
    price_minor     bigint,     -- The disputed part of the order's price, in …
    price_currency  text,       -- … its currency; known when frozen.
    is_split        boolean not null default false,
    taken_minor     bigint,     -- Of a lost one: what of the price is taken of the merchant.
    frozen_minor    bigint not null default 0,
    opened_at       timestamptz not null,
    answer_by       timestamptz,
    ended_at        timestamptz,
    answered_at     timestamptz,
    reminded_at     timestamptz,
    due_at          timestamptz not null,
    problem         text not null default '',
    unique (channel, case_number)
);
create index dispute_due on disputes.dispute (due_at)
    where step = 'told' or (step = 'frozen' and outcome <> 'open');
create index dispute_of_merchant on disputes.dispute (merchant, id);
create index dispute_of_order on disputes.dispute (order_id);

create table disputes.data_key (
    id      uuid primary key,
    sealed  bytea not null,
    made_at timestamptz not null
);

create table disputes.answer (
    dispute  uuid primary key references disputes.dispute,
    sealed   bytea not null,
    data_key uuid not null references disputes.data_key,
    person   text not null,
    at       timestamptz not null
);

create table disputes.cursor (
    source text primary key,
    xid    xid8 not null default '0',
    id     bigint not null default 0
);
insert into disputes.cursor (source) values ('payments');
