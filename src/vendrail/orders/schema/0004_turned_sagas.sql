-- A saga that has turned and then is stuck must go back when it is woken: being stuck hid the turn.

alter table orders.saga add column is_turned boolean not null default false;
update orders.saga set is_turned = true where kind = 'purchase' and is_slow;
