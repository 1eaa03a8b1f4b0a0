-- An order that was paid in another currency gives that currency back; null: the price's own.

alter table orders.refund add column paid_minor bigint check (paid_minor > 0);
