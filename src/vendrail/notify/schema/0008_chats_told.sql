-- Who links or ends a chat is told by e-mail and in the log: tickets know whom to tell.
set local lock_timeout = '5s';

alter table notify.ticket
    add column data_key uuid,   -- Null: opened by the release before; nobody is told of it.
    add column sealed   bytea;  -- The address, and whose log it is told in.

create table notify.act (
    id       uuid primary key,
    data_key uuid not null,
    sealed   bytea not null,    -- The act, on its way into the log.
    at       timestamptz not null
);
