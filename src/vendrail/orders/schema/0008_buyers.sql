-- Which buyer placed an order while signed in; guests leave it empty, and are in no index.

alter table orders."order" add column buyer uuid;
create index order_buyer on orders."order" (buyer, id) where buyer is not null;
