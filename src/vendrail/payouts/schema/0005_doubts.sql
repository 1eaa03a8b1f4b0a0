-- Accounts whose test came back are told of by letter.

alter table payouts.payee add column doubt uuid;  -- The test that came back, until it is told of.
create index payee_doubted on payouts.payee (id) where doubt is not null;
