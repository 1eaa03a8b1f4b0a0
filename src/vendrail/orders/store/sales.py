"""Sales summed and counted, and in little."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.orders import MerchantSalesQuery, PastSaleQuery, SalePartsQuery, SalesQuery
from vendrail.kernel.db import Row, Transaction
from vendrail.orders.store.supplies import SUPPLIED_MINOR

SUM_SALES = (
    "select date_trunc($6::text, placed_at, $7::text) as starts_at, currency, count(*)::bigint,"
    "  count(delivered_at)::bigint,"
    "  coalesce(sum(amount_minor) filter (where delivered_at is not null), 0)::bigint,"
    "  coalesce(sum(refunded_minor) filter (where delivered_at is not null), 0)::bigint"
    ' from orders."order" where merchant = $1 and id >= $2 and id < $3'
    "  and placed_at >= $4 and placed_at < $5"
    " group by 1, 2 order by 1, 2"
)


async def sum_sales(tx: Transaction, query: SalesQuery, first: UUID, last: UUID) -> list[Row]:
    """Sum a merchant's orders whose ids lie between two, by hours or days."""
    return await tx.fetch(
        SUM_SALES, query.merchant, first, last, query.since, query.until, query.step, query.zone
    )


SUM_PARTS = (
    "with newest as materialized (select id, variant, quantity, amount_minor, refunded_minor,"
    "   currency, placed_at, delivered_at, facts"
    '  from orders."order" where merchant = $1 and id >= $2 and id < $3'
    "  order by id desc limit $6),"
    " sold as (select id, variant::text, f.sku, f.title, f.method,"
    "   extract(hour from placed_at at time zone $7)::text as hour,"
    "   quantity, amount_minor, refunded_minor"
    "  from newest"
    "  cross join lateral json_to_record(convert_from(facts, 'UTF8')::json)"
    "   as f (sku text, title text, method text)"
    "  where placed_at >= $4 and placed_at < $5 and delivered_at is not null"
    "   and ($8 = '' or currency = $8))"
    " select case when grouping(variant) = 0 then 'variant' when grouping(method) = 0 then 'method'"
    "   when grouping(hour) = 0 then 'hour' else 'all' end as part,"
    "  coalesce(variant, method, hour, '') as key, count(*)::bigint as sold_count,"
    "  coalesce(sum(quantity), 0)::bigint as quantity,"
    "  coalesce(sum(amount_minor), 0)::bigint as sold_minor,"
    "  coalesce(sum(refunded_minor), 0)::bigint as refunded_minor,"
    "  max(title) as title, max(sku) as sku,"
    "  (select count(*) from newest) as looked_at,"
    "  (select min(placed_at) from newest) as begins_at"
    " from sold group by grouping sets ((variant), (method), (hour), ())"
    " order by sold_minor desc, key"
)


async def sum_parts(tx: Transaction, query: SalePartsQuery, first: UUID, last: UUID) -> list[Row]:
    """Sum a merchant's newest orders whose ids lie between two, three ways at once."""
    return await tx.fetch(
        SUM_PARTS,
        query.merchant,
        first,
        last,
        query.since,
        query.until,
        query.orders_max,
        query.zone,
        query.currency,
    )


async def list_sales(tx: Transaction, query: PastSaleQuery, first: UUID, last: UUID) -> list[Row]:
    """Read a page of delivered orders of everybody, oldest first, along their ids."""
    return await tx.fetch(
        "select id, merchant, amount_minor, currency, placed_at, facts"
        ' from orders."order" where id >= $1 and id > $2 and id <= $3'
        "  and placed_at >= $4 and placed_at < $5 and delivered_at is not null"
        " order by id limit $6",
        first,
        query.after or UUID(int=0),
        last,
        query.since,
        query.until,
        query.sales_max,
    )


async def count_sales(
    tx: Transaction, query: MerchantSalesQuery, first: UUID, last: UUID
) -> list[Row]:
    """Count delivered orders whose ids lie between two, by merchant and currency."""
    return await tx.fetch(
        "select merchant, currency, count(*), sum(amount_minor)::bigint,"
        "  count(*) filter (where refunded_minor > 0)"
        ' from orders."order" where id >= $1 and id <= $2'
        "  and placed_at >= $3 and placed_at < $4 and delivered_at is not null"
        " group by 1, 2 order by 1, 2",
        first,
        last,
        query.since,
        query.until,
    )


_STANDING = (
    " id >= $3 and currency = m.currency and id <> all($5::uuid[])"
    " and (delivered_at is not null or state = 'placed' and expires_at > $4"
    "  or state in ('placed', 'expired', 'cancelled') and id in"  # Paid: their sagas are few.
    "   (select subject from orders.saga where kind = 'purchase' and not is_turned))"
)
# What a supplier bears of refunds is its part of them, rounded down, as settlement books it.
SUM_STANDING = (
    "select m.merchant, coalesce(own.minor, 0)::bigint"  # noqa: S608
    "  + coalesce(supplied.minor, 0)::bigint"
    "  as minor from unnest($1::uuid[], $2::text[]) as m (merchant, currency)"
    " cross join lateral (select sum(amount_minor - refunded_minor) as minor"
    f'  from orders."order" where merchant = m.merchant and {_STANDING}) own'
    " cross join lateral (select sum(part"
    "   - div(part::numeric * refunded_minor, amount_minor)) as minor"
    f"  from (select amount_minor, refunded_minor, {SUPPLIED_MINOR} as part"
    f'   from orders."order" where supplier = m.merchant and {_STANDING}) sold) supplied'
)


async def sum_standing(
    tx: Transaction,
    merchants: Mapping[UUID, str],
    first: UUID,
    now: datetime,
    but: Sequence[UUID] = (),
) -> dict[UUID, int]:
    """Sum what merchants have sold in their currencies since an id, or what may still be sold.

    What agents sell of theirs counts by their part. Some orders are left out, for they are known.
    """
    rows = await tx.fetch(
        SUM_STANDING, list(merchants), list(merchants.values()), first, now, list(but)
    )
    return {row["merchant"]: row["minor"] for row in rows}
