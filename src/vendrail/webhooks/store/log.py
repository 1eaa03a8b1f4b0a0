"""The log: what was told and how it went, telling again, and what is too old to be kept."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.webhooks import DeliveryQuery, EventKind, EventQuery, Redelivery
from vendrail.kernel.db import Row, Transaction


async def list_deliveries(tx: Transaction, query: DeliveryQuery, rows_max: int) -> list[Row]:
    """Read a page of an endpoint's deliveries, newest first, by an index."""
    return await tx.fetch(
        "select d.* from webhooks.delivery d"
        " where d.endpoint = (select id from webhooks.endpoint where id = $1 and merchant = $2)"
        " and ($3::text is null or d.state = $3)"
        " and ($4::uuid is null"
        "  or d.number < (select number from webhooks.delivery where id = $4))"
        " order by d.number desc limit $5",
        query.endpoint,
        query.merchant,
        query.state.value if query.state is not None else None,
        query.before,
        rows_max,
    )


async def load_deliveries(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Read deliveries with their bodies and whose they are."""
    rows = await tx.fetch(
        "select d.*, v.body, v.merchant from webhooks.delivery d"
        " join webhooks.event v on v.id = d.event where d.id = any($1::uuid[])",
        list(ids),
    )
    return {row["id"]: row for row in rows}


FIND_EVENTS = (
    "select v.id as key, v.id, v.merchant, v.at, v.body from webhooks.event v"
    " where v.id = any($1::uuid[])"
    " union all"
    " select d.id, v.id, v.merchant, v.at, v.body from webhooks.delivery d"
    " join webhooks.event v on v.id = d.event where d.id = any($1::uuid[])"
)


async def find_events(tx: Transaction, ids: Sequence[UUID]) -> list[Row]:
    """Find what happened by its id, or by that of its telling."""
    return await tx.fetch(FIND_EVENTS, ids)


async def load_tries(tx: Transaction, ids: Sequence[UUID]) -> list[Row]:
    """Read every try of deliveries, first to last."""
    return await tx.fetch(
        "select * from webhooks.try where delivery = any($1::uuid[]) order by delivery, number",
        list(ids),
    )


async def retry(
    tx: Transaction, ids: Sequence[UUID], stale_ats: Sequence[datetime], now: datetime
) -> set[UUID]:
    """Begin the ladder of deliveries anew; those being told, or of no endpoint, are left."""
    rows = await tx.fetch(
        "update webhooks.delivery d set state = 'waiting', attempts = 0, due_at = $3,"
        " problem = '', stale_at = n.stale_at"
        " from unnest($1::uuid[], $2::timestamptz[]) as n (id, stale_at), webhooks.endpoint e"
        " where d.id = n.id and e.id = d.endpoint and e.state = 'enabled'"
        " and (d.lease is null or d.due_at <= $3) returning d.id",
        list(ids),
        list(stale_ats),
        now,
    )
    return {row["id"] for row in rows}


async def find_told(tx: Transaction, asked: Redelivery, rows_max: int) -> list[Row]:
    """Find an endpoint's deliveries of what happened within a time."""
    return await tx.fetch(
        "select id, kind from webhooks.delivery where endpoint = $1 and at >= $2 and at < $3"
        " and (state <> 'heard' or not $4) and state <> 'waiting' order by number limit $5",
        asked.endpoint,
        asked.since,
        asked.until,
        asked.is_unheard_only,
        rows_max,
    )


async def find_untold(
    tx: Transaction, asked: Redelivery, kinds: Sequence[str], rows_max: int
) -> list[Row]:
    """Find what happened within a time and was never to be told to an endpoint."""
    return await tx.fetch(
        "select v.id, v.kind from webhooks.event v where v.merchant = $2"
        " and v.at >= $3 and v.at < $4 and v.kind <> $7"
        " and (cardinality($5::text[]) = 0 or v.kind = any($5))"
        " and not exists (select from webhooks.delivery d"
        "  where d.endpoint = $1 and d.event = v.id) order by v.number limit $6",
        asked.endpoint,
        asked.merchant,
        asked.since,
        asked.until,
        list(kinds),
        rows_max,
        EventKind.TEST.value,
    )


_EVENTS = "select v.* from webhooks.event v where v.merchant = $1"
_OF_KINDS = "select e.* from unnest($5::text[]) k (kind) cross join lateral"
_WITHIN = (
    " and ($2::uuid is null or v.number < (select number from webhooks.event where id = $2))"
    # What was kept well before a moment happened before it: the search ends there.
    " and ($3::timestamptz is null or (v.at >= $3 and v.number > coalesce("
    "(select number from webhooks.event where merchant = $1"
    " and kept_at < $3::timestamptz - interval '10 minutes'"
    " order by kept_at desc, number desc limit 1), 0)))"
    " order by v.number desc limit $4"
)


async def list_events(tx: Transaction, query: EventQuery, rows_max: int) -> list[Row]:
    """Read a page of what happened to a merchant, newest first, by an index."""
    kinds = list(dict.fromkeys(str(kind) for kind in query.kinds))
    if not kinds:
        return await tx.fetch(
            f"{_EVENTS}{_WITHIN}",
            query.merchant,
            query.before,
            query.since,
            rows_max,
        )
    return await tx.fetch(  # Each kind by its index: a seldom one is not searched for among others.
        f"{_OF_KINDS} ({_EVENTS} and v.kind = k.kind{_WITHIN}) e order by e.number desc limit $4",
        query.merchant,
        query.before,
        query.since,
        rows_max,
        kinds,
    )


async def forget(tx: Transaction, before: datetime, rows_max: int) -> int:
    """Delete some events that are too old, with their deliveries, and keys that seal nothing."""
    count = await tx.execute(
        "delete from webhooks.event where id in (select id from webhooks.event v"
        " where kept_at < $1 and not exists (select from webhooks.delivery d"
        "  where d.event = v.id and d.state = 'waiting') order by kept_at limit $2)",
        before,
        rows_max,
    )
    await tx.execute(
        "delete from webhooks.data_key k where not exists (select from webhooks.endpoint e"
        " where e.data_key = k.id or e.old_data_key = k.id) and made_at < $1",
        before,
    )
    return count


async def sum_waiting(tx: Transaction, now: datetime) -> Row | None:
    """Count what waits and since when it is due, and the endpoints by how they stand."""
    return await tx.fetch_row(
        "select (select count(*) from webhooks.delivery where state = 'waiting') as waiting,"
        " (select min(due_at) from webhooks.delivery where state = 'waiting' and due_at <= $1)"
        "  as due_at,"
        " count(*) filter (where state = 'enabled' and failing_since is null) as hearing,"
        " count(*) filter (where state = 'enabled' and failing_since is not null) as failing,"
        " count(*) filter (where state = 'disabled') as disabled from webhooks.endpoint",
        now,
    )
