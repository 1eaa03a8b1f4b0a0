-- What merchants leave with the platform: what is asked of them, and every movement of it.
set local lock_timeout = '5s';

-- Each change is a row; the newest of a merchant's currency counts.
create table settlement.deposit_terms (
    version      bigint generated always as identity primary key,
    merchant     uuid not null,
    currency     text not null,
    amount_minor bigint not null check (amount_minor >= 0),
    return_days  int not null check (return_days between 0 and 365),
    since        timestamptz not null
);
create index deposit_terms_of on settlement.deposit_terms (merchant, currency, version desc);

create table settlement.deposit_move (
    id           uuid primary key,
    merchant     uuid not null,
    currency     text not null,
    kind         text not null check (kind in ('paid', 'taken', 'returned')),
    asked_minor  bigint not null check (asked_minor > 0),
    amount_minor bigint not null check (amount_minor between 0 and asked_minor),  -- What is posted.
    moved_minor  bigint not null default 0 check (moved_minor between 0 and amount_minor),
    reason       text not null default '',
    state        text not null check (state in ('asked', 'moving', 'done', 'refused')),
    asked_at     timestamptz not null,
    due_at       timestamptz not null,
    ended_at     timestamptz
);
create index deposit_move_of on settlement.deposit_move (merchant, currency, id desc);
create index deposit_move_open on settlement.deposit_move (due_at)
    where state in ('asked', 'moving');
create unique index deposit_move_waiting on settlement.deposit_move (merchant, currency)
    where state = 'asked';
