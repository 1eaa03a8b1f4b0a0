-- What wallets of a currency may hold. What each holds is in the ledger, and nowhere else.

create table wallets.terms (
    currency          text primary key,
    is_on             boolean not null,
    top_up_minor_min  bigint not null check (top_up_minor_min >= 0),
    top_up_minor_max  bigint not null,
    balance_minor_max bigint not null check (balance_minor_max >= top_up_minor_max),
    step_up_minor     bigint not null check (step_up_minor >= 0),
    written_at        timestamptz not null
);
