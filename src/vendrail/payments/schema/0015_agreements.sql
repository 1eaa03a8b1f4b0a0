-- Agreements with a provider: a customer whose name is our number of one agreement, and ends with it.

alter table payments.customer add column is_agreement boolean not null default false;
create index customer_reference on payments.customer (channel, reference) where is_agreement;
