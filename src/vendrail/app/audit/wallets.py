"""Checks of buyers' wallets: each movement has its reason, what is reserved has its order."""

from vendrail.app.audit.books import CREDIT, STANDING
from vendrail.app.audit.check import Check

CHECKS = (
    Check(
        "gone_wallets_are_empty",
        "No money lies in the wallet of a buyer whose account is deleted.",
        "select count(*) from ledger.account",
        f"""
        select b.id::text from orders.gone_buyer g
          join {CREDIT} b on b.name = 'buyer:' || g.buyer || ':wallet'
         where b.credit_minor <> 0
        """,  # noqa: S608 - one constant in another
    ),
    Check(
        "wallets_are_explained",
        "What wallets hold is top-ups less payments plus refunds, each of its own order.",
        "select count(*) from ledger.account",
        """
        with moved as (
            select t.id, t.subject, t.code, t.amount_minor, t.kind,
                   d.name as debit, c.name as credit, d.currency
              from ledger.transfer t
              join ledger.account d on d.number = t.debit
              join ledger.account c on c.number = t.credit
             where t.refusal is null and (d.name like 'buyer:%' or c.name like 'buyer:%')),
        paid_in as (
            select subject, currency, credit as wallet, sum(amount_minor) as minor from moved
             where code = 'top_up' group by subject, currency, credit),
        spent as (
            select subject, currency, debit as wallet, sum(amount_minor) as minor from moved
             where code = 'wallet_payment' and kind = 'post' group by subject, currency, debit)
        -- Every movement is of a kind that there is, in its direction.
        select m.id::text from moved m
         where not coalesce(case m.code
               when 'top_up' then m.debit like 'held:%'
               when 'wallet_payment' then m.credit like 'held:%'
               when 'refund_paid' then m.debit = 'refund:clearing'
               when 'refund_returned' then m.debit = 'refund:clearing'
               when 'refund' then m.credit = 'refund:clearing'
               when 'split_reversal' then m.credit like 'held:%' end, false)
        union
        -- A top-up that was delivered is in the wallet that it was paid for, whole.
        select coalesce(o.id, p.subject)::text
          from (select o.id, o.currency, o.amount_minor,
                       convert_from(o.facts, 'UTF8')::jsonb ->> 'wallet' as buyer
                  from orders."order" o where o.variant is null and o.delivered_at is not null) o
          full join paid_in p on p.subject = o.id
         where (o.buyer is not null or p.subject is not null)
           and (o.amount_minor, o.currency, 'buyer:' || o.buyer || ':wallet')
               is distinct from (p.minor::bigint, p.currency, p.wallet)
           and not exists (select 1 from orders.saga s where s.subject = p.subject)
           and not exists (select 1 from orders."order" r
                            where r.id = p.subject and r.state = 'refunded')
        union
        -- What a wallet paid of an order is what the order was to have of it.
        select coalesce(w."order", s.subject)::text
          from (select * from orders.wallet_part where state = 'spent') w
          full join spent s on s.subject = w."order"
          left join orders."order" o on o.id = coalesce(w."order", s.subject)
         where (w.amount_minor, o.currency, 'buyer:' || w.buyer || ':wallet')
               is distinct from (s.minor::bigint, s.currency, s.wallet)
           and not exists (select 1 from orders.saga g
                            where g.subject = coalesce(w."order", s.subject))
        """,
    ),
    Check(
        "reservations_have_an_order",
        "What is reserved of a wallet belongs to orders that may still take it, or is disputed.",
        "select count(*) from ledger.account",
        f"""
        with parts as (
            select w.buyer::text, o.currency, w.amount_minor as most_minor,
                   case when w.state = 'held' then w.amount_minor else 0 end as least_minor
              from orders.wallet_part w join orders."order" o on o.id = w."order"
             where w.state in ('asked', 'held', 'freeing')
                or w.state = 'spent' and exists (
                   select 1 from orders.saga s where s.subject = w."order")
            union all
            -- Of a top-up that is disputed, what was there of it.
            select convert_from(o.facts, 'UTF8')::jsonb ->> 'wallet', o.currency, d.frozen_minor,
                   case when d.step = 'frozen' and d.outcome = 'open' then d.frozen_minor else 0 end
              from disputes.dispute d join orders."order" o on o.id = d.order_id
             where d.step <> 'ended'),
        due as (
            select 'buyer:' || buyer || ':wallet' as name, currency,
                   sum(least_minor) as least_minor, sum(most_minor) as most_minor
              from parts where buyer is not null group by 1, 2)
        select a.id::text from ledger.account a
          join {STANDING} b on b.account = a.number
          left join due on due.name = a.name and due.currency = a.currency
         where a.name like 'buyer:%' and b.debits_pending not between
               coalesce(due.least_minor, 0) and coalesce(due.most_minor, 0)
        """,  # noqa: S608 - one constant in another
    ),
)
