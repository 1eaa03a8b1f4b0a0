-- Filters of the consoles' lists that people have saved, and by which of them a list opens.
set local lock_timeout = '5s';

create table identity.saved_filter (
    id        uuid primary key,
    person    uuid not null references identity.person,
    merchant  uuid not null,  -- All zeros: the operator of the platform.
    page      text not null check (page like '/%' and length(page) <= 200),
    name      text not null check (length(name) between 1 and 60),
    query     jsonb not null check (octet_length(query::text) <= 16384),
    is_shared boolean not null,
    saved_at  timestamptz not null
);
create unique index saved_filter_name
    on identity.saved_filter (person, merchant, page, lower(name));
create index saved_filter_shared on identity.saved_filter (merchant, page) where is_shared;

-- By which filter, their own or a shared one, a person's list opens.
create table identity.default_filter (
    person   uuid not null references identity.person,
    merchant uuid not null,
    page     text not null,
    filter   uuid not null references identity.saved_filter on delete cascade,
    primary key (person, merchant, page)
);
create index default_filter_filter on identity.default_filter (filter);
