"""The services as the pages see them: single calls that travel in batches, and short memories."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar
from uuid import UUID

import structlog

from vendrail.api.catalog import (
    Catalog,
    Offer,
    ProductId,
    ProductQuery,
    ProductView,
    Shop,
)
from vendrail.api.epay import Epay
from vendrail.api.fx import (
    Fx,
    QuoteRequest,
    QuoteResult,
    QuoteStatus,
    RatePair,
    RateResult,
    RateStatus,
)
from vendrail.api.orders import (
    OrderQuery,
    Orders,
    OrderView,
    PayOrder,
    PayResult,
    Placement,
    PlaceOrder,
)
from vendrail.api.payments import (
    ActionKind,
    AttemptId,
    AttemptView,
    Method,
    OfferQuestion,
    PaymentAction,
    Payments,
    PresentRequest,
    SavedQuery,
    SavedWay,
)
from vendrail.api.payments.deposits import DepositView
from vendrail.api.payments.saved import AgreementOffer
from vendrail.api.promotions import CouponQuestion, CouponResult, CouponStatus, Promotions
from vendrail.kernel.batcher import Batcher
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.ids import shard_in
from vendrail.kernel.shedding import Shedder
from vendrail.kernel.telemetry import Metrics

Key = TypeVar("Key")
Value = TypeVar("Value")

_MEMORY_MAX = 2_000
_NOT_RATED = RateResult(RateStatus.NOT_RATED)
_log = structlog.get_logger(__name__)


class Memory(Generic[Key, Value]):
    """Remembers what was read for a moment, so that a busy page asks once."""

    def __init__(
        self,
        read: Callable[[Key], Awaitable[Value]],
        keep_s: float,
        is_kept: Callable[[Value], bool] = lambda _: True,
    ) -> None:
        self._read = read
        self._keep_s = keep_s
        self._is_kept = is_kept
        self._kept: dict[Key, tuple[float, Value]] = {}
        self._asked: dict[Key, asyncio.Task[Value]] = {}

    async def get(self, key: Key) -> Value:
        """Give the value as of a moment ago; all who ask at once wait for one answer."""
        now = time.monotonic()
        known = self._kept.get(key)
        if known is not None and known[0] > now:
            return known[1]
        task = self._asked.get(key)
        if task is None:
            task = self._asked[key] = asyncio.create_task(self._ask(key))
        return await asyncio.shield(task)

    async def _ask(self, key: Key) -> Value:
        try:
            value = await self._read(key)
        finally:
            self._asked.pop(key, None)
        if self._is_kept(value):
            if len(self._kept) >= _MEMORY_MAX:
                self._kept.clear()
            self._kept[key] = (time.monotonic() + self._keep_s, value)
        return value


class Calls:
    """Puts the single requests of pages into batches."""

    def __init__(
        self,
        catalog: Catalog,
        orders: Orders,
        payments: Payments,
        metrics: Metrics | None = None,
        epay: Epay | None = None,
        fx: Fx | None = None,
        promotions: Promotions | None = None,
    ) -> None:
        self._promotions = promotions
        self._epay = epay
        self._fx = fx
        self.catalog = catalog
        self.orders = orders
        self.payments = payments
        places: Batcher[PlaceOrder, Placement] = Batcher(
            orders.place_orders, name="web.place_orders", metrics=metrics
        )
        reads: Batcher[OrderQuery, OrderView | None] = Batcher(
            orders.read_orders, name="web.read_orders", metrics=metrics
        )
        pays: Batcher[PayOrder, PayResult] = Batcher(
            orders.pay_orders, name="web.pay_orders", key=_paid_order, metrics=metrics
        )
        attempts: Batcher[UUID, list[AttemptView]] = Batcher(
            payments.read_attempts, name="web.read_attempts", metrics=metrics
        )
        presents: Batcher[PresentRequest, PaymentAction] = Batcher(
            payments.present_attempts,
            name="web.present_attempts",
            size_max=64,
            in_flight_max=8,
            metrics=metrics,
        )
        deposits: Batcher[AttemptId, DepositView | None] = Batcher(
            payments.read_deposits, name="web.read_deposits", metrics=metrics
        )
        products: Batcher[ProductId, ProductView | None] = Batcher(
            catalog.read_products, name="web.read_products", metrics=metrics
        )
        offers: Batcher[str, Offer | None] = Batcher(
            catalog.read_offers, name="web.read_offers", metrics=metrics
        )
        ways: Batcher[OfferQuestion, list[Method]] = Batcher(
            payments.offer_methods, name="web.offer_methods", metrics=metrics
        )
        self._batchers = (places, reads, pays, attempts, presents, deposits, products, offers, ways)
        self._quotes = self._quoting(metrics)
        shedder = Shedder(places, _merchant_shard)
        self.is_strained: Callable[[], bool] = shedder.is_strained
        self.is_full: Callable[[], bool] = shedder.is_full
        self.place: Callable[[PlaceOrder], Awaitable[Placement]] = shedder.submit
        self.read: Callable[[OrderQuery], Awaitable[OrderView | None]] = reads.submit
        self.pay: Callable[[PayOrder], Awaitable[PayResult]] = pays.submit
        self.attempts: Callable[[UUID], Awaitable[list[AttemptView]]] = attempts.submit
        self.present: Callable[[PresentRequest], Awaitable[PaymentAction]] = presents.submit
        self.deposit: Callable[[AttemptId], Awaitable[DepositView | None]] = deposits.submit
        # A code is fetched from its provider: once for as many looks as its page gets.
        self.present_code: Callable[[PresentRequest], Awaitable[PaymentAction]] = Memory(
            presents.submit, 30.0, _is_payable
        ).get
        self.offer: Callable[[str], Awaitable[Offer | None]] = offers.submit
        self.product: Callable[[ProductId], Awaitable[ProductView | None]] = Memory(
            products.submit, 1.0
        ).get
        self.methods: Callable[[str], Awaitable[list[Method]]] = Memory(
            payments.list_methods, 1.0
        ).get
        self.offered: Callable[[OfferQuestion], Awaitable[list[Method]]] = Memory(
            ways.submit, 1.0
        ).get
        self.found: Callable[[ProductQuery], Awaitable[list[ProductView]]] = Memory(
            self._find, 1.0
        ).get
        self.shop: Callable[[str], Awaitable[Shop | None]] = Memory(self._read_shop, 1.0).get
        self.rate: Callable[[RatePair], Awaitable[RateResult]] = Memory(
            self._read_rate, 5.0, _is_rated
        ).get
        self._shops: Memory[tuple[()], list[Shop]] = Memory(self._read_shops, 1.0)

    async def way_back(self, order: OrderView) -> str | None:
        """Give where the buyer of a paid charge goes back to, signed."""
        if self._epay is None or not order.is_charge or order.delivered_at is None:
            return None
        return (await self._epay.read_epay_returns([order.id]))[0]

    async def saved_ways(self, buyer: UUID, *, is_fresh: bool = False) -> list[SavedWay]:
        """List what providers remember for a buyer; nothing while payments are away."""
        try:
            return (await self.payments.list_saved([SavedQuery(buyer, is_fresh)]))[0]
        except Unavailable as error:
            _log.warning("web.saved_ways_away", error=str(error))
            return []

    async def agreements(self, buyer: UUID) -> list[AgreementOffer]:
        """List what a buyer can agree to be charged by; nothing while payments are away."""
        try:
            return (await self.payments.offer_agreements([buyer]))[0]
        except Unavailable:
            return []

    async def quote(self, request: QuoteRequest) -> QuoteResult:
        """Have an amount promised in another currency."""
        return await self._quotes.submit(request)

    def _quoting(self, metrics: Metrics | None) -> Batcher[QuoteRequest, QuoteResult]:
        return Batcher(self._quote_amounts, name="web.quote_amounts", metrics=metrics)

    async def _quote_amounts(self, requests: Sequence[QuoteRequest]) -> list[QuoteResult]:
        """Have amounts promised in other currencies; without foreign exchange there are none."""
        if self._fx is None:
            return [QuoteResult(QuoteStatus.NOT_RATED)] * len(requests)
        return await self._fx.quote_amounts(requests)

    async def coupon(self, question: CouponQuestion) -> CouponResult:
        """Say what a code would take off; without promotions there are no coupons."""
        if self._promotions is None:
            return CouponResult(CouponStatus.CODE_NOT_FOUND)
        return (await self._promotions.price_coupons([question]))[0]

    async def _read_rate(self, pair: RatePair) -> RateResult:
        """Read a rate; where that fails there is none: a page of prices is shown all the same."""
        if self._fx is None:
            return _NOT_RATED
        try:
            return (await self._fx.read_rates([pair]))[0]
        except Unavailable as error:
            _log.warning("web.rates_away", error=str(error))
            return _NOT_RATED

    async def shops(self) -> list[Shop]:
        """List the open shops."""
        return await self._shops.get(())

    async def _find(self, query: ProductQuery) -> list[ProductView]:
        return (await self.catalog.find_products([query]))[0]

    async def _read_shop(self, slug: str) -> Shop | None:
        return (await self.catalog.read_shops([slug]))[0]

    async def _read_shops(self, _: tuple[()]) -> list[Shop]:
        return [shop for shop in await self.catalog.read_shops([]) if shop is not None]

    async def drain(self) -> None:
        """Wait until nothing is under way: before a stop."""
        for batcher in self._batchers:
            await batcher.drain()
        await self._quotes.drain()


def _is_rated(result: RateResult) -> bool:
    return result is not _NOT_RATED


def _is_payable(action: PaymentAction) -> bool:
    return action.kind is not ActionKind.NONE


def _merchant_shard(order: PlaceOrder) -> int:
    return shard_in(order.id)


def _paid_order(request: PayOrder) -> UUID:
    return request.order
