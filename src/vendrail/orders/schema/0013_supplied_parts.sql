-- What suppliers get of agents' orders, beside the order: their bounds and sums ask for it.
set local lock_timeout = '5s';

-- Null: the merchant's own keys, or placed by the release before; its facts say it. Nothing is
-- filled in here: that would keep everybody from all orders until each had been read.
alter table orders."order" add column supplied_minor bigint;
