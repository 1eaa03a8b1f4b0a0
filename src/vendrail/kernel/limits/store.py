"""All SQL of the shared limits: borrow blocks of many keys at once, forget what is over."""

from collections.abc import Sequence
from datetime import datetime

from vendrail.kernel.db import Transaction


async def borrow(
    tx: Transaction, ends: Sequence[datetime], hashes: Sequence[bytes], blocks_max: int
) -> dict[tuple[datetime, bytes], int]:
    """Take one block for each key that has one left; give each block's number, from 1."""
    rows = await tx.fetch(
        "insert into limits.taken as t (ends_at, limit_hash, blocks)"
        " select w.ends_at, w.limit_hash, 1"
        " from unnest($1::timestamptz[], $2::bytea[]) as w (ends_at, limit_hash) order by 1, 2"
        " on conflict (ends_at, limit_hash) do update set blocks = t.blocks + 1"
        " where t.blocks < $3 returning t.ends_at, t.limit_hash, t.blocks",
        ends,
        hashes,
        blocks_max,
    )
    return {(row["ends_at"], row["limit_hash"]): row["blocks"] for row in rows}


async def forget(tx: Transaction, now: datetime) -> int:
    """Delete the windows that are over."""
    return await tx.execute("delete from limits.taken where ends_at < $1", now)
