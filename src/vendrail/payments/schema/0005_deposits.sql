-- Money that is seen on a chain: addresses given out, transfers seen there, how far each chain was read.

-- The next free place of each row of addresses. None is ever given twice.
create table payments.deposit_book (
    name       text collate "C" primary key,
    next_place bigint not null
);

create table payments.deposit (
    attempt_id   uuid primary key,
    channel      uuid not null,
    book         text collate "C" not null,
    place        bigint not null,
    address      text collate "C" not null,
    asset        text collate "C" not null,
    units        numeric(78) not null check (units > 0),
    out_trade_no text not null,
    amount_minor bigint not null,
    currency     text not null,
    expires_at   timestamptz not null,
    paid_as      text collate "C",  -- The number of the capture of the price, once it has come.
    paid_at      timestamptz,
    unique (book, place)
);
create index deposit_address on payments.deposit (channel, address);
create index deposit_watched on payments.deposit (channel, expires_at);

create table payments.sighting (
    channel      uuid not null,
    number       text collate "C" not null,  -- The transaction, and the place in it.
    attempt_id   uuid,  -- Null: money that left for a refund.
    block        bigint not null,
    block_hash   text not null,
    at           timestamptz not null,
    asset        text collate "C" not null,
    source       text not null,
    target       text not null,
    units        numeric(78) not null,
    refund_id    uuid,
    withdrawn_at timestamptz,  -- Its block is gone; it counts for nothing, unless it is seen again.
    counted_as   text collate "C",  -- The number of the capture that it is counted in.
    primary key (channel, number)
);
create index sighting_attempt on payments.sighting (attempt_id) where attempt_id is not null;
create index sighting_counted on payments.sighting (channel, counted_as) where counted_as is not null;
create index sighting_refund on payments.sighting (refund_id) where refund_id is not null;
create index sighting_block on payments.sighting (channel, block);
create index sighting_open on payments.sighting (channel, attempt_id)
    where counted_as is null and withdrawn_at is null and attempt_id is not null;

-- How far a chain was read, and who looks at it next, when.
create table payments.watch_mark (
    channel       uuid primary key,
    block         bigint not null,
    hash          text not null,
    final         bigint not null,
    latest        bigint not null,
    confirmations int not null,
    looked_at     timestamptz not null,
    due_at        timestamptz not null
) with (fillfactor = 80);

-- The last blocks that were read: where they differ from the chain's, it has changed.
create table payments.watch_block (
    channel uuid not null,
    number  bigint not null,
    hash    text not null,
    primary key (channel, number)
);

-- Under which number of its sender a refund was planned: planned again, it keeps it.
create table payments.refund_nonce (
    refund_id uuid primary key,
    nonce     bigint not null,
    at        timestamptz not null
);
