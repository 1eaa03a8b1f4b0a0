"""All SQL of sales limits."""

from vendrail.api.catalog import SalesLimit
from vendrail.kernel.db import Transaction


async def list_limits(tx: Transaction) -> list[SalesLimit]:
    """Read all limits."""
    rows = await tx.fetch(
        "select merchant, currency, order_minor_max, month_minor_max from catalog.sales_limit"
        " order by merchant"
    )
    return [SalesLimit(*row) for row in rows]


async def put_limit(tx: Transaction, limit: SalesLimit) -> None:
    """Write a merchant's limit, or take it away."""
    if not limit.currency:
        await tx.execute("delete from catalog.sales_limit where merchant = $1", limit.merchant)
        return
    await tx.execute(
        "insert into catalog.sales_limit values ($1, $2, $3, $4) on conflict (merchant)"
        " do update set currency = excluded.currency, order_minor_max = excluded.order_minor_max,"
        "  month_minor_max = excluded.month_minor_max",
        limit.merchant,
        limit.currency,
        limit.order_minor_max,
        limit.month_minor_max,
    )
