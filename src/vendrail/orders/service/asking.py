"""Asking back: refunds of delivered orders are judged, written, and left to their sagas."""

from collections.abc import Container, Sequence
from uuid import UUID

from vendrail.api.orders import (
    OrderId,
    OrderState,
    RefundOrder,
    RefundOrderStatus,
    RefundView,
    WalletPartState,
)
from vendrail.api.payments import Capture, Payments
from vendrail.api.settlement import Settlement
from vendrail.api.wallets import WALLET, Wallets
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.db import Database, Row
from vendrail.kernel.ids import derive
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.saga import Saga, SagaLog
from vendrail.orders import decide, store
from vendrail.orders.decide import OrderFacts
from vendrail.orders.parts import Part, split_refund
from vendrail.orders.service.refunding import RefundFacts
from vendrail.orders.store import parts as part_rows

_SECOND = "wallet"  # Of a refund in two parts, the one that goes into the wallet.


class _Desk:
    """One batch of requests: what stood before, and what each of them adds."""

    def __init__(
        self,
        rows: dict[UUID, Row],
        earlier: dict[UUID, list[Row]],
        parts: dict[UUID, Part],
        currencies: Container[str],
        disputed: Container[UUID],
        gone: Container[UUID],
    ) -> None:
        self._rows = rows
        self._gone = gone  # Buyers into whose wallets nothing goes any more.
        self._disputed = disputed
        self._spent = {
            id: part for id, part in parts.items() if part.state is WalletPartState.SPENT
        }
        self._currencies = currencies  # In which wallets take money in.
        # Of what came over the channel, what went back over it.
        self._returned = {
            id: sum(
                row["amount_minor"]
                for row in found
                if row["state"] != "failed" and row["to_wallet"] is None
            )
            for id, found in earlier.items()
        }
        # Of the price, and of what was paid in another currency.
        self._parts: dict[UUID, list[tuple[int, int]]] = {
            id: [
                (row["amount_minor"], row["paid_minor"] or 0)
                for row in found
                if row["state"] != "failed"
            ]
            for id, found in earlier.items()
        }
        self._asked: dict[UUID, tuple[UUID, int]] = {}
        for row in (row for found in earlier.values() for row in found):
            self._asked[row["id"]] = (row["order"], row["amount_minor"])
        for id, (order, amount_minor) in list(self._asked.items()):
            other = self._asked.get(derive(id, _SECOND))
            if other is not None:  # A refund in two parts was asked for as one.
                self._asked[id] = (order, amount_minor + other[1])
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
            is_disputed=request.order in self._disputed,
        )
        if status is not RefundOrderStatus.ACCEPTED or row is None:
            return status
        capture = next((each for each in captures if each.id == row["capture"]), None)
        part = self._spent.get(request.order)
        if capture is None and part is None:
            return RefundOrderStatus.NOT_PAID
        paid_minor = None
        if capture is not None and capture.currency != row["currency"]:
            paid_minor = _paid_part(row, before, amount_minor)
            if paid_minor <= 0:
                return RefundOrderStatus.AMOUNT_TOO_SMALL
        facts = decode(row["facts"], OrderFacts)
        buyer = part.buyer if part is not None else row["buyer"]
        if request.to_wallet:
            currency = capture.currency if capture is not None else row["currency"]
            is_there = buyer is not None and buyer not in self._gone
            if not is_there or facts.wallet is not None or currency not in self._currencies:
                return RefundOrderStatus.NO_WALLET
            self._accept(request.id, request, row, WALLET, amount_minor, paid_minor, buyer)
        elif part is None:
            assert capture is not None
            self._accept(
                request.id,
                request,
                row,
                capture.channel_name,
                amount_minor,
                paid_minor,
                None,
                facts.wallet,
            )
        elif not self._accept_parts(request, row, capture, amount_minor, part.buyer):
            return RefundOrderStatus.NO_WALLET
        self._asked[request.id] = (request.order, amount_minor)
        return status

    def _accept_parts(
        self,
        request: RefundOrder,
        row: Row,
        capture: Capture | None,
        amount_minor: int,
        buyer: UUID,
    ) -> bool:
        """Give back to each source: first over the channel what came over it, then the wallet.

        False: the wallet is nobody's any more.
        """
        came_minor = capture.amount_minor if capture is not None else 0
        over_minor, rest_minor = split_refund(
            amount_minor, came_minor, self._returned.get(request.order, 0)
        )
        if rest_minor and buyer in self._gone:
            return False
        if over_minor and capture is not None:
            self._accept(request.id, request, row, capture.channel_name, over_minor, None, None)
        if rest_minor:
            id = derive(request.id, _SECOND) if over_minor else request.id
            self._accept(id, request, row, WALLET, rest_minor, None, buyer)
        return True

    def _accept(
        self,
        id: UUID,
        request: RefundOrder,
        row: Row,
        channel: str,
        amount_minor: int,
        paid_minor: int | None,
        to_wallet: UUID | None,
        from_wallet: UUID | None = None,
    ) -> None:
        before = self._parts[request.order]
        taken_minor = sum(price_minor for price_minor, _ in before)
        facts = RefundFacts(channel, row["amount_minor"], taken_minor, from_wallet)
        self.sagas.append(
            Saga(
                id,
                "refund",
                row["id"],
                encode(facts),
                trace_id=row["trace_id"],
                is_slow=True,
            )
        )
        self.accepted.append(
            (
                id,
                row["id"],
                row["capture"],
                amount_minor,
                request.reason,
                request.person,
                paid_minor,
                to_wallet,
            )
        )
        before.append((amount_minor, paid_minor or 0))
        if to_wallet is None:
            order = request.order
            self._returned[order] = self._returned.get(order, 0) + amount_minor


class Asking:
    """Takes refunds that people and programs ask for."""

    def __init__(
        self,
        db: Database,
        log: SagaLog,
        clock: Clock,
        wakeups: Wakeups,
        payments: Payments,
        wallets: Wallets,
        settlement: Settlement,
    ) -> None:
        self._wallets = wallets
        self._settlement = settlement
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
        marks = await self._settlement.find_disputed(ids)
        disputed = {id for id, is_disputed in zip(ids, marks, strict=True) if is_disputed}
        currencies: set[str] = set()
        if any(refund.to_wallet for refund in refunds):
            terms = await self._wallets.list_wallet_terms()
            currencies = {each.currency for each in terms if each.is_on}
        async with self._db.transaction() as tx:
            rows = await store.lock_orders(tx, ids)
            earlier = await store.load_refunds(tx, ids)
            parts = await part_rows.load_parts(tx, ids)
            gone = await part_rows.find_gone(tx, [part.buyer for part in parts.values()])
            desk = _Desk(rows, earlier, parts, currencies, disputed, gone)
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
        refund["to_wallet"] is not None,
    )
