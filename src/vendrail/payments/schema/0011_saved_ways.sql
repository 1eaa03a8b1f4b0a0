-- Ways to pay that providers remember for buyers: their names for them, which nobody is shown.

create table payments.customer (
    buyer       uuid not null,
    channel     uuid not null,
    reference   text not null,   -- The provider's name for the buyer.
    made_at     timestamptz not null,
    looks       int not null default 0,
    look_due_at timestamptz,     -- When it is asked next what it remembers; null: nothing new is expected.
    look_until  timestamptz not null,
    ending_at   timestamptz,     -- The buyer is to be forgotten, with all that it remembers.
    primary key (buyer, channel)
);
create index customer_due on payments.customer (look_due_at) where look_due_at is not null;

create table payments.saved (
    id           uuid primary key,
    buyer        uuid not null,
    channel      uuid not null,
    method       text not null,
    reference    text not null,
    customer     text not null,
    label        text not null,
    expires      text not null,
    used_at      timestamptz not null,
    forgotten_at timestamptz,    -- It pays nothing from then on; the provider is told until it has forgotten.
    tries        int not null default 0,
    due_at       timestamptz,
    unique (channel, reference)
);
create index saved_buyer on payments.saved (buyer, used_at desc) where forgotten_at is null;
create index saved_due on payments.saved (due_at) where due_at is not null;

-- Written before the provider is told: one attempt is paid with one saved way.
create table payments.saved_payment (
    attempt uuid primary key,
    saved   uuid not null,
    at      timestamptz not null,
    problem text not null default ''  -- Of a decline, which is final.
);
