-- A key that does not work is replaced by another of its variant: the order keeps its place in line, the key changes.

create table catalog.replacement (
    id         uuid not null,      -- Also the id of the allocation that holds the new keys.
    position   smallint not null,  -- Which of the new keys.
    allocation uuid not null,      -- What the order was delivered with …
    slot       smallint not null,  -- … and which of its items this is now, from 0.
    old_key    uuid not null,      -- Void from then on.
    new_key    uuid not null,
    reason     text not null,
    at         timestamptz not null,
    primary key (id, position)
);
create index replacement_allocation on catalog.replacement (allocation);
-- No key is replaced twice: whatever the code does, PostgreSQL refuses the second time.
create unique index replacement_old_key on catalog.replacement (old_key);
