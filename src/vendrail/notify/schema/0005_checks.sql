-- The newest outcome of each check that is made from outside: the console shows it, and staff are told.
create table notify.report (
    name     text primary key,
    at       timestamptz not null,
    is_good  boolean not null,
    findings jsonb not null  -- How many, by what they break.
);
