"""What happened, and telling endpoints of it: kept, claimed, tried."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.api.webhooks import DeliveryState
from vendrail.kernel.db import Row, Transaction
from vendrail.webhooks.decide import TOO_OLD, Fate, Happening


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
