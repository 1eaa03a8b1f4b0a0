-- Buyers' wallets are summed by currency, whatever other accounts there are.

create index account_wallet on ledger.account (currency, number) where name like 'buyer:%';
