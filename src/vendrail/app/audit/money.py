"""Checks of money on its way: each capture has a fate, refunds have bounds, clearing is empty."""

from vendrail.app.audit.books import CREDIT
from vendrail.app.audit.check import Check

# What became of each capture. `unread`, `under_way` and `unbelieved` are not in the books yet, or
# may not be; `none` is money that nobody has.
_FATES = """
    (with sagas as (
        select distinct (convert_from(data, 'UTF8')::jsonb ->> 'capture')::uuid as capture
          from orders.saga where kind in ('purchase', 'surplus', 'suspense', 'unmatched')),
    given_back as (
        select capture_id, sum(amount_minor) as minor
          from payments.refund where state = 'succeeded' group by capture_id)
     select c.id, c.amount_minor, c.currency, o.id as order_id, v.capture_id as verdict,
            c.fit <> 'fits' or v.order_id is distinct from c.order_id
                and v.order_id is not null as is_unmatched,
            case
            when c.id = any($1::uuid[]) then 'unread'
            when f.state = 'waiting' or f.state = 'disputed'
                 and (v.capture_id is null or v.order_id is null) then 'unbelieved'
            when s.capture is not null then 'under_way'
            when g.minor >= c.amount_minor then 'given_back'
            when v.capture_id is null and c.fit <> 'fits' then 'desk'
            when o.state in ('delivered', 'refunded')
                 and coalesce(o.capture, c.id) = c.id then 'filled'
            -- An order that names no payment of ours is told by the check for it.
            when o.state in ('delivered', 'refunded') and not exists (
                 select 1 from payments.capture other where other.id = o.capture) then 'filled'
            else 'none' end as fate
       from payments.capture c
       left join payments.verdict v on v.capture_id = c.id
       left join payments.confirmation f on f.capture_id = c.id
       left join orders."order" o on o.id = coalesce(v.order_id, c.order_id)
       left join sagas s on s.capture = c.id
       left join given_back g on g.capture_id = c.id)
"""

CHECKS = (
    Check(
        "captures_have_a_fate",
        "Every payment that arrived is delivered, refunded, under way, or on a desk.",
        "select count(*) from payments.capture",
        f"select id::text from {_FATES} fates where fate = 'none'",  # noqa: S608 - a constant
    ),
    Check(
        "captures_are_booked",
        "Every payment that arrived stands in the books with its whole amount.",
        "select count(*) from payments.capture",
        f"""
        with settled as (
            select id, amount_minor, is_unmatched,
                   case when is_unmatched then id else order_id end as subject
              from {_FATES} fates where fate in ('filled', 'given_back', 'desk')),
        due as (
            select subject, is_unmatched, sum(amount_minor) as minor, min(id::text) as capture
              from settled group by subject, is_unmatched),
        booked as (
            select subject, code = 'unmatched' as is_unmatched, sum(amount_minor) as minor
              from ledger.transfer
             where code in ('capture', 'unmatched') and refusal is null
             group by subject, code = 'unmatched')
        select due.capture from due left join booked using (subject, is_unmatched)
         where coalesce(booked.minor, 0) < due.minor
        """,  # noqa: S608 - constants only
    ),
    Check(
        "worths_said_are_captured",
        "Money on a chain that a person said the worth of is recorded with exactly that.",
        "select count(*) from payments.capture",
        """
        select s.number from payments.sighting s
         where s.priced_minor is not null and s.counted_as is not null
           and not exists (
               select 1 from payments.capture c
                where c.channel = s.channel and c.provider_number = s.number
                  and c.amount_minor = s.priced_minor)
        """,
    ),
    Check(
        "refunds_are_within_captures",
        "Never more goes back than was paid, and orders and books say what did.",
        "select count(*) from payments.capture",
        """
        with asked as (
            select capture_id, sum(amount_minor) as minor
              from payments.refund where state <> 'failed' group by capture_id),
        unbooked as (
            select r.capture_id, c.order_id, v.order_id as matched_id from payments.refund r
              join payments.capture c on c.id = r.capture_id
              left join payments.verdict v on v.capture_id = c.id
              left join settlement.refund b on b.id = r.id
             where r.state = 'succeeded'
               and (b.id is null or b.state <> 'paid'
                    or coalesce(b.paid_minor, b.amount_minor) <> r.amount_minor))
        select c.id::text from payments.capture c join asked on asked.capture_id = c.id
         where asked.minor > c.amount_minor
        union
        select u.capture_id::text from unbooked u
         where not exists (select 1 from orders.saga s
                            where s.subject in (u.capture_id, u.order_id, u.matched_id))
        union
        select o.id::text from orders."order" o
          join (select "order", sum(amount_minor) filter (where state = 'paid') as paid_minor
                  from orders.refund group by "order") r on r."order" = o.id
         where o.refunded_minor <> coalesce(r.paid_minor, 0)
        """,
    ),
    Check(
        "clearing_is_explained",
        "What lies in clearing, suspense and held belongs to something that has not ended.",
        "select count(*) from ledger.account where name = 'refund:clearing'"
        " or name = 'suspense:unmatched' or name like 'held:%'",
        f"""
        with open_refunds as (
            select side.currency, sum(side.minor) as most_minor,
                   coalesce(sum(side.minor) filter (where r.state = 'open' and side.rests), 0)
                       as least_minor
              from settlement.refund r cross join lateral (values
                   -- What is changed on its way lies in clearing of both currencies by turns.
                   (r.currency, r.amount_minor, r.paid_minor is null),
                   (r.paid_currency, r.paid_minor, true)) side (currency, minor, rests)
             where r.state in ('asked', 'open', 'paying', 'returning') and side.minor is not null
               and r.part_of is null  -- A supplier's part is in what its refund moves.
               and (exists (select 1 from orders.saga s where s.subject = r.subject)
                    or exists (select 1 from disputes.dispute d where d.step = 'frozen'
                                and coalesce(d.order_id, d.capture) = r.subject))
             group by side.currency),
        unmatched as (
            select currency, sum(amount_minor) as most_minor,
                   coalesce(sum(amount_minor) filter (where fate = 'desk'), 0) as least_minor
              from {_FATES} fates
             where is_unmatched
               and fate in ('desk', 'under_way', 'unread', 'none')
             group by currency),
        under_way as (
            select o.merchant, side.currency, sum(side.minor) as minor
              from orders.saga s join orders."order" o on o.id = s.subject
             cross join lateral (select convert_from(s.data, 'UTF8')::jsonb as data) saga
             cross join lateral (values
                   (saga.data ->> 'currency', (saga.data ->> 'amount_minor')::bigint
                       + coalesce((saga.data #>> '{{wallet,amount_minor}}')::bigint, 0)),
                   -- What is changed back lies in held of the price's currency for a moment.
                   (o.currency, case when o.currency <> saga.data ->> 'currency'
                                     then o.amount_minor end)) side (currency, minor)
             where s.kind in ('purchase', 'surplus') and side.minor is not null
             group by o.merchant, side.currency)
        select b.id::text from {CREDIT} b
          left join open_refunds r on r.currency = b.currency
         where b.name = 'refund:clearing' and b.credit_minor not between
               coalesce(r.least_minor, 0) and coalesce(r.most_minor, 0)
        union all
        select b.id::text from {CREDIT} b left join unmatched u on u.currency = b.currency
         where b.name = 'suspense:unmatched' and b.credit_minor not between
               coalesce(u.least_minor, 0) and coalesce(u.most_minor, 0)
        union all
        select b.id::text from {CREDIT} b left join under_way w
            on b.name = 'held:' || w.merchant::text and w.currency = b.currency
         where b.name like 'held:%' and b.credit_minor not between 0 and coalesce(w.minor, 0)
        """,  # noqa: S608 - constants only
    ),
    Check(
        "deposits_fit_their_moves",
        "Each merchant's deposit is what was paid in, less what was taken and given back.",
        "select count(*) from ledger.account where name like 'merchant:%'",
        f"""
        with posted as (
            select t.subject, t.code, t.amount_minor from ledger.transfer t
             where t.code in ('deposit', 'deposit_taken', 'deposit_returned')
               and t.refusal is null),
        written as (
            select m.*, case m.kind when 'paid' then 'deposit' when 'taken' then 'deposit_taken'
                        else 'deposit_returned' end as code from settlement.deposit_move m),
        sums as (
            select merchant, currency,
                   sum(case when state = 'moving' then 0 when kind = 'paid' then moved_minor
                            else -moved_minor end) as minor,
                   coalesce(sum(amount_minor) filter (where state = 'moving'), 0) as moving_minor
              from settlement.deposit_move group by merchant, currency),
        standing as (
            select split_part(b.name, ':', 2)::uuid as merchant, b.currency, b.credit_minor
              from {CREDIT} b where b.name like 'merchant:%:deposit')
        select coalesce(w.id, p.subject)::text
          from written w full join posted p on p.subject = w.id and p.code = w.code
         where w.id is null or (w.state = 'done' and p.amount_minor is distinct from w.moved_minor)
            or (w.state in ('asked', 'refused') and p.subject is not null)
        union all
        select coalesce(d.merchant, s.merchant)::text
          from sums d full join standing s
            on s.merchant = d.merchant and s.currency = d.currency
         where abs(coalesce(s.credit_minor, 0) - coalesce(d.minor, 0))
               > coalesce(d.moving_minor, 0)
        """,  # noqa: S608 - a constant
    ),
    Check(
        "frozen_is_disputed",
        "What is frozen of merchants' money is frozen for disputes that stand, to the minor unit.",
        "select count(*) from ledger.account where name like 'merchant:%'",
        f"""
        with asked as (
            select t.source, sum(t.amount_minor) as minor
              from settlement.thaw t join settlement.refund r on r.id = t.refund
             where r.state = 'asked' group by t.source),
        returned as (  -- On its way back from a refund that has failed.
            select t.source, sum(t.amount_minor) as minor
              from settlement.thaw t join settlement.refund r on r.id = t.refund
             where r.state = 'returning' and t.is_back group by t.source),
        disputed as (
            select f.merchant, f.currency,
                   sum(case when f.state = 'frozen' then f.frozen_minor - f.thawed_minor
                                 - coalesce(b.minor, 0) else 0 end) as least_minor,
                   -- What is on its way, to or fro, may be there or not.
                   sum(case when f.state = 'asked' then f.wanted_minor
                            else f.frozen_minor - f.thawed_minor end + coalesce(a.minor, 0))
                       as most_minor
              from settlement.freeze f left join asked a on a.source = f.id
              left join returned b on b.source = f.id
             where f.state in ('asked', 'frozen', 'ending') or a.source is not null
             group by f.merchant, f.currency),
        standing as (
            select split_part(b.name, ':', 2)::uuid as merchant, b.currency, b.credit_minor
              from {CREDIT} b where b.name like 'merchant:%:frozen')
        select coalesce(d.merchant, s.merchant)::text
          from disputed d full join standing s
            on s.merchant = d.merchant and s.currency = d.currency
         where coalesce(s.credit_minor, 0) not between
               coalesce(d.least_minor, 0) and coalesce(d.most_minor, 0)
        """,  # noqa: S608 - a constant
    ),
    Check(
        "ended_complaints_let_go",
        "What a complaint has frozen is free again, or was given back, once it has ended.",
        'select count(*) from orders."order" where delivered_at is not null',
        """
        select c.id::text from support.complaint c join settlement.freeze f on f.id = c.id
         where c.state = 'closed' and c.work_at is null and f.state in ('asked', 'frozen', 'ending')
        """,
    ),
    Check(
        "chargebacks_are_open",
        "What channels have taken back belongs to disputes that have not ended, to the minor unit.",
        "select count(*) from ledger.account where name like 'provider:%'",
        f"""
        with due as (
            select channel_name, currency,
                   sum(case when step = 'frozen' and outcome = 'open' then amount_minor else 0 end)
                       as least_minor,
                   -- What is just taken, or on its way back, may be there or not.
                   sum(case when step = 'ended' then 0 else amount_minor end) as most_minor
              from disputes.dispute group by channel_name, currency),
        standing as (
            select substr(b.name, length('chargeback:') + 1) as channel_name, b.currency,
                   -b.credit_minor as minor
              from {CREDIT} b where b.name like 'chargeback:%')
        select coalesce(d.channel_name, s.channel_name)
          from due d full join standing s
            on s.channel_name = d.channel_name and s.currency = d.currency
         where coalesce(s.minor, 0) not between
               coalesce(d.least_minor, 0) and coalesce(d.most_minor, 0)
        """,  # noqa: S608 - a constant
    ),
    Check(
        "exchanges_are_kept",
        "What was paid in another currency was changed as quoted, on both sides; nothing else was.",
        'select count(*) from orders."order" where delivered_at is not null',
        """
        with moved as (
            select t.subject, a.currency,
                   sum(case when c.name like 'fx:%' then t.amount_minor
                            else -t.amount_minor end) as minor
              from ledger.transfer t
              join ledger.account d on d.number = t.debit
              join ledger.account c on c.number = t.credit
              join ledger.account a on a.number =
                   case when c.name like 'fx:%' then t.credit else t.debit end
             where t.code = 'exchange' and t.refusal is null
             group by t.subject, a.currency),
        returned as (
            select r.subject, sum(r.amount_minor) as minor, sum(r.paid_minor) as paid_minor
              from settlement.refund r
             where r.paid_minor is not null and r.state in ('open', 'paying', 'paid')
             group by r.subject),
        due as (
            select o.id, o.currency, -(o.amount_minor - coalesce(r.minor, 0)) as minor
              from orders."order" o join payments.capture c on c.id = o.capture
              left join returned r on r.subject = o.id
             where o.delivered_at is not null and c.currency <> o.currency
            union all
            select o.id, c.currency, c.amount_minor - coalesce(r.paid_minor, 0)
              from orders."order" o join payments.capture c on c.id = o.capture
              left join returned r on r.subject = o.id
             where o.delivered_at is not null and c.currency <> o.currency)
        select coalesce(due.id, moved.subject)::text
          from due full join moved on moved.subject = due.id and moved.currency = due.currency
         where coalesce(due.minor, 0) <> coalesce(moved.minor, 0)
           -- A refund or an undo on its way may be between its two steps.
           and not exists (select 1 from orders.saga s
                            where s.subject = coalesce(due.id, moved.subject))
        union
        select o.id::text from orders."order" o join payments.capture c on c.id = o.capture
         cross join lateral (select convert_from(o.facts, 'UTF8')::jsonb -> 'exchange' as told) x
          left join fx.quote q on q.id::text = x.told ->> 'quote'
         where o.delivered_at is not null and c.currency <> o.currency
           and (q.id is null or q."order" is distinct from o.id
                or (q.amount_minor, q.currency) is distinct from (o.amount_minor, o.currency)
                or (q.paid_minor::text, q.paid_currency)
                   is distinct from (x.told ->> 'amount_minor', x.told ->> 'currency'))
        """,
    ),
    Check(
        "cursors_are_behind_events",
        "No consumer believes to have read what was never written.",
        "select count(*) from orders.cursor where source in ('payments', 'deliveries')",
        """
        select c.source from orders.cursor c
         where c.source = 'payments' and (c.xid, c.id) >
               (select coalesce(max(xid), '0'), coalesce(max(id), 0) from payments.event)
        union all
        select c.source from orders.cursor c
         where c.source = 'deliveries' and (c.xid, c.id) >
               (select coalesce(max(xid), '0'), coalesce(max(id), 0) from orders.event)
        union all
        select c.source from disputes.cursor c
         where c.source = 'payments' and (c.xid, c.id) >
               (select coalesce(max(xid), '0'), coalesce(max(id), 0) from payments.event)
        """,
    ),
)
