-- What wallets pay of orders: whole ones, and parts beside a channel. Orders paid otherwise have no row.

create table orders.wallet_part (
    "order"      uuid primary key,
    buyer        uuid not null,
    number       int not null,       -- A hold's id is used once: the next one has the next number.
    amount_minor bigint not null check (amount_minor > 0),
    state        text not null,      -- asked, held, spent, freeing, freed, refused.
    at           timestamptz not null
);
create index wallet_part_standing on orders.wallet_part ("order")
    where state in ('asked', 'held', 'freeing');

alter table orders.refund add column to_wallet uuid;  -- Whose wallet it goes into; null: the channel.
