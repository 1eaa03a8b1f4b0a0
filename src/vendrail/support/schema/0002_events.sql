-- What becomes of complaints is told to whoever reads it, as orders and payments do.
set local lock_timeout = '5s';

create table support.event (
    id     bigint generated always as identity primary key,
    xid    xid8 not null default pg_current_xact_id(),
    at     timestamptz not null,
    count  int not null,
    events bytea storage external not null  -- A JSON array: the events of one batch, in order.
);
create index event_order on support.event (xid, id);
