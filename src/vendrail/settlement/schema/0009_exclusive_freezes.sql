-- While a chargeback stands, its order is not refunded: the bank may take the same money.
set local lock_timeout = '5s';

alter table settlement.freeze add column is_exclusive boolean not null default false;
