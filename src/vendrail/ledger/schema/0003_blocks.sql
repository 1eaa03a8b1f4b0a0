-- The sealed journal: each block hashes a stretch of transfers and the block before it.

create table ledger.block (
    number    bigint primary key check (number > 0),
    after_at  timestamptz not null,  -- It begins behind this transfer, in the order of (at, id),
    after_id  uuid not null,
    last_at   timestamptz not null,  -- and ends with this one.
    last_id   uuid not null,
    count     int not null check (count > 0),
    root      bytea not null,
    previous  bytea not null,
    hash      bytea not null,
    signature bytea not null,
    sealed_at timestamptz not null
);
create index block_last on ledger.block (last_at, last_id);
