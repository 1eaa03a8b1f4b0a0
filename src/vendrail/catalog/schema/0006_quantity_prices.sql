-- Who buys more pays less for each: from so many on, by currency.

alter table catalog.variant
    add column quantity_prices jsonb not null default '[]';  -- [{quantity_min, prices_minor}].
