"""One-time codes of guests who look for their orders, in SQL."""

from collections.abc import Sequence
from datetime import datetime

from vendrail.kernel.db import Row, Transaction


async def put_lookup_codes(
    tx: Transaction, codes: Sequence[tuple[bytes, bytes]], now: datetime
) -> None:
    """Keep one code for each contact; a newer one takes its place."""
    await tx.execute(
        "insert into orders.lookup_code (contact_hash, code_hash, made_at)"
        " select c, h, $3 from unnest($1::bytea[], $2::bytea[]) as u (c, h)"
        " on conflict (contact_hash) do update"
        "  set code_hash = excluded.code_hash, made_at = excluded.made_at, tries = 0",
        *zip(*codes, strict=True),
        now,
    )


async def try_lookup_code(tx: Transaction, contact_hash: bytes) -> Row | None:
    """Count a try and give the code it is compared with."""
    return await tx.fetch_row(
        "update orders.lookup_code set tries = tries + 1 where contact_hash = $1 returning *",
        contact_hash,
    )


async def drop_lookup_code(tx: Transaction, contact_hash: bytes) -> None:
    """A code is good once."""
    await tx.execute("delete from orders.lookup_code where contact_hash = $1", contact_hash)
