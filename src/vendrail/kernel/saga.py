"""Sagas: work over several services that ends done or undone, whatever dies in between.

The log is one small table in the owner's schema and holds only what has not ended: a row is written
at start, turn, wait and end (deleted there, in the same commit as the owner's own outcome). In
between nothing is written: step ids derive from saga and step, and every step keeps its first
outcome, so running a step again is harmless. A saga is claimed with SKIP LOCKED and a lease; each
write is fenced by the lease's token, so a runner that lost its lease changes nothing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from vendrail.kernel.codec import Record
from vendrail.kernel.db import Row, Transaction


class SagaState(StrEnum):
    """Where a saga that has not ended stands."""

    RUNNING = "running"  # Goes forward.
    UNDOING = "undoing"  # The turn is committed; goes back.
    WAITING = "waiting"  # For a person, a provider or stock; looks again when due.
    STUCK = "stuck"  # Tried often enough: a case for a person.


class Saga(Record, frozen=True):
    """One saga that has not ended."""

    id: UUID
    kind: str
    subject: UUID  # The order it belongs to, or the capture that fits no order.
    data: bytes  # What its steps need, as JSON.
    state: SagaState = SagaState.RUNNING
    reason: str = ""  # Why it waits or turned.
    attempts: int = 0
    problem: str = ""  # What went wrong last.
    trace_id: str = ""
    is_slow: bool = False  # Calls a provider: claimed by the slow lane, so that it holds up nobody.
    is_turned: bool = False  # Has turned, even where it waits or is stuck now: it only goes back.


class SagaMark(Record, frozen=True):
    """What to write of one saga: state, why, when to look again, and its data."""

    id: UUID
    state: SagaState
    reason: str
    due_at: datetime
    data: bytes
    problem: str = ""
    attempts: int = 0


def _read(row: Row) -> Saga:
    return Saga(
        id=row["id"],
        kind=row["kind"],
        subject=row["subject"],
        data=row["data"],
        state=SagaState(row["state"]),
        reason=row["reason"],
        attempts=row["attempts"],
        problem=row["problem"],
        trace_id=row["trace_id"],
        is_slow=row["is_slow"],
        is_turned=row["is_turned"],
    )


_NEW_SAGA = (
    "id", "kind", "subject", "data", "trace_id", "is_slow", "started_at", "due_at", "lease",
)  # fmt: skip


class SagaLog:
    """The saga table of one schema, written for one runner, whose `token` fences every write."""

    def __init__(self, schema: str, token: UUID, lease_s: float = 60.0) -> None:
        self._schema = schema
        self._table = f'"{schema}".saga'
        self._token = token
        self._lease = timedelta(seconds=lease_s)

    async def start(
        self, tx: Transaction, sagas: Sequence[Saga], now: datetime, *, is_plain: bool = False
    ) -> set[UUID]:
        """Write sagas that begin; give the ids that are new.

        Quick ones are claimed by this runner at once, slow ones are due for any runner's slow lane.
        Plain: all must be new, else it is an error and the transaction is void.
        """
        if is_plain:
            until = now + self._lease
            rows_new = [
                (saga.id, saga.kind, saga.subject, saga.data, saga.trace_id, saga.is_slow, now)
                + ((now, None) if saga.is_slow else (until, self._token))
                for saga in sagas
            ]
            await tx.copy_rows(self._schema, "saga", _NEW_SAGA, rows_new)
            return {saga.id for saga in sagas}
        rows = await tx.fetch(
            f"insert into {self._table}"
            f" ({', '.join(_NEW_SAGA)})"
            " select n.*, $7::timestamptz, case when n.is_slow then $7::timestamptz"
            "  else $8::timestamptz end, case when not n.is_slow then $9::uuid end"
            " from unnest($1::uuid[], $2::text[], $3::uuid[], $4::bytea[], $5::text[], $6::bool[])"
            "  as n (id, kind, subject, data, trace_id, is_slow)"
            " on conflict (id) do nothing returning id",
            [saga.id for saga in sagas],
            [saga.kind for saga in sagas],
            [saga.subject for saga in sagas],
            [saga.data for saga in sagas],
            [saga.trace_id for saga in sagas],
            [saga.is_slow for saga in sagas],
            now,
            now + self._lease,
            self._token,
        )
        return {row["id"] for row in rows}

    async def claim(
        self, tx: Transaction, now: datetime, sagas_max: int, *, is_slow: bool = False
    ) -> list[Saga]:
        """Claim a lane's sagas that are due: their wait, or their runner's lease, is over."""
        rows = await tx.fetch(
            f"update {self._table} s set due_at = $2, lease = $3"
            f" from (select id from {self._table} where due_at <= $1 and state <> 'stuck'"
            "  and is_slow = $5"
            "  order by due_at limit $4 for update skip locked) due"
            " where s.id = due.id returning s.*",
            now,
            now + self._lease,
            self._token,
            sagas_max,
            is_slow,
        )
        return [_read(row) for row in rows]

    async def mark(self, tx: Transaction, marks: Sequence[SagaMark]) -> set[UUID]:
        """Write turns and waits, and let go; give the ids that were still this runner's.

        Whoever looks when it is due goes on; what turned back goes on in the slow lane.
        """
        rows = await tx.fetch(
            f"update {self._table} s set state = m.state, reason = m.reason, due_at = m.due_at,"
            "  data = m.data, problem = m.problem, attempts = m.attempts, lease = null,"
            "  is_slow = s.is_slow or m.state = 'undoing',"
            "  is_turned = s.is_turned or m.state = 'undoing'"
            " from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::bytea[],"
            "  $6::text[], $7::int[]) as m (id, state, reason, due_at, data, problem, attempts)"
            " where s.id = m.id and s.lease = $8 returning s.id",
            [mark.id for mark in marks],
            [mark.state.value for mark in marks],
            [mark.reason for mark in marks],
            [mark.due_at for mark in marks],
            [mark.data for mark in marks],
            [mark.problem for mark in marks],
            [mark.attempts for mark in marks],
            self._token,
        )
        return {row["id"] for row in rows}

    async def end(self, tx: Transaction, ids: Sequence[UUID]) -> set[UUID]:
        """End sagas, in the commit that holds their outcome; give those still this runner's."""
        rows = await tx.fetch(
            f"delete from {self._table} s where s.id = any($1::uuid[]) and s.lease = $2"
            " returning s.id",
            ids,
            self._token,
        )
        return {row["id"] for row in rows}

    async def find(self, tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Saga]:
        """Read sagas by id; those that have ended are not there."""
        rows = await tx.fetch(f"select * from {self._table} where id = any($1::uuid[])", ids)
        return {row["id"]: _read(row) for row in rows}

    async def wake(self, tx: Transaction, ids: Sequence[UUID], now: datetime) -> set[UUID]:
        """Make waiting and stuck sagas due now; give those that were not held by a runner.

        What was stuck goes on in its direction: after its turn, whatever happened, only back.
        """
        rows = await tx.fetch(
            f"update {self._table} set due_at = $2, attempts = 0,"
            "  state = case when state <> 'stuck' then state"
            "   when is_turned then 'undoing' else 'running' end"
            " where id = any($1::uuid[]) and lease is null returning id",
            ids,
            now,
        )
        return {row["id"] for row in rows}

    async def turn_stuck(
        self, tx: Transaction, ids: Sequence[UUID], reason: str, now: datetime
    ) -> set[UUID]:
        """Turn stuck sagas back by a person's word, due now in the slow lane; give those turned.

        No runner holds or claims what is stuck. Who wakes it at the same moment has the row first,
        and it is not turned; or after, and it is only woken to go back.
        """
        rows = await tx.fetch(
            f"update {self._table} set state = 'undoing', reason = $2, due_at = $3, attempts = 0,"
            "  is_slow = true, is_turned = true"
            " where id = any($1::uuid[]) and state = 'stuck' and not is_turned and lease is null"
            " returning id",
            ids,
            reason,
            now,
        )
        return {row["id"] for row in rows}
