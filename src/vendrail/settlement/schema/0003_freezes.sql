-- What a dispute freezes of an order's share, and which refunds have taken of it since.
set local lock_timeout = '5s';

create table settlement.freeze (
    id           uuid primary key,
    subject      uuid not null,     -- The order.
    merchant     uuid not null,
    currency     text not null,
    asked_minor  bigint not null check (asked_minor > 0),
    wanted_minor bigint not null check (wanted_minor between 0 and asked_minor),
    frozen_minor bigint not null default 0 check (frozen_minor between 0 and wanted_minor),
    thawed_minor bigint not null default 0 check (thawed_minor between 0 and frozen_minor),
    state        text not null check (state in ('asked', 'frozen', 'ending', 'ended', 'cancelled')),
    asked_at     timestamptz not null
);
create index freeze_open on settlement.freeze (subject) where state in ('asked', 'frozen');

create table settlement.thaw (
    refund       uuid not null,
    source       uuid not null references settlement.freeze,
    amount_minor bigint not null check (amount_minor > 0),
    primary key (refund, source)
);
