-- How long a product's keys can be claimed dead, and whether they are replaced without asking.
set local lock_timeout = '5s';

alter table catalog.product
    add column warranty jsonb;  -- Null: what holds on the platform.
