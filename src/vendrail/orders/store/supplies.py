"""What agents have sold of suppliers' keys."""

from uuid import UUID

from vendrail.api.orders import SuppliedQuery, SuppliedSum
from vendrail.kernel.db import Row, Transaction


async def list_supplied(tx: Transaction, query: SuppliedQuery, before: UUID) -> list[Row]:
    """Read a page of a supplier's delivered sales through agents, newest first."""
    return await tx.fetch(
        "select id, merchant, quantity, currency, state, placed_at, refunded_minor, facts"
        ' from orders."order" where supplier = $1 and ($2::uuid is null or merchant = $2)'
        "  and id < $3 and delivered_at is not null order by id desc limit $4",
        query.supplier,
        query.agent,
        before,
        query.orders_max,
    )


# What the release before has placed has its part in its facts alone.
SUPPLIED_MINOR = (
    "coalesce(supplied_minor,"
    " quantity * (convert_from(facts, 'UTF8')::jsonb #>> '{supply,floor_minor}')::bigint)"
)
SUM_SUPPLIED = (
    "select merchant, currency, count(*), sum(quantity)::bigint, sum(minor)::bigint"  # noqa: S608
    f" from (select merchant, currency, quantity, {SUPPLIED_MINOR} as minor, delivered_at"
    '  from orders."order" where supplier = $1 and ($2::uuid is null or merchant = $2) and id >= $3'
    "  order by id desc limit $4) newest"
    " where delivered_at is not null group by 1, 2 order by 5 desc, 1, 2"
)


async def sum_supplied(
    tx: Transaction, query: SuppliedQuery, first: UUID, rows_max: int
) -> list[SuppliedSum]:
    """Sum a supplier's delivered sales through agents, from an id on, so many of the newest."""
    rows = await tx.fetch(SUM_SUPPLIED, query.supplier, query.agent, first, rows_max)
    return [SuppliedSum(*row) for row in rows]
