-- What was wished once is never done again: another secret, or an endpoint that was deleted since.
set local lock_timeout = '5s';

create table webhooks.wish (
    endpoint uuid not null references webhooks.endpoint on delete cascade,
    once     uuid not null,  -- Of a wish for another secret; it is that secret's key id too.
    primary key (endpoint, once)
);
insert into webhooks.wish (endpoint, once)
    select id, key_id from webhooks.endpoint
    union
    select id, old_key_id from webhooks.endpoint where old_key_id is not null;

create table webhooks.closed (
    id        uuid primary key,  -- Of an endpoint that was deleted: nobody makes it again.
    merchant  uuid not null,
    closed_at timestamptz not null
);
