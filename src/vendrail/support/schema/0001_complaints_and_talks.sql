-- What buyers complain of, and what is said about orders; words and files are sealed.

create table support.data_key (
    id      uuid primary key,
    sealed  bytea not null,
    made_at timestamptz not null
);

create table support.complaint (
    id           uuid primary key,
    "order"      uuid not null,
    merchant     uuid not null,
    title        text not null,            -- What was bought, as the order says.
    kind         text not null,
    positions    int[] not null,
    can_replace  boolean not null,
    state        text not null check (
        state in ('open', 'answered', 'escalated', 'carrying', 'closed')
    ),
    amount_minor bigint not null check (amount_minor > 0),
    currency     text not null,
    opened_at    timestamptz not null,
    due_at       timestamptz,              -- The limit of the step that is due.
    remedy       text,                     -- What stands offered or was decided.
    offer_minor  bigint not null default 0,
    decided_by   text,
    person       text not null default '', -- Who decided.
    outcome      text,
    ended_at     timestamptz,
    frozen_minor bigint not null default 0,
    problem      text not null default '',
    turn         int not null default 0,   -- How often it was decided: a repeat of a failed refund is another.
    work_at      timestamptz,              -- When money or keys are looked after next; null: nothing.
    check ((state = 'closed') = (outcome is not null))
);
create unique index complaint_live on support.complaint ("order") where state <> 'closed';
create index complaint_order on support.complaint ("order");
create index complaint_merchant on support.complaint (merchant, id);
create index complaint_standing on support.complaint (state, id) where state <> 'closed';
create index complaint_due on support.complaint (due_at) where state in ('open', 'answered');
create index complaint_work on support.complaint (work_at) where work_at is not null;

create table support.step (
    id           uuid primary key,
    complaint    uuid not null,
    kind         text not null,
    side         text not null,
    person       text not null,
    remedy       text,
    amount_minor bigint not null,
    at           timestamptz not null
);
create index step_complaint on support.step (complaint);

create table support.talk (
    "order"          uuid primary key,
    merchant         uuid not null,
    last_at          timestamptz not null,
    count            int not null,
    buyer_seen       int not null default 0,
    merchant_seen    int not null default 0,
    operator_seen    int not null default 0,
    buyer_tell_at    timestamptz,  -- When a letter tells of what is unread.
    merchant_tell_at timestamptz,
    is_buyer_told    boolean not null default false,  -- One letter until they have read.
    is_merchant_told boolean not null default false
);
create index talk_merchant on support.talk (merchant, last_at);
create index talk_buyer_tell on support.talk (buyer_tell_at) where buyer_tell_at is not null;
create index talk_merchant_tell on support.talk (merchant_tell_at)
    where merchant_tell_at is not null;

create table support.message (
    id           uuid primary key,
    "order"      uuid not null,
    number       int not null,
    side         text not null,
    person       text not null,
    step         text not null default '',
    remedy       text,
    amount_minor bigint not null default 0,
    sealed       bytea,
    data_key     uuid,
    at           timestamptz not null,
    unique ("order", number)
);

create table support.attachment (
    id         uuid primary key,
    message    uuid not null,
    "order"    uuid not null,
    name       text not null,
    media_type text not null,
    size       int not null,
    sealed     bytea not null,
    data_key   uuid not null
);
create index attachment_order on support.attachment ("order");

create table support.canned (
    id       uuid primary key,
    merchant uuid not null,
    title    text not null,
    text     text not null
);
create index canned_merchant on support.canned (merchant, title);

create table support.letter (
    id       uuid primary key,
    template text not null,
    "order"  uuid not null,
    side     text not null,
    facts    bytea not null,
    due_at   timestamptz not null
);
create index letter_due on support.letter (due_at);
