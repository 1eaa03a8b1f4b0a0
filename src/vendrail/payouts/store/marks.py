"""Marks: how far a merchant's money had been earned and taken when each payout took its part."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from vendrail.kernel.db import Row, Transaction
from vendrail.payouts.queue import Mark, Point

Key = tuple[UUID, str]


async def list_unmarked(tx: Transaction, until: datetime, rows_max: int) -> list[Row]:
    """Read payouts that ended well and have no mark yet, oldest first."""
    return await tx.fetch(
        "select id, merchant, currency, amount_minor, fee_minor from payouts.payout"
        " where state = 'succeeded' and not is_marked and origin <> 'test' and ended_at <= $1"
        " order by ended_at limit $2",
        until,
        rows_max,
    )


async def list_returned(tx: Transaction, keys: Collection[Key]) -> list[Row]:
    """Read merchants' payouts that came back; there are few."""
    return await tx.fetch(
        "select id, merchant, currency from payouts.payout"
        " where state = 'returned' and origin <> 'test' and (merchant, currency) in"
        " (select * from unnest($1::uuid[], $2::text[]))",
        [key[0] for key in keys],
        [key[1] for key in keys],
    )


async def load_before(
    tx: Transaction, asked: Sequence[tuple[UUID, str, datetime, UUID]]
) -> list[Mark | None]:
    """Give for each point the last mark of its merchant before it."""
    rows = await tx.fetch(
        "select q.position, m.* from unnest($1::int[], $2::uuid[], $3::text[], $4::timestamptz[],"
        "  $5::uuid[]) as q (position, merchant, currency, at, transfer)"
        " cross join lateral (select * from payouts.mark m where m.merchant = q.merchant"
        "  and m.currency = q.currency and (m.at, m.transfer) < (q.at, q.transfer)"
        "  order by m.at desc, m.transfer desc limit 1) m",
        list(range(len(asked))),
        [each[0] for each in asked],
        [each[1] for each in asked],
        [each[2] for each in asked],
        [each[3] for each in asked],
    )
    found = {row["position"]: _mark(row) for row in rows}
    return [found.get(position) for position in range(len(asked))]


async def load_taking(
    tx: Transaction, key: Key, beyond: int, last: Point | None, rows_max: int
) -> list[Mark]:
    """Read a merchant's marks that took beyond a place, in the order in which they took.

    Left out is what came back since; `last` is the point after which a page begins.
    """
    rows = await tx.fetch(
        "select m.* from payouts.mark m join payouts.payout p on p.id = m.payout"
        " where m.merchant = $1 and m.currency = $2 and m.taken_minor > $3"
        " and p.state = 'succeeded' and ($4::timestamptz is null or (m.at, m.transfer) > ($4, $5))"
        " order by m.taken_minor, m.at, m.transfer limit $6",
        *key,
        beyond,
        last[0] if last else None,
        last[1] if last else None,
        rows_max,
    )
    return [_mark(row) for row in rows]


async def load_marks(tx: Transaction, payouts: Collection[UUID]) -> dict[UUID, tuple[Key, Mark]]:
    """Read the marks of payouts that did not come back."""
    rows = await tx.fetch(
        "select m.* from payouts.mark m join payouts.payout p on p.id = m.payout"
        " where m.payout = any($1::uuid[]) and p.state = 'succeeded'",
        list(payouts),
    )
    return {row["payout"]: ((row["merchant"], row["currency"]), _mark(row)) for row in rows}


async def load_earned(tx: Transaction, key: Key, credits_minor: int) -> Mark | None:
    """Give a merchant's first mark before which so much had become available."""
    row = await tx.fetch_row(
        "select * from payouts.mark where merchant = $1 and currency = $2 and credits_minor >= $3"
        " order by credits_minor, at, transfer limit 1",
        *key,
        credits_minor,
    )
    return _mark(row) if row is not None else None


async def insert_marks(tx: Transaction, marks: Sequence[tuple[Key, Mark]]) -> None:
    """Write marks, each once."""
    await tx.execute(
        "insert into payouts.mark (payout, merchant, currency, at, transfer, amount_minor,"
        " credits_minor, debits_minor)"
        " select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::uuid[],"
        "  $6::bigint[], $7::bigint[], $8::bigint[]) on conflict (payout) do nothing",
        [mark.payout for _, mark in marks],
        [key[0] for key, _ in marks],
        [key[1] for key, _ in marks],
        [mark.point[0] for _, mark in marks],
        [mark.point[1] for _, mark in marks],
        [mark.amount_minor for _, mark in marks],
        [mark.credits_minor for _, mark in marks],
        [mark.debits_minor for _, mark in marks],
    )
    await tx.execute(
        "update payouts.payout set is_marked = true where id = any($1::uuid[])",
        sorted(mark.payout for _, mark in marks),
    )


def _mark(row: Row) -> Mark:
    return Mark(
        row["payout"],
        (row["at"], row["transfer"]),
        row["amount_minor"],
        row["credits_minor"],
        row["debits_minor"],
    )
