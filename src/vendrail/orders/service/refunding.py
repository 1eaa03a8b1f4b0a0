"""Refunding: of delivered orders, of second captures, of unmatched money."""

from collections.abc import Sequence
from uuid import UUID

import structlog

from vendrail.api.catalog import AllocationId, Catalog
from vendrail.api.orders import OrderId, OrderRefunded
from vendrail.api.payments import CaptureId, Refund, RefundId
from vendrail.api.promotions import Promotions
from vendrail.api.settlement import CaptureBooking, RefundPosting, Settlement
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import Record, decode, encode
from vendrail.kernel.db import Database, Row
from vendrail.kernel.errors import Error, Unavailable
from vendrail.kernel.ids import derive, made_at
from vendrail.kernel.money import Money
from vendrail.kernel.outbox import Wakeups, append_events
from vendrail.kernel.saga import Saga, SagaLog, SagaMark, SagaState
from vendrail.kernel.telemetry import Metrics
from vendrail.orders import store
from vendrail.orders.decide import CaptureFacts, OrderFacts
from vendrail.orders.service.purchases import into_wallet
from vendrail.orders.service.returning import GiveBack, Outcome, Returning, worst

_log = structlog.get_logger(__name__)


class RefundFacts(Record, frozen=True):
    """What the saga of a merchant's refund must know; frozen when it was asked for."""

    channel_name: str
    captured_minor: int
    earlier_minor: int
    from_wallet: UUID | None = None  # Of a top-up: it comes out of this buyer's wallet.


class Refunding:
    """Runs the sagas whose whole business is money going back."""

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
        promotions: Promotions,
    ) -> None:
        self._promotions = promotions
        self._db = db
        self._log = log
        self._clock = clock
        self._wakeups = wakeups
        self._metrics = metrics
        self._catalog = catalog
        self._settlement = settlement
        self._returning = returning

    async def run_surplus(self, sagas: Sequence[Saga]) -> None:
        """A capture that its order does not take: booked to held, then given back."""
        facts = [decode(saga.data, CaptureFacts) for saga in sagas]
        await self._book(
            [_booking(saga.subject, each) for saga, each in zip(sagas, facts, strict=True)]
        )
        await self._give_back(
            sagas,
            [_all_of(saga, each) for saga, each in zip(sagas, facts, strict=True)],
        )

    async def run_suspense(self, sagas: Sequence[Saga]) -> None:
        """Money that fits nothing: booked to suspense, where a person finds it."""
        facts = [decode(saga.data, CaptureFacts) for saga in sagas]
        await self._book([_to_suspense(each) for each in facts])
        await self._end(sagas, "booked")

    async def run_unmatched(self, sagas: Sequence[Saga]) -> None:
        """A person decided that unmatched money goes back: out of suspense."""
        facts = [decode(saga.data, CaptureFacts) for saga in sagas]
        await self._book([_to_suspense(each) for each in facts])
        await self._give_back(
            sagas, [[_whole(saga, each, None)] for saga, each in zip(sagas, facts, strict=True)]
        )

    async def run_refunds(self, sagas: Sequence[Saga]) -> None:
        """A merchant's or operator's refund of a delivered order, whole or in part."""
        async with self._db.reading() as tx:
            orders = await store.load_orders(tx, [saga.subject for saga in sagas])
            refunds = await store.load_refunds(tx, [saga.subject for saga in sagas])
        rows = [
            next(row for row in refunds[saga.subject] if row["id"] == saga.id) for saga in sagas
        ]
        items = [
            _part(orders[saga.subject], row, decode(saga.data, RefundFacts))
            for saga, row in zip(sagas, rows, strict=True)
        ]
        outcomes = await self._returning.give_back(items)
        await self._void(orders, items, outcomes)
        paid = [saga for saga, out in zip(sagas, outcomes, strict=True) if out is Outcome.PAID]
        await self._end_refunds(paid, orders, "paid")
        failed = [
            (saga, item)
            for saga, item, out in zip(sagas, items, outcomes, strict=True)
            if out in (Outcome.REFUSED, Outcome.NOT_THERE)
        ]
        if failed:
            await self._returning.take_back([item for _, item in failed])
            await self._end_refunds([saga for saga, _ in failed], orders, "failed")
        await self._wait(
            [s for s, out in zip(sagas, outcomes, strict=True) if out is Outcome.PENDING]
        )

    async def _book(self, bookings: list[CaptureBooking]) -> None:
        if not all(await self._settlement.book_captures(bookings)):
            raise Unavailable("Money that arrived could not be booked; it is tried again.")

    async def _give_back(self, sagas: Sequence[Saga], wanted: list[list[GiveBack]]) -> None:
        given = iter(await self._returning.give_back([item for items in wanted for item in items]))
        outcomes = [worst([next(given) for _ in items]) for items in wanted]
        by_outcome: dict[Outcome, list[Saga]] = {}
        for saga, outcome in zip(sagas, outcomes, strict=True):
            by_outcome.setdefault(outcome, []).append(saga)
        paid = by_outcome.get(Outcome.PAID)
        if paid:
            await self._end(paid, "given_back")
        await self._wait(by_outcome.get(Outcome.PENDING, []))
        for outcome in (Outcome.REFUSED, Outcome.NOT_THERE):
            await self._stick(by_outcome.get(outcome, []), outcome)

    async def _end(self, sagas: Sequence[Saga], outcome: str) -> None:
        async with self._db.reading() as tx:
            ended = await self._log.end(tx, [saga.id for saga in sagas])
        kind = sagas[0].kind  # One batch is of one kind.
        self._metrics.count("vendrail_saga_ends_total", kind, outcome, by=len(ended))

    async def _void(
        self, orders: dict[UUID, Row], items: list[GiveBack], outcomes: list[Outcome]
    ) -> None:
        """What was given back whole is void: a key that was readable is never free again."""
        whole = [
            AllocationId(allocation)
            for item, outcome in zip(items, outcomes, strict=True)
            if outcome is Outcome.PAID
            and (allocation := orders[item.posting.order]["allocation"]) is not None
            and item.posting.refunded_minor + item.posting.amount_minor
            == item.posting.captured_minor
        ]
        if whole:
            await self._catalog.void_allocations(whole)

    async def _end_refunds(
        self, sagas: Sequence[Saga], orders: dict[UUID, Row], state: str
    ) -> None:
        if not sagas:
            return
        now = self._clock.now()
        async with self._db.transaction() as tx:
            mine = await self._log.end(tx, [saga.id for saga in sagas])
            rows = await store.settle_refunds(tx, sorted(mine), state, now)
            if rows and state == "paid":
                told = [
                    OrderRefunded(
                        OrderId(row["order"]),
                        orders[row["order"]]["merchant"],
                        row["id"],
                        row["paid_minor"] or row["amount_minor"],
                        orders[row["order"]]["version"] + 1,
                        now,
                        orders[row["order"]]["trace_id"],
                        currency=_foreign(orders[row["order"]], row),
                    )
                    for row in rows
                ]
                await append_events(tx, "orders", now, encode(told), len(told))
        self._metrics.count("vendrail_saga_ends_total", "refund", state, by=len(mine))
        await self._tell_of_coupons([orders[row["order"]] for row in rows])
        for saga in sagas:
            self._wakeups.wake(f"order:{saga.subject}")

    async def _tell_of_coupons(self, orders: Sequence[Row]) -> None:
        """Have the coupons of orders looked at: refunded whole, they come back."""
        discounted = [each["id"] for each in orders if decode(each["facts"], OrderFacts).discount]
        if not discounted:
            return
        try:
            await self._promotions.look_at_coupons(discounted)
        except Error as error:  # It is found within a day.
            _log.warning("orders.coupons_not_told", count=len(discounted), error=str(error))

    async def _wait(self, sagas: Sequence[Saga]) -> None:
        if not sagas:
            return
        now = self._clock.now()
        marks = [
            SagaMark(
                saga.id,
                SagaState.WAITING,
                "provider",
                now + self._returning.look_again(saga.attempts),
                saga.data,
                attempts=saga.attempts + 1,
            )
            for saga in sagas
        ]
        async with self._db.reading() as tx:
            await self._log.mark(tx, marks)

    async def _stick(self, sagas: Sequence[Saga], outcome: Outcome) -> None:
        if not sagas:
            return
        now = self._clock.now()
        problem = f"The money could not be given back: {outcome}."
        marks = [
            SagaMark(saga.id, SagaState.STUCK, "person", now, saga.data, problem) for saga in sagas
        ]
        async with self._db.reading() as tx:
            await self._log.mark(tx, marks)


def _booking(order: UUID, facts: CaptureFacts) -> CaptureBooking:
    return CaptureBooking(
        facts.capture,
        order,
        facts.channel_name,
        facts.merchant,
        facts.amount_minor,
        facts.currency,
        facts.is_from_suspense,
        facts.wallet,
    )


def _all_of(saga: Saga, facts: CaptureFacts) -> list[GiveBack]:
    """All that came for an order that does not take it."""
    items = [_whole(saga, facts, facts.merchant)] if facts.amount_minor else []
    if facts.wallet is not None:
        refund = derive(facts.capture, f"refund:{saga.kind}:wallet")
        order = saga.subject
        items.append(into_wallet(facts, refund, order, facts.merchant, made_at(order)))
    return items


def _to_suspense(facts: CaptureFacts) -> CaptureBooking:
    return CaptureBooking(
        facts.capture, facts.capture, facts.channel_name, None, facts.amount_minor, facts.currency
    )


def _whole(saga: Saga, facts: CaptureFacts, merchant: UUID | None) -> GiveBack:
    """A whole capture, out of held or suspense."""
    refund = RefundId(derive(facts.capture, f"refund:{saga.kind}"))
    return GiveBack(
        RefundPosting(
            refund=refund,
            order=saga.subject,
            merchant=merchant,
            channel=facts.channel_name,
            amount_minor=facts.amount_minor,
            currency=facts.currency,
            placed_at=made_at(saga.subject),
            is_split=False,
            captured_minor=facts.total_minor,
        ),
        # What sticks here is asked anew when a person lets it look again: the cause is mended then.
        Refund(refund, CaptureId(facts.capture), facts.amount_minor, saga.kind, is_asked_anew=True),
    )


def _part(order: Row, refund: Row, facts: RefundFacts) -> GiveBack:
    """A refund of a delivered order, out of available, then debt."""
    foreign = _foreign(order, refund)
    paid = Money(refund["paid_minor"], foreign) if foreign else None
    return GiveBack(
        RefundPosting(
            refund=refund["id"],
            order=order["id"],
            merchant=order["merchant"],
            channel=facts.channel_name,
            amount_minor=refund["amount_minor"],
            currency=order["currency"],
            placed_at=order["placed_at"],
            is_split=True,
            captured_minor=facts.captured_minor,
            refunded_minor=facts.earlier_minor,
            paid=paid,
            to_wallet=refund["to_wallet"],
            from_wallet=facts.from_wallet,
        ),
        None
        if refund["to_wallet"] is not None
        else Refund(
            RefundId(refund["id"]),
            CaptureId(refund["capture"]),
            refund["paid_minor"] or refund["amount_minor"],
            refund["reason"],
        ),
    )


def _foreign(order: Row, refund: Row) -> str:
    """Name the currency that goes back, where it is not the price's."""
    if refund["paid_minor"] is None:
        return ""
    paid = decode(order["facts"], OrderFacts).exchange
    assert paid is not None  # A refund has such a part only of an order that was paid so.
    return paid.currency
