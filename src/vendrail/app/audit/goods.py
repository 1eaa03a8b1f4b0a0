"""Checks of what was sold: each key once, each delivery paid, each answer kept, stock counted."""

from vendrail.app.audit.check import Check

CHECKS = (
    Check(
        "blocked_goods_have_reasons",
        "A product is blocked where a case of forbidden goods says so, and nowhere else.",
        "select count(*) from catalog.product",
        """
        select p.id::text from catalog.product p
          left join catalog.goods_case c on c.subject = p.id
         where p.is_blocked <> coalesce(c.is_blocked, false)
        """,
    ),
    Check(
        "keys_are_sold_once",
        "No key is allocated twice, and none that is allocated is still in the free pool.",
        "select count(*) from catalog.allocation where key is not null",
        "select key::text from catalog.allocation where key is not null"
        " group by key having count(*) > 1"
        " union select f.key::text from catalog.free_key f"
        " join catalog.allocation a on a.key = f.key",
    ),
    Check(
        "allocations_have_a_saga",
        "Keys that are picked and not yet readable belong to a purchase that has not ended.",
        "select count(*) from catalog.allocation",
        """
        select distinct a.id::text from catalog.allocation a
          left join orders."order" o on o.id = a."order" and o.allocation = a.id
         where a.state = 'allocated' and o.id is null
           and not exists (select 1 from orders.saga s
                            where s.subject = a."order" and s.kind = 'purchase')
        """,
    ),
    Check(
        "deliveries_have_a_capture",
        "Every delivered order has its own payment, of its price or of what was quoted for it.",
        'select count(*) from orders."order" where delivered_at is not null',
        """
        select o.id::text from orders."order" o left join payments.capture c on c.id = o.capture
          left join payments.verdict v on v.capture_id = c.id
          left join orders.wallet_part w on w."order" = o.id and w.state = 'spent'
         where o.delivered_at is not null
           -- What a wallet pays whole has no payment of a channel's.
           and not (c.id is null and w.amount_minor is not distinct from o.amount_minor)
           and (c.id is null or coalesce(v.order_id, c.order_id) is distinct from o.id
                or (c.fit = 'fits' and
                    (c.amount_minor + coalesce(w.amount_minor, 0), c.currency)
                    is distinct from (o.amount_minor, o.currency)
                    and (c.amount_minor::text, c.currency) is distinct from (
                        convert_from(o.facts, 'UTF8')::jsonb #>> '{exchange,amount_minor}',
                        convert_from(o.facts, 'UTF8')::jsonb #>> '{exchange,currency}')))
        """,
    ),
    Check(
        "outcomes_are_kept",
        "Every delivered order has its kept answers: risk, keys (a charge none), share and fee.",
        'select count(*) from orders."order" where delivered_at is not null',
        """
        with split as (
            select subject, sum(amount_minor) as minor from ledger.transfer
             where refusal is null and (code in ('sale', 'fee', 'top_up', 'supply')
                   or (code = 'channel_cost' and memo like 'fee:%'))
             group by subject),
        picked as (
            select id, count(*) as items, max(quantity) as quantity, bool_or(key is null) as is_one
              from catalog.allocation where state in ('allocated', 'sold', 'void') group by id)
        select o.id::text from orders."order" o
          left join risk.assessment r on r.order_id = o.id
          left join picked a on a.id = o.allocation
          left join split s on s.subject = o.id
         where o.delivered_at is not null
           and (r.order_id is null
                -- A charge has no variant, and must have no keys.
                or (a.id is null) <> (o.variant is null)
                or case when a.is_one then a.quantity else a.items end <> o.quantity
                or coalesce(s.minor, 0) <> o.amount_minor)
        """,
    ),
    Check(
        "sold_keys_are_delivered",
        "Each key that was sold is of its order's delivery, or took the place of one that is void.",
        "select count(*) from catalog.allocation where state in ('sold', 'void')",
        """
        select a.id::text from catalog.allocation a
          left join orders."order" o on o.id = a."order" and o.allocation = a.id
         where a.state in ('sold', 'void') and a."order" is not null and o.id is null
           and not exists (select 1 from catalog.replacement r where r.new_key = a.key)
        union
        select r.id::text from catalog.replacement r
          left join catalog.allocation old on old.key = r.old_key
          left join catalog.allocation new on new.key = r.new_key
          left join catalog.allocation place
            on place.id = r.allocation and place.position = r.slot
         where old.state is distinct from 'void' or new.id is distinct from r.id
            or new.state not in ('sold', 'void')
            or (new.variant, new."order") is distinct from (place.variant, place."order")
        """,
    ),
    Check(
        "warranties_keep_their_limits",
        "No more keys of an order were replaced without asking than its warranty says.",
        'select count(*) from orders."order" where delivered_at is not null',
        """
        select c."order"::text from support.claim c where c.missed_at is null
         group by c."order" having sum(c.keys) > max(c.keys_max)
        union
        select r."order"::text from orders.replacement r
         where r.person = 'the warranty' and r.settled_at is not null
         group by r."order" having sum(cardinality(r.positions)) > coalesce((
             select sum(c.keys) from support.claim c
              where c."order" = r."order" and c.missed_at is null), 0)
        """,
    ),
    Check(
        "stock_is_counted",
        "Every variant's counters are what its keys and holds add up to.",
        "select count(*) from catalog.stock",
        """
        select s.variant::text from catalog.stock s
          left join (select variant, count(*) as keys from catalog.free_key group by variant) f
            using (variant)
          left join (select variant, sum(quantity) as units from catalog.hold group by variant) h
            using (variant)
         where s.free + s.held <> coalesce(f.keys, 0) or s.held <> coalesce(h.units, 0)
        """,
    ),
)
