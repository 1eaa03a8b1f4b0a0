"""What is settled later: confirmations, refunds, and verdicts of people on unmatched money."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.payments import UnmatchedQuery
from vendrail.payments.store.base import Row, Transaction, columns, sorted_columns

# Confirmations.


async def insert_confirmations(tx: Transaction, captures: Sequence[UUID], due_at: datetime) -> None:
    """Let captures wait until the provider, asked, agrees."""
    await tx.execute(
        "insert into payments.confirmation (capture_id, state, tries, due_at)"
        " select id, 'waiting', 0, $2 from unnest($1::uuid[]) as u (id)",
        captures,
        due_at,
    )


async def claim_confirmations(
    tx: Transaction, now: datetime, until: datetime, rows_max: int
) -> list[Row]:
    """Take captures whose confirmation is due; nobody else takes them before `until`."""
    return await tx.fetch(
        "update payments.confirmation f set due_at = $2, tries = tries + 1"
        " from payments.capture c where c.id = f.capture_id and f.capture_id in"
        " (select capture_id from payments.confirmation where state = 'waiting' and due_at <= $1"
        " order by due_at limit $3 for update skip locked)"
        " returning c.*, f.tries",
        now,
        until,
        rows_max,
    )


async def settle_confirmations(
    tx: Transaction, ended: Sequence[tuple[UUID, str, datetime, str]]
) -> set[UUID]:
    """Write what the provider said: state, when to ask again, the problem; give what changed."""
    rows = await tx.fetch(
        "update payments.confirmation f"
        " set state = u.state, due_at = u.due_at, problem = u.problem"
        " from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[])"
        " as u (id, state, due_at, problem)"
        " where f.capture_id = u.id and f.state <> 'confirmed' returning f.capture_id",
        *columns(ended, 4),
    )
    return {row["capture_id"] for row in rows}


# Refunds.


async def lock_captures(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Read captures by id, locked: one at a time may add a refund. Unconfirmed ones are none."""
    rows = await tx.fetch(
        "select c.* from payments.capture c where c.id = any($1::uuid[]) and not exists"
        " (select 1 from payments.confirmation f where f.capture_id = c.id"
        "  and f.state <> 'confirmed')"
        " order by c.id for no key update of c",
        ids,
    )
    return {row["id"]: row for row in rows}


async def refunded_sums(tx: Transaction, captures: Sequence[UUID]) -> dict[UUID, int]:
    """Add up what is asked back of captures, or went back."""
    rows = await tx.fetch(
        "select capture_id, sum(amount_minor)::bigint as sum from payments.refund"
        " where capture_id = any($1::uuid[]) and state <> 'failed' group by capture_id",
        captures,
    )
    return {row["capture_id"]: row["sum"] for row in rows}


async def read_others(tx: Transaction, refunds: Sequence[UUID]) -> dict[UUID, tuple[int, bool]]:
    """Give, for refunds, what else of their captures went back, and whether none is under way."""
    rows = await tx.fetch(
        "select r.id, coalesce(sum(o.amount_minor) filter (where o.state = 'succeeded'), 0)::bigint"
        " as others_minor, coalesce(bool_or(o.state = 'pending'), false) as has_pending"
        " from payments.refund r"
        " left join payments.refund o on o.capture_id = r.capture_id and o.id <> r.id"
        " where r.id = any($1::uuid[]) group by r.id",
        refunds,
    )
    return {row["id"]: (row["others_minor"], not row["has_pending"]) for row in rows}


async def read_refunds(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Read refunds by id."""
    rows = await tx.fetch("select * from payments.refund where id = any($1::uuid[])", ids)
    return {row["id"]: row for row in rows}


async def insert_refunds(
    tx: Transaction,
    refunds: Sequence[tuple[UUID, UUID, int, str]],
    now: datetime,
    due_at: datetime,
) -> None:
    """Write the intent to refund; the first asking is under way until `due_at`."""
    await tx.execute(
        "insert into payments.refund (id, capture_id, amount_minor, reason, state, tries, due_at,"
        " asked_at) select u.*, 'pending', 1, $6, $5"
        " from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[]) as u",
        *columns(refunds, 4),
        now,
        due_at,
    )


async def reopen_refunds(tx: Transaction, ids: Sequence[UUID], due_at: datetime) -> None:
    """Let refunds that the provider refused be asked again, each under the id it always had."""
    await tx.execute(
        "update payments.refund set state = 'pending', tries = tries + 1, due_at = $2,"
        " settled_at = null where id = any($1::uuid[]) and state = 'failed'",
        ids,
        due_at,
    )


async def claim_refunds(
    tx: Transaction, now: datetime, until: datetime, rows_max: int
) -> list[Row]:
    """Take pending refunds that are due; nobody else takes them before `until`."""
    return await tx.fetch(
        "update payments.refund r set due_at = $2, tries = tries + 1"
        " where id in (select id from payments.refund where state = 'pending' and due_at <= $1"
        " order by due_at limit $3 for update skip locked) returning r.*",
        now,
        until,
        rows_max,
    )


async def read_refund_captures(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Read captures by id, for what the provider must be told."""
    rows = await tx.fetch("select * from payments.capture where id = any($1::uuid[])", ids)
    return {row["id"]: row for row in rows}


async def settle_refunds(
    tx: Transaction, ended: Sequence[tuple[UUID, str, datetime, str]], now: datetime
) -> dict[UUID, Row]:
    """Write what the provider said of pending refunds; give those that are settled by this."""
    rows = await tx.fetch(
        "update payments.refund r set state = u.state, due_at = u.due_at, problem = u.problem,"
        " settled_at = case when u.state <> 'pending' then $5::timestamptz end"
        " from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[])"
        " as u (id, state, due_at, problem)"
        " where r.id = u.id and r.state = 'pending' returning r.id, r.state, r.tries",
        *sorted_columns(ended, 4),
        now,
    )
    return {row["id"]: row for row in rows if row["state"] != "pending"}


# The unmatched desk.


LIST_UNMATCHED = (
    "(select c.*, null::text as dispute from payments.capture c where c.fit <> 'fits'"
    " and c.id > $1 and ($2::uuid is null or c.channel = $2)"
    " and not exists (select 1 from payments.verdict v where v.capture_id = c.id)"
    " and not exists (select 1 from payments.confirmation f where f.capture_id = c.id"
    "  and f.state <> 'confirmed')"
    " order by c.id limit $3)"
    " union all"
    " (select c.*, f.problem from payments.confirmation f"
    " join payments.capture c on c.id = f.capture_id where f.state = 'disputed'"
    " and f.capture_id > $1 and ($2::uuid is null or c.channel = $2)"
    " and not exists (select 1 from payments.verdict v where v.capture_id = c.id)"
    " order by f.capture_id limit $3)"
    " order by id limit $3"
)


async def list_unmatched(tx: Transaction, query: UnmatchedQuery) -> list[Row]:
    """Read a page of money that fits nothing, and of what the provider disputes, oldest first."""
    after = query.after or UUID(int=0)
    return await tx.fetch(LIST_UNMATCHED, after, query.channel, query.captures_max)


async def read_unmatched(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Read captures with their verdict and dispute, if any; those that fit are left out."""
    rows = await tx.fetch(
        "select c.*, f.state as confirmation, v.capture_id as settled, v.order_id as verdict_order,"
        " v.person, v.reason from payments.capture c"
        " left join payments.confirmation f on f.capture_id = c.id"
        " left join payments.verdict v on v.capture_id = c.id"
        " where c.id = any($1::uuid[]) and f.state is distinct from 'waiting'"
        " and (c.fit <> 'fits' or f.state = 'disputed' or v.capture_id is not null)",
        ids,
    )
    return {row["id"]: row for row in rows}


async def read_first_attempts(tx: Transaction, orders: Sequence[UUID]) -> dict[UUID, Row]:
    """Give merchant, amount and currency of orders that ever asked for a payment."""
    rows = await tx.fetch(
        "select distinct on (order_id) order_id, merchant, amount_minor, currency"
        " from payments.attempt where order_id = any($1::uuid[]) order by order_id, number",
        orders,
    )
    return {row["order_id"]: row for row in rows}


async def insert_verdicts(
    tx: Transaction,
    verdicts: Sequence[tuple[UUID, UUID | None, UUID | None, str, str]],
    at: datetime,
) -> set[UUID]:
    """Write verdicts; give the captures whose verdict is new."""
    rows = await tx.fetch(
        "insert into payments.verdict (capture_id, order_id, merchant, person, reason, at)"
        " select u.*, $6 from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[])"
        " as u on conflict do nothing returning capture_id",
        *sorted_columns(verdicts, 5),
        at,
    )
    return {row["capture_id"] for row in rows}
