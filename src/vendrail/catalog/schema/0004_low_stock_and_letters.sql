-- Merchants say when a stock is low, for a shop or one variant, and whether keys are in letters.

alter table catalog.shop
    add column low_stock_max       int check (low_stock_max >= 0),  -- Null: as the platform says.
    add column has_keys_in_letters boolean not null default false;
alter table catalog.variant
    add column low_stock_max int check (low_stock_max >= 0);  -- Null: as its shop says.
