-- Files against disputes are kept sealed until they are sent, and merchants are told by letter.
set local lock_timeout = '5s';

alter table disputes.dispute
    add column is_answering boolean not null default false,  -- What is sent is fixed, and may be on its way.
    add column told         text not null default '';        -- Which letter was the last: none, opened, soon, last, won, lost.
-- What has stood for a while is told of no more, but its limit and its end are.
update disputes.dispute set told = case when outcome = 'open' then 'opened' else outcome end;

create index dispute_untold on disputes.dispute (id) where outcome = 'open' or told <> outcome;

create table disputes.evidence (
    id         uuid primary key,
    dispute    uuid not null references disputes.dispute,
    kind       text not null,
    name       text not null,
    media_type text not null,
    size       int not null check (size > 0),
    sealed     bytea storage external not null,
    data_key   uuid not null references disputes.data_key,
    person     text not null,
    at         timestamptz not null,
    unique (dispute, kind)
);
