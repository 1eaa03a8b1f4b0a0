-- How far each consumer has read the events: what is old and was read by all is deleted.
set local lock_timeout = '5s';

create table payouts.reader (
    name text primary key,                    -- '': since when readers are known.
    xid  xid8 not null default '0',           -- Up to here it has dealt with all, at least.
    id   bigint not null default 0,
    at   timestamptz not null default now()   -- When it last said so.
);
insert into payouts.reader (name) values ('');
