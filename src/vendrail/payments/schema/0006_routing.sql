-- Over which channel a payment goes, and why: what people decided, what was learned, what was chosen.

alter table payments.attempt
    add column country text not null default '',
    add column route   bytea;  -- The decision; null where there was nothing to choose.

-- Presented, but its channel failed to make a way to pay: nobody has seen it, nobody can pay it.
alter table payments.presentation add column is_unseen boolean not null default false;

drop view payments.standing;
create view payments.standing as
select
    a.*, p.at as presented_at, p.action, p.reference, x.is_final,
    k.is_captured, k.is_spent, k.is_waiting, x.problem as failure, p.is_unseen
from payments.attempt a
left join payments.presentation p on p.attempt_id = a.id
left join payments.closure x on x.attempt_id = a.id
cross join lateral (
    select
        bool_or(c.fit = 'fits' and (f.state is null or f.state = 'confirmed')) as is_captured,
        bool_or(c.fit <> 'fits' and (f.state is null or f.state = 'confirmed')) as is_spent,
        bool_or(f.state = 'waiting') as is_waiting
    from payments.capture c
    left join payments.confirmation f on f.capture_id = c.id
    where c.id between payments.first_kin(a.id) and payments.last_kin(a.id) and c.attempt_id = a.id
) k;

-- What a channel costs and may take.
create table payments.terms (
    channel    uuid primary key references payments.channel (id),
    terms      jsonb not null,
    changed_at timestamptz not null
);

-- What people decided for some payments; a rule never changes, it is only taken back.
create table payments.rule (
    id      uuid primary key,
    rule    jsonb not null,
    made_at timestamptz not null
);

-- What was learned: outcomes in thousandths, faded to the moment of their last change.
create table payments.tally (
    channel         uuid not null,
    method          text collate "C" not null,
    country         text collate "C" not null,
    band            int not null,
    successes_milli bigint not null check (successes_milli >= 0),
    failures_milli  bigint not null check (failures_milli >= 0),
    at              timestamptz not null,
    primary key (channel, method, country, band)
) with (fillfactor = 80);

-- What a channel has taken on a day of UTC.
create table payments.volume (
    channel      uuid not null,
    currency     text not null,
    day          date not null,
    amount_minor bigint not null check (amount_minor >= 0),
    primary key (channel, currency, day)
) with (fillfactor = 80);
