-- A merchant's share may become theirs to use later: by terms, in buckets that are released when due.
create table settlement.hold_terms (
    version              bigint generated always as identity primary key,
    merchant             uuid,  -- Null: the terms of a tier.
    tier                 text check (tier in ('new', 'standard', 'trusted', 'watched')),
    pending_hours        int not null check (pending_hours between 0 and 2160),
    reserve_basis_points int not null check (reserve_basis_points between 0 and 10000),
    reserve_days         int not null check (reserve_days between 0 and 365),
    valid_from           timestamptz not null,
    made_at              timestamptz not null,
    check (merchant is not null or tier is not null),
    check ((reserve_basis_points = 0) = (reserve_days = 0)),
    check (merchant is null or tier is null or (pending_hours = 0 and reserve_basis_points = 0))
);

-- What falls due together: one account of the ledger, whose balance is what is left to release.
create table settlement.bucket (
    account        uuid primary key,
    merchant       uuid not null,
    currency       text not null,
    part           text not null check (part in ('pending', 'reserve')),
    due_at         timestamptz not null,
    is_open        boolean not null default true,
    turn           int not null default 1,  -- Grows with each change: whoever saw an older one stops.
    claimed_until  timestamptz,
    released_minor bigint not null default 0,
    released_at    timestamptz
);
create index bucket_due on settlement.bucket (due_at) where is_open;
create index bucket_of_merchant on settlement.bucket (merchant, currency, due_at) where is_open;

-- How much of an order's refunds came out of what was not due yet, and where it lies.
alter table settlement.refund_pool
    add column pending_minor bigint not null default 0 check (pending_minor >= 0),
    add column reserve_minor bigint not null default 0 check (reserve_minor >= 0);
alter table settlement.refund
    add column pending_account uuid,
    add column pending_minor   bigint not null default 0,  -- While asked: at most so much.
    add column reserve_account uuid,
    add column reserve_minor   bigint not null default 0,
    add constraint refund_parts check (
        pending_minor >= 0 and reserve_minor >= 0
        and (pending_minor = 0 or pending_account is not null)
        and (reserve_minor = 0 or reserve_account is not null)
        and pending_minor + (case when state = 'asked' then 0 else reserve_minor end)
            <= amount_minor - fee_minor
    );
