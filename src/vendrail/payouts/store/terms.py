"""Terms, suspensions, and changes of reserves."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.payouts import PayoutTerms, ReserveChange, ScheduleKind
from vendrail.kernel.db import Row, Transaction


async def load_terms(tx: Transaction, currencies: Collection[str]) -> dict[str, PayoutTerms]:
    """Read the terms that were written."""
    rows = await tx.fetch(
        "select currency, amount_minor_min, fee_minor, review_above_minor, kinds, look_minutes"
        " from payouts.terms where currency = any($1::text[])",
        list(currencies),
    )
    return {
        row["currency"]: PayoutTerms(
            row["currency"],
            row["amount_minor_min"],
            row["fee_minor"],
            row["review_above_minor"],
            [ScheduleKind(each) for each in row["kinds"]],
            row["look_minutes"],
        )
        for row in rows
    }


async def put_terms(tx: Transaction, terms: PayoutTerms) -> None:
    """Write one currency's terms."""
    await tx.execute(
        "insert into payouts.terms (currency, amount_minor_min, fee_minor, review_above_minor,"
        " kinds, look_minutes) values ($1, $2, $3, $4, $5, $6) on conflict (currency) do update"
        " set amount_minor_min = $2, fee_minor = $3, review_above_minor = $4, kinds = $5,"
        " look_minutes = $6",
        terms.currency,
        terms.amount_minor_min,
        terms.fee_minor,
        terms.review_above_minor,
        [str(each) for each in terms.kinds],
        terms.look_minutes,
    )


async def load_suspensions(tx: Transaction, merchants: Collection[UUID]) -> dict[UUID, str]:
    """Read why merchants' payouts are stopped."""
    rows = await tx.fetch(
        "select merchant, reason from payouts.suspension where merchant = any($1::uuid[])",
        list(merchants),
    )
    return {row["merchant"]: row["reason"] for row in rows}


async def put_suspension(tx: Transaction, merchant: UUID, reason: str, now: datetime) -> bool:
    """Stop a merchant's payouts, or let them go on."""
    if not reason:
        count = await tx.execute("delete from payouts.suspension where merchant = $1", merchant)
    else:
        count = await tx.execute(
            "insert into payouts.suspension as s values ($1, $2, $3) on conflict (merchant)"
            " do update set reason = $2, at = $3 where s.reason <> $2",
            merchant,
            reason[:300],
            now,
        )
    return count == 1


async def load_reserve_changes(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Read changes of reserves."""
    rows = await tx.fetch(
        "select * from payouts.reserve_change where id = any($1::uuid[])", list(ids)
    )
    return {row["id"]: row for row in rows}


async def insert_reserve_change(tx: Transaction, change: ReserveChange, now: datetime) -> None:
    """Write a change of a reserve before it is posted."""
    await tx.execute(
        "insert into payouts.reserve_change (id, channel_name, currency, amount_minor, source,"
        " reason, by, at) values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (id) do nothing",
        change.id,
        change.channel_name,
        change.currency,
        change.amount_minor,
        str(change.source),
        change.reason[:300],
        change.by,
        now,
    )


async def sum_waiting(tx: Transaction) -> dict[tuple[str, str], int]:
    """Sum what waits for each reserve."""
    rows = await tx.fetch(
        "select channel_name, currency, sum(amount_minor) as minor from payouts.payout"
        " where state in ('review', 'ready') group by channel_name, currency"
    )
    return {(row["channel_name"], row["currency"]): int(row["minor"]) for row in rows}
