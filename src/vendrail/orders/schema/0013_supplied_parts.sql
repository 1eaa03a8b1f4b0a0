-- What suppliers get of agents' orders, beside the order: their bounds and sums ask for it.
set local lock_timeout = '5s';

alter table orders."order" add column supplied_minor bigint;  -- Null: the merchant's own keys.
update orders."order"
   set supplied_minor = quantity
       * (convert_from(facts, 'UTF8')::jsonb #>> '{supply,floor_minor}')::bigint
 where supplier is not null;
