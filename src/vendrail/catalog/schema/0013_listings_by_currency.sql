-- A listing is for sale in the currencies in which each of its prices is at least the floor, alone.
set local lock_timeout = '5s';

create or replace view catalog.listed as
    select l.variant, v.product, l.source, l.supplier, l.agent,
           coalesce(f.prices_minor, '{}') as floor_minor,
           coalesce(a.state = 'accepted' and p.state = 'on_sale' and not p.is_blocked and s.is_open
               and not sv.is_withdrawn and p.delivery = 'unique_key'
               and s.merchant not in (select merchant from catalog.suspension)
               and b.prices_minor <> '{}', false) as is_supplied,
           b.prices_minor
      from catalog.listing l join catalog.variant v on v.id = l.variant
      join catalog.variant sv on sv.id = l.source join catalog.product p on p.id = sv.product
      join catalog.shop s on s.id = p.shop
      left join catalog.floor f on f.variant = l.source
      left join catalog.agency a on a.supplier = l.supplier and a.agent = l.agent
     cross join lateral (
           select coalesce(jsonb_object_agg(own.key, own.value), '{}') as prices_minor
             from jsonb_each(v.prices_minor) own
             join jsonb_each_text(f.prices_minor) fl on fl.key = own.key
            where own.value::bigint >= fl.value::bigint
              and not exists (select from jsonb_array_elements(v.quantity_prices) step
                  where (step -> 'prices_minor' ->> own.key)::bigint < fl.value::bigint)) b;
