-- Who had which keys of an order replaced, and why; the keys themselves are the catalog's.

create table orders.replacement (
    id         uuid primary key,
    "order"    uuid not null,
    positions  int[] not null,  -- Which items of the order, from 1.
    reason     text not null,
    person     text not null,
    asked_at   timestamptz not null,
    settled_at timestamptz      -- Null: asked, and not done yet.
);
create index replacement_order on orders.replacement ("order");
