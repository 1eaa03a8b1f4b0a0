"""Asking back: refunds of delivered orders are judged, written, and left to their sagas."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.api.orders import (
    OrderId,
    OrderState,
    RefundOrder,
    RefundOrderStatus,
    RefundView,
)
from vendrail.api.payments import Capture, Payments
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.db import Database, Row
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.saga import Saga, SagaLog
from vendrail.orders import decide, store
from vendrail.orders.decide import OrderFacts
from vendrail.orders.service.refunding import RefundFacts


class _Desk:
    """One batch of requests: what stood before, and what each of them adds."""

    def __init__(self, rows: dict[UUID, Row], earlier: dict[UUID, list[Row]]) -> None:
        self._rows = rows
        # Of the price, and of what was paid in another currency.
        self._parts: dict[UUID, list[tuple[int, int]]] = {
            id: [
                (row["amount_minor"], row["paid_minor"] or 0)
                for row in found
                if row["state"] != "failed"
            ]
            for id, found in earlier.items()
        }
        self._asked = {
            row["id"]: (row["order"], row["amount_minor"]) for f in earlier.values() for row in f
        }
        self.accepted: list[store.NewRefund] = []
        self.sagas: list[Saga] = []

    def judge(self, request: RefundOrder, captures: Sequence[Capture]) -> RefundOrderStatus:
        """Say how asking for one refund ends; later ones see what it takes."""
        if request.id in self._asked:
            order, amount_minor = self._asked[request.id]
            is_same = order == request.order and request.amount_minor in (0, amount_minor)
            return RefundOrderStatus.EXISTS if is_same else RefundOrderStatus.EXISTS_DIFFERENT
        row = self._rows.get(request.order)
        before = self._parts.setdefault(request.order, [])
        status, amount_minor = decide.refund(
            request,
            OrderState(row["state"]) if row else None,
            row["amount_minor"] if row else 0,
            [price_minor for price_minor, _ in before],
        )
        if status is not RefundOrderStatus.ACCEPTED or row is None:
            return status
        capture = next((each for each in captures if each.id == row["capture"]), None)
        if capture is None:
            return RefundOrderStatus.NOT_PAID
        paid_minor = None
        if capture.currency != row["currency"]:
            paid_minor = _paid_part(row, before, amount_minor)
            if paid_minor <= 0:
                return RefundOrderStatus.AMOUNT_TOO_SMALL
        self._accept(request, row, capture, amount_minor, paid_minor)
        return status

    def _accept(
        self,
        request: RefundOrder,
        row: Row,
        capture: Capture,
        amount_minor: int,
        paid_minor: int | None,
    ) -> None:
        before = self._parts[request.order]
        taken_minor = sum(price_minor for price_minor, _ in before)
        facts = RefundFacts(capture.channel_name, row["amount_minor"], taken_minor)
        self.sagas.append(
            Saga(
                request.id,
                "refund",
                row["id"],
                encode(facts),
                trace_id=row["trace_id"],
                is_slow=True,
            )
        )
        self.accepted.append(
            (
                request.id,
                row["id"],
                capture.id,
                amount_minor,
                request.reason,
                request.person,
                paid_minor,
            )
        )
        before.append((amount_minor, paid_minor or 0))
        self._asked[request.id] = (request.order, amount_minor)


class Asking:
    """Takes refunds that people and programs ask for."""

    def __init__(
        self, db: Database, log: SagaLog, clock: Clock, wakeups: Wakeups, payments: Payments
    ) -> None:
        self._db = db
        self._log = log
        self._clock = clock
        self._wakeups = wakeups
        self._payments = payments

    async def refund_orders(self, refunds: Sequence[RefundOrder]) -> list[RefundOrderStatus]:
        """Start refunds; several of one order see each other."""
        now = self._clock.now()
        ids = list({refund.order for refund in refunds})
        captures = await self._payments.read_captures(ids)
        by_order = dict(zip(ids, captures, strict=True))
        async with self._db.transaction() as tx:
            rows = await store.lock_orders(tx, ids)
            earlier = await store.load_refunds(tx, ids)
            desk = _Desk(rows, earlier)
            statuses = [desk.judge(each, by_order[each.order]) for each in refunds]
            if desk.accepted:
                await store.insert_refunds(tx, desk.accepted, now)
                await self._log.start(tx, desk.sagas, now)
        self._wakeups.wake("returns")
        return statuses

    async def read_refunds(self, orders: Sequence[OrderId]) -> list[list[RefundView]]:
        """Read orders' refunds, first to last."""
        async with self._db.reading() as tx:
            rows = await store.load_orders(tx, orders)
            refunds = await store.load_refunds(tx, orders)
        return [
            [_view(rows[order], refund) for refund in refunds.get(order, ())] for order in orders
        ]


def _paid_part(row: Row, before: Sequence[tuple[int, int]], amount_minor: int) -> int:
    paid = decode(row["facts"], OrderFacts).exchange
    assert paid is not None  # Or the capture's currency would be the price's.
    return decide.refund_paid(paid.amount_minor, row["amount_minor"], before, amount_minor)


def _view(row: Row, refund: Row) -> RefundView:
    paid_minor = refund["paid_minor"]
    paid = decode(row["facts"], OrderFacts).exchange if paid_minor is not None else None
    return RefundView(
        refund["id"],
        OrderId(row["id"]),
        refund["amount_minor"],
        row["currency"],
        refund["state"],
        refund["reason"],
        refund["settled_at"] or refund["asked_at"],
        paid_minor or 0,
        paid.currency if paid is not None else "",
    )
