"""Filling: purchases from money to key, a batch at a time, each state of the table run once."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.catalog import Allocation, AllocationId, AllocationStatus, Catalog
from vendrail.api.orders import OrderDelivered, OrderId, OrderRefunded
from vendrail.api.payments import CaptureId, Refund, RefundId
from vendrail.api.risk import Risk, RiskDecision, RiskQuestion
from vendrail.api.settlement import CaptureBooking, RefundPosting, Sale, SaleStatus, Settlement
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, encode, replace
from vendrail.kernel.db import Database, Row
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.ids import derive
from vendrail.kernel.outbox import Wakeups, append_events
from vendrail.kernel.saga import Saga, SagaLog, SagaMark, SagaState
from vendrail.kernel.telemetry import Metrics, is_sampled, span_batch
from vendrail.orders import store
from vendrail.orders.decide import CaptureFacts, OrderFacts
from vendrail.orders.purchase import FINAL, PURCHASE, Event, Step
from vendrail.orders.service.returning import GiveBack, Outcome, Returning
from vendrail.orders.settings import OrdersSettings

_RESTOCK_LOOK_S = 15.0

_OUTCOMES = {
    Outcome.PAID: Event.GIVEN_BACK,
    Outcome.PENDING: Event.UNDECIDED,
    Outcome.REFUSED: Event.PROVIDER_REFUSED,
    Outcome.NOT_THERE: Event.PROVIDER_REFUSED,
}


class Purchase:
    """One purchase on its way: its saga, its order as it was loaded, its money, its next step."""

    __slots__ = ("capture", "order", "problem", "reason", "saga", "step", "trace_id")

    def __init__(self, saga: Saga, order: Row, capture: CaptureFacts | None = None) -> None:
        self.saga = saga
        self.order = order
        self.capture = capture or decode(saga.data, CaptureFacts)
        self.step = Step.UNDO if saga.state is SagaState.UNDOING else Step.ASSESS
        self.reason = saga.reason
        self.problem = ""
        self.trace_id = saga.trace_id if is_sampled(saga.trace_id) else ""  # Where it is kept.

    @property
    def allocation(self) -> AllocationId:
        """The id under which keys are picked; after a restock, the next one."""
        return AllocationId(derive(self.order["id"], f"allocate:{self.capture.restock_tries}"))

    def booking(self) -> CaptureBooking:
        """The money that arrived, as settlement books it."""
        capture = self.capture
        return CaptureBooking(
            capture.capture,
            self.order["id"],
            capture.channel_name,
            self.order["merchant"],
            capture.amount_minor,
            capture.currency,
            capture.is_from_suspense,
        )

    def sale(self) -> Sale:
        """The sale, as settlement splits it, its booking in the same chain."""
        order = self.order
        return Sale(
            order["id"],
            order["merchant"],
            order["amount_minor"],
            order["currency"],
            order["placed_at"],
            self.booking(),
        )

    def give_back(self) -> GiveBack:
        """The whole capture, out of held, to where it came from."""
        capture, order = self.capture, self.order
        refund = RefundId(derive(capture.capture, "refund:purchase"))
        return GiveBack(
            RefundPosting(
                refund=refund,
                order=order["id"],
                merchant=order["merchant"],
                channel=capture.channel_name,
                amount_minor=capture.amount_minor,
                currency=capture.currency,
                placed_at=order["placed_at"],
                is_split=False,
                captured_minor=capture.amount_minor,
            ),
            Refund(refund, CaptureId(capture.capture), capture.amount_minor, self.reason),
        )


class Filling:
    """Runs purchases through the table of `purchase.py`."""

    def __init__(
        self,
        db: Database,
        log: SagaLog,
        clock: Clock,
        wakeups: Wakeups,
        metrics: Metrics,
        settings: OrdersSettings,
        catalog: Catalog,
        risk: Risk,
        settlement: Settlement,
        returning: Returning,
    ) -> None:
        self._db = db
        self._log = log
        self._clock = clock
        self._wakeups = wakeups
        self._metrics = metrics
        self._settings = settings
        self._catalog = catalog
        self._risk = risk
        self._settlement = settlement
        self._returning = returning
        self._states: dict[Step, Callable[[list[Purchase]], Awaitable[list[Event]]]] = {
            Step.ASSESS: self._assess,
            Step.ALLOCATE: self._allocate,
            Step.SPLIT: self._split,
            Step.DELIVER: self._deliver,
            Step.BOOK_TO_REVIEW: self._book,
            Step.BOOK_TO_RESTOCK: self._book,
            Step.BOOK_TO_TURN: self._book,
            Step.WAIT_REVIEW: self._wait_review,
            Step.WAIT_RESTOCK: self._wait_restock,
            Step.TURN: self._turn,
            Step.UNDO: self._undo,
            Step.GIVE_BACK: self._give_back,
            Step.STICK: self._stick,
        }

    async def load(self, sagas: Sequence[Saga]) -> list[Purchase]:
        """Load the orders of claimed sagas."""
        async with self._db.reading() as tx:
            orders = await store.load_orders(tx, [saga.subject for saga in sagas])
        return [Purchase(saga, orders[saga.subject]) for saga in sagas]

    async def run(self, purchases: list[Purchase]) -> None:
        """Run purchases until each is done, ended, parked or another runner's."""
        live = purchases
        while live:
            groups: dict[Step, list[Purchase]] = {}
            for purchase in live:
                groups.setdefault(purchase.step, []).append(purchase)
            for step, group in groups.items():
                traces = [purchase.trace_id for purchase in group]
                with span_batch(f"orders.{step}", traces, len(group)):
                    events = await self._states[step](group)
                for purchase, event in zip(group, events, strict=True):
                    purchase.step = PURCHASE.next(step, event)
            live = [purchase for purchase in live if purchase.step not in FINAL]

    async def _assess(self, purchases: list[Purchase]) -> list[Event]:
        questions = []
        for purchase in purchases:
            order = purchase.order
            facts = decode(order["facts"], OrderFacts)
            questions.append(
                RiskQuestion(
                    order["id"],
                    order["merchant"],
                    order["amount_minor"],
                    order["currency"],
                    order["contact_hash"].hex(),
                    facts.address_hash,
                    facts.device_hash,
                )
            )
        events = []
        for purchase, answer in zip(
            purchases, await self._risk.assess_payments(questions), strict=True
        ):
            if answer.decision is RiskDecision.ALLOW:
                events.append(Event.ALLOWED)
            elif answer.decision is RiskDecision.REVIEW:
                events.append(Event.REVIEW_ASKED)
            else:
                purchase.reason = "refused: " + ", ".join(answer.reasons)
                events.append(Event.REFUSED)
        return events

    async def _allocate(self, purchases: list[Purchase]) -> list[Event]:
        now = self._clock.now()
        for purchase in purchases:
            if purchase.saga.reason == "restock" and purchase.saga.state is SagaState.WAITING:
                tries = purchase.capture.restock_tries + 1
                purchase.capture = replace(purchase.capture, restock_tries=tries)
        results = await self._catalog.allocate_keys(
            [
                Allocation(
                    purchase.allocation,
                    purchase.order["id"],
                    purchase.order["variant"],
                    purchase.order["quantity"],
                )
                for purchase in purchases
            ]
        )
        events = []
        for purchase, result in zip(purchases, results, strict=True):
            if result.status is AllocationStatus.ALLOCATED:
                events.append(Event.ALLOCATED)
            elif result.status is AllocationStatus.CANCELLED:
                purchase.reason = "cancelled"
                events.append(Event.CANCELLED)
            elif self._is_restock_awaited(purchase, now):
                events.append(Event.RESTOCK_AWAITED)
            else:
                purchase.reason = "sold out"
                events.append(Event.SOLD_OUT)
        return events

    def _is_restock_awaited(self, purchase: Purchase, now: datetime) -> bool:
        wait_s = decode(purchase.order["facts"], OrderFacts).restock_wait_s
        return bool(now < purchase.capture.paid_at + timedelta(seconds=wait_s))

    async def _split(self, purchases: list[Purchase]) -> list[Event]:
        results = await self._settlement.split_sales([purchase.sale() for purchase in purchases])
        events = []
        for purchase, result in zip(purchases, results, strict=True):
            if result.status is SaleStatus.SPLIT:
                events.append(Event.SPLIT_DONE)
            elif result.status is SaleStatus.CANCELLED:
                purchase.reason = "cancelled"
                events.append(Event.CANCELLED)
            else:
                purchase.problem = f"The split answered {result.status}; look at the books."
                events.append(Event.NOT_HELD)
        return events

    async def _deliver(self, purchases: list[Purchase]) -> list[Event]:
        """The pivot: end of the saga, outcome of the order and its event in one commit."""
        now = self._clock.now()
        async with self._db.transaction() as tx:
            mine = await self._log.end(tx, [purchase.saga.id for purchase in purchases])
            held = [purchase for purchase in purchases if purchase.saga.id in mine]
            filled = await store.deliver_orders(
                tx,
                [purchase.order["id"] for purchase in held],
                [purchase.capture.capture for purchase in held],
                [purchase.allocation for purchase in held],
                [purchase.capture.paid_at for purchase in held],
                now,
            )
            if filled:
                told = [
                    OrderDelivered(
                        OrderId(order["id"]),
                        order["merchant"],
                        purchase.allocation,
                        order["version"] + 1,
                        now,
                        order["trace_id"],
                    )
                    for purchase in held
                    if (order := purchase.order)["id"] in filled
                ]
                await append_events(tx, "orders", now, encode(told), len(told))
            surplus = [purchase for purchase in held if purchase.order["id"] not in filled]
            if surplus:
                await self._log.start(tx, [surplus_saga(each) for each in surplus], now)
        if surplus:
            self._wakeups.wake("returns")
        self._count_deliveries([each for each in held if each.order["id"] in filled], surplus)
        self._wakeups.wake("orders")
        for id in filled:
            self._wakeups.wake(f"order:{id}")
        return [
            Event.FENCED
            if purchase.saga.id not in mine
            else Event.DELIVERED
            if purchase.order["id"] in filled
            else Event.SURPLUS
            for purchase in purchases
        ]

    def _count_deliveries(self, filled: list[Purchase], surplus: list[Purchase]) -> None:
        now, count = self._clock.now(), self._metrics.count
        count("vendrail_saga_ends_total", "purchase", "delivered", by=len(filled))
        count("vendrail_saga_ends_total", "purchase", "surplus", by=len(surplus))
        taken_s = [
            max(0.0, (now - at).total_seconds())
            for purchase in filled
            if (at := purchase.capture.captured_at) is not None
        ]
        self._metrics.observe_all("vendrail_delivery_seconds", taken_s)

    async def _book(self, purchases: list[Purchase]) -> list[Event]:
        booked = await self._settlement.book_captures([each.booking() for each in purchases])
        if not all(booked):
            raise Unavailable("Money that arrived could not be booked; it is tried again.")
        return [Event.BOOKED] * len(purchases)

    async def _wait_review(self, purchases: list[Purchase]) -> list[Event]:
        return await self._park(
            purchases, SagaState.WAITING, "review", self._settings.review_look_s
        )

    async def _wait_restock(self, purchases: list[Purchase]) -> list[Event]:
        return await self._park(purchases, SagaState.WAITING, "restock", _RESTOCK_LOOK_S)

    async def _stick(self, purchases: list[Purchase]) -> list[Event]:
        return await self._park(purchases, SagaState.STUCK, "person", 0.0)

    async def _turn(self, purchases: list[Purchase]) -> list[Event]:
        events = await self._write(purchases, SagaState.UNDOING, None, 0.0)
        self._wakeups.wake("returns")
        return events

    async def _park(
        self, purchases: list[Purchase], state: SagaState, reason: str, delay_s: float
    ) -> list[Event]:
        return await self._write(purchases, state, reason, delay_s)

    async def _write(
        self,
        purchases: list[Purchase],
        state: SagaState,
        reason: str | None,
        delay_s: float,
    ) -> list[Event]:
        """Write turns or waits; what is no longer ours is left to its new runner."""
        now = self._clock.now()
        due_at = now + timedelta(seconds=delay_s)
        marks = [
            SagaMark(
                purchase.saga.id,
                state,
                purchase.reason if reason is None else reason,
                due_at,
                encode(purchase.capture),
                purchase.problem,
            )
            for purchase in purchases
        ]
        async with self._db.reading() as tx:
            mine = await self._log.mark(tx, marks)
        for purchase in purchases:
            self._wakeups.wake(f"order:{purchase.order['id']}")
        return [
            Event.WRITTEN if purchase.saga.id in mine else Event.FENCED for purchase in purchases
        ]

    async def _undo(self, purchases: list[Purchase]) -> list[Event]:
        """Undo what may have been done, in any order: each undo leaves a tombstone."""
        allocations = [
            AllocationId(derive(purchase.order["id"], f"allocate:{tries}"))
            for purchase in purchases
            for tries in range(purchase.capture.restock_tries + 1)
        ]
        await self._catalog.free_allocations(allocations)
        await self._catalog.release_holds([purchase.order["id"] for purchase in purchases])
        reversed_ = await self._settlement.reverse_sales([each.sale() for each in purchases])
        for purchase, is_reversed in zip(purchases, reversed_, strict=True):
            if not is_reversed:
                purchase.problem = "The split could not be reversed; look at the books."
        return [Event.UNDONE if done else Event.NOT_HELD for done in reversed_]

    async def _give_back(self, purchases: list[Purchase]) -> list[Event]:
        outcomes = await self._returning.give_back([each.give_back() for each in purchases])
        paid = [p for p, o in zip(purchases, outcomes, strict=True) if o is Outcome.PAID]
        lost = await self._end_given_back(paid) if paid else set()
        waiting = [p for p, o in zip(purchases, outcomes, strict=True) if o is Outcome.PENDING]
        if waiting:
            await self._park_undoing(waiting)
        events = []
        for purchase, outcome in zip(purchases, outcomes, strict=True):
            if outcome in (Outcome.REFUSED, Outcome.NOT_THERE):
                purchase.problem = f"The money could not be given back: {outcome}."
            is_lost = purchase.saga.id in lost
            events.append(Event.FENCED if is_lost else _OUTCOMES[outcome])
        return events

    async def _park_undoing(self, purchases: list[Purchase]) -> None:
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
                    purchase.capture.amount_minor,
                    order["version"] + 1,
                    now,
                    order["trace_id"],
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


def surplus_saga(purchase: Purchase) -> Saga:
    """The saga that gives a second capture of a filled order back."""
    return Saga(
        id=derive(purchase.capture.capture, "surplus"),
        kind="surplus",
        subject=purchase.order["id"],
        data=encode(purchase.capture),
        trace_id=purchase.saga.trace_id,
        is_slow=True,
    )
