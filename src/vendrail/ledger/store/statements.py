"""All SQL of statements: a merchant's accounts, their sums over a time, and the lines."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from vendrail.api.ledger.statements import StatementLine, StatementQuery, StatementSum
from vendrail.kernel.db import Transaction

_FOREVER = datetime.max.replace(tzinfo=UTC)

# The merchant's accounts by the part that they are of: `merchant:<id>:<part>[:<when>]`.
_PARTS = """
    part as materialized (
        select a.number, split_part(a.name, ':', 3) as part
          from ledger.account a
         where a.name like 'merchant:%' and a.name ~>=~ $1 and a.name ~<~ $2 and a.currency = $3)
"""
# What stands in the books and touched a part; what both parts are of comes by its debit alone.
_MOVED = """
    moved as (
        select t.*, d.part as source, coalesce(c.part, '') as target
          from part d
          join ledger.transfer t on t.debit = d.number and t.debit > 0
          left join part c on c.number = t.credit
         where t.at >= $4 and t.at < $5 and t.refusal is null
           and t.kind in ('single', 'post') and t.amount_minor > 0
        union all
        select t.*, '', c.part
          from part c
          join ledger.transfer t on t.credit = c.number and t.credit > 0
         where t.at >= $4 and t.at < $5 and t.refusal is null
           and t.kind in ('single', 'post') and t.amount_minor > 0
           and not exists (select from part d where d.number = t.debit))
"""


def _names(query: StatementQuery) -> tuple[str, str, str]:
    """Give the bounds of the names of a merchant's accounts, and the currency."""
    return f"merchant:{query.merchant}:", f"merchant:{query.merchant};", query.currency


async def sum_parts(
    tx: Transaction, query: StatementQuery
) -> tuple[dict[str, int], list[tuple[bool, StatementSum]]]:
    """Give what each part holds now, and what moved since the statement began: within it, or later.

    Both in one snapshot: what holds before and after is counted back from what is there.
    """
    rows = await tx.fetch(
        f"""
        with {_PARTS}, {_MOVED},
        held as (
            select p.part, sum(b.credits_posted - b.debits_posted
                               + coalesce(w.credits, 0) - coalesce(w.debits, 0))::bigint as minor
              from part p
              join ledger.balance b on b.account = p.number
              left join lateral (
                   select sum(credits_posted) as credits, sum(debits_posted) as debits
                     from ledger.delta where account = p.number and p.part = 'debt') w on true
             group by p.part)
        select part as source, '' as target, null as code, false as is_within, 0 as count, minor
          from held
        union all
        select source, target, code, at < $6, count(*), sum(amount_minor)::bigint
          from moved group by source, target, code, at < $6
         order by code nulls first, source, target
        """,  # noqa: S608 - constants of this file
        *_names(query),
        query.since,
        _FOREVER,
        query.until,
    )
    held = {row["source"]: row["minor"] for row in rows if row["code"] is None}
    sums = [
        (
            row["is_within"],
            StatementSum(row["code"], row["source"], row["target"], row["count"], row["minor"]),
        )
        for row in rows
        if row["code"] is not None
    ]
    return held, sums


async def sum_fees(tx: Transaction, query: StatementQuery) -> int:
    """Sum what was kept of the sales that first stand within a statement, as its lines tell it."""
    fees_minor: int = await tx.fetch_value(
        f"""
        with {_PARTS}, {_MOVED},
        sold as materialized (
            select distinct on (subject) subject, id
              from moved where code = 'sale' order by subject, id),
        kept as (
            select sum(o.amount_minor) filter (where o.code <> 'sale') as fee_minor
              from sold s
              join ledger.transfer o on o.subject = s.subject
             where o.code in ('sale', 'fee', 'channel_cost') and o.refusal is null
             group by s.subject
            having not bool_or(o.code = 'sale' and o.id < s.id))
        select coalesce(sum(fee_minor), 0)::bigint from kept
        """,  # noqa: S608 - constants of this file
        *_names(query),
        query.since,
        query.until,
    )
    return fees_minor


async def load_lines(
    tx: Transaction, query: StatementQuery, begin: datetime, end: datetime, after: UUID, most: int
) -> Sequence[StatementLine]:
    """Read lines from a moment, behind an id there, to before another; oldest first."""
    rows = await tx.fetch(
        f"""
        with {_PARTS}, {_MOVED},
        found as (
            select * from moved where (at, id) > ($4, $6) order by at, id limit $7)
        select t.at, t.id, t.code, t.subject, coalesce(t.memo, ''), t.amount_minor,
               t.source, t.target, coalesce(f.fee_minor, 0)
          from found t
          left join lateral (
               select case when bool_or(o.code = 'sale' and o.id < t.id) then 0::bigint
                      else (sum(o.amount_minor)
                            filter (where o.code in ('fee', 'channel_cost')))::bigint
                      end as fee_minor
                 from ledger.transfer o
                where o.subject = t.subject and o.refusal is null) f on t.code = 'sale'
         order by t.at, t.id
        """,  # noqa: S608 - constants of this file
        *_names(query),
        begin,
        end,
        after,
        most,
    )
    return [StatementLine(*row) for row in rows]
