-- Forms that could not be sent because their page had grown too old: kept for an hour, sealed.
set local lock_timeout = '5s';

create table identity.kept_form (
    id       uuid primary key,
    browser  bytea not null,  -- A keyed hash: only where it was typed is it found again.
    data_key uuid not null,
    sealed   bytea not null check (octet_length(sealed) <= 131072),
    kept_at  timestamptz not null
);
create index kept_form_kept on identity.kept_form (kept_at);
