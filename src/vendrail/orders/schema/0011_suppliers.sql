-- Whose keys an agent has sold: suppliers see their part of other merchants' orders.
set local lock_timeout = '5s';

alter table orders."order" add column supplier uuid;  -- Null: the merchant's own keys.
create index order_supplier on orders."order" (supplier, id) where supplier is not null;
