-- A charge is an order whose merchant delivers elsewhere: nothing of the catalog is in it.

alter table orders."order" alter column variant drop not null;
