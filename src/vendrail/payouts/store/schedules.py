"""Schedules, and the claims of who looks at those that are due."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.api.payouts import PayeeId, PayoutSchedule, ScheduleKind, ScheduleOutcome
from vendrail.kernel.db import Row, Transaction

Key = tuple[UUID, str]  # A merchant and a currency.


class DueSchedule(NamedTuple):
    """A schedule that was claimed, the moment it was due, and the turn of the claim."""

    schedule: PayoutSchedule
    due_at: datetime
    last_on: date | None
    turn: int


class Looked(NamedTuple):
    """What came of one; no outcome: nothing that anybody need know."""

    due: DueSchedule
    due_at: datetime
    last_on: date | None
    outcome: ScheduleOutcome | None
    payout: UUID | None


def schedule_of(row: Row) -> PayoutSchedule:
    """Read a schedule as it was chosen."""
    return PayoutSchedule(
        row["merchant"],
        row["currency"],
        ScheduleKind(row["kind"]),
        PayeeId(row["payee"]) if row["payee"] else None,
        row["zone"],
        row["hour"],
        row["day"],
        row["threshold_minor"],
        row["changed_by"],
    )


async def load_schedules(tx: Transaction, keys: Collection[Key]) -> dict[Key, Row]:
    """Read schedules."""
    rows = await tx.fetch(
        "select * from payouts.schedule where (merchant, currency) in"
        " (select * from unnest($1::uuid[], $2::text[]))",
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    return {(row["merchant"], row["currency"]): row for row in rows}


async def lock_schedule(tx: Transaction, key: Key) -> Row | None:
    """Read a schedule and hold it."""
    return await tx.fetch_row(
        "select * from payouts.schedule where merchant = $1 and currency = $2 for no key update",
        *key,
    )


async def put_schedule(
    tx: Transaction,
    new: PayoutSchedule,
    due_at: datetime | None,
    last_on: date | None,
    now: datetime,
) -> None:
    """Write what was chosen; whoever is at an older one stops."""
    await tx.execute(
        "insert into payouts.schedule as s (merchant, currency, kind, payee, zone, hour, day,"
        " threshold_minor, changed_by, due_at, changed_at, last_on)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
        " on conflict (merchant, currency) do update set kind = $3, payee = $4, zone = $5,"
        " hour = $6, day = $7, threshold_minor = $8, changed_by = $9, due_at = $10,"
        " changed_at = $11, last_on = $12, claimed_until = null, turn = s.turn + 1, outcome = '',"
        " outcome_at = null",
        new.merchant,
        new.currency,
        str(new.kind),
        new.payee,
        new.zone,
        new.hour,
        new.day,
        new.threshold_minor,
        new.by[:200],
        due_at,
        now,
        last_on,
    )


async def claim_due(
    tx: Transaction, now: datetime, lease_until: datetime, rows_max: int
) -> list[DueSchedule]:
    """Claim schedules that are due: of several processes one gets each."""
    rows = await tx.fetch(
        "update payouts.schedule s set claimed_until = $2, turn = s.turn + 1"
        " from (select merchant, currency from payouts.schedule"
        "        where due_at <= $1 and (claimed_until is null or claimed_until <= $1)"
        "        order by due_at limit $3 for no key update skip locked) due"
        " where s.merchant = due.merchant and s.currency = due.currency returning s.*",
        now,
        lease_until,
        rows_max,
    )
    return [
        DueSchedule(schedule_of(row), row["due_at"], row["last_on"], row["turn"]) for row in rows
    ]


async def end_looks(tx: Transaction, looked: Sequence[Looked], now: datetime) -> None:
    """Write what came of claimed ones; who lost a claim meanwhile writes nothing."""
    ordered = sorted(looked, key=lambda each: each.due.schedule.merchant)
    await tx.execute(
        "update payouts.schedule s set due_at = v.due_at, last_on = v.last_on,"
        " claimed_until = null,"
        " outcome = case when v.outcome = '' then s.outcome else v.outcome end,"
        " outcome_at = case when v.outcome = '' then s.outcome_at else $8 end,"
        " payout = coalesce(v.payout, s.payout)"
        " from unnest($1::uuid[], $2::text[], $3::int[], $4::timestamptz[], $5::date[],"
        "  $6::text[], $7::uuid[]) as v (merchant, currency, turn, due_at, last_on, outcome,"
        "   payout)"
        " where s.merchant = v.merchant and s.currency = v.currency and s.turn = v.turn",
        [each.due.schedule.merchant for each in ordered],
        [each.due.schedule.currency for each in ordered],
        [each.due.turn for each in ordered],
        [each.due_at for each in ordered],
        [each.last_on for each in ordered],
        [str(each.outcome or "") for each in ordered],
        [each.payout for each in ordered],
        now,
    )
