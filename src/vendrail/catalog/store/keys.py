"""All SQL of the keys at rest: taken in, sealed, read back."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from vendrail.catalog.store.arrays import columns
from vendrail.kernel.db import Row, Transaction

SealedRow = Row  # A row with `sealed` and `data_key` in it.


async def insert_keys(
    tx: Transaction,
    variant: UUID,
    product: UUID,
    batch: UUID,
    data_key: UUID,
    keys: Sequence[tuple[str, int, UUID, bytes]],
) -> list[tuple[int, UUID]]:
    """Take in keys (fingerprint, line, id, sealed); give (line, fingerprint) of those known."""
    rows = await tx.fetch(
        "with given as materialized ("
        "  select * from unnest($5::uuid[], $6::int[], $7::uuid[], $8::bytea[])"
        "   as k (fingerprint, line, id, sealed)),"
        " taken as ("
        "  insert into catalog.key"
        "   (variant, id, product, fingerprint, batch, line, data_key, sealed)"
        "  select $1, id, $2, fingerprint, $3, line, $4, sealed from given"
        "  on conflict do nothing returning id),"
        " pooled as (insert into catalog.free_key select $1, id from taken)"
        " select line, fingerprint from given where id not in (select id from taken)",
        variant,
        product,
        batch,
        data_key,
        *columns(keys, 4),
    )
    return [(row["line"], row["fingerprint"]) for row in rows]


async def read_lines_of(
    tx: Transaction, product: UUID, batch: UUID, fingerprints: Sequence[UUID]
) -> set[tuple[int, UUID]]:
    """Tell which (line, fingerprint) of an intake the product has from that very intake."""
    rows = await tx.fetch(
        "select fingerprint, line from catalog.key"
        " where product = $1 and fingerprint = any($3::uuid[]) and batch = $2",
        product,
        batch,
        fingerprints,
    )
    return {(row["line"], row["fingerprint"]) for row in rows}


async def analyze_keys(tx: Transaction) -> None:
    """Tell the planner that much came in."""
    await tx.execute("analyze catalog.free_key")


async def read_delivery_rows(tx: Transaction, ids: Sequence[UUID]) -> list[Row]:
    """Read the sealed keys or content of allocations, in delivery order."""
    return await tx.fetch(
        'select a.id, a."order", a.variant, a.key, a.quantity, a.state,'
        " coalesce(k.sealed, c.sealed) as sealed, coalesce(k.data_key, c.data_key) as data_key,"
        " exists (select from catalog.replacement r where r.allocation = a.id) as is_replaced"
        " from (select distinct id from unnest($1::uuid[]) as o (id)) o"
        " cross join lateral ("
        "  select * from catalog.allocation where id = o.id"
        "   and state in ('allocated', 'sold', 'void') offset 0) a"
        " left join lateral ("
        "  select sealed, data_key from catalog.key"
        "  where variant = a.variant and id = a.key offset 0) k on true"
        " left join catalog.content c on c.variant = a.variant and a.key is null"
        " order by a.id, a.position",
        ids,
    )


async def read_free_keys(
    tx: Transaction, variant: UUID, after: UUID | None, keys_max: int
) -> list[Row]:
    """Read a page of free keys, sealed."""
    return await tx.fetch(
        "select k.* from ("
        "  select key from catalog.free_key where variant = $1 and key > $2"
        "  order by key limit $3) f"
        " cross join lateral ("
        "  select id, sealed, data_key from catalog.key"
        "  where variant = $1 and id = f.key offset 0) k"
        " order by k.id",
        variant,
        after or UUID(int=0),
        keys_max,
    )


async def read_taken_keys(
    tx: Transaction, variant: UUID, state: str, after: UUID | None, keys_max: int
) -> list[Row]:
    """Read a page of keys that are allocated, sold or void, sealed."""
    return await tx.fetch(
        "select k.id, k.sealed, k.data_key from catalog.key k"
        " cross join lateral ("
        "  select from catalog.allocation where key = k.id and state = $4 offset 0) a"
        " where k.variant = $1 and k.id > $2 order by k.id limit $3",
        variant,
        after or UUID(int=0),
        keys_max,
        state,
    )


async def put_contents(
    tx: Transaction, data_key: UUID, contents: Sequence[tuple[UUID, bytes]]
) -> None:
    """Keep what variants without end deliver, sealed."""
    await tx.execute(
        "insert into catalog.content (variant, data_key, sealed)"
        " select c.variant, $1, c.sealed"
        " from unnest($2::uuid[], $3::bytea[]) as c (variant, sealed)"
        " on conflict (variant) do update"
        " set data_key = excluded.data_key, sealed = excluded.sealed",
        data_key,
        *columns(contents, 2),
    )


async def read_contents(tx: Transaction, variants: Sequence[UUID]) -> list[Row]:
    """Read sealed contents."""
    return await tx.fetch(
        "select variant, data_key, sealed from catalog.content where variant = any($1::uuid[])",
        variants,
    )


class VariantRow(NamedTuple):
    """A variant, found by its SKU."""

    id: UUID
    product: UUID
    delivery: str


async def read_variants(tx: Transaction, skus: Sequence[str]) -> dict[str, VariantRow]:
    """Find variants by SKU, but those whose keys another merchant supplies."""
    rows = await tx.fetch(
        "select v.sku, v.id, p.id, p.delivery from catalog.variant v"
        " join catalog.product p on p.id = v.product"
        " where v.sku = any($1::text[]) and not v.is_withdrawn"
        "  and not exists (select from catalog.listing l where l.variant = v.id)",
        skus,
    )
    return {sku: VariantRow(*rest) for sku, *rest in rows}
