"""Checks of coupons: none is used more often than it may, each use has its order and its amount."""

from vendrail.app.audit.check import Check

CHECKS = (
    Check(
        "coupons_are_counted",
        "A coupon's counters, and its codes', are its holds and uses, within their bounds.",
        'select count(*) from orders."order"',
        """
        with uses as (
            select coupon, count(*) filter (where state = 'held') as held,
                   count(*) filter (where state = 'used') as used,
                   sum(discount_minor) filter (where state = 'used') as minor
              from promotions.use group by coupon)
        select c.id::text from promotions.coupon c left join uses u on u.coupon = c.id
         where (c.held_count, c.used_count, c.used_minor) is distinct from
               (coalesce(u.held, 0), coalesce(u.used, 0), coalesce(u.minor, 0))
            or c.held_count + c.used_count > c.uses_max
        union
        select c.coupon::text from promotions.code c join promotions.coupon p on p.id = c.coupon
          left join (select code, count(*) as taken from promotions.use
                      where state <> 'returned' group by code) u on u.code = c.hash
         where c.taken_count <> coalesce(u.taken, 0) or c.taken_count > p.uses_per_code
        """,
    ),
    Check(
        "coupons_have_their_order",
        "What a coupon took off stands on its order; a delivered one has used it, or is refunded.",
        'select count(*) from orders."order"',
        """
        with discounted as (
            select o.id, o.state, o.delivered_at, o.amount_minor, o.refunded_minor, o.capture,
                   x.told ->> 'coupon' as coupon, (x.told ->> 'amount_minor')::bigint as minor
              from orders."order" o
              cross join lateral (
                  select convert_from(o.facts, 'UTF8')::jsonb -> 'discount' as told
                   where position('"discount"'::bytea in o.facts) > 0) x)
        select coalesce(d.id, u."order")::text
          from discounted d full join promotions.use u on u."order" = d.id
          left join payments.capture c on c.id = d.capture
         where case
               when d.id is null then u.state = 'used'
               when u."order" is null then true
               else (u.coupon::text, u.discount_minor) is distinct from (d.coupon, d.minor)
                    -- A person may have matched money to an order that had ended.
                    or (d.delivered_at is not null and u.state = 'returned'
                        and d.refunded_minor < d.amount_minor and c.fit <> 'matched')
               end
        """,
    ),
)
