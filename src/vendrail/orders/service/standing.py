"""Standing: nobody orders from a suspended merchant, or pays what was ordered there before."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog

from vendrail.api.catalog import Catalog
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database, Row
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.ids import derive, first_id_at
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.saga import Saga, SagaLog
from vendrail.orders import store
from vendrail.orders.settings import OrdersSettings

_log = structlog.get_logger(__name__)

_KNOWN = timedelta(seconds=1)  # As offers are, the same list answers for a moment.
_MARGIN = timedelta(minutes=2)
_SWEPT_MAX = 500


class Standing:
    """Knows who is suspended, and ends what nobody may pay any more."""

    def __init__(
        self,
        db: Database,
        log: SagaLog,
        clock: Clock,
        wakeups: Wakeups,
        settings: OrdersSettings,
        catalog: Catalog,
    ) -> None:
        self._db = db
        self._log = log
        self._clock = clock
        self._wakeups = wakeups
        self._catalog = catalog
        # What was placed longer ago has expired by itself.
        self._unpaid_max = _MARGIN + timedelta(
            seconds=settings.pay_window_s + settings.id_age_s_max
        )
        self._suspended: frozenset[UUID] = frozenset()
        self._until = clock.now() - _KNOWN

    async def suspended(self) -> frozenset[UUID]:
        """Give the merchants who sell nothing; asked for once a second, whatever is ordered.

        While the catalog is away what was known last counts: what slips through then is ended by
        the next sweep.
        """
        now = self._clock.now()
        if now >= self._until:
            try:
                found = await self._catalog.list_suspensions()
            except Unavailable as error:
                _log.warning("orders.suspensions_away", error=str(error))
            else:
                self._suspended = frozenset(each.merchant for each in found)
            self._until = now + _KNOWN
        return self._suspended

    async def sweep(self, orders_max: int = _SWEPT_MAX) -> bool:
        """Cancel unpaid orders of suspended merchants: closed with the provider, asked once more.

        What was paid all the same is delivered, or goes back, as any order that was cancelled.
        So many orders of each merchant are read at a time.
        """
        now = self._clock.now()
        oldest = now - self._unpaid_max
        found = await self._catalog.list_suspensions()
        self._suspended = frozenset(each.merchant for each in found)
        after: dict[UUID, UUID] = {
            each.merchant: first_id_at(oldest) for each in found if each.since >= oldest
        }
        while after:
            async with self._db.transaction() as tx:
                rows = await store.list_unpaid(tx, after, orders_max)
                sagas = [cancelling(row["id"], row["trace_id"]) for row in rows]
                new = await self._log.start(tx, sagas, now) if sagas else set()
            if new:
                self._wakeups.wake("returns")
            after = _full(rows, orders_max)
        return False


def is_stopped(order: Row, suspended: frozenset[UUID]) -> bool:
    """Whether nobody may pay an order: its merchant is suspended, or who supplies its keys."""
    return order["merchant"] in suspended or order["supplier"] in suspended


def cancelling(order: UUID, trace_id: str) -> Saga:
    """Make the saga that cancels an unpaid order.

    Its id is the same as the expiry's: an order ends unpaid once.
    """
    return Saga(derive(order, "expiry"), "cancel", order, b"{}", trace_id=trace_id, is_slow=True)


def _full(rows: Sequence[Row], rows_max: int) -> dict[UUID, UUID]:
    """Give the last id of each merchant of whom as many as asked for were found: more may come."""
    found: dict[UUID, list[UUID]] = {}
    for row in rows:
        found.setdefault(row["merchant"], []).append(row["id"])
    return {merchant: ids[-1] for merchant, ids in found.items() if len(ids) == rows_max}
