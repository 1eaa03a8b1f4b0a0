-- Messages wait here until they have left; what they say is sealed, and erased when it is over.
create table notify.data_key (
    id      uuid primary key,
    sealed  bytea not null,
    made_at timestamptz not null
);

create table notify.message (
    id       uuid primary key,
    template text not null,
    state    text not null default 'waiting'
        check (state in ('waiting', 'sending', 'sent', 'stale', 'failed', 'unknown')),
    data_key uuid,
    sealed   bytea,  -- Recipient, locale and values; null when it is over.
    attempts int not null default 0,
    problem  text,
    taken_at timestamptz not null,
    stale_at timestamptz not null,
    due_at   timestamptz not null,  -- While sending: when the sender is given up for lost.
    check ((sealed is null) = (state in ('sent', 'stale', 'failed', 'unknown')))
);
create index message_due on notify.message (due_at) where state in ('waiting', 'sending');
create index message_taken on notify.message (taken_at);
