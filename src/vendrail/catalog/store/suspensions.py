"""All SQL of suspensions."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.catalog import SalesStop, Suspension
from vendrail.kernel.db import Transaction


async def put_suspension(tx: Transaction, stop: SalesStop, now: datetime) -> bool:
    """Write or end a merchant's suspension; true where it was not so before."""
    if not stop.reason:
        count = await tx.execute(
            "delete from catalog.suspension where merchant = $1", stop.merchant
        )
    else:
        count = await tx.execute(
            "insert into catalog.suspension as s values ($1, $2, $3) on conflict (merchant)"
            " do update set reason = excluded.reason where s.reason <> excluded.reason",
            stop.merchant,
            stop.reason,
            now,
        )
    return count > 0


async def load_suspensions(tx: Transaction, merchants: Sequence[UUID]) -> dict[UUID, Suspension]:
    """Read merchants' suspensions."""
    rows = await tx.fetch(
        "select merchant, reason, since from catalog.suspension where merchant = any($1::uuid[])",
        list(merchants),
    )
    return {row["merchant"]: Suspension(*row) for row in rows}


async def list_suspensions(tx: Transaction) -> list[Suspension]:
    """Read all suspensions, the newest first."""
    rows = await tx.fetch(
        "select merchant, reason, since from catalog.suspension order by since desc, merchant"
    )
    return [Suspension(*row) for row in rows]
