"""Checks of the ledger: two sides, one currency, balances that are sums, fees to the unit."""

from vendrail.app.audit.check import Check
from vendrail.ledger.store.closes import KIND

# Older days are behind blocks and closes that `vendrail audit --proofs` hashes anew.
DAYS = 35

# Where each account stands: its balance and what is not rolled up yet.
STANDING = """
    (select account, sum(debits_pending) as debits_pending, sum(debits_posted) as debits_posted,
            sum(credits_pending) as credits_pending, sum(credits_posted) as credits_posted
       from (select account, debits_pending, debits_posted, credits_pending, credits_posted
               from ledger.balance
             union all
             select account, debits_pending, debits_posted, credits_pending, credits_posted
               from ledger.delta) parts
      group by account)
"""

CREDIT = f"""
    (select a.name, a.currency, a.id, s.credits_posted - s.debits_posted as credit_minor
       from ledger.account a join {STANDING} s on s.account = a.number)
"""  # noqa: S608 - one constant in another

TOTALS = f"""
    select a.currency, sum(s.debits_posted)::bigint as debits_minor,
           sum(s.credits_posted)::bigint as credits_minor
      from {STANDING} s join ledger.account a on a.number = s.account
     group by a.currency order by 1
"""  # noqa: S608 - one constant in another

# What each account's entries add up to: the journal is read once and summed by pairs of accounts.
# A transfer that is not whole (a side missing, two currencies) is named by the check for it, and
# left out of the sums of the others.
_ENTRIES = """
    (with pairs as (
        select debit, credit, kind, sum(amount_minor) as moved_minor,
               sum(released_minor) as released_minor
          from ledger.transfer where refusal is null group by debit, credit, kind),
    whole as (
        select p.debit, p.credit,
               case p.kind when 'pending' then p.moved_minor when 'single' then 0
                           else -p.released_minor end as pending_minor,
               case p.kind when 'pending' then 0 else p.moved_minor end as posted_minor
          from pairs p
          join ledger.account d on d.number = p.debit
          join ledger.account c on c.number = p.credit and c.currency = d.currency)
     select account, sum(debits_pending) as debits_pending, sum(debits_posted) as debits_posted,
            sum(credits_pending) as credits_pending, sum(credits_posted) as credits_posted
       from (select debit as account, pending_minor as debits_pending,
                    posted_minor as debits_posted, 0 as credits_pending, 0 as credits_posted
               from whole
             union all
             select credit, 0, 0, pending_minor, posted_minor from whole) sides
      group by account)
"""

CHECKS = (
    Check(
        "transfers_have_two_sides",
        "Every transfer debits one account and credits another: debits equal credits.",
        "select count(*) from ledger.transfer where refusal is null",
        "select t.id::text from ledger.transfer t"
        " left join ledger.account d on d.number = t.debit"
        " left join ledger.account c on c.number = t.credit"
        " where t.refusal is null"
        " and (d.number is null or c.number is null or t.debit = t.credit)",
    ),
    Check(
        "currencies_are_apart",
        "No transfer moves value between two currencies.",
        "select count(*) from ledger.transfer where refusal is null",
        "select t.id::text from ledger.transfer t"
        " join ledger.account d on d.number = t.debit"
        " join ledger.account c on c.number = t.credit"
        " where t.refusal is null and c.currency <> d.currency",
    ),
    Check(
        "balances_are_sums",
        "Every balance is the sum of its account's entries.",
        "select count(*) from ledger.account",
        f"""
        select coalesce(a.id::text, coalesce(s.account, e.account)::text)
          from {STANDING} s
          full join {_ENTRIES} e on e.account = s.account
          left join ledger.account a on a.number = coalesce(s.account, e.account)
         where (coalesce(s.debits_pending, 0), coalesce(s.debits_posted, 0),
                coalesce(s.credits_pending, 0), coalesce(s.credits_posted, 0))
            is distinct from
               (coalesce(e.debits_pending, 0), coalesce(e.debits_posted, 0),
                coalesce(e.credits_pending, 0), coalesce(e.credits_posted, 0))
        """,  # noqa: S608 - constants only
    ),
    Check(
        "corrections_are_told",
        "Every correction of the books is in the log, with who put it up and who approved it.",
        "select count(*) from ledger.account",
        "select t.id::text from ledger.transfer t"
        " where t.code = 'adjustment' and t.refusal is null and not exists ("
        "  select from identity.act a where a.document::text like '%' || t.id::text || '%'"
        "   and (a.act = 'correction.posted' or a.act = 'correction.posted.proposed'"
        "        and exists (select from identity.act y where y.act = 'correction.posted.approved'"
        "                    and y.document ->> 'subject' = a.document ->> 'subject')))",
    ),
    Check(
        "closed_days_stand",
        f"What was told of each of the last {DAYS} closed days is what the journal says of it.",
        "select count(*) from ledger.account",
        f"""
        with cut as (select *, row_number() over (order by until) - 1 as number
                       from (select day, since, until from ledger.close
                              order by day desc limit {DAYS}) last),
        moved as (
            select e.account,
                   width_bucket(e.at, (select coalesce(array_agg(until order by until),
                       array['infinity'::timestamptz]) from cut)) as number,
                   sum(e.debits_pending) as debits_pending, sum(e.debits_posted) as debits_posted,
                   sum(e.credits_pending) as credits_pending,
                   sum(e.credits_posted) as credits_posted
              from ledger.entry e
             where e.at >= (select coalesce(min(coalesce(since, '-infinity')), 'infinity')
                              from cut)
             group by 1, 2),
        found as (
            select c.day, a.currency, {KIND} as kind, sum(m.debits_pending) as debits_pending,
                   sum(m.debits_posted) as debits_posted,
                   sum(m.credits_pending) as credits_pending,
                   sum(m.credits_posted) as credits_posted
              from moved m join cut c on c.number = m.number
              join ledger.account a on a.number = m.account group by 1, 2, 3),
        told as (
            select day, currency, kind,
                   debits_pending - coalesce(lag(debits_pending) over w, 0) as debits_pending,
                   debits_posted - coalesce(lag(debits_posted) over w, 0) as debits_posted,
                   credits_pending - coalesce(lag(credits_pending) over w, 0) as credits_pending,
                   credits_posted - coalesce(lag(credits_posted) over w, 0) as credits_posted
              from ledger.close_sum window w as (partition by currency, kind order by day)),
        last as (select * from told where day in (select day from cut))
        select distinct day::text from found full join last told using (day, currency, kind)
         where (coalesce(found.debits_pending, 0), coalesce(found.debits_posted, 0),
                coalesce(found.credits_pending, 0), coalesce(found.credits_posted, 0))
            is distinct from
               (coalesce(told.debits_pending, 0), coalesce(told.debits_posted, 0),
                coalesce(told.credits_pending, 0), coalesce(told.credits_posted, 0))
        union
        select i.day::text
          from (select i.day, i.account, sum(i.amount_minor) as minor
                  from ledger.close_item i group by 1, 2) i
          join ledger.account a on a.number = i.account
          left join ledger.close_sum s on s.day = i.day and s.currency = a.currency
               and s.kind = a.name
         where i.minor is distinct from s.credits_posted - s.debits_posted
        """,  # noqa: S608 - constants only
    ),
    Check(
        "fees_are_right",
        "Every fee is what the terms or the rule valid at placing say, to the minor unit.",
        "select count(*) from ledger.transfer where code in ('sale', 'fee') and refusal is null",
        """
        with told as (
            select t.subject, min(t.memo) as memo, max(t.memo) as other_memo,
                   coalesce(sum(t.amount_minor) filter (where t.code = 'fee'), 0) as fee_minor,
                   coalesce(sum(t.amount_minor) filter (where t.code = 'channel_cost'), 0)
                       as cost_minor,
                   coalesce(sum(t.amount_minor) filter (where t.code = 'supply'), 0)
                       as supplied_minor,
                   sum(t.amount_minor) as sale_minor
              from ledger.transfer t
             where t.refusal is null and (t.code in ('sale', 'fee', 'supply')
                   or (t.code = 'channel_cost' and t.memo like 'fee:%'))
               -- A supplier's share bears no fee: the agent's does, of the whole price.
               and not exists (select from settlement.supply y where y.id = t.subject)
             group by t.subject),
        nobody as (select '00000000-0000-0000-0000-000000000000'::uuid as id),
        terms as (
            select 'fee:' || f.version as memo, f.merchant, f.currency, f.basis_points,
                   f.fixed_minor, f.fee_minor_min, 0::bigint as fee_minor_max,
                   f.valid_from, lead(f.valid_from) over (
                       partition by f.merchant, f.currency order by f.valid_from, f.version)
                   as valid_until, false as is_cost_borne, '{}'::jsonb as rule, false as is_ruled
              from settlement.fee_terms f
            union all
            select 'fee:' || s.version || '.' || r.number, nobody.id, coalesce(
                       r.rule ->> 'currency', '*'),
                   coalesce((r.rule ->> 'basis_points')::int, 0),
                   coalesce((r.rule ->> 'fixed_minor')::bigint, 0),
                   coalesce((r.rule ->> 'fee_minor_min')::bigint, 0),
                   coalesce((r.rule ->> 'fee_minor_max')::bigint, 0),
                   s.valid_from, s.valid_until,
                   coalesce((r.rule ->> 'is_cost_borne')::boolean, false), r.rule, true
              from (select version, rules, valid_from, lead(valid_from) over (
                        order by valid_from, version) as valid_until
                      from settlement.fee_schedule) s
             cross join nobody
             cross join jsonb_array_elements(s.rules) with ordinality as r (rule, number)),
        firsts as (
            select merchant, currency, min(valid_from) as valid_from
              from settlement.fee_terms group by merchant, currency),
        ruled as (select min(valid_from) as valid_from from settlement.fee_schedule)
        select told.subject::text
          from told cross join nobody cross join ruled
          left join terms f on f.memo = told.memo
          left join orders."order" o on o.id = told.subject
          left join firsts own on own.merchant = o.merchant and own.currency = o.currency
          left join firsts house on house.merchant = nobody.id and house.currency = o.currency
         where f.memo is null or told.memo <> told.other_memo
            or told.fee_minor <> least(told.sale_minor - told.supplied_minor,
                   greatest(f.fee_minor_min, least(
                   coalesce(nullif(f.fee_minor_max, 0), told.sale_minor + f.fixed_minor),
                   f.fixed_minor + div(told.sale_minor * f.basis_points + 5000, 10000))))
            or (told.cost_minor > 0 and not f.is_cost_borne)
            or o.placed_at < f.valid_from or o.placed_at >= f.valid_until
            or f.is_ruled <> (coalesce(own.valid_from > o.placed_at, true)
                   and coalesce(ruled.valid_from <= o.placed_at, false))
            or case when f.is_ruled then
                   f.currency not in ('*', o.currency)
                   or told.sale_minor < coalesce((f.rule ->> 'amount_minor_min')::bigint, 0)
                   or told.sale_minor >= (f.rule ->> 'amount_minor_below')::bigint
                   or not coalesce(f.rule -> 'categories' ? coalesce(
                       convert_from(o.facts, 'UTF8')::jsonb ->> 'category', ''), true)
               else
                   f.merchant <> case when own.valid_from <= o.placed_at then o.merchant
                                      else nobody.id end
                   or f.currency <> case when own.valid_from <= o.placed_at
                                    or house.valid_from <= o.placed_at then o.currency else '*' end
               end
        """,
    ),
)
