-- Passkeys of people: keys of their devices, and the challenges that wait to be signed by them.
set local lock_timeout = '5s';

create table identity.passkey (
    id            uuid primary key,
    person        uuid not null references identity.person,
    credential_id bytea not null unique check (octet_length(credential_id) between 1 and 1023),
    public_key    bytea not null,
    sign_count    bigint not null check (sign_count >= 0),
    name          text not null,
    made_at       timestamptz not null,
    used_at       timestamptz
);
create index passkey_person on identity.passkey (person, made_at);

-- A keyed hash of the challenge, what it is for, the browser and its session: good there, once.
create table identity.challenge (
    key     bytea primary key,
    made_at timestamptz not null
);
create index challenge_made on identity.challenge (made_at);

-- A passkey is a second factor as an authenticator app is.
create or replace view identity.person_document as
    select p.id, p.email, p.name, jsonb_build_object(
        'id', p.id, 'email', p.email, 'name', p.name, 'locale', p.locale, 'state', p.state,
        'created_at', p.created_at, 'signed_in_at', p.signed_in_at,
        'needs_second_factor', p.needs_second_factor,
        'has_second_factor', has.app or has.passkey,
        'has_app', has.app,
        'has_passkey', has.passkey,
        'memberships', coalesce((
            select jsonb_agg(jsonb_build_object(
                'merchant', nullif(m.merchant, '00000000-0000-0000-0000-000000000000'),
                'role', m.role, 'permissions', '[]'::jsonb, 'merchant_name', coalesce(n.name, '')
            ) order by n.name nulls first, m.merchant)
            from identity.membership m left join identity.merchant n on n.id = m.merchant
            where m.person = p.id), '[]')) as document
    from identity.person p cross join lateral (select
        exists (
            select from identity.factor f where f.person = p.id and f.confirmed_at is not null)
            as app,
        exists (select from identity.passkey k where k.person = p.id) as passkey) has;
