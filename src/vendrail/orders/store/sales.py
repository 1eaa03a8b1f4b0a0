"""Sales summed and counted, and in little."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from vendrail.api.orders import MerchantSalesQuery, PastSaleQuery, SalesQuery
from vendrail.kernel.db import Row, Transaction

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


SUM_STANDING = (
    "select m.merchant, s.minor from unnest($1::uuid[], $2::text[]) as m (merchant, currency)"
    " cross join lateral (select coalesce(sum(amount_minor - refunded_minor), 0)::bigint as minor"
    '  from orders."order" where merchant = m.merchant and id >= $3 and currency = m.currency'
    "   and (delivered_at is not null or state = 'placed' and expires_at > $4"
    "    or state in ('placed', 'expired', 'cancelled') and id in"  # Paid: their sagas are few.
    "     (select subject from orders.saga where kind = 'purchase' and not is_turned))) s"
)


async def sum_standing(
    tx: Transaction, merchants: Mapping[UUID, str], first: UUID, now: datetime
) -> dict[UUID, int]:
    """Sum what merchants have sold in their currencies since an id, or what may still be sold."""
    rows = await tx.fetch(SUM_STANDING, list(merchants), list(merchants.values()), first, now)
    return {row["merchant"]: row["minor"] for row in rows}
