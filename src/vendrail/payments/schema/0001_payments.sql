-- The books of payments: what was asked for, what arrived, what went back; rows are added, rarely changed.

create table payments.data_key (
    id      uuid primary key,
    sealed  bytea not null,
    made_at timestamptz not null
);

create table payments.channel (
    id                  uuid primary key,
    name                text collate "C" not null unique,
    kind                text not null,
    title               text not null,
    currencies          text[] not null,
    settings            jsonb not null,  -- What is no secret.
    sealed              bytea not null,  -- The secrets: a JSON object under the data key, bound to the id.
    data_key            uuid not null references payments.data_key (id),
    is_active           boolean not null,
    confirm_above_minor bigint not null check (confirm_above_minor >= 0),
    version             int not null,
    changed_at          timestamptz not null
);

-- The state of an attempt is not kept here: it follows from the rows below, so that this row never changes.
create table payments.attempt (
    id           uuid primary key,
    order_id     uuid not null,
    number       int not null check (number between 1 and 9999),
    merchant     uuid not null,
    channel      uuid not null,
    method       text not null,
    amount_minor bigint not null check (amount_minor > 0),
    currency     text not null,
    title        text not null,
    expires_at   timestamptz not null,
    opened_at    timestamptz not null,
    return_url   text not null,
    trace_id     text not null,
    unique (order_id, number)  -- The provider's out_trade_no says these two.
);

-- An attempt that was shown to its buyer: from here on the provider may know of it.
create table payments.presentation (
    attempt_id uuid primary key,
    at         timestamptz not null,
    action     bytea,  -- What the provider gave, where it is not made anew each time (a QR code).
    reference  text collate "C" not null default ''  -- The provider's own name for it, where it gives one.
);
create index presentation_age on payments.presentation (at, attempt_id);

-- An attempt that takes no money any more.
create table payments.closure (
    attempt_id uuid primary key,
    at         timestamptz not null,
    is_final   boolean not null  -- Said by the provider, or never shown; else it is still watched.
);

-- Money that arrived. The id carries the time bits of its attempt, so captures of an attempt lie together.
create table payments.capture (
    id              uuid primary key,
    channel         uuid not null,
    provider_number text collate "C" not null,
    attempt_id      uuid,
    order_id        uuid,
    merchant        uuid,
    method          text not null,
    amount_minor    bigint not null check (amount_minor > 0),
    currency        text not null,
    fit             text not null,
    source          text not null,
    out_trade_no    text not null,
    paid_at         timestamptz not null,
    at              timestamptz not null,
    trace_id        text not null,
    unique (channel, provider_number)  -- Pairs with decide: one payment of the provider is one capture.
);
-- The range of ids that derive from the same moment and shard as an id: where its captures lie.
create function payments.first_kin(id uuid) returns uuid immutable strict parallel safe language sql
    return (left(id::text, 18) || '-8000-000000000000')::uuid;
create function payments.last_kin(id uuid) returns uuid immutable strict parallel safe language sql
    return (left(id::text, 18) || '-bfff-ffffffffffff')::uuid;
create index capture_unmatched on payments.capture (id) where fit <> 'fits';

-- A capture too large to believe a signature alone: told to others only when the provider, asked, agrees.
create table payments.confirmation (
    capture_id uuid primary key,
    state      text not null check (state in ('waiting', 'confirmed', 'disputed')),
    tries      int not null,
    due_at     timestamptz not null,
    problem    text not null default ''
) with (fillfactor = 80);
create index confirmation_due on payments.confirmation (due_at) where state = 'waiting';
create index confirmation_disputed on payments.confirmation (capture_id) where state = 'disputed';

-- An attempt and all that tells its state.
create view payments.standing as
select
    a.*, p.at as presented_at, p.action, p.reference, x.is_final,
    k.is_captured, k.is_spent, k.is_waiting
from payments.attempt a
left join payments.presentation p on p.attempt_id = a.id
left join payments.closure x on x.attempt_id = a.id
cross join lateral (
    select
        bool_or(c.fit = 'fits' and (f.state is null or f.state = 'confirmed')) as is_captured,
        bool_or(c.fit <> 'fits' and (f.state is null or f.state = 'confirmed')) as is_spent,
        bool_or(f.state = 'waiting') as is_waiting
    from payments.capture c
    left join payments.confirmation f on f.capture_id = c.id
    where c.id between payments.first_kin(a.id) and payments.last_kin(a.id) and c.attempt_id = a.id
) k;

-- What providers sent and was validly signed, untouched, as evidence; one row an event.
create table payments.inbox (
    id      uuid primary key,  -- Derives from (channel, event); carries the time bits of the order.
    channel uuid not null,
    event   text not null,
    outcome text not null,
    at      timestamptz not null,
    request bytea not null  -- The query and the raw body.
);

create table payments.refund (
    id           uuid primary key,
    capture_id   uuid not null,
    amount_minor bigint not null check (amount_minor > 0),
    reason       text not null,
    state        text not null check (state in ('pending', 'succeeded', 'failed')),
    tries        int not null,
    due_at       timestamptz not null,
    problem      text not null default '',
    asked_at     timestamptz not null,
    settled_at   timestamptz
) with (fillfactor = 80);
create index refund_of_capture on payments.refund (capture_id);
create index refund_due on payments.refund (due_at) where state = 'pending';

-- What people decided about money that fits nothing.
create table payments.verdict (
    capture_id uuid primary key,
    order_id   uuid,
    merchant   uuid,
    person     text not null,
    reason     text not null,
    at         timestamptz not null
);
create index verdict_of_order on payments.verdict (order_id) where order_id is not null;

-- How far each step of the janitor has walked through the presentations.
create table payments.watch (
    step_s     int primary key,
    at         timestamptz not null,
    attempt_id uuid not null
);

create table payments.event (
    id     bigint generated always as identity primary key,
    xid    xid8 not null default pg_current_xact_id(),
    at     timestamptz not null,
    count  int not null,
    events bytea storage external not null  -- A JSON array: the events of one batch, in order.
);
create index event_order on payments.event (xid, id);
