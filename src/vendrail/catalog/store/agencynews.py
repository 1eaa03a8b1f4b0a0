"""All SQL of what suppliers and agents are told of each other."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.kernel.codec import decode
from vendrail.kernel.db import Transaction
from vendrail.kernel.ids import new_id


class Sold(NamedTuple):
    """A listing that its agent sells, and in which currencies its supplier lets it."""

    variant: UUID
    supplier: UUID
    agent: UUID
    prices_minor: dict[str, int]


class News(NamedTuple):
    """What one of the two is to be told."""

    merchant: UUID
    supplier: UUID
    agent: UUID
    step: str
    subject: UUID


class KeptNews(NamedTuple):
    """News as it is told: of whom, of which product, and whether it is still so."""

    id: UUID
    merchant: UUID
    supplier: UUID
    agent: UUID
    step: str
    name: str  # The other side's.
    title: str  # The agent's product; empty: it is about the agency.
    is_so: bool


async def load_sold(
    tx: Transaction,
    variants: Sequence[UUID],
    products: Sequence[UUID],
    listings: Sequence[UUID] = (),
) -> list[Sold]:
    """Read listings that their agents have on sale: of variants, of products, or these."""
    rows = await tx.fetch(
        "select l.variant, l.supplier, l.agent,"
        "  (case when l.is_supplied then l.prices_minor else '{}' end)::text"
        " from (select variant from catalog.listing where source = any($1::uuid[])"
        "  union select o.variant from catalog.variant v"
        "   join catalog.listing o on o.source = v.id where v.product = any($2::uuid[])"
        "  union select unnest($3::uuid[])) o"
        " cross join lateral (select * from catalog.listed where variant = o.variant limit 1) l"
        " join catalog.product p on p.id = l.product where p.state = 'on_sale'",
        list(variants),
        list(products),
        list(listings),
    )
    return [Sold(row[0], row[1], row[2], decode(row[3], dict[str, int])) for row in rows]


async def put_news(tx: Transaction, news: Sequence[News], now: datetime) -> None:
    """Write what is to be told; what is to be told already, once."""
    if not news:
        return
    await tx.execute(
        "insert into catalog.agency_news select * from unnest($1::uuid[], $2::uuid[], $3::uuid[],"
        "  $4::uuid[], $5::text[], $6::uuid[]) on conflict do nothing",
        [new_id(now) for _ in news],
        *(list(column) for column in zip(*news, strict=True)),
    )


async def list_news(tx: Transaction, rows_max: int) -> list[KeptNews]:
    """Read what is to be told, oldest first."""
    rows = await tx.fetch(
        "select n.id, n.merchant, n.supplier, n.agent, n.step, coalesce(o.merchant_name, ''),"
        "  coalesce(p.title, ''), coalesce(case"
        "   when n.step = 'not_supplied' then p.state = 'on_sale' and not l.is_supplied"
        "   when n.step = 'floor_raised' then p.state = 'on_sale'"
        "    and l.prices_minor <> v.prices_minor"
        "   else a.state = n.step end, false)"
        " from catalog.agency_news n"
        " left join lateral (select merchant_name from catalog.shop"
        "  where merchant = case when n.merchant = n.agent then n.supplier else n.agent end"
        "  order by id limit 1) o on true"
        " left join catalog.variant v on v.id = n.subject"
        " left join catalog.product p on p.id = v.product"
        " left join lateral (select * from catalog.listed where variant = n.subject limit 1) l"
        "  on true"
        " left join catalog.agency a on a.supplier = n.supplier and a.agent = n.agent"
        " order by n.id limit $1",
        rows_max,
    )
    return [KeptNews(*row) for row in rows]


async def drop_news(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Forget what was told."""
    await tx.execute("delete from catalog.agency_news where id = any($1::uuid[])", list(ids))
