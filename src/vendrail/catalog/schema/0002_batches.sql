-- Merchants look after their stock batch by batch: where each one's keys lie is written down when they are taken in.

create table catalog.batch (
    variant   uuid not null,
    id        uuid not null,
    taken_at  timestamptz not null,
    added     bigint not null,
    first_key uuid not null,  -- All keys of the batch lie between these two, others perhaps as well.
    last_key  uuid not null,
    primary key (variant, id)
);
insert into catalog.batch
select
    variant, batch,
    min(to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0)),
    count(*), min(id::text collate "C")::uuid, max(id::text collate "C")::uuid
from catalog.key group by variant, batch;

create index shop_merchant on catalog.shop (merchant);
