-- Keys that warranties replaced without asking: what of them an order and a buyer have had.
set local lock_timeout = '5s';

create table support.claim (
    complaint    uuid primary key,
    "order"      uuid not null,
    merchant     uuid not null,
    buyer        bytea not null,     -- A keyed hash of the contact.
    keys         int not null check (keys > 0),
    keys_max     int not null,       -- Of the order, as was promised then.
    refund_minor bigint,             -- What goes back where no key is free; null: the merchant is asked.
    at           timestamptz not null,
    missed_at    timestamptz         -- No key was there, so that it counts no more.
);
create index claim_order on support.claim ("order");
create index claim_buyer on support.claim (merchant, buyer, at) where missed_at is null;
