"""Orders that nobody has paid: found, and ended."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from vendrail.kernel.db import Row, Transaction


async def end_unpaid(tx: Transaction, ids: Sequence[UUID], state: str, now: datetime) -> set[UUID]:
    """Orders that nobody paid: expired or cancelled."""
    rows = await tx.fetch(
        'update orders."order" set state = $2, version = version + 1, ended_at = $3'
        " where id = any($1::uuid[]) and state = 'placed' returning id",
        ids,
        state,
        now,
    )
    return {row["id"] for row in rows}


async def walk_unpaid(tx: Transaction, after: UUID, before: UUID, rows_max: int) -> list[Row]:
    """Walk along orders by id, each once: those whose time to pay is over."""
    return await tx.fetch(
        'select id, state, trace_id from orders."order" where id > $1 and id < $2'
        " order by id limit $3",
        after,
        before,
        rows_max,
    )


async def list_unpaid(tx: Transaction, after: Mapping[UUID, UUID], rows_max: int) -> list[Row]:
    """Read merchants' orders that nobody has paid, each merchant's after an id, so many of each.

    Those that they supply, too: `merchant` is then the supplier.
    """
    return await tx.fetch(
        "select o.id, m.merchant, o.trace_id"
        " from unnest($1::uuid[], $2::uuid[]) as m (merchant, after) cross join lateral ("
        '  (select id, trace_id from orders."order"'
        "   where merchant = m.merchant and id > m.after and state = 'placed'"
        "    and id not in (select subject from orders.saga where kind = 'purchase')"
        "   order by id limit $3)"
        '  union all (select id, trace_id from orders."order"'
        "   where supplier = m.merchant and id > m.after and state = 'placed'"
        "    and id not in (select subject from orders.saga where kind = 'purchase')"
        "   order by id limit $3) order by id limit $3) o order by m.merchant, o.id",
        list(after),
        list(after.values()),
        rows_max,
    )
