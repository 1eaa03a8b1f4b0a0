-- Keys of buyers' devices, and the challenges that wait to be signed by them.

create table buyers.passkey (
    id            uuid primary key,
    buyer         uuid not null references buyers.buyer on delete cascade,
    credential_id bytea not null unique check (octet_length(credential_id) between 1 and 1023),
    public_key    bytea not null,
    sign_count    bigint not null check (sign_count >= 0),
    name          text not null,
    made_at       timestamptz not null,
    used_at       timestamptz
);
create index passkey_buyer on buyers.passkey (buyer, made_at);

-- A keyed hash of the challenge, what it is for, the browser and its session: good there, once.
create table buyers.challenge (
    key     bytea primary key,
    made_at timestamptz not null
);
create index challenge_made on buyers.challenge (made_at);
