"""Checks of what merchants will have: kept as the terms say, released, and by fees as told."""

from vendrail.app.audit.books import CREDIT
from vendrail.app.audit.check import Check

CHECKS = (
    Check(
        "kept_shares_are_released",
        "What a merchant will have later lies where it is released when due, and nowhere else.",
        "select count(*) from ledger.account where name like 'merchant:%'",
        f"""
        select b.id::text from {CREDIT} b
         where b.name ~ '^merchant:[^:]+:(pending|reserve)' and b.credit_minor <> 0
           and not exists (select 1 from settlement.bucket k where k.account = b.id and k.is_open)
        union all
        select k.account::text from settlement.bucket k
          left join ledger.account a on a.id = k.account
         where a.name is distinct from 'merchant:' || k.merchant::text || ':' || k.part || ':'
                   || to_char(k.due_at at time zone 'UTC', 'YYYYMMDD"T"HH24')
           and a.id is not null
        """,  # noqa: S608 - constants only
    ),
    Check(
        "shares_wait_by_the_terms",
        "Every share is kept for as long, and as much of it, as the terms valid at placing say.",
        "select count(*) from ledger.transfer where code = 'sale' and refusal is null",
        """
        with parts as (
            select t.subject, sum(t.amount_minor) as share_minor,
                   coalesce(sum(t.amount_minor) filter (where a.name like '%:reserve:%'), 0)
                       as reserve_minor,
                   coalesce(sum(t.amount_minor) filter (where a.name like '%:pending:%'), 0)
                       as pending_minor,
                   max(split_part(a.name, ':', 4)) filter (where a.name like '%:reserve:%')
                       as reserve_due,
                   max(split_part(a.name, ':', 4)) filter (where a.name like '%:pending:%')
                       as pending_due
              from ledger.transfer t join ledger.account a on a.number = t.credit
             where t.code = 'sale' and t.refusal is null group by t.subject),
        sold as (
            select o.id as subject, o.merchant, o.placed_at, o.paid_at from orders."order" o
            union all
            select y.id, y.supplier, o.placed_at, o.paid_at from settlement.supply y
              join orders."order" o on o.id = y."order"),
        terms as (
            select h.*, h.merchant is null as is_tier, lead(h.valid_from) over (
                       partition by h.merchant, case when h.merchant is null then h.tier end
                       order by h.valid_from, h.version) as valid_until
              from settlement.hold_terms h),
        told as (
            select p.*, o.paid_at,
                   case when own.version is not null and own.tier is null then own.pending_hours
                        else coalesce(tier.pending_hours, 0) end as hours,
                   case when own.version is not null and own.tier is null
                        then own.reserve_basis_points
                        else coalesce(tier.reserve_basis_points, 0) end as points,
                   case when own.version is not null and own.tier is null then own.reserve_days
                        else coalesce(tier.reserve_days, 0) end as days
              from parts p join sold o on o.subject = p.subject and o.paid_at is not null
              left join terms own on own.merchant = o.merchant and own.valid_from <= o.placed_at
                   and (own.valid_until is null or own.valid_until > o.placed_at)
              left join terms tier on tier.is_tier and tier.tier = coalesce(own.tier, 'standard')
                   and tier.valid_from <= o.placed_at
                   and (tier.valid_until is null or tier.valid_until > o.placed_at))
        select subject::text from told
         where reserve_minor <> div(share_minor * points + 5000, 10000)
            or pending_minor <> case when hours > 0 then share_minor - reserve_minor else 0 end
            or pending_due <> to_char(date_trunc('hour', (paid_at at time zone 'UTC')
                   + make_interval(hours => hours) + interval '1 hour - 1 microsecond'),
                   'YYYYMMDD"T"HH24')
            or reserve_due <> to_char(date_trunc('day', (paid_at at time zone 'UTC')
                   + make_interval(days => days) + interval '1 day - 1 microsecond'),
                   'YYYYMMDD"T"HH24')
        """,
    ),
    Check(
        "supplied_sales_have_three_parts",
        "Fee, cost, agent's and supplier's shares sum to the price; refunds bear on both exactly.",
        'select count(*) from orders."order"',
        """
        with own as (
            select t.subject,
                   sum(case when t.code = 'supply' then t.amount_minor else 0 end)
                       as supplied_minor,
                   sum(t.amount_minor) as minor
              from ledger.transfer t join settlement.supply y on y."order" = t.subject
             where t.refusal is null and (t.code in ('sale', 'fee', 'supply')
                   or (t.code = 'channel_cost' and t.memo like 'fee:%'))
             group by t.subject),
        theirs as (
            select t.subject, sum(t.amount_minor) as minor
              from ledger.transfer t join settlement.supply y on y.id = t.subject
             where t.refusal is null and t.code = 'sale' group by t.subject),
        facts as (
            select o.id, o.merchant, o.amount_minor, o.currency, o.quantity, o.delivered_at,
                   convert_from(o.facts, 'UTF8')::jsonb -> 'supply' as told
              from orders."order" o where o.supplier is not null)
        select y."order"::text from settlement.supply y
          left join own on own.subject = y."order" left join theirs on theirs.subject = y.id
          left join facts f on f.id = y."order"
         where coalesce(own.supplied_minor, 0) <> coalesce(theirs.minor, 0)
            or coalesce(own.supplied_minor, y.amount_minor) <> y.amount_minor
            or f.id is null or own.minor <> f.amount_minor
            or (y.agent, y.supplier::text, y.amount_minor, y.currency, y.price_minor)
               is distinct from (f.merchant, f.told ->> 'merchant',
                (f.told ->> 'floor_minor')::bigint * f.quantity, f.currency, f.amount_minor)
        union all
        select f.id::text from facts f left join settlement.supply y on y."order" = f.id
         where f.told is not null and f.delivered_at is not null and y.id is null
        union all
        select r.id::text from settlement.refund r
          left join settlement.refund part on part.part_of = r.id
         where r.part_of is null
           and (r.supplied_minor <> coalesce(part.amount_minor, 0)
                -- Both turn at once; only their opening may be told one after the other.
                or (part.state <> r.state and 'asked' not in (part.state, r.state)))
        union all
        select p.subject::text from settlement.refund_pool p
          join settlement.supply y on y."order" = p.subject
          left join settlement.refund_pool part
            on part.subject = y.id and part.source = 'split'
         where p.source = 'split'
           and (coalesce(part.refunded_minor, 0) > y.amount_minor
                or p.refunded_minor - coalesce(part.refunded_minor, 0)
                   > p.size_minor - y.amount_minor
                or (p.refunded_minor = p.size_minor
                    and part.refunded_minor is distinct from y.amount_minor))
        """,
    ),
    Check(
        "fees_follow_as_told",
        "A percentage that changed by itself stands in the merchant's terms, and was told before.",
        "select count(*) from settlement.fee_terms",
        """
        select j.id::text from settlement.fee_adjustment j
         where not exists (select 1 from settlement.fee_terms t where t.merchant = j.merchant
                   and t.currency = j.currency and t.valid_from = j.valid_from
                   and t.basis_points = j.basis_points)
            or (j.taken_back_at is null and j.overtaken_at is null
                and coalesce(j.told_at, now()) > j.valid_from)
        """,
    ),
)
