"""Endpoints: their rows, their secrets, and whether they hear."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.webhooks import EndpointState, EventKind, NewEndpoint
from vendrail.kernel.db import Row, Transaction
from vendrail.webhooks.decide import DISABLED, REASON_BY_HAND

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
        " asked_at, turn_at, key_id, data_key, sealed, keyed_at, state, reason)"
        " values ($1, $2, $3, $4, $5, $6, $7, $7, $7, $8, $9, $10, $7, $11, $12)",
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
        (EndpointState.ENABLED if new.is_enabled else EndpointState.DISABLED).value,
        "" if new.is_enabled else REASON_BY_HAND,
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


async def take_turn(tx: Transaction, id: UUID, free_at: datetime) -> None:
    """Write that one of an endpoint's turns of a minute is used."""
    await tx.execute("update webhooks.endpoint set free_at = $2 where id = $1", id, free_at)


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


async def add_wish(tx: Transaction, endpoint: UUID, once: UUID) -> bool:
    """Keep a wish for another secret of an endpoint that is held; false: it was wished before."""
    count = await tx.execute(
        "insert into webhooks.wish (endpoint, once) values ($1, $2) on conflict do nothing",
        endpoint,
        once,
    )
    return count == 1


async def forget_old_secrets(tx: Transaction, now: datetime) -> int:
    """Erase secrets whose time is over."""
    return await tx.execute(
        "update webhooks.endpoint set old_key_id = null, old_data_key = null, old_sealed = null,"
        " old_key_until = null where old_key_until <= $1",
        now,
    )


async def is_closed(tx: Transaction, id: UUID) -> bool:
    """Tell whether an endpoint was deleted."""
    return bool(
        await tx.fetch_value("select exists (select from webhooks.closed where id = $1)", id)
    )


async def delete_endpoint(tx: Transaction, id: UUID, merchant: UUID, now: datetime) -> bool:
    """Delete an endpoint with what it was told and its tests; false: there was none."""
    await tx.execute(
        "delete from webhooks.event where merchant = $2 and kind = $3 and id in"
        " (select event from webhooks.delivery where endpoint = $1)",
        id,
        merchant,
        EventKind.TEST.value,
    )
    count = await tx.execute(
        "with gone as (delete from webhooks.endpoint where id = $1 and merchant = $2"
        "  returning id, merchant)"
        " insert into webhooks.closed (id, merchant, closed_at) select id, merchant, $3 from gone",
        id,
        merchant,
        now,
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
