-- Merchants' programs: where they are told, what happened, and how telling them of it went.

create table webhooks.data_key (
    id      uuid primary key,
    sealed  bytea not null,
    made_at timestamptz not null
);

create table webhooks.endpoint (
    id            uuid primary key,
    merchant      uuid not null,
    url           text not null,
    kinds         text[] not null,  -- Empty: all of them.
    is_ordered    boolean not null,
    note          text not null,
    state         text not null default 'enabled' check (state in ('enabled', 'disabled')),
    reason        text not null default '',
    made_at       timestamptz not null,
    key_id        uuid not null,    -- Binds the sealed secret to this row, and changes with it.
    data_key      uuid not null,
    sealed        bytea not null,
    keyed_at      timestamptz not null,
    old_key_id    uuid,             -- The secret before, which signs beside it for a while.
    old_data_key  uuid,
    old_sealed    bytea,
    old_key_until timestamptz,
    failing_since timestamptz,
    heard_at      timestamptz,
    asked_at      timestamptz not null,  -- Since when it is told of just these kinds.
    letter        uuid,             -- Of a letter about its end that is still to be handed on.
    turn_at       timestamptz not null,  -- When it was last served: who waits longest is next.
    check ((state = 'enabled') = (reason = '')),
    check ((old_sealed is null) = (old_key_until is null))
);
create index endpoint_of_merchant on webhooks.endpoint (merchant, id);
create index endpoint_turn on webhooks.endpoint (turn_at) where state = 'enabled';
create index endpoint_letter on webhooks.endpoint (id) where letter is not null;
create index endpoint_failing on webhooks.endpoint (failing_since)
    where failing_since is not null;

create table webhooks.event (
    id       uuid primary key,
    number   bigint generated always as identity,  -- In the order in which they were read.
    merchant uuid not null,
    kind     text not null,
    at       timestamptz not null,
    kept_at  timestamptz not null,
    body     text not null  -- What is sent, byte for byte.
);
create index event_of_merchant on webhooks.event (merchant, number);
create index event_kept on webhooks.event (kept_at);

create table webhooks.delivery (
    id       uuid primary key,
    endpoint uuid not null references webhooks.endpoint on delete cascade,
    event    uuid not null references webhooks.event on delete cascade,
    number   bigint not null,  -- The event's.
    kind     text not null,
    at       timestamptz not null,
    state    text not null default 'waiting'
        check (state in ('waiting', 'heard', 'given_up', 'dropped')),
    attempts int not null default 0,
    due_at   timestamptz not null,  -- While it is being told: when its teller is given up for lost.
    stale_at timestamptz not null,
    lease    uuid,                  -- The teller that holds it; fences its write.
    problem  text not null default '',
    heard_at timestamptz,
    unique (endpoint, event),
    check (state <> 'dropped' or problem <> '')
);
create index delivery_due on webhooks.delivery (endpoint, due_at) where state = 'waiting';
create index delivery_first on webhooks.delivery (endpoint, number) where state = 'waiting';
create index delivery_held on webhooks.delivery (endpoint) where lease is not null;
create index delivery_listed on webhooks.delivery (endpoint, number);
create index delivery_happened on webhooks.delivery (endpoint, at);
create index delivery_stale on webhooks.delivery (stale_at) where state = 'waiting';
create index delivery_of_event on webhooks.delivery (event);

create table webhooks.try (
    delivery    uuid not null references webhooks.delivery on delete cascade,
    number      int not null,
    at          timestamptz not null,
    took_ms     int not null,
    status_code int not null,
    problem     text not null,
    request     text not null,
    response    text not null,
    primary key (delivery, number)
);

create table webhooks.cursor (
    source text primary key,
    xid    xid8 not null default '0',
    id     bigint not null default 0
);
insert into webhooks.cursor (source) values ('orders');
