"""What has not ended: listed and read, woken to look again, and given up where it is stuck."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.api.orders import GiveUpStatus, OrderId, OrderState, SagaQuery, SagaView
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Database, Row
from vendrail.kernel.ids import derive
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.saga import SagaLog, SagaState
from vendrail.orders import decide, store

_PAGE_MAX = 1_000
_COUNTED_MAX = 1_000


class Unended:
    """The desk of sagas, for the people who look after them."""

    def __init__(self, db: Database, log: SagaLog, clock: Clock, wakeups: Wakeups) -> None:
        self._db = db
        self._log = log
        self._clock = clock
        self._wakeups = wakeups

    async def wake_orders(self, orders: Sequence[OrderId]) -> list[bool]:
        """Let waiting sagas look again now: those of purchase, refunds and expiry."""
        now = self._clock.now()
        async with self._db.reading() as tx:
            refunds = await store.load_refunds(tx, orders)
            purchases = {derive(order, "purchase"): order for order in orders}
            of_refunds = {row["id"]: order for order in orders for row in refunds.get(order, ())}
            expiries = {derive(order, "expiry"): order for order in orders}
            known = purchases | of_refunds | expiries
            woken = {known[id] for id in await self._log.wake(tx, list(known), now)}
        self._hint()
        return [order in woken for order in orders]

    async def wake_sagas(self, sagas: Sequence[UUID]) -> list[bool]:
        """Let waiting and stuck sagas look again now, by their own ids."""
        async with self._db.reading() as tx:
            woken = await self._log.wake(tx, sagas, self._clock.now())
        self._hint()
        return [id in woken for id in sagas]

    async def give_up_orders(self, orders: Sequence[OrderId]) -> list[GiveUpStatus]:
        """Turn stuck purchases back; the slow lane undoes them, as it does what turned by itself.

        The turn is one statement of its own, so whatever dies after it, the saga goes back. Only
        what was not turned is looked at: its saga before its order, for ends are written together.
        """
        purchases = {order: derive(order, "purchase") for order in orders}
        async with self._db.reading() as tx:
            turned = await self._log.turn_stuck(
                tx, sorted(set(purchases.values())), decide.GIVEN_UP, self._clock.now()
            )
            others = [order for order, id in purchases.items() if id not in turned]
            refunds = await store.load_refunds(tx, others)
            asked = [row["id"] for each in refunds.values() for row in each]
            sagas = await self._log.find(tx, [*(purchases[order] for order in others), *asked])
            rows = await store.load_orders(tx, others)
        if turned:
            self._hint()
        statuses = {}
        for order, id in purchases.items():
            if id in turned:
                statuses[order] = GiveUpStatus.GIVEN_UP
                self._wakeups.wake(f"order:{order}")
                continue
            row = rows.get(order)
            of_refunds = [sagas.get(each["id"]) for each in refunds.get(order, ())]
            statuses[order] = decide.give_up(
                OrderState(row["state"]) if row else None,
                sagas.get(id),
                has_stuck_refund=any(s and s.state is SagaState.STUCK for s in of_refunds),
            )
        return [statuses[order] for order in orders]

    def _hint(self) -> None:
        self._wakeups.wake("sagas")
        self._wakeups.wake("returns")

    async def read_sagas(self, sagas: Sequence[UUID]) -> list[SagaView | None]:
        """Read sagas by their own ids; None for one that has ended, or never was."""
        async with self._db.reading() as tx:
            rows = await store.load_sagas(tx, sagas)
        return [_view(rows[id]) if id in rows else None for id in sagas]

    async def list_sagas(self, queries: Sequence[SagaQuery]) -> list[list[SagaView]]:
        """Read pages; few and each its own, so one by one."""
        pages = []
        for query in queries:
            bounded = replace(query, sagas_max=max(0, min(query.sagas_max, _PAGE_MAX)))
            async with self._db.reading() as tx:
                pages.append([_view(row) for row in await store.list_sagas(tx, bounded)])
        return pages

    async def count_sagas(self, states: Sequence[SagaState]) -> list[int]:
        """Count sagas that have not ended by state, up to a thousand of each."""
        async with self._db.reading() as tx:
            return [await store.count_sagas(tx, state, _COUNTED_MAX) for state in states]


def _view(row: Row) -> SagaView:
    return SagaView(
        row["id"],
        row["kind"],
        row["subject"],
        row["state"],
        row["kind"],
        row["reason"],
        row["attempts"],
        row["due_at"],
        row["started_at"],
        row["problem"],
        row["is_turned"],
    )
