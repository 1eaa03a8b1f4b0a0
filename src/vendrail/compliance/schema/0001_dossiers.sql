-- Who merchants are: what is asked of them in versions, their dossiers and documents, sealed.

create table compliance.data_key (
    id      uuid primary key,
    sealed  bytea not null,
    made_at timestamptz not null
);

create table compliance.terms (
    version  int primary key,
    is_asked boolean not null,
    currency text not null,
    bounds   bytea not null,  -- JSON: the most an order and thirty days may bring, by tier.
    made_at  timestamptz not null,
    person   text not null,
    reason   text not null
);

create table compliance.dossier (
    id           uuid primary key,
    merchant     uuid not null,
    tier         int not null check (tier in (1, 2)),
    country      text not null,
    state        text not null check (state in (
        'draft', 'submitted', 'more_asked', 'accepted', 'refused', 'replaced', 'revoked', 'expired'
    )),
    version      int not null default 1,
    made_at      timestamptz not null,
    touched_at   timestamptz not null,
    submitted_at timestamptz,
    decided_at   timestamptz,
    decided_by   text not null default '',
    accepted_at  timestamptz,              -- From then on its tier counted …
    ended_at     timestamptz,              -- … until then.
    reasons      text[] not null default '{}',
    note         text not null default '',
    checks       text[] not null default '{}',
    expires_on   date,
    is_warned    boolean not null default false,
    sealed       bytea,                    -- Its fields; null: they were deleted.
    data_key     uuid,
    erase_at     timestamptz,              -- When its content goes; null: not by time.
    check ((state = 'accepted') <= (expires_on is not null and accepted_at is not null))
);
-- One that is open and one that counts, however many forms are sent at once.
create unique index dossier_open on compliance.dossier (merchant)
    where state in ('draft', 'submitted', 'more_asked');
create unique index dossier_counting on compliance.dossier (merchant) where state = 'accepted';
create index dossier_waiting on compliance.dossier (submitted_at, id) where state = 'submitted';
create index dossier_merchant on compliance.dossier (merchant, id);
create index dossier_expiring on compliance.dossier (expires_on) where state = 'accepted';
create index dossier_erasing on compliance.dossier (erase_at) where erase_at is not null;

create table compliance.document (
    id         uuid primary key,
    dossier    uuid not null references compliance.dossier on delete cascade,
    kind       text not null,
    media_type text not null,
    size       int not null check (size > 0),
    sealed     bytea not null,
    data_key   uuid not null,
    added_at   timestamptz not null
);
create index document_dossier on compliance.document (dossier, id);

create table compliance.letter (
    id       uuid primary key,
    merchant uuid not null,
    step     text not null,
    facts    bytea not null,
    due_at   timestamptz not null
);
create index letter_due on compliance.letter (due_at);
