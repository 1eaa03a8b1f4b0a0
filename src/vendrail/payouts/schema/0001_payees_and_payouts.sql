-- Where merchants are paid to, and every payout with what happened to it.

create table payouts.data_key (
    id      uuid primary key,
    sealed  bytea not null,
    made_at timestamptz not null
);

create table payouts.payee (
    id           uuid primary key,
    merchant     uuid not null,
    channel      uuid not null,
    channel_name text not null,
    kind         text not null,
    shown        text not null,   -- The account, its middle masked.
    name         text not null,   -- The name, masked.
    digest       bytea not null,  -- Keyed: to know the same account again.
    sealed       bytea not null,
    data_key     uuid not null,
    state        text not null check (state in ('unverified', 'verified', 'closed')),
    currencies   text[] not null,
    added_at     timestamptz not null,
    added_by     text not null,
    usable_at    timestamptz not null,
    test         uuid,
    tests        int not null default 0,
    guesses      int not null default 0,
    told_at      timestamptz      -- When its letter was handed over.
);
create index payee_of_merchant on payouts.payee (merchant, id);
create index payee_untold on payouts.payee (added_at) where told_at is null;

create table payouts.payout (
    id              uuid primary key,
    merchant        uuid not null,
    payee           uuid not null,
    channel         uuid not null,
    channel_name    text not null,
    currency        text not null,
    amount_minor    bigint not null check (amount_minor > 0),
    fee_minor       bigint not null check (fee_minor >= 0),
    origin          text not null,
    state           text not null check (state in ('requested', 'refused', 'review', 'ready',
                        'reserved', 'sent', 'succeeded', 'failed', 'returned', 'declined')),
    verdict         text not null default '' check (verdict in ('', 'succeeded', 'failed',
                        'returned', 'declined')),  -- Written before the books follow it.
    is_reviewed     boolean not null default false,
    turn            int not null default 1,  -- Grows with each claim: who saw an older one stops.
    due_at          timestamptz,             -- When it is looked at again; null: by nobody.
    tries           int not null default 0,  -- How often the provider was told.
    asks            int not null default 0,  -- How often something was waited for since.
    reserve_tries   int not null default 0,  -- Which transfer the reserve is asked with.
    provider_number text not null default '',
    problem         text not null default '',
    confirm_url     text not null default '',
    confirm_package text not null default '',
    asked_at        timestamptz not null,
    asked_by        text not null,
    sent_at         timestamptz,
    ended_at        timestamptz
);
create index payout_of_merchant on payouts.payout (merchant, id);
create index payout_by_state on payouts.payout (state, id);
create index payout_due on payouts.payout (due_at) where due_at is not null;
create index payout_of_payee on payouts.payout (payee, id);

create table payouts.step (
    payout uuid not null,
    number bigint generated always as identity,
    at     timestamptz not null,
    state  text not null,
    note   text not null,
    by     text not null,
    primary key (payout, number)
);

create table payouts.terms (
    currency           text primary key,
    amount_minor_min   bigint not null check (amount_minor_min > 0),
    fee_minor          bigint not null check (fee_minor >= 0),
    review_above_minor bigint not null check (review_above_minor >= 0)
);

create table payouts.suspension (
    merchant uuid primary key,
    reason   text not null,
    at       timestamptz not null
);

create table payouts.reserve_change (
    id           uuid primary key,
    channel_name text not null,
    currency     text not null,
    amount_minor bigint not null check (amount_minor <> 0),
    source       text not null,
    reason       text not null,
    by           text not null,
    at           timestamptz not null
);
create index reserve_change_order on payouts.reserve_change (channel_name, currency, id);
