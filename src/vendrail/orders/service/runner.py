"""The runner: turns captures into sagas, claims what is due, and runs each kind in batches."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog

from vendrail.api.catalog import AllocationId, Catalog
from vendrail.api.orders import OrderDelivered, OrderEvent, OrderState, WalletPartState
from vendrail.api.payments import (
    Capture,
    CaptureFit,
    PaymentCaptured,
    PaymentEvent,
    Payments,
    RefundSettled,
    UnmatchedRefunded,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, encode, replace
from vendrail.kernel.db import Database, Row, Transaction, plain_first
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.ids import derive
from vendrail.kernel.outbox import Cursor, Wakeups, read_cursor, read_events
from vendrail.kernel.saga import Saga, SagaLog, SagaMark, SagaState
from vendrail.kernel.telemetry import Metrics, span_batch
from vendrail.orders import decide, store
from vendrail.orders.decide import CaptureFacts, Start
from vendrail.orders.parts import Part
from vendrail.orders.service.expiring import Expiring
from vendrail.orders.service.filling import Filling
from vendrail.orders.service.funding import Funding, is_short, lock_parts
from vendrail.orders.service.late import lapsed
from vendrail.orders.service.purchases import Purchase
from vendrail.orders.service.refunding import Refunding
from vendrail.orders.service.replacing import Replacing
from vendrail.orders.settings import OrdersSettings
from vendrail.orders.store import parts as part_rows

_log = structlog.get_logger(__name__)

_SLOW_KINDS = ("surplus", "unmatched")
_LET_GO_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_BACKOFF_S = (0.2, 1.0, 5.0, 15.0, 60.0, 300.0)


class Runner:
    """Owns the lease token of this process; no saga is ever in two of its batches."""

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
        filling: Filling,
        refunding: Refunding,
        expiring: Expiring,
        replacing: Replacing,
        funding: Funding,
    ) -> None:
        self._funding = funding
        self._db = db
        self._saga_log = log
        self._clock = clock
        self._wakeups = wakeups
        self._metrics = metrics
        self._settings = settings
        self._catalog = catalog
        self._payments = payments
        self._filling = filling
        self._expiring = expiring
        # When each consumer of events was last known to have read all there were.
        self.read_all_at = dict.fromkeys(("orders.captures", "orders.deliveries"), clock.now())
        self._running: set[UUID] = set()
        self._flights: set[asyncio.Task[None]] = set()
        self._is_crowded = False  # Whether the last captures were near to filling a batch.
        self._places = asyncio.Semaphore(settings.purchases_in_flight_max)
        self._slow_places = asyncio.Semaphore(settings.slow_in_flight_max)
        self._kinds: dict[str, Callable[[Sequence[Saga]], Awaitable[None]]] = {
            "surplus": refunding.run_surplus,
            "suspense": refunding.run_suspense,
            "unmatched": refunding.run_unmatched,
            "refund": refunding.run_refunds,
            "expiry": expiring.run,
            "cancel": expiring.run,
            "replacement": replacing.run,
        }

    async def consume_captures(self) -> bool:
        """Read what payments tells, start its sagas and run them; true when there was any.

        While batches are in flight more gathers, unless there was so much that it fills batches.
        """
        if self._flights and not self._is_crowded:
            await asyncio.wait(set(self._flights))
        now = self._clock.now()
        async with self._db.reading() as tx:
            cursor = await read_cursor(tx, "orders", "payments")
        page = (await self._payments.read_events([cursor]))[0]
        if not page.batches:
            self.read_all_at["orders.captures"] = now
            return False
        events = [event for batch in page.batches for event in decode(batch, list[PaymentEvent])]
        purchases, others = await plain_first(partial(self._start, cursor, page.cursor, events))
        size = self._settings.purchase_batch_max
        self._is_crowded = len(purchases) * 4 >= size
        for begin in range(0, len(purchases), size):
            await self._launch_purchases(purchases[begin : begin + size], self._places)
        await self._launch_others([saga for saga in others if not saga.is_slow], self._places)
        if any(saga.is_slow for saga in others):
            self._wakeups.wake("returns")
        return True

    async def claim_quick(self) -> bool:
        """Claim and run what is due and calls no provider; true when there may be more."""
        return await self._claim(self._settings.purchase_batch_max, self._places, is_slow=False)

    async def claim_slow(self) -> bool:
        """Claim and run what is due and calls a provider: in lanes of its own, in small batches.

        A provider that does not answer holds up refunds and expiry, never a delivery.
        """
        return await self._claim(self._settings.slow_batch_max, self._slow_places, is_slow=True)

    async def _claim(self, size: int, places: asyncio.Semaphore, *, is_slow: bool) -> bool:
        # Nothing is claimed that could not run at once.
        async with places, self._db.reading() as tx:
            claimed = await self._saga_log.claim(tx, self._clock.now(), size, is_slow=is_slow)
        sagas = [saga for saga in claimed if saga.id not in self._running]
        purchases = [saga for saga in sagas if saga.kind == "purchase"]
        if purchases:
            await self._launch_purchases(await self._filling.load(purchases), places)
        await self._launch_others([saga for saga in sagas if saga.kind != "purchase"], places)
        return len(claimed) == size

    async def walk_unpaid(self) -> bool:
        """Start the sagas of what has expired; true when there may be more."""
        return await self._expiring.walk()

    async def settle_deliveries(self) -> bool:
        """Mark delivered keys sold: after the pivot, at leisure, many batches at once."""
        now = self._clock.now()
        async with self._db.reading() as tx:
            cursor = await read_cursor(tx, "orders", "deliveries")
            page = await read_events(tx, "orders", cursor)
        if not page.batches:
            self.read_all_at["orders.deliveries"] = now
            return False
        delivered = [
            event
            for batch in page.batches
            for event in decode(batch, list[OrderEvent])
            if isinstance(event, OrderDelivered) and event.allocation is not None
        ]
        if delivered:
            with span_batch("orders.settle_deliveries", [event.trace_id for event in delivered]):
                sold = [AllocationId(each.allocation) for each in delivered if each.allocation]
                await self._catalog.sell_allocations(sold)
        async with self._db.transaction() as tx:
            row = await store.lock_cursor(tx, "deliveries")
            if row is not None and (int(row["xid"]), row["id"]) == (cursor.xid, cursor.id):
                await store.move_cursor(tx, "deliveries", page.cursor)
        return page.is_more

    async def launch(self, purchases: list[Purchase]) -> None:
        """Run purchases that were begun here: they are this runner's."""
        await self._launch_purchases(purchases, self._places)

    async def free_wallet_parts(self) -> bool:
        """Give back what wallets have reserved for orders that ended otherwise."""
        return await self._funding.free_unused()

    async def drain(self) -> None:
        """Wait until nothing is in flight: before a stop."""
        while self._flights:
            await asyncio.wait(set(self._flights))

    async def _start(
        self, cursor: Cursor, after: Cursor, events: Sequence[PaymentEvent], *, is_plain: bool
    ) -> tuple[list[Purchase], list[Saga]]:
        """Write the sagas that events set in motion, with the cursor, in one commit."""
        now = self._clock.now()
        captures = [event.capture for event in events if isinstance(event, PaymentCaptured)]
        others = [
            _unmatched_saga(event) for event in events if isinstance(event, UnmatchedRefunded)
        ]
        settled = [event.refund for event in events if isinstance(event, RefundSettled)]
        async with self._db.transaction() as tx:
            row = await store.lock_cursor(tx, "payments")
            if row is None or (int(row["xid"]), row["id"]) != (cursor.xid, cursor.id):
                return [], []  # Another process has read this page.
            orders = await store.load_orders(tx, [c.order for c in captures if c.order])
            parts = await lock_parts(tx, captures, orders)
            started, others_more = await self._start_purchases(
                tx, captures, orders, parts, is_plain=is_plain
            )
            others += others_more
            if others:
                new = await self._saga_log.start(tx, others, now)
                others = [saga for saga in others if saga.id in new]
            if settled:
                await self._saga_log.wake(tx, settled, now)
            await store.move_cursor(tx, "payments", after)
        return started, others

    async def _start_purchases(
        self,
        tx: Transaction,
        captures: Sequence[Capture],
        orders: dict[UUID, Row],
        parts: dict[UUID, Part],
        *,
        is_plain: bool,
    ) -> tuple[list[Purchase], list[Saga]]:
        """Write purchases; what meets an order that has its purchase already is surplus."""
        wanted: dict[UUID, tuple[Saga, CaptureFacts]] = {}
        others: list[Saga] = []
        for capture in captures:
            order = orders.get(capture.order) if capture.order else None
            purchase = derive(order["id"], "purchase") if order else None
            rival = wanted.get(purchase) if purchase else None
            running = rival[1].capture if rival else None
            self._sort(capture, order, purchase, running, wanted, others, parts)
        new: set[UUID] = set()
        if wanted:
            sagas = [saga for saga, _ in wanted.values()]
            new = await self._saga_log.start(tx, sagas, self._clock.now(), is_plain=is_plain)
        beaten = [capture for id, (_, capture) in wanted.items() if id not in new]
        if beaten:
            others += await self._resolve_beaten(tx, captures, beaten)
        purchases = [
            Purchase(saga, orders[saga.subject], facts)
            for id, (saga, facts) in wanted.items()
            if id in new
        ]
        if parts:
            spent = [
                parts[purchase.order["id"]]._replace(state=WalletPartState.SPENT)
                for purchase in purchases
                if purchase.capture.wallet is not None
            ]
            if spent:
                await part_rows.put_parts(tx, spent, self._clock.now())
        return purchases, others

    async def _resolve_beaten(
        self, tx: Transaction, captures: Sequence[Capture], beaten: Sequence[CaptureFacts]
    ) -> list[Saga]:
        """A purchase ran already: the same capture again is nothing, another is surplus."""
        wanted = {facts.capture for facts in beaten}
        again = [capture for capture in captures if capture.id in wanted]
        orders = await store.load_orders(tx, [each.order for each in again if each.order])
        running = await self._saga_log.find(tx, [derive(id, "purchase") for id in orders])
        others: list[Saga] = []
        for capture in again:
            assert capture.order is not None
            order = orders[capture.order]
            purchase = derive(order["id"], "purchase")
            rival = running.get(purchase)
            filler = decode(rival.data, CaptureFacts).capture if rival else None
            unwanted: dict[UUID, tuple[Saga, CaptureFacts]] = {}
            self._sort(capture, order, purchase, filler, unwanted, others)
            if unwanted:
                raise Unavailable("A purchase ended while it was begun again; the page is reread.")
        return others

    def _sort(
        self,
        capture: Capture,
        order: Row | None,
        purchase: UUID | None,
        running: UUID | None,
        purchases: dict[UUID, tuple[Saga, CaptureFacts]],
        others: list[Saga],
        parts: Mapping[UUID, Part] | None = None,
    ) -> None:
        state = OrderState(order["state"]) if order else None
        filled_by = order["capture"] if order else None
        rate_ends_at, is_gone = lapsed(capture, order)
        begun = decide.start(
            capture, state, filled_by, running, rate_ends_at, is_coupon_gone=is_gone
        )
        if begun is Start.NOTHING:
            return
        facts = _facts(capture)
        if begun is Start.PURCHASE and order is not None and is_short(capture, order):
            # The rest is a wallet's; where that is not there any more, what came goes back.
            part = (parts or {}).get(order["id"])
            if part is not None and part.fills(capture.amount_minor, order["amount_minor"]):
                facts = replace(facts, wallet=part.paid)
            else:
                begun = Start.SURPLUS
        if begun is Start.PURCHASE:
            assert order is not None
            assert purchase is not None
            saga = _saga(purchase, "purchase", order["id"], facts, capture)
            purchases[saga.id] = (saga, facts)
        elif begun is Start.SURPLUS:
            assert order is not None
            others.append(
                _saga(derive(capture.id, "surplus"), "surplus", order["id"], facts, capture)
            )
        else:
            others.append(
                _saga(derive(capture.id, "suspense"), "suspense", capture.id, facts, capture)
            )

    async def _launch_purchases(self, purchases: list[Purchase], places: asyncio.Semaphore) -> None:
        """Run a batch of purchases beside others; wait where too many batches are in flight."""
        if not purchases:
            return
        by_id = {purchase.saga.id: purchase for purchase in purchases}

        async def run(sagas: Sequence[Saga]) -> None:
            again = [saga for saga in sagas if saga.id not in by_id]
            fresh = [by_id.pop(saga.id) for saga in sagas if saga.id in by_id]
            if again:  # A half of a batch that broke: read anew what stands.
                fresh += await self._filling.load(again)
            self._metrics.observe_batch("orders.purchases", len(fresh))
            await self._filling.run(fresh)

        await self._launch(run, [purchase.saga for purchase in purchases], places)

    async def _launch_others(self, sagas: Sequence[Saga], places: asyncio.Semaphore) -> None:
        kinds: dict[str, list[Saga]] = {}
        for saga in sagas:
            kinds.setdefault(saga.kind, []).append(saga)
        for kind, of_kind in kinds.items():
            await self._launch(partial(self._run_kind, kind), of_kind, places)

    async def _run_kind(self, kind: str, sagas: Sequence[Saga]) -> None:
        self._metrics.observe_batch(f"orders.{kind}", len(sagas))
        with span_batch(f"orders.{kind}", [saga.trace_id for saga in sagas], len(sagas)):
            await self._kinds[kind](sagas)

    async def _launch(
        self,
        run: Callable[[Sequence[Saga]], Awaitable[None]],
        sagas: Sequence[Saga],
        places: asyncio.Semaphore,
    ) -> None:
        await places.acquire()
        ids = {saga.id for saga in sagas}
        self._running |= ids

        async def fly() -> None:
            try:
                await self._run(run, sagas)
            finally:
                self._running -= ids
                places.release()

        task = asyncio.create_task(fly())
        self._flights.add(task)
        task.add_done_callback(self._flights.discard)

    async def _run(
        self, run: Callable[[Sequence[Saga]], Awaitable[None]], sagas: Sequence[Saga]
    ) -> None:
        """Run a batch; halve it where its data breaks it, so that one order fails alone."""
        try:
            await run(sagas)
        except Unavailable as error:
            await self._postpone(sagas, error)
        except Exception as error:  # noqa: BLE001  # Whatever breaks one order must not break others.
            if len(sagas) == 1:
                _log.exception("saga.failed", saga=str(sagas[0].id), kind=sagas[0].kind)
                await self._postpone(sagas, error)
            else:
                middle = len(sagas) // 2
                await self._run(run, sagas[:middle])
                await self._run(run, sagas[middle:])

    async def _postpone(self, sagas: Sequence[Saga], error: Exception) -> None:
        """Let go of what failed; while the database is away keep at it, else a lease must end."""
        for delay_s in _LET_GO_S:
            try:
                await self._let_go(sagas, error)
            except Unavailable:
                await self._clock.sleep(delay_s)
            else:
                return

    async def _let_go(self, sagas: Sequence[Saga], error: Exception) -> None:
        """Look again later, ever more slowly; after enough failures it is a case for a person."""
        now = self._clock.now()
        async with self._db.transaction() as tx:
            standing = await self._saga_log.find(tx, [saga.id for saga in sagas])
            marks = []
            for saga in standing.values():
                attempts = saga.attempts + 1
                is_stuck = not isinstance(error, Unavailable) and (
                    attempts >= self._settings.saga_attempts_max
                )
                delay_s = _BACKOFF_S[min(attempts - 1, len(_BACKOFF_S) - 1)]
                marks.append(
                    SagaMark(
                        saga.id,
                        SagaState.STUCK if is_stuck else saga.state,
                        saga.reason,
                        now + timedelta(seconds=delay_s),
                        saga.data,
                        f"{type(error).__name__}: {error}"[:500],
                        attempts,
                    )
                )
            if marks:
                await self._saga_log.mark(tx, marks)


def _facts(capture: Capture) -> CaptureFacts:
    return CaptureFacts(
        capture=capture.id,
        channel_name=capture.channel_name,
        merchant=capture.merchant,
        amount_minor=capture.amount_minor,
        currency=capture.currency,
        is_from_suspense=capture.fit is CaptureFit.MATCHED,
        paid_at=capture.paid_at,
        captured_at=capture.at,
        method=capture.method,
    )


def _saga(id: UUID, kind: str, subject: UUID, facts: CaptureFacts, capture: Capture) -> Saga:
    return Saga(
        id, kind, subject, encode(facts), trace_id=capture.trace_id, is_slow=kind in _SLOW_KINDS
    )


def _unmatched_saga(event: UnmatchedRefunded) -> Saga:
    capture = event.capture
    return _saga(derive(capture.id, "unmatched"), "unmatched", capture.id, _facts(capture), capture)
