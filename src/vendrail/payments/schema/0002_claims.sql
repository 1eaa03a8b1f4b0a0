-- Money that somebody claims has arrived, who knows no more than a shared secret: its provider is asked.

create table payments.claim (
    id              uuid primary key,  -- The callback's in the inbox.
    channel         uuid not null,
    out_trade_no    text collate "C" not null,
    provider_number text collate "C" not null,
    state           text not null check (state in ('waiting', 'recorded', 'denied')),
    tries           int not null,
    due_at          timestamptz not null,
    problem         text not null default ''
) with (fillfactor = 80);
create index claim_due on payments.claim (due_at) where state = 'waiting';
