-- What was frozen out of a pending part or a reserve goes back there, not to what is available.
set local lock_timeout = '5s';

alter table settlement.freeze
    add column thawed_pending_minor bigint not null default 0 check (thawed_pending_minor >= 0),
    add column thawed_reserve_minor bigint not null default 0 check (thawed_reserve_minor >= 0);
alter table settlement.thaw
    add column pending_minor bigint not null default 0 check (pending_minor >= 0),
    add column reserve_minor bigint not null default 0 check (reserve_minor >= 0),
    add column is_back       boolean not null default false;  -- The refund failed: frozen again.
