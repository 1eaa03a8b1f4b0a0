"""All SQL of closes: sums of a day's entries, what is open in clearing accounts, closed days."""

from collections.abc import Sequence
from datetime import date, datetime

from vendrail.api.ledger import account_id
from vendrail.api.ledger.closes import CloseItem, CloseItemQuery, CloseQuery, CloseSum
from vendrail.kernel.db import Row, Transaction
from vendrail.ledger.closing import ItemRow, MovedRow, NewClose
from vendrail.ledger.store.sealing import BlockRow

# What accounts are called together: ids of owners and moments of buckets are left out.
KIND = (
    "regexp_replace(regexp_replace(a.name,"
    " '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', '*', 'g'), ':[0-9]{8}T[0-9]{2}$', '')"
)
_CLEARING = (
    "(a.name in ('refund:clearing', 'suspense:unmatched')"
    " or a.name like 'payout:in\\_transit:%' or a.name like 'chargeback:%')"
)
_CLOSE = (
    "select c.*, i.items_count, i.oldest_since from ledger.close c cross join lateral"
    " (select count(*) as items_count, min(since) as oldest_since from ledger.close_item"
    "  where day = c.day) i"
)
SUM_ITEMS = (
    f"with clearing as (select number from ledger.account a where {_CLEARING} and number > 0)"  # noqa: S608
    " select account, subject, match, sum(minor)::bigint, min(at) from ("
    "  select t.debit as account, t.subject, -t.amount_minor as minor, t.at,"
    "   case when t.code = 'matched' then t.id end as match"
    "    from ledger.transfer t where t.debit = any(array(select number from clearing))"
    "    and t.debit > 0 and t.kind in ('single', 'post') and t.refusal is null"
    "    and t.at >= coalesce($1, '-infinity'::timestamptz) and t.at < $2"
    "  union all"
    "  select t.credit, t.subject, t.amount_minor, t.at, null"
    "    from ledger.transfer t where t.credit = any(array(select number from clearing))"
    "    and t.credit > 0 and t.kind in ('single', 'post') and t.refusal is null"
    "    and t.at >= coalesce($1, '-infinity'::timestamptz) and t.at < $2) moved"
    " group by account, subject, match"
)


async def lock_closing(tx: Transaction) -> None:
    """Be the only one who closes days, until the transaction ends."""
    await tx.execute("select pg_advisory_xact_lock(hashtext('ledger.close'))")


async def load_last(tx: Transaction) -> Row | None:
    """Read the newest closed day."""
    return await tx.fetch_row("select * from ledger.close order by day desc limit 1")


async def has_unsealed(tx: Transaction, last: BlockRow | None, until: datetime) -> bool:
    """Tell whether a transfer before a moment lies behind the newest block, or behind none."""
    if last is None:
        found: bool = await tx.fetch_value(
            "select exists (select from ledger.transfer where at < $1)", until
        )
    else:
        found = await tx.fetch_value(
            "select exists (select from ledger.transfer"
            " where at >= $1 and at < $3 and (at, id) > ($1, $2))",
            last.last.at,
            last.last.id,
            until,
        )
    return found


async def sum_kinds(
    tx: Transaction, since: datetime | None, until: datetime
) -> tuple[list[CloseSum], int]:
    """Sum what a stretch of the journal did to accounts, by kind; and count its transfers."""
    rows = await tx.fetch(
        "with moved as (select account, sum(debits_pending) as debits_pending,"  # noqa: S608
        "  sum(debits_posted) as debits_posted, sum(credits_pending) as credits_pending,"
        "  sum(credits_posted) as credits_posted from ledger.entry"
        "  where at >= coalesce($1, '-infinity'::timestamptz) and at < $2 group by account)"
        f" select a.currency, {KIND} as kind, sum(m.debits_pending)::bigint,"
        " sum(m.debits_posted)::bigint, sum(m.credits_pending)::bigint,"
        " sum(m.credits_posted)::bigint"
        " from moved m join ledger.account a on a.number = m.account group by 1, 2",
        since,
        until,
    )
    count = await tx.fetch_value(
        "select count(*) from ledger.transfer"
        " where at >= coalesce($1, '-infinity'::timestamptz) and at < $2",
        since,
        until,
    )
    return [CloseSum(*row) for row in rows], count


async def load_sums(tx: Transaction, day: date) -> list[CloseSum]:
    """Read a closed day's trial balance."""
    rows = await tx.fetch(
        "select currency, kind, debits_pending, debits_posted, credits_pending, credits_posted"
        " from ledger.close_sum where day = $1 order by currency, kind",
        day,
    )
    return [CloseSum(*row) for row in rows]


async def sum_items(tx: Transaction, since: datetime | None, until: datetime) -> list[MovedRow]:
    """Sum what a stretch of the journal left in clearing accounts, by serial number."""
    rows = await tx.fetch(
        SUM_ITEMS,
        since,
        until,
    )
    return [MovedRow(*row) for row in rows]


async def load_items(tx: Transaction, day: date) -> list[ItemRow]:
    """Read all that lay in clearing accounts when a day was closed."""
    rows = await tx.fetch(
        "select account, subject, amount_minor, since from ledger.close_item where day = $1", day
    )
    return [ItemRow(*row) for row in rows]


async def add_close(
    tx: Transaction, close: NewClose, sums: Sequence[CloseSum], items: Sequence[ItemRow]
) -> None:
    """Write a closed day."""
    await tx.execute(
        "insert into ledger.close (day, zone, since, until, count, block, head, previous, digest,"
        " signature, closed_by, closed_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        *close,
    )
    await tx.execute(
        "insert into ledger.close_sum select $1, * from unnest($2::text[], $3::text[],"
        " $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])",
        close.day,
        [each.currency for each in sums],
        [each.kind for each in sums],
        [each.debits_pending for each in sums],
        [each.debits_posted for each in sums],
        [each.credits_pending for each in sums],
        [each.credits_posted for each in sums],
    )
    await tx.execute(
        "insert into ledger.close_item select $1, * from unnest($2::int[], $3::uuid[],"
        " $4::bigint[], $5::timestamptz[])",
        close.day,
        [each.account for each in items],
        [each.subject for each in items],
        [each.amount_minor for each in items],
        [each.since for each in items],
    )


async def list_closes(tx: Transaction, query: CloseQuery, rows_max: int) -> list[Row]:
    """Read a page of closed days, the newest first."""
    return await tx.fetch(
        f"{_CLOSE} where $1::date is null or c.day < $1 order by c.day desc limit $2",
        query.before,
        rows_max,
    )


async def load_closes(tx: Transaction, days: Sequence[date]) -> dict[date, Row]:
    """Read closed days."""
    rows = await tx.fetch(f"{_CLOSE} where c.day = any($1::date[])", list(days))
    return {row["day"]: row for row in rows}


async def list_items(tx: Transaction, query: CloseItemQuery, rows_max: int) -> list[CloseItem]:
    """Read a page of what lay in clearing accounts, the oldest first."""
    after = query.after
    rows = await tx.fetch(
        "select a.name, a.currency, i.subject, i.amount_minor, i.since"
        " from ledger.close_item i join ledger.account a on a.number = i.account"
        " where i.day = $1 and ($2::timestamptz is null or (i.since, i.account, i.subject) >"
        "  ($2, (select number from ledger.account where id = $3), $4))"
        " order by i.since, i.account, i.subject limit $5",
        query.day,
        after.since if after is not None else None,
        account_id(after.account, after.currency) if after is not None else None,
        after.subject if after is not None else None,
        rows_max,
    )
    return [CloseItem(*row) for row in rows]
