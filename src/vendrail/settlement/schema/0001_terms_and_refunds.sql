-- Fees can be explained years later (every version is kept); a refund knows where it took money from.
create table settlement.fee_terms (
    version         bigint generated always as identity primary key,
    merchant        uuid not null,  -- All zeros: the platform's default.
    currency        text not null,  -- '*': any, for defaults that are a percentage only.
    basis_points    int not null check (basis_points between 0 and 10000),
    fixed_minor     bigint not null check (fixed_minor >= 0),
    fee_minor_min   bigint not null check (fee_minor_min >= 0),
    is_fee_refunded boolean not null,
    valid_from      timestamptz not null,
    made_at         timestamptz not null
);
create index fee_terms_order on settlement.fee_terms (merchant, currency, valid_from, version);

-- What of an order can be refunded, by where the money is; the lock and the second guard of refunds.
create table settlement.refund_pool (
    subject            uuid not null,
    source             text not null check (source in ('held', 'split', 'suspense')),
    size_minor         bigint not null,
    refunded_minor     bigint not null default 0,
    fee_returned_minor bigint not null default 0,
    primary key (subject, source),
    check (refunded_minor between 0 and size_minor),
    check (fee_returned_minor between 0 and refunded_minor)
);

create table settlement.refund (
    id           uuid primary key,
    subject      uuid not null,
    merchant     uuid,
    channel      text not null,
    currency     text not null,
    amount_minor bigint not null check (amount_minor > 0),
    source       text not null check (source in ('held', 'split', 'suspense')),
    fee_minor    bigint not null check (fee_minor between 0 and amount_minor),
    debt_minor   bigint not null default 0,  -- Known when open.
    state        text not null check (
        state in ('asked', 'open', 'paying', 'paid', 'returning', 'returned', 'cancelled')
    ),
    asked_at     timestamptz not null,
    check (debt_minor between 0 and amount_minor - fee_minor)
);

-- Who owes the platform; a step (its transfer's id and amount) is written before it is posted.
create table settlement.debtor (
    merchant     uuid not null,
    currency     text not null,
    is_open      boolean not null default true,
    turn         int not null default 1,  -- Grows with each change: whoever saw an older one stops.
    step         uuid,
    amount_minor bigint not null default 0,  -- Above zero: to take; below: took too much, give back.
    primary key (merchant, currency)
);
