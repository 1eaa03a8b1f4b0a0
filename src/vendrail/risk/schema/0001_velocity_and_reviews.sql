-- How much each buyer, address and device has bought of late; what was answered; who decides.

-- One row an order, for ever: the first answer. The key is in time order.
create table risk.assessment (
    order_id uuid primary key,
    decision text not null check (decision in ('allow', 'review', 'refuse')),
    reasons  text[]  -- Null where there are none, as for nearly all.
);

-- One row a subject and day. The key begins with the day, so that its new part stays small however
-- large the table is; the counts are in no index, so that an update stays in its page.
create table risk.velocity (
    day     int not null,  -- Days since 1970.
    subject bigint not null,  -- A hash of kind and value.
    slots   bigint[] not null,  -- hour, currency, orders, amount; hour, currency, …
    primary key (day, subject)
) with (fillfactor = 80);

-- Subjects that have reached a hard limit, so that screening need not count.
create table risk.excess (
    subject bigint primary key,
    reason  text not null,
    until   timestamptz not null
);

create table risk.review (
    order_id     uuid primary key,
    merchant     uuid not null,
    amount_minor bigint not null,
    currency     text not null,
    reasons      text[] not null,
    at           timestamptz not null,
    verdict      text check (verdict in ('allow', 'refuse')),
    person       text,
    reason       text,
    settled_at   timestamptz,
    check ((verdict is null) = (person is null))
);
create index review_waiting on risk.review (at, order_id) where verdict is null;

create table risk.list_entry (
    subject text primary key,
    kind    text not null check (kind in ('blocked', 'reviewed', 'trusted')),
    reason  text not null,
    at      timestamptz not null
);

-- One row: the limits, and a number that grows with each change of limits or lists.
create table risk.rulebook (
    id      bool primary key default true check (id),
    version bigint not null default 1,
    limits  jsonb not null default '{}'  -- What is not named here has its default.
);
insert into risk.rulebook default values;
