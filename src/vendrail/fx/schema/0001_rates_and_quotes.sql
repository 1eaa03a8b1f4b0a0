-- Rates are read by one process and used by all; a quote is promised once and used once.

create table fx.source (
    name       text primary key,
    tried_at   timestamptz not null,
    problem    text not null default '',
    sheet      bytea,             -- JSON: the last rates that could be read, as texts of decimals.
    rated_at   timestamptz,       -- Of which moment they are.
    fetched_at timestamptz
);

create table fx.quote (
    id            uuid primary key,
    amount_minor  bigint not null check (amount_minor > 0),
    currency      text not null,
    paid_minor    bigint not null check (paid_minor > 0),
    paid_currency text not null check (paid_currency <> currency),
    spread_minor  bigint not null check (spread_minor between 0 and paid_minor),
    mid           numeric not null check (mid > 0),
    basis_points  int not null,
    rated_at      timestamptz not null,
    sources       text[] not null,
    made_at       timestamptz not null,
    expires_at    timestamptz not null,
    "order"       uuid            -- Set once: the order that has used it.
);
create unique index quote_order on fx.quote ("order") where "order" is not null;
create index quote_unused on fx.quote (made_at) where "order" is null;
