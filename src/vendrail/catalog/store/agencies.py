"""All SQL of agencies, floors and listings."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.api.catalog import Product, Variant
from vendrail.api.catalog.agencies import (
    Agency,
    AgencyState,
    FlooredVariant,
    FloorQuery,
    SuppliedVariant,
    SuppliedVariantQuery,
)
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.db import Transaction

_TITLE = "case when v.title in ('', p.title) then p.title else p.title || ' – ' || v.title end"


class Listed(NamedTuple):
    """What stands behind a variant that has no stock of its own."""

    source: UUID
    floor_minor: Mapping[str, int]


class Source(NamedTuple):
    """A variant that may be listed, with its product, its floor and whose it is."""

    product: Product
    variant: Variant
    supplier: UUID
    floor_minor: Mapping[str, int]


async def find_merchants(tx: Transaction, slugs: Sequence[str]) -> dict[str, UUID]:
    """Find merchants by the slugs of their shops."""
    rows = await tx.fetch(
        "select slug, merchant from catalog.shop where slug = any($1::text[])", list(slugs)
    )
    return {row["slug"]: row["merchant"] for row in rows}


async def load_state(tx: Transaction, supplier: UUID, agent: UUID) -> AgencyState | None:
    """Read where an agency stands; None: there never was one."""
    row = await tx.fetch_row(
        "select state from catalog.agency where supplier = $1 and agent = $2", supplier, agent
    )
    return None if row is None else AgencyState(row["state"])


async def put_state(
    tx: Transaction, supplier: UUID, agent: UUID, state: AgencyState, now: datetime
) -> None:
    """Write where an agency stands."""
    await tx.execute(
        "insert into catalog.agency values ($1, $2, $3, $4) on conflict (supplier, agent)"
        " do update set state = excluded.state, changed_at = excluded.changed_at",
        supplier,
        agent,
        state.value,
        now,
    )


async def list_agencies(tx: Transaction, merchants: Sequence[UUID]) -> list[Agency]:
    """Read merchants' agencies, on either side, with their first shops' names."""
    rows = await tx.fetch(
        "select a.supplier, a.agent, a.state, a.changed_at, coalesce(s.merchant_name, ''),"
        "  coalesce(s.slug, ''), coalesce(g.merchant_name, ''), coalesce(g.slug, '')"
        " from catalog.agency a"
        " left join lateral (select merchant_name, slug from catalog.shop"
        "  where merchant = a.supplier order by id limit 1) s on true"
        " left join lateral (select merchant_name, slug from catalog.shop"
        "  where merchant = a.agent order by id limit 1) g on true"
        " where a.supplier = any($1::uuid[]) or a.agent = any($1::uuid[])"
        " order by a.changed_at desc, a.supplier, a.agent",
        list(merchants),
    )
    return [Agency(row[0], row[1], AgencyState(row[2]), *row[3:]) for row in rows]


async def load_floored(tx: Transaction, variant: UUID) -> tuple[UUID, str, bool, str] | None:
    """Read of a variant whose it is, how it is delivered, whether it is listed, and its floor."""
    row = await tx.fetch_row(
        "select s.merchant, p.delivery,"
        "  exists (select from catalog.listing l where l.variant = v.id),"
        "  coalesce(f.prices_minor, '{}')::text"
        " from catalog.variant v join catalog.product p on p.id = v.product"
        " join catalog.shop s on s.id = p.shop left join catalog.floor f on f.variant = v.id"
        " where v.id = $1",
        variant,
    )
    return None if row is None else (row[0], row[1], row[2], row[3])


async def put_floor(tx: Transaction, variant: UUID, prices_minor: Mapping[str, int]) -> None:
    """Write a floor, or take it away."""
    if not prices_minor:
        await tx.execute("delete from catalog.floor where variant = $1", variant)
        return
    await tx.execute(
        "insert into catalog.floor values ($1, $2::text::jsonb) on conflict (variant)"
        " do update set prices_minor = excluded.prices_minor",
        variant,
        encode(dict(prices_minor)).decode(),
    )


async def list_floors(tx: Transaction, query: FloorQuery) -> list[FlooredVariant]:
    """Read a page of a supplier's variants of unique keys, the newest products first."""
    rows = await tx.fetch(
        "select jsonb_build_object('variant', v.id, 'sku', v.sku, 'title', "  # noqa: S608
        f" {_TITLE}, 'prices_minor', v.prices_minor,"
        "  'floor_minor', coalesce(f.prices_minor, '{}'), 'listings', (select count(*)"
        "   from catalog.listing l join catalog.variant lv on lv.id = l.variant"
        "   where l.source = v.id and not lv.is_withdrawn))::text"
        " from catalog.shop s join catalog.product p on p.shop = s.id"
        " join catalog.variant v on v.product = p.id left join catalog.floor f on f.variant = v.id"
        " where s.merchant = $1 and p.delivery = 'unique_key' and p.state <> 'removed'"
        "  and not v.is_withdrawn"
        "  and not exists (select from catalog.listing l where l.variant = v.id)"
        "  and ($2::uuid is null or v.id = $2)"
        "  and ($3::boolean is null or (f.variant is not null) = $3)"
        f"  and not exists (select from unnest(string_to_array($4, ' ')) as w (word)"
        f"   where strpos(lower({_TITLE} || ' ' || v.sku), w.word) = 0)"
        # Where the last one stands, though it may not be shown any more.
        "  and ($5::uuid is null or exists (select from catalog.variant lv"
        "   join catalog.product lp on lp.id = lv.product join catalog.shop ls on ls.id = lp.shop"
        "   where lv.id = $5 and ls.merchant = $1 and (p.id < lp.id"
        "    or p.id = lp.id and (v.position, v.id) > (lv.position, lv.id))))"
        " order by p.id desc, v.position, v.id limit $6",
        query.supplier,
        query.variant,
        query.has_floor,
        _words(query.words),
        query.before,
        query.floors_max,
    )
    return [decode(row[0], FlooredVariant) for row in rows]


async def list_supplied(tx: Transaction, query: SuppliedVariantQuery) -> list[SuppliedVariant]:
    """Read a page of what an agent may list, and of what it lists though nobody supplies it now."""
    rows = await tx.fetch(
        "with chosen as materialized ("  # noqa: S608
        "  select v.id, a.state, f.prices_minor as floor_minor, s.merchant, s.merchant_name,"
        f"   p.title as product_title, p.category, {_TITLE} as title, v.sku, v.prices_minor,"
        "   v.position from catalog.agency a join catalog.shop s on s.merchant = a.supplier"
        "  join catalog.product p on p.shop = s.id join catalog.variant v on v.product = p.id"
        "  left join catalog.floor f on f.variant = v.id"
        "  cross join lateral (select exists (select from catalog.listing l"
        "    join catalog.variant own on own.id = l.variant"
        "    join catalog.product op on op.id = own.product"
        "    where l.source = v.id and l.agent = $1 and op.state <> 'removed') as is_listed) o"
        "  where a.agent = $1 and (o.is_listed or (a.state = 'accepted'"
        "    and f.variant is not null and p.state = 'on_sale' and not p.is_blocked and s.is_open"
        "    and not v.is_withdrawn and p.delivery = 'unique_key'"
        "    and s.merchant not in (select merchant from catalog.suspension)))"
        "   and ($2::uuid is null or v.id = $2) and ($3::boolean is null or o.is_listed = $3)"
        f"  and not exists (select from unnest(string_to_array($4, ' ')) as w (word) where strpos("
        f"    lower({_TITLE} || ' ' || v.sku || ' ' || s.merchant_name), w.word) = 0)"
        "   and ($5::uuid is null or (s.merchant_name, p.title, v.position, v.id)"
        "    > (select ls.merchant_name, lp.title, lv.position, lv.id from catalog.variant lv"
        "     join catalog.product lp on lp.id = lv.product join catalog.shop ls on ls.id = lp.shop"
        "     join catalog.agency la on la.supplier = ls.merchant and la.agent = $1"
        "     where lv.id = $5))"
        "  order by s.merchant_name, p.title, v.position, v.id limit $6)"
        " select jsonb_build_object('source', v.id, 'sku', v.sku, 'title', v.title,"
        "  'supplier', v.merchant, 'supplier_name', v.merchant_name,"
        "  'floor_minor', case when v.state = 'accepted'"
        "   then coalesce(v.floor_minor, '{}') else '{}' end,"
        "  'prices_minor', v.prices_minor, 'free', t.free, 'category', v.category,"
        "  'listing', o.variant, 'product', o.product,"
        "  'listed_minor', coalesce(o.prices_minor, '{}'),"
        "  'sold_minor', coalesce(o.sold_minor, '{}'),"
        "  'is_paused', coalesce(o.state <> 'on_sale', false),"
        "  'is_on_sale', coalesce(o.is_on_sale, false))::text"
        " from chosen v join catalog.stock t on t.variant = v.id"
        " left join lateral (select l.variant, own.product, own.prices_minor, op.state,"
        "   l.prices_minor as sold_minor,"
        "   l.is_supplied and op.state = 'on_sale' and not op.is_blocked and os.is_open"
        "    and os.merchant not in (select merchant from catalog.suspension) as is_on_sale"
        "  from catalog.listed l join catalog.variant own on own.id = l.variant"
        "  join catalog.product op on op.id = own.product join catalog.shop os on os.id = op.shop"
        "  where l.source = v.id and l.agent = $1 and op.state <> 'removed'"
        "  order by l.variant limit 1) o on true"
        " order by v.merchant_name, v.product_title, v.position, v.id",
        query.agent,
        query.source,
        query.is_listed,
        _words(query.words),
        query.after,
        query.variants_max,
    )
    return [decode(row[0], SuppliedVariant) for row in rows]


async def load_source(tx: Transaction, agent: UUID, source: UUID) -> Source | None:
    """Read what an agent may list now; None: it may not."""
    row = await tx.fetch_row(
        "select d.document::text, s.merchant, f.prices_minor::text"
        " from catalog.variant v join catalog.product p on p.id = v.product"
        " join catalog.product_document d on d.id = p.id join catalog.shop s on s.id = p.shop"
        " join catalog.floor f on f.variant = v.id"
        " join catalog.agency a on a.supplier = s.merchant and a.agent = $1"
        " where v.id = $2 and a.state = 'accepted' and p.state = 'on_sale' and not p.is_blocked"
        "  and s.is_open and not v.is_withdrawn and p.delivery = 'unique_key'"
        "  and s.merchant not in (select merchant from catalog.suspension)"
        "  and not exists (select from catalog.listing l where l.variant = v.id)",
        agent,
        source,
    )
    if row is None:
        return None
    product = decode(row[0], Product)
    variant = next(each for each in product.variants if each.id == source)
    return Source(product, variant, row[1], decode(row[2], dict[str, int]))


async def put_listing(
    tx: Transaction, variant: UUID, source: UUID, supplier: UUID, agent: UUID
) -> None:
    """Write that a variant has no stock of its own, and whose keys it sells; that never changes."""
    await tx.execute(
        "insert into catalog.listing values ($1, $2, $3, $4) on conflict (variant) do nothing",
        variant,
        source,
        supplier,
        agent,
    )


async def load_listed(
    tx: Transaction, variants: Sequence[UUID], products: Sequence[UUID]
) -> dict[UUID, Listed]:
    """Read which variants, of these or of these products, are others' to supply."""
    rows = await tx.fetch(
        "select l.variant, l.source, coalesce(f.prices_minor, '{}')::text"
        " from catalog.listing l left join catalog.floor f on f.variant = l.source"
        " where l.variant = any($1::uuid[]) or l.variant in"
        "  (select id from catalog.variant where product = any($2::uuid[]))",
        list(variants),
        list(products),
    )
    return {row[0]: Listed(row[1], decode(row[2], dict[str, int])) for row in rows}


def _words(text: str) -> str | None:
    return " ".join(text.lower().split()) or None
