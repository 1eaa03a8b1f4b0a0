"""Filling: purchases from money to key, a batch at a time, each state of the table run once."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.catalog import Allocation, AllocationStatus, Catalog
from vendrail.api.orders import OrderDelivered, OrderHeld, OrderId
from vendrail.api.risk import Risk, RiskDecision, RiskQuestion
from vendrail.api.settlement import SaleStatus, Settlement
from vendrail.api.wallets import WALLET_DESK, TopUpQuestion, TopUpStatus, Wallets
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, encode, replace
from vendrail.kernel.db import Database, Row
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.outbox import Wakeups, append_events
from vendrail.kernel.saga import Saga, SagaLog, SagaMark, SagaState
from vendrail.kernel.telemetry import Metrics, span_batch
from vendrail.orders import store
from vendrail.orders.decide import OrderFacts
from vendrail.orders.purchase import FINAL, PURCHASE, Event, Step
from vendrail.orders.service.purchases import Purchase, surplus_saga
from vendrail.orders.service.undoing import Undoing
from vendrail.orders.settings import OrdersSettings

_RESTOCK_LOOK_S = 15.0


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
        undoing: Undoing,
        wallets: Wallets,
    ) -> None:
        self._wallets = wallets
        self._db = db
        self._log = log
        self._clock = clock
        self._wakeups = wakeups
        self._metrics = metrics
        self._settings = settings
        self._catalog = catalog
        self._risk = risk
        self._settlement = settlement
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
            Step.UNDO: undoing.undo,
            Step.GIVE_BACK: undoing.give_back,
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

    async def _judge_top_ups(self, top_ups: list[TopUpQuestion]) -> dict[UUID | None, TopUpStatus]:
        """Say which top-ups their wallets may not hold: that money goes back.

        Asked before the split and after it: where two are judged at the same instant, whichever
        comes into the wallet last finds too much there; at worst both go back.
        """
        statuses = await self._wallets.judge_top_ups(top_ups)
        return {
            each.order: status
            for each, status in zip(top_ups, statuses, strict=True)
            if status is TopUpStatus.BALANCE_TOO_HIGH
        }

    async def _assess(self, purchases: list[Purchase]) -> list[Event]:
        questions = []
        top_ups: list[TopUpQuestion] = []
        forgotten: set[UUID] = set()  # Top-ups of accounts that are deleted: that money goes back.
        for purchase in purchases:
            order = purchase.order
            traits = purchase.traits
            if traits.wallet is not None and order["buyer"] is None:
                forgotten.add(order["id"])
            elif traits.wallet is not None:
                top_ups.append(_top_up(order, traits.wallet))
            questions.append(
                RiskQuestion(
                    order["id"],
                    order["merchant"],
                    order["amount_minor"],
                    order["currency"],
                    order["contact_hash"].hex(),
                    traits.address_hash,
                    traits.device_hash,
                )
            )
        events = []
        answers = await self._risk.assess_payments(questions)
        unwanted = await self._judge_top_ups(top_ups) if top_ups else {}
        for purchase, answer in zip(purchases, answers, strict=True):
            if purchase.order["id"] in forgotten:
                purchase.reason = "refused: account_deleted"
                events.append(Event.REFUSED)
                continue
            if purchase.order["id"] in unwanted:
                purchase.reason = f"refused: {unwanted[purchase.order['id']]}"
                events.append(Event.REFUSED)
                continue
            if answer.decision is RiskDecision.ALLOW:
                events.append(Event.CHARGE_ALLOWED if purchase.is_charge else Event.ALLOWED)
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
                    purchase.stock,
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
        top_ups = [
            _top_up(each.order, each.traits.wallet)
            for each, event in zip(purchases, events, strict=True)
            if event is Event.SPLIT_DONE and each.order["merchant"] == WALLET_DESK
        ]
        unwanted = await self._judge_top_ups(top_ups) if top_ups else {}
        for place, purchase in enumerate(purchases):
            if purchase.order["id"] in unwanted:
                purchase.reason = f"refused: {unwanted[purchase.order['id']]}"
                events[place] = Event.REFUSED
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
                [purchase.filled_by for purchase in held],
                [purchase.capture.paid_at for purchase in held],
                now,
            )
            if filled:
                told = [
                    OrderDelivered(
                        OrderId(order["id"]),
                        order["merchant"],
                        purchase.filled_by,
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
        return await self._hold(purchases, "review", self._settings.review_look_s)

    async def _wait_restock(self, purchases: list[Purchase]) -> list[Event]:
        return await self._hold(purchases, "restock", _RESTOCK_LOOK_S)

    async def _stick(self, purchases: list[Purchase]) -> list[Event]:
        return await self._write(purchases, SagaState.STUCK, "person", 0.0)

    async def _turn(self, purchases: list[Purchase]) -> list[Event]:
        events = await self._write(purchases, SagaState.UNDOING, None, 0.0)
        self._wakeups.wake("returns")
        return events

    async def _hold(self, purchases: list[Purchase], reason: str, delay_s: float) -> list[Event]:
        """Let purchases wait; the first time that is told, not each time they look again."""
        fresh = [
            purchase
            for purchase in purchases
            if purchase.saga.state is not SagaState.WAITING or purchase.saga.reason != reason
        ]
        return await self._write(purchases, SagaState.WAITING, reason, delay_s, told=fresh)

    async def _write(
        self,
        purchases: list[Purchase],
        state: SagaState,
        reason: str | None,
        delay_s: float,
        told: Sequence[Purchase] = (),
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
        if told:
            async with self._db.transaction() as tx:
                mine = await self._log.mark(tx, marks)
                held = [
                    OrderHeld(
                        OrderId(order["id"]),
                        order["merchant"],
                        reason or "",
                        order["version"],
                        now,
                        order["trace_id"],
                    )
                    for purchase in told
                    if purchase.saga.id in mine and (order := purchase.order)
                ]
                if held:
                    await append_events(tx, "orders", now, encode(held), len(held))
        else:
            async with self._db.reading() as tx:
                mine = await self._log.mark(tx, marks)
        for purchase in purchases:
            self._wakeups.wake(f"order:{purchase.order['id']}")
        return [
            Event.WRITTEN if purchase.saga.id in mine else Event.FENCED for purchase in purchases
        ]


def _top_up(order: Row, wallet: UUID | None) -> TopUpQuestion:
    assert wallet is not None
    return TopUpQuestion(wallet, order["currency"], order["amount_minor"], order["id"])
