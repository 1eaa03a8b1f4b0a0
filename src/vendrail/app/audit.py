"""The audit proves the books: every promise about money and keys, checked in one snapshot.

Each check names what it examined and, by id, everything that breaks its promise. A check that has
examined nothing proves nothing, so zero rows is not ok. Read-only; safe on a running platform.
"""

from typing import Any

from vendrail.api.payments import PaymentCaptured, PaymentEvent
from vendrail.kernel.codec import Record, decode
from vendrail.kernel.db import connect_once

_PENDING_EVENTS_MAX = 20_000
_FINDINGS_MAX = 1_000


class Check(Record, frozen=True):
    """One promise: what it says, how many rows speak of it, and which break it.

    `finds` may use $1: captures whose event nobody has read yet (they are on their way).
    """

    name: str
    promise: str
    examined: str
    finds: str


class Outcome(Record, frozen=True):
    """What one check found."""

    name: str
    promise: str
    examined: int
    findings: list[str]

    @property
    def is_ok(self) -> bool:
        """True when something was examined and nothing was found."""
        return self.examined > 0 and not self.findings


class Report(Record, frozen=True):
    """All outcomes, and the totals per currency."""

    ok: bool
    outcomes: list[Outcome]
    totals: dict[str, dict[str, int]]


# A transfer that is whole: both accounts stand, in one currency. What is not is named once, by the
# checks for it, and is left out of the sums of the others.
_WHOLE = """
    ledger.transfer t
    join ledger.account d on d.number = t.debit
    join ledger.account c on c.number = t.credit and c.currency = d.currency
"""

_STANDING = """
    (select account, sum(debits_pending) as debits_pending, sum(debits_posted) as debits_posted,
            sum(credits_pending) as credits_pending, sum(credits_posted) as credits_posted
       from (select account, debits_pending, debits_posted, credits_pending, credits_posted
               from ledger.balance
             union all
             select account, debits_pending, debits_posted, credits_pending, credits_posted
               from ledger.delta) parts
      group by account)
"""

_CREDIT = f"""
    (select a.name, a.currency, a.id, s.credits_posted - s.debits_posted as credit_minor
       from ledger.account a join {_STANDING} s on s.account = a.number)
"""  # noqa: S608 - one constant in another

CHECKS = (
    Check(
        "transfers_have_two_sides",
        "Every transfer debits one account and credits another.",
        "select count(*) from ledger.transfer where refusal is null",
        "select t.id::text from ledger.transfer t where t.refusal is null and not ("
        " exists (select 1 from ledger.account a where a.number = t.debit)"
        " and exists (select 1 from ledger.account a where a.number = t.credit))",
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
        with entries as (
            select account, sum(debits_pending) as debits_pending,
                   sum(debits_posted) as debits_posted, sum(credits_pending) as credits_pending,
                   sum(credits_posted) as credits_posted
              from (select e.* from ledger.entry e
                     where e.transfer in (select t.id from {_WHOLE} where t.refusal is null)) whole
             group by account)
        select coalesce(a.id::text, s.account::text) from {_STANDING} s
          full join entries e on e.account = s.account
          left join ledger.account a on a.number = coalesce(s.account, e.account)
         where (coalesce(s.debits_pending, 0), coalesce(s.debits_posted, 0),
                coalesce(s.credits_pending, 0), coalesce(s.credits_posted, 0))
            is distinct from
               (coalesce(e.debits_pending, 0), coalesce(e.debits_posted, 0),
                coalesce(e.credits_pending, 0), coalesce(e.credits_posted, 0))
        """,  # noqa: S608
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
        "captures_have_a_fate",
        "Every payment that arrived is delivered, refunded, under way, or on a desk.",
        "select count(*) from payments.capture",
        """
        select c.id::text from payments.capture c
          left join orders."order" o on o.id = c.order_id
         where not (c.id = any($1::uuid[]))
           and not (c.fit <> 'fits')
           and not exists (select 1 from payments.confirmation f
                            where f.capture_id = c.id and f.state <> 'confirmed')
           and not coalesce(o.state in ('delivered', 'refunded')
                            and (o.capture = c.id or o.capture is null), false)
           and not exists (select 1 from orders.saga s where s.subject = c.order_id
                            and convert_from(s.data, 'UTF8')::jsonb ->> 'capture' = c.id::text)
           and coalesce((select sum(r.amount_minor) from payments.refund r
                          where r.capture_id = c.id and r.state = 'succeeded'), 0)
               <> c.amount_minor
        """,
    ),
    Check(
        "refunds_are_within_captures",
        "Never more goes back than was paid, and orders say what did.",
        "select count(*) from payments.capture",
        """
        select c.id::text from payments.capture c
         where c.amount_minor < (select sum(r.amount_minor) from payments.refund r
                                  where r.capture_id = c.id and r.state <> 'failed')
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
            select currency, sum(amount_minor) as minor,
                   coalesce(sum(amount_minor) filter (where state = 'open'), 0) as least_minor
              from settlement.refund where state in ('asked', 'open', 'paying', 'returning')
             group by currency),
        unmatched as (
            select currency, sum(amount_minor) as minor from payments.capture c
             where fit <> 'fits' and not exists (
                select 1 from payments.refund r
                 where r.capture_id = c.id and r.state = 'succeeded')
             group by currency),
        under_way as (
            select o.merchant, o.currency,
                   sum((convert_from(s.data, 'UTF8')::jsonb ->> 'amount_minor')::bigint) as minor
              from orders.saga s join orders."order" o on o.id = s.subject
             where s.kind in ('purchase', 'surplus') group by o.merchant, o.currency)
        select b.id::text from {_CREDIT} b
          left join open_refunds r on r.currency = b.currency
         where b.name = 'refund:clearing' and b.credit_minor not between
               coalesce(r.least_minor, 0) and coalesce(r.minor, 0)
        union all
        select b.id::text from {_CREDIT} b left join unmatched u on u.currency = b.currency
         where b.name = 'suspense:unmatched'
           and b.credit_minor not between 0 and coalesce(u.minor, 0)
        union all
        select b.id::text from {_CREDIT} b left join under_way w
            on b.name = 'held:' || w.merchant::text and w.currency = b.currency
         where b.name like 'held:%' and b.credit_minor not between 0 and coalesce(w.minor, 0)
        """,  # noqa: S608
    ),
    Check(
        "allocations_have_a_saga",
        "Keys that are picked and not yet readable belong to a purchase that has not ended.",
        "select count(*) from catalog.allocation",
        """
        select distinct a.id::text from catalog.allocation a
          left join orders."order" o on o.id = a."order"
         where a.state = 'allocated' and o.allocation is distinct from a.id
           and not exists (select 1 from orders.saga s
                            where s.subject = a."order" and s.kind = 'purchase')
        """,
    ),
    Check(
        "deliveries_have_a_capture",
        "Every delivered order has its own payment, of its amount and currency.",
        'select count(*) from orders."order" where delivered_at is not null',
        """
        select o.id::text from orders."order" o left join payments.capture c on c.id = o.capture
          left join payments.verdict v on v.capture_id = c.id
         where o.delivered_at is not null
           and (c.id is null or coalesce(v.order_id, c.order_id) is distinct from o.id
                or (c.fit = 'fits' and
                    (c.amount_minor, c.currency) is distinct from (o.amount_minor, o.currency)))
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
        """,
    ),
    Check(
        "outcomes_are_kept",
        "Every delivered order has its kept answers: risk, keys, share and fee.",
        'select count(*) from orders."order" where delivered_at is not null',
        """
        select o.id::text from orders."order" o
         where o.delivered_at is not null and not (
               exists (select 1 from risk.assessment r where r."order" = o.id)
           and exists (select 1 from catalog.allocation a where a.id = o.allocation
                        and a.state in ('allocated', 'sold', 'void'))
           and (select coalesce(sum(t.amount_minor), 0) from ledger.transfer t
                 where t.subject = o.id and t.code in ('sale', 'fee') and t.refusal is null)
               = o.amount_minor)
        """,
    ),
    Check(
        "fees_are_right",
        "Every fee is what the terms valid at placing say, to the minor unit.",
        "select count(*) from ledger.transfer where code in ('sale', 'fee') and refusal is null",
        """
        with told as (
            select t.subject, max(substr(t.memo, 5))::bigint as version,
                   coalesce(sum(t.amount_minor) filter (where t.code = 'fee'), 0) as fee_minor,
                   sum(t.amount_minor) as sale_minor
              from ledger.transfer t
             where t.code in ('sale', 'fee') and t.refusal is null and t.memo like 'fee:%'
             group by t.subject)
        select told.subject::text from told
          left join settlement.fee_terms f on f.version = told.version
         where f.version is null or told.fee_minor <> least(told.sale_minor, greatest(
               f.fee_minor_min,
               f.fixed_minor + (told.sale_minor * f.basis_points + 5000) / 10000))
        """,
    ),
    Check(
        "stock_is_counted",
        "Every variant's counters are what its keys and holds add up to.",
        "select count(*) from catalog.stock",
        """
        select s.variant::text from catalog.stock s
         where s.free + s.held <>
               (select count(*) from catalog.free_key f where f.variant = s.variant)
            or s.held <> (select coalesce(sum(h.quantity), 0) from catalog.hold h
                           where h.variant = s.variant)
        """,
    ),
)


async def audit(dsn: str) -> Report:
    """Run every check in one snapshot, as the owner of all schemas."""
    connection = await connect_once(dsn, statement_timeout="0", jit="off")
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            on_their_way = await _pending_captures(connection)
            outcomes = [await _run(connection, check, on_their_way) for check in CHECKS]
            totals = await _totals(connection)
    finally:
        await connection.close()
    return Report(all(outcome.is_ok for outcome in outcomes), outcomes, totals)


async def _run(connection: Any, check: Check, on_their_way: list[Any]) -> Outcome:
    examined = await connection.fetchval(check.examined)
    values = [on_their_way] if "$1" in check.finds else []
    rows = await connection.fetch(check.finds, *values)
    findings = [row[0] for row in rows[:_FINDINGS_MAX]]
    return Outcome(check.name, check.promise, examined, findings)


async def _pending_captures(connection: Any) -> list[Any]:
    """Read the captures whose events lie beyond the cursor: orders has not heard of them yet."""
    rows = await connection.fetch(
        "select e.events from payments.event e, orders.cursor c where c.source = 'payments'"
        " and (e.xid, e.id) > (c.xid, c.id) order by e.xid, e.id limit $1",
        _PENDING_EVENTS_MAX,
    )
    return [
        event.capture.id
        for row in rows
        for event in decode(row["events"], list[PaymentEvent])
        if isinstance(event, PaymentCaptured)
    ]


async def _totals(connection: Any) -> dict[str, dict[str, int]]:
    """Sum debits and credits per currency, for people to see that they are equal."""
    rows = await connection.fetch(
        "select a.currency, sum(s.debits_posted)::bigint as debits_minor,"
        f" sum(s.credits_posted)::bigint as credits_minor from {_STANDING} s"
        " join ledger.account a on a.number = s.account group by a.currency order by 1"
    )
    return {
        row["currency"]: {"debits": row["debits_minor"], "credits": row["credits_minor"]}
        for row in rows
    }
