-- What providers have paid us of what they owe, each known by its number there.

create table payouts.remittance (
    id           uuid primary key,  -- Derived from the channel and the number.
    place        bigint generated always as identity unique,
    channel_name text not null,
    number       text not null,
    currency     text not null,
    gross_minor  bigint not null,
    fee_minor    bigint not null,
    target       text not null check (target in ('reserve', 'bank')),
    paid_on      date not null,
    reason       text not null,
    by           text not null,
    at           timestamptz not null,
    booked_at    timestamptz,  -- When the books followed.
    unique (channel_name, number),
    check (fee_minor >= 0 and gross_minor > fee_minor)
);
create index remittance_unbooked on payouts.remittance (at) where booked_at is null;
