-- When a page last had a provider asked what it remembers: not more often than every few seconds.

alter table payments.customer add column looked_at timestamptz;
