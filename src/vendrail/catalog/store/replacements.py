"""All SQL of replacements: which key took the place of which, in whose delivery."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.catalog.decide import Swap
from vendrail.catalog.store.arrays import columns
from vendrail.kernel.db import Row, Transaction

_READ = (
    "select id, position, allocation, slot, old_key, new_key, reason, at from catalog.replacement"
)


async def read_replacements(tx: Transaction, id: UUID) -> list[Swap]:
    """Read what a request has replaced."""
    rows = await tx.fetch(_READ + " where id = $1 order by position", id)
    return [Swap(*row) for row in rows]


async def read_replacements_of(
    tx: Transaction, allocations: Sequence[UUID]
) -> dict[UUID, list[Swap]]:
    """Read what has been replaced of allocations, first to last."""
    rows = await tx.fetch(
        _READ + " where allocation = any($1::uuid[]) order by at, id, position",
        allocations,
    )
    found: dict[UUID, list[Swap]] = {}
    for row in rows:
        found.setdefault(row["allocation"], []).append(Swap(*row))
    return found


async def insert_replacements(tx: Transaction, rows: Sequence[Swap]) -> None:
    """Write which keys took the place of which."""
    await tx.execute(
        "insert into catalog.replacement"
        " (id, position, allocation, slot, old_key, new_key, reason, at)"
        " select * from unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::smallint[],"
        "  $5::uuid[], $6::uuid[], $7::text[], $8::timestamptz[])",
        *columns(rows, 8),
    )


async def void_keys(tx: Transaction, keys: Sequence[UUID]) -> int:
    """Mark sold keys void; give how many were sold."""
    return await tx.execute(
        "update catalog.allocation set state = 'void' where key = any($1::uuid[])"
        " and state = 'sold'",
        keys,
    )


async def forget_refused(tx: Transaction, id: UUID) -> None:
    """Take an outcome away that gave nothing: asked again, there may be stock."""
    await tx.execute("delete from catalog.allocation where id = $1 and key is null", id)


async def read_sealed_keys(tx: Transaction, keys: Sequence[tuple[UUID, UUID]]) -> dict[UUID, Row]:
    """Read keys (variant, key), sealed."""
    rows = await tx.fetch(
        "select k.id, k.sealed, k.data_key from unnest($1::uuid[], $2::uuid[]) as w (variant, key)"
        " cross join lateral ("
        "  select id, sealed, data_key from catalog.key"
        "  where variant = w.variant and id = w.key offset 0) k",
        *columns(keys, 2),
    )
    return {row["id"]: row for row in rows}
