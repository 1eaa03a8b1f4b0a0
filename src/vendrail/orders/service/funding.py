"""Funding: orders that are paid out of wallets, whole at once, or in part beside a channel.

The money is reserved before anything counts on it. A part belongs to one row, which whoever takes
or frees it must lock: so it is spent once, or given back once.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.orders import (
    FreeWalletPart,
    OrderId,
    OrderState,
    PayFromWallet,
    WalletPartState,
    WalletPartView,
    WalletPayStatus,
)
from vendrail.api.payments import Capture
from vendrail.api.wallets import WALLET, WalletHoldStatus, Wallets
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.db import Database, Row, Transaction
from vendrail.kernel.ids import derive
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.saga import Saga, SagaLog
from vendrail.kernel.vault import is_same
from vendrail.orders import store
from vendrail.orders.decide import CaptureFacts, OrderFacts
from vendrail.orders.parts import Part, pay_from_wallet
from vendrail.orders.service.purchases import Purchase
from vendrail.orders.service.seals import Seals
from vendrail.orders.service.standing import Standing, is_stopped
from vendrail.orders.store import parts as part_rows

_HELD = (WalletHoldStatus.HELD, WalletHoldStatus.EXISTS)
_ASKED_MAX = timedelta(seconds=60)  # What was asked longer ago died on its way.
_FREED_MAX = 256

Launch = Callable[[list[Purchase]], Awaitable[None]]


class Funding:
    """Pays orders out of wallets, and gives back what no order takes."""

    def __init__(
        self,
        db: Database,
        seals: Seals,
        log: SagaLog,
        clock: Clock,
        wakeups: Wakeups,
        wallets: Wallets,
        standing: Standing,
    ) -> None:
        self._standing = standing
        self._db = db
        self._seals = seals
        self._log = log
        self._clock = clock
        self._wakeups = wakeups
        self._wallets = wallets

    async def pay(self, requests: Sequence[PayFromWallet], launch: Launch) -> list[WalletPayStatus]:
        """Pay orders, or reserve parts; each by itself, for buyers confirm one at a time."""
        return [await self._pay(request, launch) for request in requests]

    async def _pay(self, request: PayFromWallet, launch: Launch) -> WalletPayStatus:
        is_right = is_same(request.secret, self._seals.order_secret(request.order))
        asked = await self._ask(request) if is_right else WalletPayStatus.ORDER_NOT_FOUND
        if not isinstance(asked, WalletPayStatus) and asked[0].state is WalletPartState.FREEING:
            # Whoever was letting it go is still at it, or broke off: it is let go to its end first.
            await self._let_go([(asked[0], asked[1]["merchant"], asked[1]["currency"])])
            asked = await self._ask(request)
        if isinstance(asked, WalletPayStatus):
            return asked
        part, order = asked
        if part.state is WalletPartState.FREEING:
            return WalletPayStatus.RESERVED_DIFFERENT
        hold = part.reservation(order["merchant"], order["currency"])
        [held] = await self._wallets.hold_wallets([hold])
        if held not in _HELD:
            await self._put(part._replace(state=WalletPartState.REFUSED))
            return WalletPayStatus.BALANCE_TOO_LOW
        return await self._take(part, launch)

    async def _ask(self, request: PayFromWallet) -> WalletPayStatus | tuple[Part, Row]:
        """Write which part is asked for, before the wallet is asked; one being freed stays so."""
        now = self._clock.now()
        suspended = await self._standing.suspended()
        async with self._db.transaction() as tx:
            order = (await store.lock_orders(tx, [request.order])).get(request.order)
            if order is None:
                return WalletPayStatus.ORDER_NOT_FOUND
            before = (await part_rows.load_parts(tx, [request.order], is_locked=True)).get(
                request.order
            )
            running = await self._log.find(tx, [derive(request.order, "purchase")])
            status, part = pay_from_wallet(
                request,
                OrderState(order["state"]),
                decode(order["facts"], OrderFacts),
                order["amount_minor"],
                before,
                is_over=order["expires_at"] <= now or is_stopped(order, suspended),
                is_running=bool(running),
            )
            if part is None:
                return status or WalletPayStatus.NOT_OFFERED
            if part != before:
                await part_rows.put_parts(tx, [part], now)
        return part, order

    async def _take(self, part: Part, launch: Launch) -> WalletPayStatus:
        """Count what is reserved: the whole price starts the purchase in this commit."""
        now = self._clock.now()
        purchases: list[Purchase] = []
        async with self._db.transaction() as tx:
            order = (await store.lock_orders(tx, [part.order]))[part.order]
            standing = (await part_rows.load_parts(tx, [part.order], is_locked=True))[part.order]
            is_whole = part.amount_minor == order["amount_minor"]
            if standing.number != part.number:
                return WalletPayStatus.ORDER_ENDED
            if standing.state is WalletPartState.SPENT:
                return WalletPayStatus.PAID if is_whole else WalletPayStatus.RESERVED
            if standing.state not in (WalletPartState.ASKED, WalletPartState.HELD):
                return WalletPayStatus.ORDER_ENDED
            running = await self._log.find(tx, [derive(part.order, "purchase")])
            if running or order["state"] != OrderState.PLACED:
                # Paid otherwise, or ended, meanwhile: the janitor gives it back.
                await part_rows.put_parts(tx, [part._replace(state=WalletPartState.HELD)], now)
                is_ended = not running and order["state"] in ("expired", "cancelled")
                return WalletPayStatus.ORDER_ENDED if is_ended else WalletPayStatus.PAID_ALREADY
            state = WalletPartState.SPENT if is_whole else WalletPartState.HELD
            await part_rows.put_parts(tx, [part._replace(state=state)], now)
            if is_whole:
                saga, facts = _purchase(part, order, now)
                await self._log.start(tx, [saga], now)
                purchases.append(Purchase(saga, order, facts))
        if purchases:
            await launch(purchases)
        self._wakeups.wake(f"order:{part.order}")
        return WalletPayStatus.PAID if is_whole else WalletPayStatus.RESERVED

    async def free(self, requests: Sequence[FreeWalletPart]) -> list[bool]:
        """Give reserved parts of unpaid orders back, by the orders' secrets."""
        now = self._clock.now()
        answers = []
        for request in requests:
            part: Part | None = None
            orders: dict[UUID, Row] = {}
            async with self._db.transaction() as tx:
                if is_same(request.secret, self._seals.order_secret(request.order)):
                    orders = await store.lock_orders(tx, [request.order])
                    parts = await part_rows.load_parts(tx, [request.order], is_locked=True)
                    part = parts.get(request.order)
                if part is not None and part.state is WalletPartState.HELD:
                    part = part._replace(state=WalletPartState.FREEING)
                    await part_rows.put_parts(tx, [part], now)
            answers.append(part is not None and part.state is WalletPartState.FREEING)
            if part is not None and part.state is WalletPartState.FREEING:
                order = orders[request.order]
                await self._let_go([(part, order["merchant"], order["currency"])])
        return answers

    async def free_unused(self) -> bool:
        """Give back what was reserved for orders that ended otherwise; true: there is more."""
        now = self._clock.now()
        async with self._db.transaction() as tx:
            due = await part_rows.claim_parts(tx, now - _ASKED_MAX, now, _FREED_MAX)
        if due:
            await self._let_go(due)
        return len(due) == _FREED_MAX

    async def _let_go(self, due: Sequence[tuple[Part, UUID, str]]) -> None:
        holds = [part.reservation(merchant, currency) for part, merchant, currency in due]
        freed = await self._wallets.free_wallets(holds)
        gone = [part for (part, _, _), is_free in zip(due, freed, strict=True) if is_free]
        if gone:
            async with self._db.reading() as tx:
                await part_rows.end_parts(tx, gone, self._clock.now())
        for part, _, _ in due:
            self._wakeups.wake(f"order:{part.order}")

    async def _put(self, part: Part) -> None:
        async with self._db.transaction() as tx:
            standing = (await part_rows.load_parts(tx, [part.order], is_locked=True))[part.order]
            if (standing.number, standing.state) == (part.number, WalletPartState.ASKED):
                await part_rows.put_parts(tx, [part], self._clock.now())

    async def read(self, orders: Sequence[OrderId]) -> list[WalletPartView | None]:
        """Read what wallets pay of orders."""
        async with self._db.reading() as tx:
            parts = await part_rows.load_parts(tx, orders)
            rows = await store.load_orders(tx, list(parts)) if parts else {}
        return [
            WalletPartView(
                id,
                part.buyer,
                part.amount_minor,
                part.state,
                part.amount_minor == rows[id]["amount_minor"],
            )
            if (part := parts.get(id)) is not None
            else None
            for id in orders
        ]


def _purchase(part: Part, order: Row, now: datetime) -> tuple[Saga, CaptureFacts]:
    facts = CaptureFacts(
        capture=derive(order["id"], "wallet:capture"),
        channel_name=WALLET,
        merchant=order["merchant"],
        amount_minor=0,
        currency=order["currency"],
        is_from_suspense=False,
        paid_at=now,
        captured_at=now,
        method=WALLET,
        wallet=part.paid,
    )
    id = derive(order["id"], "purchase")
    return Saga(id, "purchase", order["id"], encode(facts), trace_id=order["trace_id"]), facts


def is_short(capture: Capture, order: Row) -> bool:
    """Tell whether less came than the order costs, as is asked for where a wallet pays a part."""
    is_same = capture.currency == order["currency"]
    return bool(is_same and capture.amount_minor < order["amount_minor"])


async def lock_parts(
    tx: Transaction, captures: Sequence[Capture], orders: dict[UUID, Row]
) -> dict[UUID, Part]:
    """Lock what wallets pay of the orders that less came for: nobody else takes or frees it."""
    short = [
        id
        for capture in captures
        if (id := capture.order) is not None
        and (order := orders.get(id)) is not None
        and is_short(capture, order)
    ]
    return await part_rows.load_parts(tx, short, is_locked=True) if short else {}
