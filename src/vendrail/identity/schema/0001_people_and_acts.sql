-- Who people and programs are, what they may do, how they prove it, and what they did.

create table identity.data_key (
    id      uuid primary key,
    sealed  bytea not null,
    made_at timestamptz not null
);

create table identity.merchant (
    id   uuid primary key,
    name text not null
);
create index merchant_name on identity.merchant (name, id);

create table identity.person (
    id            uuid primary key,
    email         text not null unique,  -- In lower case, as it is compared.
    name          text not null,
    locale        text not null,
    state         text not null default 'active' check (state in ('active', 'locked')),
    locked_by     text not null default '',  -- Empty for too many wrong tries: a reset opens that.
    password      text not null,  -- Argon2id over the password hashed under the vault's key.
    failed_count  int  not null default 0,  -- Wrong passwords since the last right one.
    created_at    timestamptz not null,
    signed_in_at  timestamptz
);

create table identity.membership (
    person     uuid not null references identity.person,
    merchant   uuid not null,  -- All zeros: the operator of the platform.
    role       text not null,
    created_at timestamptz not null,
    primary key (person, merchant)
);
create index membership_merchant on identity.membership (merchant, person);

-- The second factor of a person: drafted until its first code was shown.
create table identity.factor (
    person        uuid primary key references identity.person,
    data_key      uuid references identity.data_key,
    sealed        bytea,  -- The secret in use; none before the first code.
    step_last     bigint not null default 0,  -- No code of this time step or an earlier one counts.
    draft_key     uuid references identity.data_key,
    draft_sealed  bytea,  -- The secret that would take its place,
    draft_session uuid,  -- shown to this session alone.
    confirmed_at  timestamptz
);

create table identity.recovery_code (
    person    uuid not null references identity.person,
    code_hash bytea not null,
    used_at   timestamptz,
    primary key (person, code_hash)
);

-- Browsers from which a person has come before: strangers' wrong tries do not shut these out.
create table identity.device (
    person      uuid not null references identity.person,
    device_hash bytea not null,
    seen_at     timestamptz not null,
    primary key (person, device_hash)
);

create table identity.session (
    id           uuid primary key,
    person       uuid not null references identity.person,
    stage        text not null check (stage in ('factor', 'enrolment', 'open')),
    merchant     uuid,
    begun_at     timestamptz not null,
    seen_at      timestamptz not null,
    ends_at      timestamptz not null,
    confirmed_at timestamptz not null,
    rotated_at   timestamptz not null,
    address      text not null,
    agent        text not null,
    device_hash  bytea not null
);
create index session_person on identity.session (person, seen_at desc);
create index session_ends on identity.session (ends_at);

-- Every token a session ever had: one that was replaced, and comes again, is somebody else's copy.
create table identity.token (
    token_hash  bytea primary key,
    session     uuid not null references identity.session on delete cascade,
    made_at     timestamptz not null,
    used_at     timestamptz,
    replaced_at timestamptz
);
create index token_session on identity.token (session);

create table identity.link (
    id         uuid primary key,
    token_hash bytea not null unique,
    kind       text not null check (kind in ('invitation', 'reset')),
    email      text not null,
    merchant   uuid,
    role       text,
    invited_by text not null,
    made_at    timestamptz not null,
    ends_at    timestamptz not null,
    used_at    timestamptz,
    check ((kind = 'invitation') = (role is not null))
);
create index link_open on identity.link (merchant, made_at) where used_at is null;
create index link_email on identity.link (email) where used_at is null;

create table identity.api_key (
    id          uuid primary key,
    merchant    uuid not null,
    name        text not null,
    scopes      text[] not null,
    prefix      text not null,
    secret_hash bytea not null unique,
    made_by     text not null,
    made_at     timestamptz not null,
    ends_at     timestamptz,
    used_at     timestamptz,
    revoked_at  timestamptz
);
create index api_key_merchant on identity.api_key (merchant, made_at desc);

-- The log: only ever added to.
create table identity.act (
    id       uuid primary key,
    at       timestamptz not null,
    merchant uuid,
    actor    text not null,
    act      text not null,
    document jsonb not null  -- The act whole, in the form in which its record travels.
);
create index act_merchant on identity.act (merchant, id);
create index act_actor on identity.act (actor, id);
create index act_act on identity.act (act text_pattern_ops, id);

-- The chain over the log: each seal is a keyed hash of the one before and its act.
create table identity.seal (
    number bigint primary key,
    act    uuid not null unique,
    hash   bytea not null
);

-- Acts that are still to be sealed: written with the act, gone with its seal.
create table identity.unsealed (
    act uuid primary key
);

create table identity.proposal (
    id         uuid primary key,
    merchant   uuid,
    state      text not null check (state in ('open', 'approved', 'refused', 'expired', 'done')),
    made_at    timestamptz not null,
    ends_at    timestamptz not null,
    decided_by text not null default '',
    decided_at timestamptz,
    document   jsonb not null
);
create index proposal_made on identity.proposal (made_at desc, id);
create index proposal_merchant on identity.proposal (merchant, made_at desc, id);

-- People whole, in the form in which their record travels; what a role permits is added later.
create view identity.person_document as
    select p.id, p.email, p.name, jsonb_build_object(
        'id', p.id, 'email', p.email, 'name', p.name, 'locale', p.locale, 'state', p.state,
        'created_at', p.created_at, 'signed_in_at', p.signed_in_at,
        'has_second_factor', exists (
            select from identity.factor f where f.person = p.id and f.confirmed_at is not null),
        'memberships', coalesce((
            select jsonb_agg(jsonb_build_object(
                'merchant', nullif(m.merchant, '00000000-0000-0000-0000-000000000000'),
                'role', m.role, 'permissions', '[]'::jsonb, 'merchant_name', coalesce(n.name, '')
            ) order by n.name nulls first, m.merchant)
            from identity.membership m left join identity.merchant n on n.id = m.merchant
            where m.person = p.id), '[]')) as document
    from identity.person p;
