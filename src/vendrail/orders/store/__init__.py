"""All of the orders' SQL, one function a statement, a whole batch at a time."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.api.orders import (
    OrderState,
    ReplaceItems,
    SagaQuery,
    SoldOrderQuery,
)
from vendrail.kernel.db import Row, Transaction
from vendrail.kernel.outbox import Cursor
from vendrail.kernel.saga import SagaState
from vendrail.orders.store.lookups import drop_lookup_code as drop_lookup_code
from vendrail.orders.store.lookups import put_lookup_codes as put_lookup_codes
from vendrail.orders.store.lookups import try_lookup_code as try_lookup_code
from vendrail.orders.store.unpaid import end_unpaid as end_unpaid
from vendrail.orders.store.unpaid import list_unpaid as list_unpaid
from vendrail.orders.store.unpaid import walk_unpaid as walk_unpaid

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime(9999, 1, 1, tzinfo=UTC)
LAST = UUID(int=2**128 - 1)  # No order comes after it.

NewOrder = tuple[
    UUID, UUID, UUID | None, int, int, str, datetime, datetime, date, bytes, bytes, UUID, bytes,
    bytes, bytes | None, str, UUID | None, UUID | None, int | None,
]  # fmt: skip

# (id, order, capture, amount, reason, person, what goes back where another currency was paid,
#  whose wallet it goes into)
NewRefund = tuple[UUID, UUID, UUID, int, str, str, int | None, UUID | None]


_NEW_ORDER = (
    "id", "merchant", "variant", "quantity", "amount_minor", "currency", "placed_at", "expires_at",
    "contact_day", "contact_hash", "contact_sealed", "data_key", "facts", "request_hash",
    "idempotency_hash", "trace_id", "buyer", "supplier", "supplied_minor",
)  # fmt: skip


async def insert_orders(
    tx: Transaction, orders: Sequence[NewOrder], *, is_plain: bool = False
) -> set[UUID]:
    """Write new orders; give the ids that are new (by id and by idempotency key).

    Plain: all must be new, else it is an error and none is written.
    """
    if is_plain:
        await tx.copy_rows("orders", "order", _NEW_ORDER, orders)
        return {order[0] for order in orders}
    rows = await tx.fetch(
        'insert into orders."order" (id, merchant, variant, quantity, amount_minor, currency,'
        " placed_at, expires_at, contact_day, contact_hash, contact_sealed, data_key, facts,"
        " request_hash, idempotency_hash, trace_id, buyer, supplier, supplied_minor)"
        " select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::bigint[],"
        " $6::text[], $7::timestamptz[], $8::timestamptz[], $9::date[], $10::bytea[],"
        " $11::bytea[], $12::uuid[], $13::bytea[], $14::bytea[], $15::bytea[], $16::text[],"
        " $17::uuid[], $18::uuid[], $19::bigint[])"
        " on conflict do nothing returning id",
        *zip(*orders, strict=True),
    )
    return {row["id"] for row in rows}


async def load_orders(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Read orders by id."""
    rows = await tx.fetch('select * from orders."order" where id = any($1::uuid[])', ids)
    return {row["id"]: row for row in rows}


async def lock_orders(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Read orders by id and lock them, in id order."""
    rows = await tx.fetch(
        'select * from orders."order" where id = any($1::uuid[]) order by id for no key update',
        ids,
    )
    return {row["id"]: row for row in rows}


async def load_by_idempotency(tx: Transaction, hashes: Sequence[bytes]) -> dict[bytes, Row]:
    """Read orders by the keyed hash of their idempotency key."""
    rows = await tx.fetch(
        'select * from orders."order" where idempotency_hash = any($1::bytea[])', hashes
    )
    return {row["idempotency_hash"]: row for row in rows}


async def deliver_orders(
    tx: Transaction,
    ids: Sequence[UUID],
    captures: Sequence[UUID],
    allocations: Sequence[UUID | None],
    paid_at: Sequence[datetime],
    now: datetime,
) -> set[UUID]:
    """The pivot: the keys are readable when this commits. Gives the orders that were filled."""
    rows = await tx.fetch(
        "update orders.\"order\" o set state = 'delivered', version = o.version + 1,"
        "  capture = d.capture, allocation = d.allocation, paid_at = d.paid_at, delivered_at = $5"
        " from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[])"
        "  as d (id, capture, allocation, paid_at)"
        " where o.id = d.id and o.state in ('placed', 'expired', 'cancelled')"
        " returning o.id",
        ids,
        captures,
        allocations,
        paid_at,
        now,
    )
    return {row["id"] for row in rows}


async def mark_given_back(
    tx: Transaction,
    ids: Sequence[UUID],
    captures: Sequence[UUID],
    paid_at: Sequence[datetime],
    now: datetime,
) -> set[UUID]:
    """Orders that could not be filled: all of their money has gone back."""
    rows = await tx.fetch(
        "update orders.\"order\" o set state = 'refunded', version = o.version + 1,"
        "  capture = d.capture, paid_at = d.paid_at, refunded_minor = o.amount_minor,"
        "  ended_at = $4"
        " from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) as d (id, capture, paid_at)"
        " where o.id = d.id and o.state in ('placed', 'expired', 'cancelled') returning o.id",
        ids,
        captures,
        paid_at,
        now,
    )
    return {row["id"] for row in rows}


async def lock_cursor(tx: Transaction, source: str) -> Row | None:
    """Lock a reading position: whoever holds it starts sagas from what comes after."""
    return await tx.fetch_row(
        "select xid::text as xid, id, mark from orders.cursor where source = $1 for update", source
    )


async def move_cursor(tx: Transaction, source: str, cursor: Cursor) -> None:
    """Store how far a source has been read, with the effect of reading it."""
    await tx.execute(
        "update orders.cursor set xid = $2::text::xid8, id = $3 where source = $1",
        source,
        str(cursor.xid),
        cursor.id,
    )


async def move_mark(tx: Transaction, source: str, mark: UUID) -> None:
    """Store how far a walk along ids has come."""
    await tx.execute("update orders.cursor set mark = $2 where source = $1", source, mark)


async def load_refunds(tx: Transaction, orders: Sequence[UUID]) -> dict[UUID, list[Row]]:
    """Read orders' refunds, first to last."""
    rows = await tx.fetch(
        'select * from orders.refund where "order" = any($1::uuid[]) order by asked_at, id', orders
    )
    found: dict[UUID, list[Row]] = {}
    for row in rows:
        found.setdefault(row["order"], []).append(row)
    return found


async def insert_refunds(tx: Transaction, refunds: Sequence[NewRefund], now: datetime) -> None:
    """Write refunds that are asked for."""
    await tx.execute(
        'insert into orders.refund (id, "order", capture, amount_minor, reason, person, paid_minor,'
        " to_wallet, asked_at) select *, $9::timestamptz from unnest($1::uuid[], $2::uuid[],"
        " $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::uuid[])",
        *zip(*refunds, strict=True),
        now,
    )


async def settle_refunds(
    tx: Transaction, ids: Sequence[UUID], state: str, now: datetime
) -> list[Row]:
    """Write how refunds ended, and what they took off their orders when paid."""
    rows = await tx.fetch(
        "update orders.refund set state = $2, settled_at = $3"
        " where id = any($1::uuid[]) and state = 'asked' returning *",
        ids,
        state,
        now,
    )
    if state == "paid" and rows:
        # Two refunds of one order may end in one batch: their sum is taken off once. Or in two at
        # once: the sum is added to the order as it stands when its row is ours, not as it was read.
        await tx.execute(
            'update orders."order" o set refunded_minor = o.refunded_minor + r.minor,'
            "  version = o.version + 1,"
            "  state = case when o.refunded_minor + r.minor = o.amount_minor"
            "   then 'refunded' else o.state end,"
            "  ended_at = case when o.refunded_minor + r.minor = o.amount_minor"
            "   then $2::timestamptz end"
            ' from (select f."order" as id, sum(f.amount_minor)::bigint as minor'
            "  from orders.refund f where f.id = any($1::uuid[])"
            '  group by f."order" order by f."order") r where o.id = r.id',
            [row["id"] for row in rows],
            now,
        )
    return rows


FIND_NUMBERS = (
    "select 'order' as kind, o.id, o.id as \"order\", o.merchant, o.placed_at as at"
    ' from orders."order" o where o.id = any($1::uuid[])'
    " union all"
    " select 'refund', r.id, o.id, o.merchant, r.asked_at"
    ' from orders.refund r join orders."order" o on o.id = r."order"'
    " where r.id = any($1::uuid[])"
    " union all"
    " select 'replacement', p.id, o.id, o.merchant, p.asked_at"
    ' from orders.replacement p join orders."order" o on o.id = p."order"'
    " where p.id = any($1::uuid[])"
)


async def find_numbers(tx: Transaction, ids: Sequence[UUID]) -> list[Row]:
    """Find orders, refunds and replacements by their ids."""
    return await tx.fetch(FIND_NUMBERS, ids)


async def find_by_contact(
    tx: Transaction, contact_hash: bytes, since: date, rows_max: int, before: UUID = LAST
) -> list[Row]:
    """Read a contact's orders since a day, newest first."""
    return await tx.fetch(
        'select * from orders."order" where contact_hash = $1'
        " and contact_day = any(array(select generate_series($2::date, current_date + 1,"
        "  interval '1 day')::date)) and id < $4 order by id desc limit $3",
        contact_hash,
        since,
        rows_max,
        before,
    )


async def find_by_buyer(tx: Transaction, buyer: UUID, before: UUID, rows_max: int) -> list[Row]:
    """Read what a buyer has bought while signed in, newest first."""
    return await tx.fetch(
        'select * from orders."order" where buyer = $1 and id < $2 order by id desc limit $3',
        buyer,
        before,
        rows_max,
    )


async def forget_buyers(tx: Transaction, buyers: Sequence[UUID]) -> list[Row]:
    """Cut orders loose from buyers who are no more; give their top-ups that nobody has paid."""
    return await tx.fetch(
        'with cut as (update orders."order" set buyer = null where buyer = any($1::uuid[])'
        "  returning id, variant, state, trace_id)"
        " select id, trace_id from cut where variant is null and state = 'placed' order by id",
        list(buyers),
    )


# An order is shown as its sagas have it, too: those that have not ended are few.
_UNPAID = "o.state = '{}' and o.id not in (select subject from orders.saga where kind = 'purchase')"
_IN_STATE = {
    None: "true",
    OrderState.PAID: "o.state in ('placed', 'expired', 'cancelled') and o.id in"
    " (select subject from orders.saga where kind = 'purchase' and not is_turned)",
    OrderState.REFUNDING: "o.id in (select subject from orders.saga"
    " where kind = 'refund' or kind = 'purchase' and is_turned)",
    OrderState.DELIVERED: "o.state = 'delivered' and o.id not in"
    " (select subject from orders.saga where kind = 'refund')",
    OrderState.REFUNDED: "o.state = 'refunded'",
} | {
    state: _UNPAID.format(state.value)
    for state in (OrderState.PLACED, OrderState.EXPIRED, OrderState.CANCELLED)
}
_OF_MERCHANT = {False: "$1::uuid is null", True: "o.merchant = $1"}
LIST_ORDERS = (
    'select o.* from orders."order" o where {of_merchant} and o.id >= $2 and o.id < $3'
    " and o.placed_at >= $4 and o.placed_at < $5 {of_variants} and {in_state}"
    " order by o.id desc limit $6"
)
_OF_VARIANTS = {False: "and $7::uuid[] = '{}'", True: "and o.variant = any($7::uuid[])"}


def list_statement(query: SoldOrderQuery) -> str:
    """Write the statement of a page: each kind of page has a plan of its own."""
    return LIST_ORDERS.format(
        of_merchant=_OF_MERCHANT[query.merchant is not None],
        of_variants=_OF_VARIANTS[bool(query.variants)],
        in_state=_IN_STATE[query.state],
    )


async def list_orders(
    tx: Transaction, query: SoldOrderQuery, first: UUID, before: UUID
) -> list[Row]:
    """Read a page of orders, newest first, whose ids lie between two."""
    return await tx.fetch(
        list_statement(query),
        query.merchant,
        first,
        before,
        query.since or _BEGINNING,
        query.until or _END,
        query.orders_max,
        query.variants,
    )


class SagaSum(NamedTuple):
    """Sagas of one kind in one state: how many, and since when the oldest."""

    kind: str
    state: str
    number: int
    started_at: datetime


async def sum_sagas(tx: Transaction) -> list[SagaSum]:
    """Count sagas that have not ended, by kind and state."""
    rows = await tx.fetch(
        "select kind, state, count(*), min(started_at) from orders.saga group by kind, state"
    )
    return [SagaSum(*row) for row in rows]


async def load_sagas(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Read sagas by their own ids; those that have ended are not there."""
    rows = await tx.fetch("select * from orders.saga where id = any($1::uuid[])", ids)
    return {row["id"]: row for row in rows}


LIST_SAGAS = "select * from orders.saga where {in_state} and id > $1 order by {by} limit $2"
COUNT_SAGAS = (
    "select count(*) from"
    " (select from orders.saga where {in_state} and id > $1 order by {by} limit $2) as few"
)


def saga_statement(statement: str, state: SagaState | None) -> str:
    """Write the statement for a state: what does not run has an index by state and id."""
    return statement.format(
        in_state=f"state = '{state.value}'" if state is not None else "true",
        by="state, id" if state not in (None, SagaState.RUNNING) else "id",
    )


async def list_sagas(tx: Transaction, query: SagaQuery) -> list[Row]:
    """Read a page of sagas that have not ended, in id order: what they are about came so."""
    after = query.after or UUID(int=0)
    return await tx.fetch(saga_statement(LIST_SAGAS, query.state), after, query.sagas_max)


async def count_sagas(tx: Transaction, state: SagaState, rows_max: int) -> int:
    """Count sagas in a state, up to so many."""
    count: int = await tx.fetch_value(saga_statement(COUNT_SAGAS, state), UUID(int=0), rows_max)
    return count


async def load_replacements(tx: Transaction, orders: Sequence[UUID]) -> dict[UUID, list[Row]]:
    """Read what was asked to be replaced of orders, first to last."""
    rows = await tx.fetch(
        'select * from orders.replacement where "order" = any($1::uuid[]) order by asked_at, id',
        orders,
    )
    found: dict[UUID, list[Row]] = {}
    for row in rows:
        found.setdefault(row["order"], []).append(row)
    return found


async def find_replacement(tx: Transaction, id: UUID) -> Row | None:
    """Read what was asked under an id."""
    return await tx.fetch_row("select * from orders.replacement where id = $1", id)


async def ask_replacement(
    tx: Transaction, asked: ReplaceItems, now: datetime, *, is_settled: bool = False
) -> bool:
    """Write that items are to be replaced, or that they are; false: that stood there."""
    count = await tx.execute(
        'insert into orders.replacement as r (id, "order", positions, reason, person, asked_at,'
        "  settled_at) values ($1, $2, $3::int[], $4, $5, $6::timestamptz,"
        "  case when $7 then $6::timestamptz end)"
        " on conflict (id) do update set settled_at = excluded.settled_at"
        "  where r.settled_at is null and excluded.settled_at is not null",
        asked.id,
        asked.order,
        asked.positions,
        asked.reason,
        asked.person,
        now,
        is_settled,
    )
    return count == 1


async def drop_replacement(tx: Transaction, id: UUID) -> None:
    """Forget what was asked and cannot be done."""
    await tx.execute("delete from orders.replacement where id = $1 and settled_at is null", id)


async def raise_version(tx: Transaction, order: UUID) -> int:
    """Count that an order shows something new; give the number."""
    version: int = await tx.fetch_value(
        'update orders."order" set version = version + 1 where id = $1 returning version', order
    )
    return version
