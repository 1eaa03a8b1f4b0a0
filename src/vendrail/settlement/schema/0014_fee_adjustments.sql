-- For whom suggested fees are applied by themselves, and what was applied.
set local lock_timeout = '5s';

create table settlement.fee_allowance (
    merchant    uuid unique,
    tier        int unique check (tier between 0 and 9),
    is_allowed  boolean not null,
    notice_days int not null check (notice_days between 1 and 90),
    check ((merchant is null) <> (tier is null))
);

create table settlement.fee_adjustment (
    id                  uuid primary key,
    merchant            uuid not null,
    currency            text not null,
    before_basis_points int not null,
    basis_points        int not null,
    parts               jsonb not null,
    made_at             timestamptz not null,
    valid_from          timestamptz not null check (valid_from > made_at),
    told_at             timestamptz,
    taken_back_at       timestamptz
);
create index fee_adjustment_of on settlement.fee_adjustment (merchant, id desc);
create index fee_adjustment_untold on settlement.fee_adjustment (id) where told_at is null;
