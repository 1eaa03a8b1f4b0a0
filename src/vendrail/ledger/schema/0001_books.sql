-- The books: accounts, the journal of transfers, balances, and what waits to be rolled up or to expire.

create sequence ledger.account_number as int;

-- Immutable. The journal carries `number`: four bytes, and its sign tells which entries are indexed.
create table ledger.account (
    id         uuid primary key,  -- Derived from name and currency.
    number     int not null unique,  -- Above zero: entries are indexed. Below: a busy account.
    name       text not null,
    currency   text not null,
    limit_kind text not null
        check (limit_kind in ('none', 'debits_within_credits', 'credits_within_debits')),
    opened_at  timestamptz not null,
    check (number <> 0)
);

-- The journal: every transfer ever asked for, one row an id, for ever. A refused one has no accounts
-- and no amount, so that no sum can count it. No foreign keys: the load has checked the accounts.
create table ledger.transfer (
    id             uuid primary key,
    subject        uuid not null,
    pending        uuid,  -- What a post, void or expire resolves.
    at             timestamptz not null,
    amount_minor   bigint check (amount_minor >= 0),  -- What moved; of a pending: what is reserved.
    asked_minor    bigint,  -- Where the request named another amount than moved.
    released_minor bigint,  -- Of a post, void or expire: the pending amount that it ended.
    debit          int,
    credit         int,
    timeout_s      int,
    is_linked      bool not null default false,
    is_balancing   bool not null default false,
    kind           text not null default 'single'
        check (kind in ('single', 'pending', 'post', 'void', 'expire')),
    code           text not null,
    memo           text,
    refusal        text,  -- The status of a refused one; null: it stands in the books.
    request        bytea,  -- Of a refused one: a digest of the request, to know a repeat from another.
    check (
        case when refusal is null
        then debit <> credit and amount_minor is not null and request is null
        else debit is null and credit is null and amount_minor is null and released_minor is null
        end),
    check ((kind in ('post', 'void', 'expire') and refusal is null) = (released_minor is not null)),
    check (released_minor >= amount_minor)
);
create index transfer_subject on ledger.transfer (subject);
create unique index transfer_resolves_once on ledger.transfer (pending)
    where pending is not null and refusal is null;
create index transfer_debit on ledger.transfer (debit, at) where debit > 0;
create index transfer_credit on ledger.transfer (credit, at) where credit > 0;
create index transfer_at on ledger.transfer using brin (at)
    with (pages_per_range = 32, autosummarize = on);

-- The counters. Live for accounts with a limit (locked in number order, updated once a batch);
-- for the others as of the last roll-up, to which the deltas come. No index but the key: updates stay
-- in their page.
create table ledger.balance (
    account             int primary key,
    are_debits_limited  bool not null,
    are_credits_limited bool not null,
    debits_pending      bigint not null default 0,
    debits_posted       bigint not null default 0 check (debits_posted >= 0),
    credits_pending     bigint not null default 0,
    credits_posted      bigint not null default 0 check (credits_posted >= 0),
    -- Pair with the decisions: two guards. (Without a limit, a roll-up may take the end of a pending
    -- amount before its beginning.)
    check (not (are_debits_limited or are_credits_limited)
           or debits_pending >= 0 and credits_pending >= 0),
    check (not are_debits_limited or debits_pending + debits_posted <= credits_posted),
    check (not are_credits_limited or credits_pending + credits_posted <= debits_posted)
) with (fillfactor = 50);

-- What batches did to accounts without limits and the roll-up has not yet taken: one row an account
-- and batch, deleted when it is added to the balance.
create table ledger.delta (
    account         int not null,
    debits_pending  bigint not null,
    debits_posted   bigint not null,
    credits_pending bigint not null,
    credits_posted  bigint not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000);
create index delta_account on ledger.delta (account);

-- The work list of expiry: pending transfers with a timeout that nothing has resolved.
create table ledger.due (
    pending uuid primary key,
    due_at  timestamptz not null
);
create index due_order on ledger.due (due_at);

-- The journal as accounts saw it: two rows a transfer, with what it did to the four counters.
-- For every account: the sum of its entries = its balance + its deltas.
create view ledger.entry as
select id as transfer, at, debit as account,
       case kind when 'pending' then amount_minor when 'single' then 0 else -released_minor end
           as debits_pending,
       case kind when 'pending' then 0 else amount_minor end as debits_posted,
       0::bigint as credits_pending, 0::bigint as credits_posted
  from ledger.transfer where refusal is null
union all
select id, at, credit, 0, 0,
       case kind when 'pending' then amount_minor when 'single' then 0 else -released_minor end,
       case kind when 'pending' then 0 else amount_minor end
  from ledger.transfer where refusal is null;

-- The journal with the accounts' ids beside their numbers.
create view ledger.journal as
select t.*, d.id as debit_account, c.id as credit_account
  from ledger.transfer t
  left join ledger.account d on d.number = t.debit
  left join ledger.account c on c.number = t.credit;
