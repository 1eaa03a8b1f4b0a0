"""What runs low and was told of."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.kernel.db import Transaction


async def load_listening(tx: Transaction, kind: str) -> list[UUID]:
    """Name the merchants of whom an endpoint wants to hear of a kind."""
    rows = await tx.fetch(
        "select distinct merchant from webhooks.endpoint where state = 'enabled'"
        " and (cardinality(kinds) = 0 or $1 = any(kinds)) order by merchant",
        str(kind),
    )
    return [row[0] for row in rows]


async def begin_low(
    tx: Transaction, merchant: UUID, skus: Sequence[str], now: datetime
) -> list[str]:
    """Keep what runs low; give what is new."""
    rows = await tx.fetch(
        "insert into webhooks.low (merchant, sku, since) select $1, s, $3"
        " from unnest($2::text[]) s order by s on conflict do nothing returning sku",
        merchant,
        list(skus),
        now,
    )
    return [row[0] for row in rows]


async def end_low(tx: Transaction, merchant: UUID, near: Sequence[str]) -> None:
    """Forget what has enough again."""
    await tx.execute(
        "delete from webhooks.low where merchant = $1 and sku <> all($2::text[])",
        merchant,
        list(near),
    )
