-- What may not be sold: rules in versions, what they have found, and what is not sold for it.
set local lock_timeout = '5s';

-- Each version is whole; the newest counts.
create table catalog.goods_rules (
    version    bigint generated always as identity primary key,
    rules      jsonb not null,
    written_at timestamptz not null,
    written_by text not null
);

-- How far the shelves were looked through for a version; without a row: not yet begun.
create table catalog.goods_sweep (
    version bigint primary key,
    after   uuid not null,
    is_done boolean not null default false
);

-- One row for each product or shop that was ever found: what is found later changes it.
create table catalog.goods_case (
    subject       uuid primary key,
    merchant      uuid not null,
    title         text not null,
    state         text not null check (state in ('open', 'allowed', 'taken_down', 'ended')),
    found         jsonb not null,
    is_shop       boolean not null,
    is_blocked    boolean not null,
    is_appealed   boolean not null,
    rules_version bigint not null,
    changed_at    timestamptz not null,
    decided_by    text not null,
    reason        text not null,
    seen          text not null
);
create index goods_case_state on catalog.goods_case (state, changed_at desc);

-- Beside what its merchant says: a blocked product is found by nobody and cannot be ordered.
alter table catalog.product add column is_blocked boolean not null default false;
