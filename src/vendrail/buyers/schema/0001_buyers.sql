-- Who has proven an e-mail address, and the browsers they are signed in with.

create table buyers.data_key (
    id      uuid primary key,
    sealed  bytea not null,
    made_at timestamptz not null
);

create table buyers.buyer (
    id           uuid primary key,
    email_hash   bytea not null unique,  -- Keyed hash: found by address, without holding it in clear.
    email_sealed bytea not null,
    data_key     uuid not null references buyers.data_key,
    locale       text not null,
    made_at      timestamptz not null,
    signed_in_at timestamptz not null
);

-- One code for each address and browser: a stranger's tries do not use up the buyer's.
create table buyers.code (
    key       bytea primary key,
    code_hash bytea not null,
    made_at   timestamptz not null,
    tries     int not null default 0
);
create index code_made on buyers.code (made_at);

create table buyers.session (
    id           uuid primary key,
    buyer        uuid not null references buyers.buyer on delete cascade,
    begun_at     timestamptz not null,
    seen_at      timestamptz not null,
    ends_at      timestamptz not null,
    confirmed_at timestamptz not null,
    rotated_at   timestamptz not null,
    agent        text not null
);
create index session_buyer on buyers.session (buyer, seen_at desc);
create index session_ends on buyers.session (ends_at);

-- Every token a session ever had: one that was replaced, and comes again, is somebody else's copy.
create table buyers.token (
    token_hash  bytea primary key,
    session     uuid not null references buyers.session on delete cascade,
    made_at     timestamptz not null,
    used_at     timestamptz,
    replaced_at timestamptz
);
create index token_session on buyers.token (session);
