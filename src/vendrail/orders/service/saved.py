"""Paying with a saved way: the order's own checks, a look at the risk, one attempt, one payment."""

import asyncio
from collections.abc import Sequence

from vendrail.api.orders import OrderState, PayOrder, PaySaved, PaySavedResult, PaySavedStatus
from vendrail.api.payments import (
    AttemptId,
    AttemptState,
    AttemptStatus,
    AttemptView,
    Payments,
    SavedPayment,
    SavedPayStatus,
    SavedQuery,
    SavedWay,
)
from vendrail.api.risk import Risk, RiskDecision, RiskQuestion
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, replace
from vendrail.kernel.db import Database, Row
from vendrail.kernel.ids import derive
from vendrail.kernel.saga import SagaLog
from vendrail.kernel.vault import is_same
from vendrail.orders import decide, store
from vendrail.orders.decide import OrderFacts
from vendrail.orders.service.attempts import attempt_of
from vendrail.orders.service.seals import Seals
from vendrail.orders.service.standing import Standing, is_stopped
from vendrail.orders.settings import OrdersSettings
from vendrail.orders.store import parts as part_rows

_OPENED = (AttemptStatus.OPENED, AttemptStatus.EXISTS)
_FREE_TO_PAY = (OrderState.PLACED, OrderState.EXPIRED, OrderState.CANCELLED)
_SAID = {
    SavedPayStatus.PAID: PaySavedStatus.PAID,
    SavedPayStatus.PENDING: PaySavedStatus.PENDING,
    SavedPayStatus.BUYER_NEEDED: PaySavedStatus.BUYER_NEEDED,
    SavedPayStatus.DECLINED: PaySavedStatus.DECLINED,
    SavedPayStatus.SAVED_NOT_FOUND: PaySavedStatus.SAVED_NOT_FOUND,
    SavedPayStatus.PROVIDER_AWAY: PaySavedStatus.METHOD_NOT_OFFERED,
    SavedPayStatus.ATTEMPT_ENDED: PaySavedStatus.PENDING,
    SavedPayStatus.TAKEN: PaySavedStatus.PENDING,
    SavedPayStatus.ATTEMPT_NOT_FOUND: PaySavedStatus.METHOD_NOT_OFFERED,
    SavedPayStatus.CHANNEL_DIFFERS: PaySavedStatus.METHOD_NOT_OFFERED,
}


class PayingSaved:
    """Pays orders with what providers remember for their buyers."""

    def __init__(
        self,
        db: Database,
        seals: Seals,
        log: SagaLog,
        clock: Clock,
        settings: OrdersSettings,
        payments: Payments,
        risk: Risk,
        standing: Standing,
    ) -> None:
        self._standing = standing
        self._db = db
        self._seals = seals
        self._log = log
        self._clock = clock
        self._settings = settings
        self._payments = payments
        self._risk = risk

    async def pay(self, requests: Sequence[PaySaved]) -> list[PaySavedResult]:
        """Pay; few and each its own, so side by side."""
        return list(await asyncio.gather(*(self._pay(each) for each in requests)))

    async def _pay(self, request: PaySaved) -> PaySavedResult:
        async with self._db.reading() as tx:
            row = (await store.load_orders(tx, [request.order])).get(request.order)
            sagas = await self._log.find(tx, [derive(request.order, "purchase")])
            part = (await part_rows.load_parts(tx, [request.order])).get(request.order)
        suspended = await self._standing.suspended()
        is_over = row is not None and is_stopped(row, suspended)
        refusal = self._refuse(request, row, is_paid=bool(sagas), is_stopped=is_over)
        if refusal is not None or row is None:
            return PaySavedResult(refusal or PaySavedStatus.ORDER_NOT_FOUND)
        [owned] = await self._payments.list_saved([SavedQuery(request.buyer)])
        way = next((each for each in owned if each.id == request.saved), None)
        if way is None:
            return PaySavedResult(PaySavedStatus.SAVED_NOT_FOUND)
        facts = decode(row["facts"], OrderFacts)
        due = decide.due(facts, row["amount_minor"], row["currency"])
        if due.currency not in way.currencies:
            return PaySavedResult(PaySavedStatus.CURRENCY_NOT_OFFERED)
        if not request.is_confirmed and await self._is_doubtful(row, facts):
            return PaySavedResult(PaySavedStatus.PROOF_WANTED)
        less_minor = part.amount_minor if part is not None and part.is_held else 0
        [views] = await self._payments.read_attempts([request.order])
        open_ids = [
            view.attempt.id
            for view in views
            if _is_over(view, way) and view.attempt.amount_minor == due.amount_minor - less_minor
        ]
        for id in [*open_ids, None]:
            attempt = id or await self._open(row, _next(views), way, request, less_minor)
            if isinstance(attempt, PaySavedStatus):
                return PaySavedResult(attempt)
            payment = SavedPayment(attempt, way.id, request.buyer, request.return_url)
            [paid] = await self._payments.pay_saved([payment])
            if paid.status is not SavedPayStatus.SHOWN:
                return PaySavedResult(_SAID[paid.status], attempt)
        return PaySavedResult(PaySavedStatus.METHOD_NOT_OFFERED)

    async def _open(
        self, row: Row, number: int, way: SavedWay, request: PaySaved, less_minor: int
    ) -> AttemptId | PaySavedStatus:
        """Open one more attempt, over the account that remembers the way."""
        if number > self._settings.attempts_per_order_max:
            return PaySavedStatus.TOO_MANY_ATTEMPTS
        asked = PayOrder(
            request.order,
            request.secret,
            way.method,
            browser=request.browser,
            country=request.country,
        )
        attempt = replace(attempt_of(row, number, asked, less_minor), channel=way.channel)
        [status] = await self._payments.open_attempts([attempt])
        return attempt.id if status in _OPENED else PaySavedStatus.METHOD_NOT_OFFERED

    def _refuse(
        self, request: PaySaved, row: Row | None, *, is_paid: bool, is_stopped: bool
    ) -> PaySavedStatus | None:
        if row is None or not is_same(request.secret, self._seals.order_secret(request.order)):
            return PaySavedStatus.ORDER_NOT_FOUND
        state = OrderState(row["state"])
        if is_paid or state not in _FREE_TO_PAY:
            return PaySavedStatus.PAID_ALREADY
        is_over = row["expires_at"] <= self._clock.now()
        if state is not OrderState.PLACED or is_over or is_stopped:
            return PaySavedStatus.ORDER_ENDED
        return None

    async def _is_doubtful(self, row: Row, facts: OrderFacts) -> bool:
        """Whether risk would have a person look at the payment, or refuse it."""
        question = RiskQuestion(
            order=row["id"],
            merchant=row["merchant"],
            amount_minor=row["amount_minor"],
            currency=row["currency"],
            buyer=row["contact_hash"].hex(),
            address=facts.address_hash,
            device=facts.device_hash,
        )
        [answer] = await self._risk.weigh_orders([question])
        return answer.decision is not RiskDecision.ALLOW


def _next(views: Sequence[AttemptView]) -> int:
    return 1 + max((view.attempt.number for view in views), default=0)


def _is_over(view: AttemptView, way: SavedWay) -> bool:
    """Whether an attempt is open over the account that remembers a way.

    Whoever asks twice at once finds the same one first, and so pays once.
    """
    attempt = view.attempt
    is_there = attempt.method == way.method and attempt.channel == way.channel
    return is_there and view.state is AttemptState.OPEN
