-- Agents sell what suppliers have: who may, at which floor prices, and what is listed where.
set local lock_timeout = '5s';

create table catalog.agency (
    supplier   uuid not null,
    agent      uuid not null,
    state      text not null check (state in ('invited', 'accepted', 'declined', 'ended')),
    changed_at timestamptz not null,
    primary key (supplier, agent),
    check (supplier <> agent)
);
create index agency_agent on catalog.agency (agent);

-- What a supplier gets of each unit that an agent sells; a variant without a row is not for agents.
create table catalog.floor (
    variant      uuid primary key references catalog.variant,
    prices_minor jsonb not null
);

-- A variant of an agent's shop that has no stock of its own: its keys are the source's.
create table catalog.listing (
    variant  uuid primary key,
    source   uuid not null references catalog.variant,
    supplier uuid not null,
    agent    uuid not null
);
create index listing_source on catalog.listing (source);

-- Listings with what stands behind them: whether it is supplied, at which floor, from which stock.
create view catalog.listed as
    select l.variant, v.product, l.source, l.supplier, l.agent,
           coalesce(f.prices_minor, '{}') as floor_minor,
           coalesce(a.state = 'accepted' and p.state = 'on_sale' and not p.is_blocked and s.is_open
               and not sv.is_withdrawn and p.delivery = 'unique_key'
               and s.merchant not in (select merchant from catalog.suspension)
               and exists (select from jsonb_each_text(v.prices_minor) own
                   join jsonb_each_text(f.prices_minor) fl on fl.key = own.key
                   where own.value::bigint >= fl.value::bigint), false) as is_supplied
      from catalog.listing l join catalog.variant v on v.id = l.variant
      join catalog.variant sv on sv.id = l.source join catalog.product p on p.id = sv.product
      join catalog.shop s on s.id = p.shop
      left join catalog.floor f on f.variant = l.source
      left join catalog.agency a on a.supplier = l.supplier and a.agent = l.agent;
