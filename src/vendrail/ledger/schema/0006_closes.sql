-- Days that are closed: what accounts held at each cut, what had not come back to zero, and the seal.
set local lock_timeout = '5s';

create table ledger.close (
    day       date primary key,
    zone      text not null,               -- Where the day is one.
    since     timestamptz,                 -- The cut before; null: since the books were begun.
    until     timestamptz not null unique, -- The cut. Nothing is booked before it any more.
    count     bigint not null,             -- Transfers of the day, the refused ones too.
    block     bigint not null,             -- The newest block when it was closed; 0: there was none.
    head      bytea not null,              -- And its hash.
    previous  bytea not null,              -- The digest of the close before; zeros of the first.
    digest    bytea not null,
    signature bytea not null,
    closed_by text not null,
    closed_at timestamptz not null,
    check (since < until)
);

-- The trial balance: all that accounts of one kind have ever moved, up to the cut.
create table ledger.close_sum (
    day             date not null references ledger.close (day),
    currency        text not null,
    kind            text not null,  -- An account's name, with `*` where merchants and buyers differ.
    debits_pending  bigint not null,
    debits_posted   bigint not null,
    credits_pending bigint not null,
    credits_posted  bigint not null,
    primary key (day, currency, kind)
);

-- What lay in clearing accounts at the cut, by serial number.
create table ledger.close_item (
    day          date not null references ledger.close (day),
    account      int not null,
    subject      uuid not null,
    amount_minor bigint not null check (amount_minor <> 0),
    since        timestamptz not null,
    primary key (day, account, subject)
);
create index close_item_order on ledger.close_item (day, since, account, subject);

-- Accounts that must come back to zero are few among millions.
create index account_clearing on ledger.account (number)
    where name in ('refund:clearing', 'suspense:unmatched')
       or name like 'payout:in\_transit:%' or name like 'chargeback:%';
