"""Remittances as they are kept."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.payouts import Remittance, RemittanceQuery, RemittanceTarget, RemittanceView
from vendrail.kernel.db import Row, Transaction
from vendrail.kernel.ids import named_id


def remittance_id(channel_name: str, number: str) -> UUID:
    """Give the id of a provider's number, always the same."""
    return named_id(f"remittance/{channel_name}/{number}")


def view_of(row: Row) -> RemittanceView:
    """Read one as it was written."""
    return RemittanceView(
        row["place"],
        Remittance(
            row["channel_name"],
            row["number"],
            row["currency"],
            row["gross_minor"],
            row["fee_minor"],
            RemittanceTarget(row["target"]),
            row["paid_on"],
            row["by"],
            row["reason"],
        ),
        row["at"],
        row["booked_at"] is not None,
    )


async def load_remittances(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, RemittanceView]:
    """Read remittances."""
    rows = await tx.fetch("select * from payouts.remittance where id = any($1::uuid[])", list(ids))
    return {row["id"]: view_of(row) for row in rows}


async def take_turns(tx: Transaction, channel_name: str, currency: str) -> None:
    """Be the only one who writes remittances of a channel's currency, until the commit."""
    await tx.execute(
        "select pg_advisory_xact_lock(hashtextextended($1, 0))",
        f"remittance:{channel_name}:{currency}",
    )


async def newest_place(tx: Transaction, channel_name: str, currency: str) -> int:
    """Give the place of what was written last of a channel's currency; 0: nothing."""
    place = await tx.fetch_value(
        "select place from payouts.remittance where channel_name = $1 and currency = $2"
        " order by place desc limit 1",
        channel_name,
        currency,
    )
    return int(place or 0)


async def list_unbooked_of(
    tx: Transaction, channel_name: str, currency: str
) -> list[RemittanceView]:
    """Read what the books do not have yet of a channel's currency."""
    rows = await tx.fetch(
        "select * from payouts.remittance where booked_at is null and channel_name = $1"
        " and currency = $2 order by at",
        channel_name,
        currency,
    )
    return [view_of(row) for row in rows]


async def insert_remittance(tx: Transaction, id: UUID, new: Remittance, now: datetime) -> None:
    """Write a remittance before it is posted; a rival's stays as it is."""
    await tx.execute(
        "insert into payouts.remittance (id, channel_name, number, currency, gross_minor,"
        " fee_minor, target, paid_on, reason, by, at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) on conflict do nothing",
        id,
        new.channel_name,
        new.number,
        new.currency,
        new.gross_minor,
        new.fee_minor,
        str(new.target),
        new.paid_on,
        new.reason[:300],
        new.by,
        now,
    )


async def note_booked(tx: Transaction, id: UUID, now: datetime) -> None:
    """Note that the books have followed."""
    await tx.execute(
        "update payouts.remittance set booked_at = $2 where id = $1 and booked_at is null", id, now
    )


async def list_unbooked(tx: Transaction, until: datetime, rows_max: int) -> list[RemittanceView]:
    """Read what was written and whose booking broke off, oldest first."""
    rows = await tx.fetch(
        "select * from payouts.remittance where booked_at is null and at <= $1"
        " order by at limit $2",
        until,
        rows_max,
    )
    return [view_of(row) for row in rows]


async def list_remittances(tx: Transaction, query: RemittanceQuery) -> list[RemittanceView]:
    """Read a page, the newest first, by an index."""
    rows = await tx.fetch(
        "select * from payouts.remittance where $1::bigint is null or place < $1"
        " order by place desc limit $2",
        query.before,
        min(query.remittances_max, 500),
    )
    return [view_of(row) for row in rows]
