"""Batches of payouts that wait for a person."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.payouts import Batch, BatchVerdict, NewBatch, ReviewSum
from vendrail.kernel.db import Row, Transaction

_WAITING = "state = 'review' and verdict = '' and ($1::uuid is null or merchant = $1)"


async def sum_reviews(tx: Transaction, merchant: UUID | None) -> list[ReviewSum]:
    """Sum what waits for a person, by currency."""
    rows = await tx.fetch(
        "select currency, count(*) as payouts, sum(amount_minor)::bigint as minor"  # noqa: S608 - a constant
        f" from payouts.payout where {_WAITING} group by currency order by currency",
        merchant,
    )
    return [ReviewSum(*row) for row in rows]


async def insert_batch(tx: Transaction, new: NewBatch, payouts_max: int, now: datetime) -> None:
    """Write a batch of what waits just now, the oldest first; a rival's stays as it is."""
    await tx.execute(
        "with chosen as (select id, amount_minor from payouts.payout"  # noqa: S608 - a constant
        f"  where {_WAITING} and currency = $2 order by id limit $3),"
        " made as (insert into payouts.batch (id, currency, merchant, payouts, sum_minor, made_at,"
        "   made_by) select $4, $2, $1, count(*), sum(amount_minor), $5, $6 from chosen"
        "  having count(*) > 0 on conflict (id) do nothing returning id)"
        " insert into payouts.batch_payout (batch, payout)"
        "  select made.id, chosen.id from made, chosen",
        new.merchant,
        new.currency,
        payouts_max,
        new.id,
        now,
        new.by[:200],
    )


async def load_batches(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Batch]:
    """Read batches and how far they are."""
    rows = await tx.fetch(
        "select b.*, s.done, s.unchanged from payouts.batch b cross join lateral"
        " (select count(*) filter (where outcome <> '') as done,"
        "   count(*) filter (where outcome not in ('', 'done')) as unchanged"
        "  from payouts.batch_payout l where l.batch = b.id) s where b.id = any($1::uuid[])",
        list(ids),
    )
    return {row["id"]: _batch(row) for row in rows}


async def decide_batch(tx: Transaction, verdict: BatchVerdict, now: datetime) -> bool:
    """Write what a person says of a batch; only the first one counts."""
    count = await tx.execute(
        "update payouts.batch set is_approved = $2, reason = $3, decided_by = $4, decided_at = $5"
        " where id = $1 and decided_at is null",
        verdict.batch,
        verdict.is_approved,
        verdict.reason[:300],
        verdict.by[:200],
        now,
    )
    return count == 1


async def claim_batch(tx: Transaction) -> Row | None:
    """Hold the oldest batch whose decision has not come to all of its payouts."""
    return await tx.fetch_row(
        "select * from payouts.batch where decided_at is not null and not is_ended"
        " order by decided_at limit 1 for no key update skip locked"
    )


async def list_undecided(tx: Transaction, batch: UUID, payouts_max: int) -> list[UUID]:
    """Read payouts of a batch that its decision has not come to."""
    rows = await tx.fetch(
        "select payout from payouts.batch_payout where batch = $1 and outcome = ''"
        " order by payout limit $2",
        batch,
        payouts_max,
    )
    return [row["payout"] for row in rows]


async def write_outcomes(
    tx: Transaction, batch: UUID, outcomes: Sequence[tuple[UUID, str]], *, is_ended: bool
) -> None:
    """Write how deciding payouts of a batch ended."""
    await tx.execute(
        "update payouts.batch_payout l set outcome = v.outcome"
        " from unnest($2::uuid[], $3::text[]) as v (payout, outcome)"
        " where l.batch = $1 and l.payout = v.payout",
        batch,
        [payout for payout, _ in outcomes],
        [outcome for _, outcome in outcomes],
    )
    if is_ended:
        await tx.execute("update payouts.batch set is_ended = true where id = $1", batch)


def _batch(row: Row) -> Batch:
    return Batch(
        row["id"],
        row["currency"],
        row["merchant"],
        row["payouts"],
        row["sum_minor"],
        row["made_at"],
        row["made_by"],
        row["is_approved"],
        row["decided_at"],
        row["decided_by"],
        row["done"],
        row["unchanged"],
    )
