-- Letters by Telegram: whose chat is linked, tickets that link one, and who asks the bot's news.
set local lock_timeout = '5s';

create table notify.chat (
    reader    bytea primary key,     -- A keyed hash of the address.
    id        uuid not null,         -- What is sealed is bound to it.
    hash      bytea not null,        -- A keyed hash of Telegram's number: finds it, tells nothing.
    data_key  uuid not null,
    sealed    bytea not null,        -- Telegram's number, the name there, the language.
    linked_at timestamptz not null
);
create index chat_hash on notify.chat (hash);
create index chat_data_key on notify.chat (data_key);
create table notify.ticket (
    reader  bytea primary key,       -- A newer one takes its place.
    hash    bytea not null unique,   -- Of what the link carries; the ticket itself is not kept.
    locale  text not null,
    ends_at timestamptz not null
);
create table notify.bot (
    id          bigint primary key,
    username    text not null default '',
    next_update bigint not null default 0,
    holder      uuid,                -- The process that asks for news, until …
    held_until  timestamptz          -- … then another may.
);

alter table notify.reader add column ways jsonb not null default '{}';  -- By kind; both without.
alter table notify.message
    add column way     text not null default 'mail' check (way in ('mail', 'telegram')),
    add column is_copy boolean not null default false;  -- The same leaves by mail as well.
