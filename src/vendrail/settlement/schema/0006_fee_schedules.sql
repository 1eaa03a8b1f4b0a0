-- Fees by ordered rules; whatever a rule asks of a merchant is kept by the moment it counts from.

create table settlement.fee_schedule (
    version    bigint generated always as identity primary key,
    id         uuid not null unique,
    rules      jsonb not null,
    valid_from timestamptz not null,
    person     text not null,
    reason     text not null,
    made_at    timestamptz not null
);

create table settlement.fee_facts (
    merchant       uuid not null,
    currency       text not null,
    valid_from     timestamptz not null,
    volume_minor   bigint not null check (volume_minor >= 0),
    sold_count     bigint not null check (sold_count >= 0),
    refunded_count bigint not null check (refunded_count >= 0),
    disputed_count bigint not null check (disputed_count >= 0),
    primary key (merchant, currency, valid_from)
);

create table settlement.merchant_tier (
    merchant   uuid not null,
    valid_from timestamptz not null,
    tier       int not null check (tier between 0 and 9),
    primary key (merchant, valid_from)
);

create table settlement.channel_cost (
    channel        text not null,
    valid_from     timestamptz not null,
    cost_permyriad int not null check (cost_permyriad between 0 and 10000),
    cost_minor     bigint not null check (cost_minor >= 0),
    currency       text not null,
    primary key (channel, valid_from)
);
