-- Buyers who are no more and whose wallets have paid orders: nothing goes into those wallets again.

create table orders.gone_buyer (
    buyer uuid primary key,
    at    timestamptz not null
);
create index wallet_part_buyer on orders.wallet_part (buyer);
create index refund_wallet on orders.refund (to_wallet) where to_wallet is not null;
