-- A payment is found by what its provider calls it, where it was given such a name.
set local lock_timeout = '5s';

create index presentation_reference on payments.presentation (reference) where reference <> '';
