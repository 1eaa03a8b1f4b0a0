-- Orders and the sagas that carry them: one row an order, one small row a saga that has not ended.

create table orders."order" (
    id               uuid primary key,
    merchant         uuid not null,
    variant          uuid not null,
    quantity         int not null check (quantity > 0),
    amount_minor     bigint not null check (amount_minor > 0),
    currency         text not null,
    state            text not null default 'placed',
    version          int not null default 1,
    placed_at        timestamptz not null,
    expires_at       timestamptz not null,
    contact_day      date not null,    -- Leads the contact index, so that inserts stay local.
    contact_hash     bytea not null,   -- Keyed hash: found by contact, without holding it in clear.
    contact_sealed   bytea not null,
    data_key         uuid not null,
    facts            bytea not null,   -- JSON: what was chosen, as it was then (title, SKU, shop, …).
    request_hash     bytea not null,   -- Tells a repeat from another order under the same id.
    idempotency_hash bytea,
    trace_id         text not null,
    paid_at          timestamptz,
    delivered_at     timestamptz,
    ended_at         timestamptz,      -- When it expired, was cancelled, or its money had gone back.
    capture          uuid,             -- The capture that filled it.
    allocation       uuid,             -- The keys that filled it.
    refunded_minor   bigint not null default 0,
    check (refunded_minor between 0 and amount_minor)  -- Pairs with decide.refund: two guards.
) with (fillfactor = 55);              -- Room for the one update of a sale to stay on its page.

create index order_contact on orders."order" (contact_day, contact_hash);
create unique index order_idempotency on orders."order" (idempotency_hash)
    where idempotency_hash is not null;

create table orders.saga (
    id         uuid primary key,
    kind       text not null,
    subject    uuid not null,
    data       bytea not null,
    state      text not null default 'running',
    reason     text not null default '',
    is_slow    boolean not null default false,  -- Calls a provider: runs in a lane of its own.
    attempts   int not null default 0,
    problem    text not null default '',
    trace_id   text not null,
    started_at timestamptz not null,
    due_at     timestamptz not null,  -- When anyone may claim it: the wait's or the lease's end.
    lease      uuid                   -- The runner that holds it; fences each of its writes.
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
create index saga_due on orders.saga (due_at);

create table orders.refund (
    id           uuid primary key,
    "order"      uuid not null,
    capture      uuid not null,
    amount_minor bigint not null check (amount_minor > 0),
    reason       text not null,
    person       text not null,
    state        text not null default 'asked',
    asked_at     timestamptz not null,
    settled_at   timestamptz
);
create index refund_order on orders.refund ("order");

create table orders.lookup_code (
    contact_hash bytea primary key,
    code_hash    bytea not null,
    made_at      timestamptz not null,
    tries        int not null default 0
);

create table orders.data_key (
    id      uuid primary key,
    sealed  bytea not null,
    made_at timestamptz not null
);

create table orders.cursor (
    source text primary key,
    xid    xid8 not null default '0',
    id     bigint not null default 0,
    mark   uuid  -- For walks along ids: the last one seen.
);
insert into orders.cursor (source) values ('payments'), ('deliveries');
insert into orders.cursor (source, mark) values ('expiry', '00000000-0000-0000-0000-000000000000');

create table orders.event (
    id     bigint generated always as identity primary key,
    xid    xid8 not null default pg_current_xact_id(),
    at     timestamptz not null,
    count  int not null,
    events bytea storage external not null  -- Read soon and once: not worth compressing.
);
create index event_order on orders.event (xid, id);
