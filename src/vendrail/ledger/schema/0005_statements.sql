-- A merchant's accounts are found by their names, for statements.
set local lock_timeout = '5s';

create index account_of_merchant on ledger.account (name text_pattern_ops)
    where name like 'merchant:%';
