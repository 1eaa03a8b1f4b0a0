-- When merchants are paid out without asking, and what operators let them choose from.

alter table payouts.terms
    add column kinds text[] not null
        default '{manual,daily,weekly,monthly,threshold,instant}',
    add column look_minutes int not null default 10 check (look_minutes > 0);

create table payouts.schedule (
    merchant        uuid not null,
    currency        text not null,
    kind            text not null check (kind in ('manual', 'daily', 'weekly', 'monthly',
                        'threshold', 'instant')),
    payee           uuid,
    zone            text not null,
    hour            int not null check (hour between 0 and 23),
    day             int not null check (day between 1 and 31),
    threshold_minor bigint not null check (threshold_minor >= 0),
    changed_at      timestamptz not null,
    changed_by      text not null,
    due_at          timestamptz,  -- When it is looked at next; null: never. Payouts derive from it.
    claimed_until   timestamptz,  -- Somebody is at it until then.
    turn            int not null default 1,  -- Grows with each claim and change.
    last_on         date,         -- The last day, on its own clock, that was looked at.
    outcome         text not null default '',
    outcome_at      timestamptz,
    payout          uuid,
    primary key (merchant, currency),
    check ((kind = 'manual') = (due_at is null)),
    check (kind = 'manual' or payee is not null)
);
create index schedule_due on payouts.schedule (due_at) where due_at is not null;
