-- How far a merchant's money had been earned and taken when each payout took its part.

create table payouts.mark (
    payout        uuid primary key,
    merchant      uuid not null,
    currency      text not null,
    at            timestamptz not null,  -- When the books took it,
    transfer      uuid not null,         -- and by which transfer.
    amount_minor  bigint not null check (amount_minor > 0),  -- With its fee.
    credits_minor bigint not null check (credits_minor >= 0),  -- All that had become available,
    debits_minor  bigint not null check (debits_minor >= 0),   -- and all that was taken, before it.
    taken_minor   bigint generated always as (debits_minor + amount_minor) stored
);
create index mark_order on payouts.mark (merchant, currency, at, transfer);
create index mark_earned on payouts.mark (merchant, currency, credits_minor);
create index mark_taken on payouts.mark (merchant, currency, taken_minor);

alter table payouts.payout add column is_marked boolean not null default false;
create index payout_unmarked on payouts.payout (ended_at)
    where state = 'succeeded' and not is_marked and origin <> 'test';
create index payout_returned on payouts.payout (merchant, currency, id)
    where state = 'returned' and origin <> 'test';
