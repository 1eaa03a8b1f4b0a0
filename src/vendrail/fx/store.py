"""All SQL of foreign exchange."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.fx import Quote, Rate
from vendrail.fx.sheets import Sheet
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.db import Row, Transaction


async def claim_sources(
    tx: Transaction, names: Sequence[str], now: datetime, before: datetime, failed_before: datetime
) -> list[str]:
    """Claim sources that were not tried since: of several processes one gets each."""
    rows = await tx.fetch(
        "insert into fx.source as s (name, tried_at)"
        " select name, $2::timestamptz from unnest($1::text[]) as n (name) order by name"
        " on conflict (name) do update set tried_at = excluded.tried_at"
        "  where s.tried_at <= case when s.problem = '' then $3::timestamptz"
        "   else $4::timestamptz end"
        " returning name",
        list(names),
        now,
        before,
        failed_before,
    )
    return [row["name"] for row in rows]


async def put_sheet(tx: Transaction, sheet: Sheet, now: datetime) -> bool:
    """Keep the newest sheet of a source; false: a newer one is there, and stays."""
    count = await tx.execute(
        "update fx.source set sheet = $2, rated_at = $3, fetched_at = $4, problem = ''"
        " where name = $1 and (rated_at is null or rated_at <= $3)",
        sheet.source,
        encode(sheet),
        sheet.rated_at,
        now,
    )
    return count == 1


async def put_problem(tx: Transaction, name: str, problem: str) -> None:
    """Note why a source could not be read; its last sheet stays, and grows old."""
    await tx.execute("update fx.source set problem = $2 where name = $1", name, problem[:300])


async def load_sources(tx: Transaction, names: Sequence[str]) -> dict[str, Row]:
    """Read what is known of sources."""
    rows = await tx.fetch("select * from fx.source where name = any($1::text[])", list(names))
    return {row["name"]: row for row in rows}


def sheet_of(row: Row) -> Sheet | None:
    """Read the sheet of a source; None: it was never read."""
    return decode(row["sheet"], Sheet) if row["sheet"] is not None else None


async def add_quotes(tx: Transaction, quotes: Sequence[Quote]) -> None:
    """Write new quotes; what a rival has written under an id stays."""
    ordered = sorted(quotes, key=lambda quote: quote.id)
    await tx.execute(
        "insert into fx.quote (id, amount_minor, currency, paid_minor, paid_currency,"
        " spread_minor, mid, basis_points, rated_at, sources, made_at, expires_at)"
        " select id, amount, currency, paid, paid_currency, spread, mid, points, rated_at,"
        "  string_to_array(sources, ','), made_at, expires_at from unnest($1::uuid[], $2::bigint[],"
        "  $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::numeric[], $8::int[],"
        "  $9::timestamptz[], $10::text[], $11::timestamptz[], $12::timestamptz[])"
        "  as n (id, amount, currency, paid, paid_currency, spread, mid, points, rated_at,"
        "   sources, made_at, expires_at)"
        " on conflict (id) do nothing",
        *zip(*(_values(quote) for quote in ordered), strict=True),
    )


def _values(quote: Quote) -> tuple[object, ...]:
    rate = quote.rate
    return (
        quote.id,
        quote.amount_minor,
        quote.currency,
        quote.paid_minor,
        quote.paid_currency,
        quote.spread_minor,
        rate.mid,
        rate.basis_points,
        rate.rated_at,
        ",".join(rate.sources),
        quote.made_at,
        quote.expires_at,
    )


async def load_quotes(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Quote]:
    """Read quotes."""
    rows = await tx.fetch("select * from fx.quote where id = any($1::uuid[])", list(ids))
    return {row["id"]: _quote(row) for row in rows}


async def lock_quotes(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Quote]:
    """Read quotes and hold them, in id order."""
    rows = await tx.fetch(
        "select * from fx.quote where id = any($1::uuid[]) order by id for no key update",
        list(ids),
    )
    return {row["id"]: _quote(row) for row in rows}


async def find_of_orders(tx: Transaction, orders: Sequence[UUID]) -> dict[UUID, UUID]:
    """Read which quotes orders have used."""
    rows = await tx.fetch(
        'select "order", id from fx.quote where "order" = any($1::uuid[])', list(orders)
    )
    return {row["order"]: row["id"] for row in rows}


async def use_quotes(tx: Transaction, used: Sequence[Quote]) -> None:
    """Write which orders have used quotes."""
    await tx.execute(
        'update fx.quote q set "order" = u."order"'
        ' from unnest($1::uuid[], $2::uuid[]) as u (id, "order") where q.id = u.id',
        [quote.id for quote in used],
        [quote.order for quote in used],
    )


async def forget_quotes(tx: Transaction, before: datetime, rows_max: int) -> int:
    """Delete some old quotes that nobody has used."""
    return await tx.execute(
        "delete from fx.quote where id in (select id from fx.quote"
        ' where "order" is null and made_at < $1 order by made_at limit $2)',
        before,
        rows_max,
    )


def _quote(row: Row) -> Quote:
    return Quote(
        row["id"],
        row["amount_minor"],
        row["paid_minor"],
        row["spread_minor"],
        Rate(
            row["currency"],
            row["paid_currency"],
            row["mid"],
            row["basis_points"],
            row["rated_at"],
            row["sources"],
        ),
        row["made_at"],
        row["expires_at"],
        row["order"],
    )
