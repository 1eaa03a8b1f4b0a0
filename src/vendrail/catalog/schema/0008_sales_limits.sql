-- How much merchants may sell, until an operator knows them better; all zeros: whoever has no row.

create table catalog.sales_limit (
    merchant        uuid primary key,
    currency        text not null,
    order_minor_max bigint check (order_minor_max > 0),  -- Null: any.
    month_minor_max bigint check (month_minor_max > 0)
);
