-- Merchants page through their own orders and sum their days; ids grow with time, so that inserts stay local.

create index order_merchant on orders."order" (merchant, id);
