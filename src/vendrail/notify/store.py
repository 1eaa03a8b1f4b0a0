"""All SQL of notify."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.kernel.db import Transaction
from vendrail.kernel.vault import DataKey, Vault
from vendrail.notify.decide import Fate, State


class NewMessage(NamedTuple):
    """One message to be kept."""

    id: UUID
    template: str
    sealed: bytes
    stale_at: datetime


class DueMessage(NamedTuple):
    """One message that a sender has claimed."""

    id: UUID
    template: str
    data_key: UUID
    sealed: bytes
    attempts: int
    stale_at: datetime
    was_sending: bool  # Another sender was lost with it.


async def find_known(tx: Transaction, ids: Sequence[UUID]) -> set[UUID]:
    """Tell which messages are there already."""
    rows = await tx.fetch("select id from notify.message where id = any($1)", list(ids))
    return {row[0] for row in rows}


async def add_messages(
    tx: Transaction, messages: Sequence[NewMessage], data_key: UUID, now: datetime
) -> set[UUID]:
    """Keep messages, each id once; give those that are new."""
    rows = await tx.fetch(
        "insert into notify.message (id, template, sealed, stale_at, data_key, taken_at, due_at)"
        " select n.id, n.template, n.sealed, n.stale_at, $5, $6, $6"
        " from unnest($1::uuid[], $2::text[], $3::bytea[], $4::timestamptz[])"
        "  as n (id, template, sealed, stale_at) order by n.id"
        " on conflict (id) do nothing returning id",
        [message.id for message in messages],
        [message.template for message in messages],
        [message.sealed for message in messages],
        [message.stale_at for message in messages],
        data_key,
        now,
    )
    return {row[0] for row in rows}


async def drop_stale(tx: Transaction, now: datetime) -> int:
    """Drop what waited too long to be of use; what is being sent is its sender's to end."""
    return await tx.execute(
        "update notify.message set state = 'stale', sealed = null, data_key = null"
        " where id in (select id from notify.message"
        "  where state = 'waiting' and due_at <= $1 and stale_at <= $1"
        "  order by due_at limit 1000 for update skip locked)",
        now,
    )


async def claim_messages(
    tx: Transaction, now: datetime, lost_at: datetime, rows_max: int
) -> list[DueMessage]:
    """Claim due messages, oldest first: marked as being sent before anything leaves."""
    rows = await tx.fetch(
        "with due as (select id, state = 'sending' as was_sending from notify.message"
        "  where state in ('waiting', 'sending') and due_at <= $1"
        "  order by due_at limit $3 for update skip locked)"
        " update notify.message m"
        " set state = 'sending', due_at = $2, attempts = m.attempts + 1"
        " from due where m.id = due.id"
        " returning m.id, m.template, m.data_key, m.sealed, m.attempts, m.stale_at,"
        "  due.was_sending",
        now,
        lost_at,
        rows_max,
    )
    return sorted((DueMessage(*row) for row in rows), key=lambda message: message.id)


async def end_message(tx: Transaction, message: DueMessage, fate: Fate) -> None:
    """Write what became of a message, unless another sender has claimed it since."""
    is_over = fate.state is not State.WAITING
    await tx.execute(
        "update notify.message set state = $3, due_at = $4, problem = nullif($5, ''),"
        " sealed = case when $6 then null else sealed end,"
        " data_key = case when $6 then null else data_key end"
        " where id = $1 and state = 'sending' and attempts = $2",
        message.id,
        message.attempts,
        str(fate.state),
        fate.due_at,
        fate.problem,
        is_over,
    )


async def forget(tx: Transaction, before: datetime, rows_max: int) -> int:
    """Delete some outcomes that are older than this, and data keys that seal nothing any more."""
    count = await tx.execute(
        "delete from notify.message where id in (select id from notify.message"
        " where taken_at < $1 and sealed is null order by taken_at limit $2)",
        before,
        rows_max,
    )
    await tx.execute(
        "delete from notify.data_key k where made_at < $1"
        " and not exists (select from notify.message m where m.data_key = k.id)",
        before,
    )
    return count


async def add_data_key(tx: Transaction, key: DataKey, now: datetime) -> None:
    """Keep a data key, before the first row it seals."""
    await tx.execute(
        "insert into notify.data_key (id, sealed, made_at) values ($1, $2, $3)",
        key.id,
        key.sealed,
        now,
    )


async def load_data_keys(
    tx: Transaction, vault: Vault, ids: Collection[UUID]
) -> dict[UUID, DataKey]:
    """Load and open data keys."""
    rows = await tx.fetch(
        "select id, sealed from notify.data_key where id = any($1)", list(set(ids))
    )
    return {row[0]: vault.load_data_key(row[0], row[1]) for row in rows}
