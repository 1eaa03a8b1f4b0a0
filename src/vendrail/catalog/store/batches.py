"""All SQL of batches: what came in together, where it is now, and how it is withdrawn."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.kernel.db import Row, Transaction

_ORDERS_MAX = 1_000


async def add_to_batch(
    tx: Transaction, variant: UUID, batch: UUID, added: int, keys: tuple[UUID, UUID], now: datetime
) -> None:
    """Write down that so many keys came in with a batch, and between which ids they lie."""
    await tx.execute(
        "insert into catalog.batch as b (variant, id, taken_at, added, first_key, last_key)"
        " values ($1, $2, $3, $4, $5, $6)"
        " on conflict (variant, id) do update set added = b.added + excluded.added,"
        "  first_key = least(b.first_key, excluded.first_key),"
        "  last_key = greatest(b.last_key, excluded.last_key)",
        variant,
        batch,
        now,
        added,
        *keys,
    )


async def read_batches(
    tx: Transaction, variant: UUID, before: UUID | None, rows_max: int
) -> list[Row]:
    """Read a variant's batches, newest first, with where their keys are now."""
    return await tx.fetch(
        "select b.id, b.taken_at, b.added, c.* from ("
        "  select * from catalog.batch where variant = $1 and ($2::uuid is null or id < $2)"
        "  order by id desc limit $3) b"
        " cross join lateral ("
        "  select count(f.key) as unsold,"
        "   count(*) filter (where a.state = 'allocated') as allocated,"
        "   count(*) filter (where a.state = 'sold') as sold,"
        "   count(*) filter (where a.state = 'void') as void"
        "  from catalog.key k"
        "  left join catalog.free_key f on f.variant = k.variant and f.key = k.id"
        "  left join catalog.allocation a on a.key = k.id"
        "  where k.variant = $1 and k.id between b.first_key and b.last_key and k.batch = b.id"
        " ) c order by b.id desc",
        variant,
        before,
        rows_max,
    )


async def find_batch(tx: Transaction, variant: UUID, batch: UUID) -> Row | None:
    """Find between which ids the keys of a batch lie."""
    return await tx.fetch_row(
        "select first_key, last_key from catalog.batch where variant = $1 and id = $2",
        variant,
        batch,
    )


async def withdraw_keys(
    tx: Transaction, variant: UUID, batch: UUID | None, between: tuple[UUID, UUID], keys_max: int
) -> int:
    """Move keys from the pool to void, passing by those being picked; give how many.

    A voided key has an outcome of its own, under its own id: it can never be picked again.
    """
    voided: int = await tx.fetch_value(
        "with picked as ("
        "  delete from catalog.free_key where ctid = any(array("
        "   select f.ctid from catalog.free_key f"
        "   where f.variant = $1 and f.key between $3 and $4 and ($2::uuid is null or exists ("
        "    select from catalog.key k where k.variant = $1 and k.id = f.key and k.batch = $2))"
        "   order by f.key limit $5 for update skip locked))"
        "  returning key),"
        " written as ("
        "  insert into catalog.allocation (id, variant, key, quantity, position, state)"
        "  select key, $1, key, 1, 0, 'void' from picked returning key)"
        " select count(*) from written",
        variant,
        batch,
        *between,
        keys_max,
    )
    return voided


async def count_unsold(
    tx: Transaction, variant: UUID, batch: UUID | None, between: tuple[UUID, UUID]
) -> int:
    """Count the keys that are still in the pool."""
    count: int = await tx.fetch_value(
        "select count(*) from catalog.free_key f"
        " where f.variant = $1 and f.key between $3 and $4 and ($2::uuid is null or exists ("
        "  select from catalog.key k where k.variant = $1 and k.id = f.key and k.batch = $2))",
        variant,
        batch,
        *between,
    )
    return count


async def read_orders_of(
    tx: Transaction, variant: UUID, batch: UUID, between: tuple[UUID, UUID]
) -> Sequence[UUID]:
    """Name the orders that have keys of a batch, the newest first."""
    rows = await tx.fetch(
        'select distinct a."order" from catalog.key k'
        " join catalog.allocation a on a.key = k.id"
        " where k.variant = $1 and k.id between $3 and $4 and k.batch = $2"
        "  and a.state in ('allocated', 'sold') and a.\"order\" is not null"
        ' order by a."order" desc limit $5',
        variant,
        batch,
        *between,
        _ORDERS_MAX,
    )
    return [row["order"] for row in rows]
