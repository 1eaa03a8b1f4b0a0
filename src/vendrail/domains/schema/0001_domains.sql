-- Hosts that merchants say are theirs, what was found of their proofs, and letters about them.

create table domains.domain (
    id            uuid primary key,
    merchant      uuid not null,
    shop          uuid not null,
    slug          text not null,      -- The shop's, which never changes.
    host          text not null,
    token         text not null,
    state         text not null check (state in ('waiting', 'active', 'lost')),
    made_at       timestamptz not null,
    finding       text not null,
    is_taken      boolean not null,
    checked_at    timestamptz,
    proven_at     timestamptz,
    failing_since timestamptz,
    lost_at       timestamptz,
    failures      int not null default 0,
    next_check_at timestamptz,        -- Null: it is looked for no more by itself.
    unique (shop, host)
);
-- One shop a host, whoever proves it at the same moment. Pairs with decide.settle: two guards.
create unique index domain_active on domains.domain (host) where state = 'active';
create index domain_host on domains.domain (host);
create index domain_merchant on domains.domain (merchant, id);
create index domain_due on domains.domain (next_check_at) where next_check_at is not null;

create table domains.letter (
    id       uuid primary key,
    merchant uuid not null,
    host     text not null,
    step     text not null,
    due_at   timestamptz not null
);
create index letter_due on domains.letter (due_at);
