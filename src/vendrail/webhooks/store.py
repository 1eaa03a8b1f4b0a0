"""All SQL of webhooks."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.api.webhooks import (
    DeliveryQuery,
    DeliveryState,
    EventKind,
    EventQuery,
    NewEndpoint,
    Redelivery,
)
from vendrail.kernel.db import Row, Transaction
from vendrail.webhooks.decide import DISABLED, TOO_OLD, Fate, Happening


class NewDelivery(NamedTuple):
    """The telling of one event to one endpoint, to be kept."""

    id: UUID
    endpoint: UUID
    event: UUID
    stale_at: datetime
    problem: str = ""  # Why it is dropped at once; empty: it is not.


class Try(NamedTuple):
    """One try, as it is kept."""

    delivery: UUID
    at: datetime
    took_ms: int
    status_code: int
    problem: str
    request: str
    response: str


# Endpoints.

_VIEW = (
    "select e.*, (select count(*) from webhooks.delivery d"
    "  where d.endpoint = e.id and d.state = 'waiting') as waiting from webhooks.endpoint e"
)


async def count_endpoints(tx: Transaction, merchant: UUID) -> int:
    """Count a merchant's endpoints; whoever counts next waits."""
    await tx.execute(
        "select pg_advisory_xact_lock(hashtextextended($1, 0))", f"webhooks:{merchant}"
    )
    return int(
        await tx.fetch_value("select count(*) from webhooks.endpoint where merchant = $1", merchant)
    )


async def add_endpoint(
    tx: Transaction, new: NewEndpoint, key_id: UUID, data_key: UUID, sealed: bytes, now: datetime
) -> None:
    """Keep a new endpoint with its secret."""
    await tx.execute(
        "insert into webhooks.endpoint (id, merchant, url, kinds, is_ordered, note, made_at,"
        " asked_at, turn_at, key_id, data_key, sealed, keyed_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $7, $7, $8, $9, $10, $7)",
        new.id,
        new.merchant,
        new.url,
        [str(kind) for kind in new.kinds],
        new.is_ordered,
        new.note,
        now,
        key_id,
        data_key,
        sealed,
    )


async def load_endpoints(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, Row]:
    """Read endpoints by id."""
    rows = await tx.fetch(f"{_VIEW} where e.id = any($1::uuid[])", list(ids))
    return {row["id"]: row for row in rows}


async def lock_endpoint(tx: Transaction, id: UUID, merchant: UUID) -> Row | None:
    """Hold one endpoint of a merchant's."""
    return await tx.fetch_row(
        "select * from webhooks.endpoint where id = $1 and merchant = $2 for no key update",
        id,
        merchant,
    )


async def change_endpoint(
    tx: Transaction,
    id: UUID,
    url: str,
    kinds: Sequence[str],
    note: str,
    now: datetime,
    *,
    is_ordered: bool,
) -> None:
    """Write what an endpoint is; other kinds count from now on."""
    await tx.execute(
        "update webhooks.endpoint set url = $2, is_ordered = $4, note = $5,"
        "  asked_at = case when kinds = $3 then asked_at else $6 end, kinds = $3 where id = $1",
        id,
        url,
        list(kinds),
        is_ordered,
        note,
        now,
    )


async def enable(tx: Transaction, id: UUID) -> None:
    """Let an endpoint be told again, as if it had never failed."""
    await tx.execute(
        "update webhooks.endpoint set state = 'enabled', reason = '', failing_since = null,"
        " letter = null where id = $1",
        id,
    )


async def disable(tx: Transaction, id: UUID, reason: str, letter: UUID | None) -> int:
    """Let an endpoint be told no more; what waits for it is dropped; give how much that was."""
    await tx.execute(
        "update webhooks.endpoint set state = 'disabled', reason = $2, letter = $3 where id = $1",
        id,
        reason,
        letter,
    )
    return await tx.execute(
        "update webhooks.delivery set state = 'dropped', problem = $2"
        " where endpoint = $1 and state = 'waiting' and lease is null",
        id,
        DISABLED,
    )


async def rotate(
    tx: Transaction,
    id: UUID,
    key_id: UUID,
    data_key: UUID,
    sealed: bytes,
    now: datetime,
    old_until: datetime,
) -> None:
    """Give an endpoint another secret; the one before signs beside it for a while."""
    await tx.execute(
        "update webhooks.endpoint set old_key_id = key_id, old_data_key = data_key,"
        " old_sealed = sealed, old_key_until = $6, key_id = $2, data_key = $3, sealed = $4,"
        " keyed_at = $5 where id = $1",
        id,
        key_id,
        data_key,
        sealed,
        now,
        old_until,
    )


async def forget_old_secrets(tx: Transaction, now: datetime) -> int:
    """Erase secrets whose time is over."""
    return await tx.execute(
        "update webhooks.endpoint set old_key_id = null, old_data_key = null, old_sealed = null,"
        " old_key_until = null where old_key_until <= $1",
        now,
    )


async def delete_endpoint(tx: Transaction, id: UUID, merchant: UUID) -> bool:
    """Delete an endpoint with what it was told; false: there was none."""
    count = await tx.execute(
        "delete from webhooks.endpoint where id = $1 and merchant = $2", id, merchant
    )
    return count == 1


async def list_endpoints(tx: Transaction, merchants: Sequence[UUID]) -> list[Row]:
    """Read merchants' endpoints, oldest first."""
    return await tx.fetch(
        f"{_VIEW} where e.merchant = any($1::uuid[]) order by e.merchant, e.id", list(merchants)
    )


async def list_failing(tx: Transaction, rows_max: int) -> list[Row]:
    """Read endpoints that do not hear, the longest first."""
    return await tx.fetch(
        f"{_VIEW} where e.failing_since is not null order by e.failing_since limit $1", rows_max
    )


async def has_endpoints(tx: Transaction) -> bool:
    """Tell whether anybody is told of anything."""
    return bool(await tx.fetch_value("select exists (select from webhooks.endpoint)"))


async def load_letters(tx: Transaction, rows_max: int) -> list[Row]:
    """Read endpoints whose end is still to be told by letter."""
    return await tx.fetch(
        "select * from webhooks.endpoint where letter is not null order by id limit $1", rows_max
    )


async def end_letter(tx: Transaction, id: UUID, letter: UUID) -> None:
    """Write that a letter was handed on."""
    await tx.execute(
        "update webhooks.endpoint set letter = null where id = $1 and letter = $2", id, letter
    )


# Events and deliveries.


async def add_events(
    tx: Transaction, happenings: Sequence[Happening], now: datetime
) -> dict[UUID, Row]:
    """Keep what happened, each once, in its order; give what is new."""
    rows = await tx.fetch(
        "insert into webhooks.event (id, merchant, kind, at, kept_at, body)"
        " select n.id, n.merchant, n.kind, n.at, $6, n.body"
        " from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[])"
        "  with ordinality as n (id, merchant, kind, at, body, place)"
        " order by n.place on conflict (id) do nothing returning *",
        [each.id for each in happenings],
        [each.merchant for each in happenings],
        [str(each.kind) for each in happenings],
        [each.at for each in happenings],
        [each.body for each in happenings],
        now,
    )
    return {row["id"]: row for row in rows}


async def add_deliveries(tx: Transaction, deliveries: Sequence[NewDelivery], now: datetime) -> int:
    """Begin to tell endpoints of events that are kept, each once."""
    return await tx.execute(
        "insert into webhooks.delivery"
        " (id, endpoint, event, number, kind, at, state, due_at, stale_at, problem)"
        " select n.id, n.endpoint, v.id, v.number, v.kind, v.at,"
        "  case when n.problem = '' then 'waiting' else 'dropped' end, $6, n.stale_at, n.problem"
        " from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::text[])"
        "  as n (id, endpoint, event, stale_at, problem)"
        " join webhooks.event v on v.id = n.event order by v.number, n.endpoint"
        " on conflict do nothing",
        [each.id for each in deliveries],
        [each.endpoint for each in deliveries],
        [each.event for each in deliveries],
        [each.stale_at for each in deliveries],
        [each.problem for each in deliveries],
        now,
    )


async def drop_stale(tx: Transaction, now: datetime) -> int:
    """Drop what waited too long to be of use."""
    return await tx.execute(
        "update webhooks.delivery set state = 'dropped', problem = $2 where id in"
        " (select id from webhooks.delivery where state = 'waiting' and stale_at <= $1"
        "  and (lease is null or due_at <= $1) order by stale_at limit 1000"
        "  for update skip locked)",
        now,
        TOO_OLD,
    )


CLAIM = (
    "with turn as ("
    " select e.id, e.is_ordered from webhooks.endpoint e"
    " where e.state = 'enabled' and (e.failing_since is not null) = $6"
    "  and exists (select from webhooks.delivery d where d.endpoint = e.id"
    "   and d.state = 'waiting' and d.due_at <= $1)"
    " order by e.turn_at limit $4 for no key update of e skip locked"
    "), due as ("
    " select d.id from turn cross join lateral ("
    "  (select d.id from webhooks.delivery d where not turn.is_ordered"
    "   and d.endpoint = turn.id and d.state = 'waiting' and d.due_at <= $1 and d.stale_at > $1"
    "   order by d.due_at, d.number limit greatest(0, $5 - (select count(*)"
    "    from webhooks.delivery h where h.endpoint = turn.id and h.lease is not null"
    "    and h.due_at > $1)))"
    "  union all"
    "  (select f.id from (select * from webhooks.delivery d where d.endpoint = turn.id"
    "    and d.state = 'waiting' order by d.number limit 1) f"
    "   where turn.is_ordered and f.due_at <= $1 and f.stale_at > $1)"
    " ) d limit $4"
    "), served as ("
    " update webhooks.endpoint e set turn_at = $1 from turn where e.id = turn.id"
    ") update webhooks.delivery d set due_at = $2, lease = $3, attempts = d.attempts + 1"
    " from due where d.id = due.id returning d.id"
)


async def claim_deliveries(
    tx: Transaction,
    now: datetime,
    lost_at: datetime,
    lease: UUID,
    rows_max: int,
    each_max: int,
    *,
    is_failing: bool,
) -> list[Row]:
    """Claim due deliveries: whoever waited longest first, and no more of one than its bound.

    Of an endpoint that is told one at a time, only the first that waits.
    """
    claimed = await tx.fetch(CLAIM, now, lost_at, lease, rows_max, each_max, is_failing)
    if not claimed:
        return []
    return await tx.fetch(
        "select d.*, v.body, e.url, e.merchant, e.failing_since, e.key_id, e.data_key, e.sealed,"
        " e.old_key_id, e.old_data_key, e.old_sealed, e.old_key_until"
        " from webhooks.delivery d join webhooks.event v on v.id = d.event"
        " join webhooks.endpoint e on e.id = d.endpoint"
        " where d.id = any($1::uuid[]) order by d.number",
        [row["id"] for row in claimed],
    )


async def end_try(
    tx: Transaction, endpoint: UUID, lease: UUID, fate: Fate, told: Try, now: datetime
) -> bool:
    """Write what became of a try; false: another teller has the delivery now, or nobody."""
    count = await tx.execute(
        "update webhooks.delivery set state = $3, due_at = $4, problem = $5, lease = null,"
        " heard_at = case when $3 = 'heard' then $6::timestamptz else heard_at end"
        " where id = $1 and lease = $2 and state = 'waiting'",
        told.delivery,
        lease,
        fate.state.value,
        fate.due_at,
        fate.problem,
        now,
    )
    if not count:
        return False
    await tx.execute(
        "insert into webhooks.try values ($1, (select count(*) + 1 from webhooks.try"
        "  where delivery = $1), $2, $3, $4, $5, $6, $7)",
        told.delivery,
        told.at,
        told.took_ms,
        told.status_code,
        told.problem,
        told.request,
        told.response,
    )
    if fate.state is DeliveryState.HEARD:
        # Once a minute at most: an endpoint that hears much is not written as often.
        await tx.execute(
            "update webhooks.endpoint set failing_since = null, heard_at = $2 where id = $1"
            " and (failing_since is not null or heard_at is null"
            "  or heard_at < $2::timestamptz - interval '1 minute')",
            endpoint,
            now,
        )
    else:
        await tx.execute(
            "update webhooks.endpoint set failing_since = $2 where id = $1"
            " and failing_since is null",
            endpoint,
            now,
        )
    return True


async def release(tx: Transaction, id: UUID, lease: UUID, due_at: datetime) -> None:
    """Give back a delivery that could not even be tried; it does not count as a try."""
    await tx.execute(
        "update webhooks.delivery set lease = null, due_at = $3, attempts = attempts - 1"
        " where id = $1 and lease = $2",
        id,
        lease,
        due_at,
    )


# Reading the log, and telling again.


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


async def list_events(tx: Transaction, query: EventQuery, rows_max: int) -> list[Row]:
    """Read a page of what happened to a merchant, newest first, by an index."""
    return await tx.fetch(
        "select * from webhooks.event where merchant = $1"
        " and (cardinality($2::text[]) = 0 or kind = any($2))"
        " and ($3::uuid is null or number < (select number from webhooks.event where id = $3))"
        " order by number desc limit $4",
        query.merchant,
        [str(kind) for kind in query.kinds],
        query.before,
        rows_max,
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
