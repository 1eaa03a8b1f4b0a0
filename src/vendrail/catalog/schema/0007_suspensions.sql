-- Merchants whose sales an operator has stopped: nothing of theirs is found or can be bought.

create table catalog.suspension (
    merchant uuid primary key,
    reason   text not null check (reason <> ''),
    since    timestamptz not null
);
