-- Since when somebody owes; known for debts that begin from now on.
alter table settlement.debtor add column since timestamptz not null default now();
