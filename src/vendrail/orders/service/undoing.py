"""Undoing: what a purchase did before its pivot is taken back, and its money given back."""

from uuid import UUID

from vendrail.api.catalog import AllocationId, Catalog
from vendrail.api.orders import OrderId, OrderRefunded
from vendrail.api.settlement import Settlement
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import encode
from vendrail.kernel.db import Database
from vendrail.kernel.ids import derive
from vendrail.kernel.outbox import Wakeups, append_events
from vendrail.kernel.saga import SagaLog, SagaMark, SagaState
from vendrail.kernel.telemetry import Metrics
from vendrail.orders import store
from vendrail.orders.purchase import Event
from vendrail.orders.service.purchases import Purchase
from vendrail.orders.service.returning import Outcome, Returning, worst

_OUTCOMES = {
    Outcome.PAID: Event.GIVEN_BACK,
    Outcome.PENDING: Event.UNDECIDED,
    Outcome.REFUSED: Event.PROVIDER_REFUSED,
    Outcome.NOT_THERE: Event.PROVIDER_REFUSED,
}


class Undoing:
    """The two steps back, in the slow lane: the second asks a provider."""

    def __init__(
        self,
        db: Database,
        log: SagaLog,
        clock: Clock,
        wakeups: Wakeups,
        metrics: Metrics,
        catalog: Catalog,
        settlement: Settlement,
        returning: Returning,
    ) -> None:
        self._db = db
        self._log = log
        self._clock = clock
        self._wakeups = wakeups
        self._metrics = metrics
        self._catalog = catalog
        self._settlement = settlement
        self._returning = returning

    async def undo(self, purchases: list[Purchase]) -> list[Event]:
        """Undo what may have been done, in any order: each undo leaves a tombstone."""
        allocations = [
            AllocationId(derive(purchase.order["id"], f"allocate:{tries}"))
            for purchase in purchases
            if not purchase.is_charge
            for tries in range(purchase.capture.restock_tries + 1)
        ]
        if allocations:
            await self._catalog.free_allocations(allocations)
        await self._catalog.release_holds([purchase.order["id"] for purchase in purchases])
        reversed_ = await self._settlement.reverse_sales([each.sale() for each in purchases])
        for purchase, is_reversed in zip(purchases, reversed_, strict=True):
            if not is_reversed:
                purchase.problem = "The split could not be reversed; look at the books."
        return [Event.UNDONE if done else Event.NOT_HELD for done in reversed_]

    async def give_back(self, purchases: list[Purchase]) -> list[Event]:
        """Give the whole capture back; a provider that has not said is asked again later."""
        wanted = [each.give_back() for each in purchases]
        given = iter(await self._returning.give_back([item for items in wanted for item in items]))
        outcomes = [worst([next(given) for _ in items]) for items in wanted]
        paid = [p for p, o in zip(purchases, outcomes, strict=True) if o is Outcome.PAID]
        lost = await self._end_given_back(paid) if paid else set()
        waiting = [p for p, o in zip(purchases, outcomes, strict=True) if o is Outcome.PENDING]
        if waiting:
            await self._park(waiting)
        events = []
        for purchase, outcome in zip(purchases, outcomes, strict=True):
            if outcome in (Outcome.REFUSED, Outcome.NOT_THERE):
                purchase.problem = f"The money could not be given back: {outcome}."
            is_lost = purchase.saga.id in lost
            events.append(Event.FENCED if is_lost else _OUTCOMES[outcome])
        return events

    async def _park(self, purchases: list[Purchase]) -> None:
        """The provider has not said: ask again later, ever more slowly."""
        now = self._clock.now()
        marks = [
            SagaMark(
                purchase.saga.id,
                SagaState.UNDOING,
                purchase.reason,
                now + self._returning.look_again(purchase.saga.attempts),
                encode(purchase.capture),
                attempts=purchase.saga.attempts + 1,
            )
            for purchase in purchases
        ]
        async with self._db.reading() as tx:
            await self._log.mark(tx, marks)

    async def _end_given_back(self, purchases: list[Purchase]) -> set[UUID]:
        """End purchases whose money has gone back; give those that were not ours any more."""
        now = self._clock.now()
        async with self._db.transaction() as tx:
            mine = await self._log.end(tx, [purchase.saga.id for purchase in purchases])
            held = [purchase for purchase in purchases if purchase.saga.id in mine]
            marked = await store.mark_given_back(
                tx,
                [purchase.order["id"] for purchase in held],
                [purchase.capture.capture for purchase in held],
                [purchase.capture.paid_at for purchase in held],
                now,
            )
            told = [
                OrderRefunded(
                    OrderId(order["id"]),
                    order["merchant"],
                    derive(purchase.capture.capture, "refund:purchase"),
                    purchase.capture.total_minor,
                    order["version"] + 1,
                    now,
                    order["trace_id"],
                    _foreign(purchase),
                    is_unfilled=True,
                )
                for purchase in held
                if (order := purchase.order)["id"] in marked
            ]
            if told:
                await append_events(tx, "orders", now, encode(told), len(told))
        ends = "vendrail_saga_ends_total"
        self._metrics.count(ends, "purchase", "given_back", by=len(held))
        for purchase in held:
            self._wakeups.wake(f"order:{purchase.order['id']}")
        return {purchase.saga.id for purchase in purchases} - mine


def _foreign(purchase: Purchase) -> str:
    """Name the currency that was paid, where it is not the price's."""
    paid = purchase.capture.currency
    return paid if paid != purchase.order["currency"] else ""
