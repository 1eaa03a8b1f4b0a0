"""All SQL of keys that warranties replace without asking."""

from datetime import datetime, timedelta
from uuid import UUID

from vendrail.kernel.db import Row, Transaction
from vendrail.support.decide import Claim, Claimed

_LATELY = timedelta(days=30)


async def lock_buyer(tx: Transaction, merchant: UUID, buyer: bytes) -> None:
    """Let one claim of a buyer at a merchant through at a time: several orders share a limit."""
    await tx.execute(
        "select pg_advisory_xact_lock(hashtextextended('support.claim' || $1::text || $2, 0))",
        str(merchant),
        buyer.hex(),
    )


async def sum_before(
    tx: Transaction, order: UUID, merchant: UUID, buyer: bytes, now: datetime
) -> Claimed:
    """Sum the keys that were replaced without asking before: of an order, of a buyer lately."""
    row = await tx.fetch_row(
        'select (select coalesce(sum(keys), 0)::bigint from support.claim where "order" = $1'
        "  and missed_at is null),"
        " (select coalesce(sum(keys), 0)::bigint from support.claim where merchant = $2"
        "  and buyer = $3 and at > $4 and missed_at is null)",
        order,
        merchant,
        buyer,
        now - _LATELY,
    )
    assert row is not None  # Sums are always there.
    return Claimed(*row)


async def add(
    tx: Transaction,
    complaint: UUID,
    claim: Claim,
    whose: tuple[UUID, UUID, bytes],
    now: datetime,
) -> None:
    """Write a claim down; `whose` is its order, merchant and buyer."""
    order, merchant, buyer = whose
    await tx.execute(
        'insert into support.claim (complaint, "order", merchant, buyer, keys, keys_max,'
        " refund_minor, at) values ($1, $2, $3, $4, $5, $6, $7, $8)",
        complaint,
        order,
        merchant,
        buyer,
        claim.keys,
        claim.keys_max,
        claim.refund_minor,
        now,
    )


async def miss(tx: Transaction, complaint: UUID, now: datetime) -> Row:
    """Write that no key was there for a claim; give it."""
    row = await tx.fetch_row(
        "update support.claim set missed_at = $2 where complaint = $1 returning refund_minor",
        complaint,
        now,
    )
    assert row is not None  # Only what was claimed is carried out for a warranty.
    return row
