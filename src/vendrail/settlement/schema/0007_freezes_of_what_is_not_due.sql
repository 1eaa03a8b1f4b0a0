-- A dispute freezes first what of its order's share is not due yet; it is not released meanwhile.
set local lock_timeout = '5s';

alter table settlement.freeze
    add column pending_account uuid,
    add column pending_minor   bigint not null default 0 check (pending_minor >= 0),  -- At most.
    add column reserve_account uuid,
    add column reserve_minor   bigint not null default 0 check (reserve_minor >= 0);
