-- Payouts over banks without an API: files that a person carries there, and what came of each line.
set local lock_timeout = '5s';

create table payouts.bank (
    id         uuid primary key,
    name       text not null unique,  -- As a channel's: reserves and accounts are named by it.
    title      text not null,
    kind       text not null check (kind in ('iban', 'cn_bank')),
    currencies text[] not null,
    holder     text not null,  -- The platform's own account there.
    account    text not null,
    bic        text not null,
    is_open    boolean not null default true,
    made_at    timestamptz not null,
    made_by    text not null
);

create table payouts.bank_file (
    id         uuid primary key,
    number     bigint generated always as identity unique,  -- What it is called at the bank.
    bank       uuid not null,
    currency   text not null,
    lines      int not null check (lines > 0),
    sum_minor  bigint not null check (sum_minor > 0),
    holder     text not null,  -- The platform's account as it was: the file stays as it is.
    account    text not null,
    bic        text not null,
    made_at    timestamptz not null,
    made_by    text not null,
    carried_at timestamptz,
    carried_by text not null default ''
);

create table payouts.bank_line (
    payout    uuid primary key,  -- Never in two files.
    file      uuid not null,
    line      int not null,
    result    text not null default '' check (result in ('', 'succeeded', 'failed', 'returned')),
    result_at timestamptz,
    result_by text not null default '',
    unique (file, line)
);
create index bank_line_open on payouts.bank_line (file) where result = '';

create table payouts.bank_answer (
    id       uuid primary key,  -- Of its file and its content: the same is one.
    file     uuid not null,
    read_at  timestamptz not null,
    read_by  text not null,
    noted_at timestamptz,
    noted_by text not null default ''
);
create index bank_answer_of_file on payouts.bank_answer (file, read_at);

create table payouts.bank_answer_line (
    answer   uuid not null,
    line     int not null,
    number   text not null,
    result   text not null,
    problem  text not null,
    amount   text not null,
    currency text not null,
    status   text not null default '',  -- What became of it; empty: it is not noted.
    primary key (answer, line)
);

alter table payouts.payout add column is_filed boolean not null default false;
create index payout_to_file on payouts.payout (channel, currency, id)
    where state = 'reserved' and is_filed;
