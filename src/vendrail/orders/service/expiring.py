"""Expiring: close with the provider, ask once more, and only then give the stock back."""

from collections.abc import Sequence
from datetime import timedelta

from vendrail.api.catalog import Catalog
from vendrail.api.orders import OrderState
from vendrail.api.payments import CloseStatus, Payments
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database
from vendrail.kernel.ids import derive, first_id_at
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.saga import Saga, SagaLog, SagaMark, SagaState
from vendrail.kernel.telemetry import Metrics
from vendrail.orders import store
from vendrail.orders.service.returning import Returning
from vendrail.orders.settings import OrdersSettings

_WALK_MAX = 2_000
_MARGIN_S = 10

ENDS = {"expiry": OrderState.EXPIRED, "cancel": OrderState.CANCELLED}


class Expiring:
    """Runs the sagas of orders that nobody paid."""

    def __init__(
        self,
        db: Database,
        log: SagaLog,
        clock: Clock,
        wakeups: Wakeups,
        metrics: Metrics,
        settings: OrdersSettings,
        catalog: Catalog,
        payments: Payments,
        returning: Returning,
    ) -> None:
        self._db = db
        self._log = log
        self._clock = clock
        self._wakeups = wakeups
        self._metrics = metrics
        self._settings = settings
        self._catalog = catalog
        self._payments = payments
        self._returning = returning

    async def walk(self) -> bool:
        """Start the sagas of orders whose time is over, each order once; true: there are more.

        No index on state is needed: ids are in time order, and a new order's id must be of now.
        """
        now = self._clock.now()
        settings = self._settings
        age_s = settings.pay_window_s + settings.id_age_s_max + _MARGIN_S
        async with self._db.transaction() as tx:
            cursor = await store.lock_cursor(tx, "expiry")
            assert cursor is not None
            before = first_id_at(now - timedelta(seconds=age_s))
            rows = await store.walk_unpaid(tx, cursor["mark"], before, _WALK_MAX)
            if not rows:
                return False
            sagas = [
                Saga(
                    derive(row["id"], "expiry"),
                    "expiry",
                    row["id"],
                    b"{}",
                    trace_id=row["trace_id"],
                    is_slow=True,
                )
                for row in rows
                if row["state"] == OrderState.PLACED
            ]
            if sagas:
                await self._log.start(tx, sagas, now)
            await store.move_mark(tx, "expiry", rows[-1]["id"])
        if sagas:
            self._wakeups.wake("returns")
        return len(rows) == _WALK_MAX

    async def run(self, sagas: Sequence[Saga]) -> None:
        """Close, ask, then release: an order that was paid after all is left to its purchase."""
        statuses = await self._payments.close_attempts([saga.subject for saga in sagas])
        by_status: dict[CloseStatus, list[Saga]] = {}
        for saga, status in zip(sagas, statuses, strict=True):
            by_status.setdefault(status, []).append(saga)
        closed = by_status.get(CloseStatus.CLOSED, [])
        if closed:
            await self._catalog.release_holds([saga.subject for saga in closed])
        now = self._clock.now()
        ends: list[tuple[str, str]] = []
        async with self._db.transaction() as tx:
            for kind, state in ENDS.items():
                of_kind = [saga for saga in closed if saga.kind == kind]
                mine = await self._log.end(tx, [saga.id for saga in of_kind]) if of_kind else set()
                subjects = [saga.subject for saga in of_kind if saga.id in mine]
                if subjects:
                    await store.end_unpaid(tx, subjects, state.value, now)
                    ends += [(kind, state.value)] * len(subjects)
            paid = by_status.get(CloseStatus.CAPTURED, [])
            if paid:
                mine = await self._log.end(tx, [saga.id for saga in paid])
                ends += [(saga.kind, "paid") for saga in paid if saga.id in mine]
            unknown = by_status.get(CloseStatus.UNKNOWN, [])
            if unknown:
                await self._log.mark(
                    tx,
                    [
                        SagaMark(
                            saga.id,
                            SagaState.WAITING,
                            "provider",
                            now + self._returning.look_again(saga.attempts),
                            saga.data,
                            attempts=saga.attempts + 1,
                        )
                        for saga in unknown
                    ],
                )
        self._metrics.count_each("vendrail_saga_ends_total", ends)
        for saga in closed:
            self._wakeups.wake(f"order:{saga.subject}")
