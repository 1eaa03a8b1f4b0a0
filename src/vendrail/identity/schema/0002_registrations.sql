-- Merchants come by themselves: on which terms, who is asked for a code, and who applied.

-- Each change is a row; the newest counts.
create table identity.registration_policy (
    number        bigint generated always as identity primary key,
    mode          text not null check (mode in ('open', 'approval', 'invitation')),
    terms         text not null,
    terms_version int  not null,
    made_at       timestamptz not null,
    made_by       text not null
);

-- One code for each address and browser: a stranger's tries do not use up whose address it is.
create table identity.registration (
    key           bytea primary key,
    email         text not null,
    merchant_name text not null,
    terms_version int  not null,
    code_hash     bytea not null,
    made_at       timestamptz not null,
    tries         int  not null default 0
);
create index registration_made on identity.registration (made_at);

create table identity.application (
    id            uuid primary key,
    email         text not null,
    name          text not null,
    merchant_name text not null,
    locale        text not null,
    terms_version int  not null,
    made_at       timestamptz not null,
    state         text not null default 'waiting' check (state in ('waiting', 'invited', 'refused')),
    reason        text not null default '',
    decided_by    text not null default '',
    decided_at    timestamptz
);
create index application_state on identity.application (state, id);
create unique index application_waiting on identity.application (email) where state = 'waiting';

-- Which version of the terms a merchant has accepted, and who did so for it.
create table identity.acceptance (
    merchant      uuid not null,
    terms_version int  not null,
    person        uuid not null,
    at            timestamptz not null,
    primary key (merchant, terms_version)
);

-- Whoever came by themselves sets a second factor up before anything else.
alter table identity.person add column needs_second_factor boolean not null default false;

create or replace view identity.person_document as
    select p.id, p.email, p.name, jsonb_build_object(
        'id', p.id, 'email', p.email, 'name', p.name, 'locale', p.locale, 'state', p.state,
        'created_at', p.created_at, 'signed_in_at', p.signed_in_at,
        'needs_second_factor', p.needs_second_factor,
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
