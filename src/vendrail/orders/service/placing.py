"""Placing: screen, hold, write, and open the first way to pay; a batch at a time."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from vendrail.api.catalog import Catalog, Hold, HoldPolicy
from vendrail.api.fx import Fx, QuoteId, QuoteUse
from vendrail.api.orders import OrderId, OrderState, Placement, PlaceOrder, PlaceStatus
from vendrail.api.payments import Attempt, AttemptStatus, Payments
from vendrail.api.promotions import Promotions
from vendrail.api.risk import Risk, RiskDecision, RiskQuestion
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.db import Database, Row, plain_first
from vendrail.kernel.errors import Error
from vendrail.kernel.ids import derive
from vendrail.orders import decide, store
from vendrail.orders.service.attempts import attempt_of
from vendrail.orders.service.choices import Choice
from vendrail.orders.service.discounting import Discounting
from vendrail.orders.service.limiting import Limiting, Wanted, wanted_by
from vendrail.orders.service.seals import Seals
from vendrail.orders.service.supplying import Supplying
from vendrail.orders.settings import OrdersSettings

_log = structlog.get_logger(__name__)

_STANDS = (PlaceStatus.PLACED, PlaceStatus.EXISTS)
_TAKEN = (PlaceStatus.COUPON_REFUSED, PlaceStatus.LIMIT_REACHED)  # Perhaps by the same order.


class Placing:
    """What placing needs, and the steps of it."""

    def __init__(
        self,
        db: Database,
        seals: Seals,
        clock: Clock,
        settings: OrdersSettings,
        catalog: Catalog,
        payments: Payments,
        risk: Risk,
        fx: Fx,
        promotions: Promotions,
        limiting: Limiting,
        supplying: Supplying,
    ) -> None:
        self._supplying = supplying
        self._discounting = Discounting(seals, promotions)
        self._limiting = limiting
        self._db = db
        self._seals = seals
        self._clock = clock
        self._settings = settings
        self._catalog = catalog
        self._payments = payments
        self._risk = risk
        self._fx = fx

    async def place_orders(self, orders: Sequence[PlaceOrder]) -> list[Placement]:
        """Place a batch; one placement for each order, in the same order."""
        now = self._clock.now()
        age_s_max = self._settings.id_age_s_max
        late = {each.id for each in orders if not decide.is_id_timely(each.id, now, age_s_max)}
        known = await self._find_known(orders, late)
        offers = dict(
            zip(
                skus := list({order.sku for order in orders}),
                await self._catalog.read_offers(skus),
                strict=True,
            )
        )
        choices: list[Choice] = []
        placements: list[Placement | None] = []
        repeats: list[tuple[PlaceOrder, Row]] = []
        for order in orders:
            row = None
            if known:
                row = known.get(order.id) or known.get(self._seals.idempotency_hash(order))
            if row is not None:
                placements.append(self._repeat(order, row))
                repeats.append((order, row))
                continue
            if order.id in late:
                placements.append(Placement(PlaceStatus.ID_NOT_OF_NOW))
                continue
            choices.append(Choice(order, offers[order.sku]))
            placements.append(None)
        placed = iter(await self._place(choices, now) if choices else ())
        await self._reopen_attempts(repeats)
        return [given or next(placed) for given in placements]

    async def _find_known(
        self, orders: Sequence[PlaceOrder], late: set[OrderId]
    ) -> dict[UUID | bytes | None, Row]:
        """Find what was placed before: by idempotency key, and by ids that are not of now."""
        digests = [digest for order in orders if (digest := self._seals.idempotency_hash(order))]
        known: dict[UUID | bytes | None, Row] = {}
        if digests or late:
            async with self._db.reading() as tx:
                if digests:
                    known.update((await store.load_by_idempotency(tx, digests)).items())
                if late:
                    known.update((await store.load_orders(tx, list(late))).items())
        return known

    def _repeat(self, order: PlaceOrder, row: Row) -> Placement:
        """Answer a repeat as the first time; another request under the same id is a refusal."""
        if decide.request_hash(order) != row["request_hash"]:
            return Placement(PlaceStatus.EXISTS_DIFFERENT)
        id = OrderId(row["id"])
        return Placement(
            PlaceStatus.EXISTS,
            id,
            self._seals.order_secret(id),
            OrderState(row["state"]),
            row["amount_minor"],
            row["currency"],
            row["expires_at"],
            derive(id, "attempt:1") if order.method else None,
            decode(row["facts"], decide.OrderFacts).exchange if order.quote else None,
            discount=(decode(row["facts"], decide.OrderFacts).discount if order.coupon else None),
        )

    async def _place(self, choices: list[Choice], now: datetime) -> list[Placement]:
        counted = await self._limit(choices)
        await self._discounting.hold(choices)
        await self._supplying.judge(choices, now)
        await self._screen(choices)
        await self._use_quotes(choices)
        await self._hold(choices, now)
        rivals = await self._write(choices, now)
        await self._open_attempts(choices, now)
        await self._discounting.release(choices)
        self._limiting.release([each for choice, each in counted if choice.status not in _STANDS])
        rivals |= await self._find_standing(choices)
        expires_at = now + timedelta(seconds=self._settings.pay_window_s)
        placements = []
        for choice in choices:
            order = choice.order
            rival = rivals.get(order.id) if rivals else None
            if rival is not None:
                placements.append(self._repeat(order, rival))
            elif choice.status is not PlaceStatus.PLACED:
                placements.append(Placement(choice.status, coupon_problem=choice.coupon_problem))
            else:
                placements.append(
                    Placement(
                        PlaceStatus.PLACED,
                        order.id,
                        self._seals.order_secret(order.id),
                        OrderState.PLACED,
                        choice.amount_minor,
                        order.currency,
                        expires_at,
                        choice.attempt,
                        choice.exchange,
                        discount=choice.discount,
                    )
                )
        return placements

    async def _find_standing(self, choices: list[Choice]) -> dict[UUID, Row]:
        """Find orders that stand already: they have the coupon, or the room, that was refused."""
        refused = [each.order for each in choices if each.status in _TAKEN]
        if not refused:
            return {}
        known = await self._find_known(refused, {order.id for order in refused})
        found = {
            order.id: known.get(order.id) or known.get(self._seals.idempotency_hash(order))
            for order in refused
        }
        return {id: row for id, row in found.items() if row is not None}

    async def _limit(self, choices: list[Choice]) -> list[tuple[Choice, Wanted]]:
        """Refuse what is more than a merchant may sell, or its supplier through agents.

        Gives what counts from here on.
        """
        if not await self._limiting.has_limits():
            return []
        live = [each for each in choices if each.offer and each.status is PlaceStatus.PLACED]
        wanted = [wanted_by(each, each.offer) for each in live if each.offer is not None]
        counted = []
        judged = await self._limiting.judge(wanted)
        for choice, each, is_within in zip(live, wanted, judged, strict=True):
            if is_within:
                counted.append((choice, each))
            else:
                choice.status = PlaceStatus.LIMIT_REACHED
        return counted

    async def _screen(self, choices: list[Choice]) -> None:
        live = [choice for choice in choices if choice.status is PlaceStatus.PLACED]
        if not live:
            return
        answers = await self._risk.screen_orders([self._question(choice) for choice in live])
        for choice, answer in zip(live, answers, strict=True):
            if answer.decision is RiskDecision.REFUSE:
                choice.status = PlaceStatus.RISK_REFUSED

    def _question(self, choice: Choice) -> RiskQuestion:
        assert choice.offer is not None
        order = choice.order
        return RiskQuestion(
            order=order.id,
            merchant=choice.offer.merchant,
            amount_minor=choice.amount_minor,
            currency=order.currency,
            buyer=self._seals.contact_hash(choice.contact).hex(),
            address=self._seals.trace_hash("address", order.address),
            device=self._seals.trace_hash("device", order.device),
            contact=choice.contact,
        )

    async def _use_quotes(self, choices: list[Choice]) -> None:
        """Fix what is paid in another currency; most orders have no quote, and ask for nothing."""
        quoted = [
            (choice, QuoteUse(QuoteId(choice.order.quote), choice.order.id))
            for choice in choices
            if choice.order.quote is not None and choice.status is PlaceStatus.PLACED
        ]
        if not quoted:
            return
        results = await self._fx.use_quotes([use for _, use in quoted])
        for (choice, _), result in zip(quoted, results, strict=True):
            choice.exchange = decide.exchange(choice.order, choice.amount_minor, result.quote)
            if choice.exchange is None:
                choice.status = PlaceStatus.QUOTE_NOT_USABLE

    async def _hold(self, choices: list[Choice], now: datetime) -> None:
        live = [
            choice
            for choice in choices
            if choice.status is PlaceStatus.PLACED
            and choice.offer is not None
            and choice.offer.hold_policy is HoldPolicy.AT_ORDER
        ]
        if not live:
            return
        # The provider stops taking money first, then the order expires, then the hold ends.
        until = now + timedelta(seconds=self._settings.pay_window_s + self._settings.hold_grace_s)
        seals = self._seals
        statuses = await self._catalog.hold_keys(
            [
                Hold(
                    choice.order.id,
                    choice.offer.stock,
                    choice.order.quantity,
                    until,
                    seals.contact_hash(choice.contact).hex(),
                    seals.trace_hash("address", choice.order.address),
                    seals.trace_hash("device", choice.order.device),
                )
                for choice in live
                if choice.offer is not None
            ]
        )
        for choice, status in zip(live, statuses, strict=True):
            refusal = decide.HOLD_REFUSALS.get(status)
            if refusal is not None:
                choice.status = refusal

    async def _write(self, choices: list[Choice], now: datetime) -> dict[UUID, Row]:
        """Write the orders; give what stood already under an id or idempotency key."""
        live = [choice for choice in choices if choice.status is PlaceStatus.PLACED]
        if not live:
            return {}
        expires_at = now + timedelta(seconds=self._settings.pay_window_s)
        day = now.date()
        data_key = await self._seals.data_keys.newest()
        seals = self._seals
        rows: list[store.NewOrder] = []
        for choice in live:
            order, offer, supply = choice.order, choice.offer, choice.supply
            assert offer is not None
            facts = decide.OrderFacts(
                sku=offer.sku,
                title=offer.title,
                shop=offer.shop,
                shop_slug=offer.shop_slug,
                product=offer.product,
                restock_wait_s=offer.restock_wait_s,
                locale=order.locale,
                method=order.method,
                address_hash=seals.trace_hash("address", order.address),
                device_hash=seals.trace_hash("device", order.device),
                delivery=offer.delivery.value,
                exchange=choice.exchange,
                category=offer.category,
                discount=choice.discount,
                warranty=decide.warranty(offer.warranty),
                supply=supply,
            )
            rows.append(
                (
                    order.id,
                    offer.merchant,
                    offer.variant,
                    order.quantity,
                    choice.amount_minor,
                    order.currency,
                    now,
                    expires_at,
                    day,
                    seals.contact_hash(choice.contact),
                    seals.seal_contact(data_key, order.id, choice.contact),
                    data_key.id,
                    encode(facts),
                    choice.request_hash,
                    seals.idempotency_hash(order),
                    order.trace_id,
                    order.buyer,
                    supply.merchant if supply is not None else None,
                    supply.floor_minor * order.quantity if supply is not None else None,
                )
            )

        async def write(*, is_plain: bool) -> set[UUID]:
            async with self._db.reading() as tx:
                return await store.insert_orders(tx, rows, is_plain=is_plain)

        written = await plain_first(write)
        if len(written) == len(rows):
            return {}
        return await self._find_rivals(
            [choice for choice in live if choice.order.id not in written]
        )

    async def _find_rivals(self, beaten: list[Choice]) -> dict[UUID, Row]:
        """Someone else was first: give back what was held for the loser, and find the winner."""
        rivals: dict[UUID, Row] = {}
        async with self._db.reading() as tx:
            by_id = await store.load_orders(tx, [choice.order.id for choice in beaten])
            digests = [
                digest
                for choice in beaten
                if (digest := self._seals.idempotency_hash(choice.order))
            ]
            by_key = await store.load_by_idempotency(tx, digests)
        unwanted = []
        for choice in beaten:
            order = choice.order
            same = by_id.get(order.id)
            if same is None:
                unwanted.append(order.id)
                same = by_key[self._seals.idempotency_hash(order) or b""]
            rivals[order.id] = same
            choice.status = PlaceStatus.EXISTS
        if unwanted:
            await self._catalog.release_holds(unwanted)
        return rivals

    async def _open_attempts(self, choices: list[Choice], now: datetime) -> None:
        """Open the first way to pay; where it is not offered, the order stands without."""
        live = [
            choice
            for choice in choices
            if choice.status is PlaceStatus.PLACED and choice.order.method and choice.offer
        ]
        if not live:
            return
        expires_at = now + timedelta(seconds=self._settings.pay_window_s)
        attempts = [
            Attempt(
                id=choice.attempt,
                order=choice.order.id,
                number=1,
                merchant=choice.offer.merchant,
                method=choice.order.method,
                amount_minor=choice.due.amount_minor,
                currency=choice.due.currency,
                title=choice.offer.title,
                expires_at=expires_at,
                return_url=choice.order.return_url,
                trace_id=choice.order.trace_id,
                country=choice.order.country,
                device=decide.device(choice.order.browser),
                buyer=choice.order.buyer if choice.order.is_remembered else None,
            )
            for choice in live
            if choice.offer is not None and choice.attempt is not None
        ]
        statuses = await self._payments.open_attempts(attempts)
        refused = []
        for choice, status in zip(live, statuses, strict=True):
            if status not in (AttemptStatus.OPENED, AttemptStatus.EXISTS):
                is_amount = status is AttemptStatus.AMOUNT_NOT_OFFERED
                choice.status = (
                    PlaceStatus.AMOUNT_NOT_OFFERED if is_amount else PlaceStatus.METHOD_NOT_OFFERED
                )
                refused.append(choice.order.id)
        if refused:
            await self._withdraw(refused)

    async def _reopen_attempts(self, repeats: Sequence[tuple[PlaceOrder, Row]]) -> None:
        """A process may have died between writing an order and opening its first way to pay."""
        attempts = [
            attempt_of(row, 1, order)
            for order, row in repeats
            if order.method
            and row["state"] == OrderState.PLACED
            and decide.request_hash(order) == row["request_hash"]
        ]
        if attempts:
            await self._payments.open_attempts(attempts)

    async def _withdraw(self, ids: list[OrderId]) -> None:
        """Take back orders whose way to pay is not offered: the buyer is told, nothing is held."""
        async with self._db.reading() as tx:
            await store.end_unpaid(tx, ids, OrderState.CANCELLED.value, self._clock.now())
        try:
            await self._catalog.release_holds(ids)
        except Error as error:  # The hold ends by itself.
            _log.warning("orders.hold_not_released", count=len(ids), error=str(error))
