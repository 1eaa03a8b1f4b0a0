"""The services as the API sees them: single calls that travel in batches, and short memories."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from vendrail.api.catalog import Catalog, Offer
from vendrail.api.fx import Fx, Quote, QuoteId, QuoteRequest, QuoteResult, QuoteStatus
from vendrail.api.orders import (
    OrderQuery,
    Orders,
    OrderView,
    PayOrder,
    PayResult,
    Placement,
    PlaceOrder,
)
from vendrail.api.payments import Callback, CallbackAnswer, Method, Payments
from vendrail.api.promotions import CouponQuestion, CouponResult, CouponStatus, Promotions
from vendrail.gateway.settings import GatewaySettings
from vendrail.kernel.batcher import Batcher
from vendrail.kernel.ids import shard_in, shard_of
from vendrail.kernel.shedding import Shedder
from vendrail.kernel.telemetry import Metrics

_OFFERS_REMEMBERED_MAX = 10_000


@dataclass(frozen=True)
class Seller:
    """What the API must know of a SKU before it can make an order's id: it changes hardly ever."""

    shard: int
    currencies: tuple[str, ...]


class Calls:
    """Puts single requests into batches; remembers what hardly changes, for a moment."""

    def __init__(
        self,
        catalog: Catalog,
        orders: Orders,
        payments: Payments,
        settings: GatewaySettings,
        metrics: Metrics | None = None,
        fx: Fx | None = None,
        promotions: Promotions | None = None,
    ) -> None:
        self._promotions = promotions
        self._fx = fx
        self.catalog = catalog
        self.orders = orders
        self.payments = payments
        self._settings = settings
        self._places: Batcher[PlaceOrder, Placement] = Batcher(
            orders.place_orders, name="gateway.place_orders", metrics=metrics
        )
        shedder = Shedder(self._places, _merchant_shard)
        self._reads: Batcher[OrderQuery, OrderView | None] = Batcher(
            orders.read_orders, name="gateway.read_orders", metrics=metrics
        )
        self._pays: Batcher[PayOrder, PayResult] = Batcher(
            orders.pay_orders, name="gateway.pay_orders", key=_paid_order, metrics=metrics
        )
        self._callbacks: Batcher[Callback, CallbackAnswer] = Batcher(
            payments.take_callbacks, name="gateway.take_callbacks", metrics=metrics
        )
        self._offers: Batcher[str, Offer | None] = Batcher(
            catalog.read_offers, name="gateway.read_offers", metrics=metrics
        )
        self._quotes: Batcher[QuoteRequest, QuoteResult] = Batcher(
            self._quote_amounts, name="gateway.quote_amounts", metrics=metrics
        )
        self._sellers: dict[str, tuple[float, Seller | None]] = {}
        self._methods: dict[str, tuple[float, list[Method]]] = {}
        self.is_full: Callable[[], bool] = shedder.is_full
        self.is_strained: Callable[[], bool] = shedder.is_strained
        self.place: Callable[[PlaceOrder], Awaitable[Placement]] = shedder.submit
        self.read: Callable[[OrderQuery], Awaitable[OrderView | None]] = self._reads.submit
        self.pay: Callable[[PayOrder], Awaitable[PayResult]] = self._pays.submit
        self.offer: Callable[[str], Awaitable[Offer | None]] = self._offers.submit
        self.quote: Callable[[QuoteRequest], Awaitable[QuoteResult]] = self._quotes.submit
        self.take: Callable[[Callback], Awaitable[CallbackAnswer]] = self._callbacks.submit

    async def seller(self, sku: str) -> Seller | None:
        """Give the merchant's shard and the currencies of a SKU; an unknown one is asked again."""
        now = time.monotonic()
        known = self._sellers.get(sku)
        if known is not None and known[0] > now:
            return known[1]
        offer = await self._offers.submit(sku)
        if offer is None:
            self._sellers.pop(sku, None)
            return None
        found = Seller(shard_of(offer.merchant), tuple(offer.prices_minor))
        if len(self._sellers) >= _OFFERS_REMEMBERED_MAX:
            self._sellers.clear()
        self._sellers[sku] = (now + self._settings.offer_cache_s, found)
        return found

    async def methods(self, currency: str) -> list[Method]:
        """List the ways to pay in a currency, as of a moment ago."""
        now = time.monotonic()
        known = self._methods.get(currency)
        if known is not None and known[0] > now:
            return known[1]
        found = await self.payments.list_methods(currency)
        if len(self._methods) > 256:
            self._methods.clear()
        self._methods[currency] = (now + self._settings.methods_cache_s, found)
        return found

    async def _quote_amounts(self, requests: Sequence[QuoteRequest]) -> list[QuoteResult]:
        """Have amounts promised; without foreign exchange there are no rates."""
        if self._fx is None:
            return [QuoteResult(QuoteStatus.NOT_RATED)] * len(requests)
        return await self._fx.quote_amounts(requests)

    async def coupon(self, question: CouponQuestion) -> CouponResult:
        """Say what a code would take off; without promotions there are no coupons."""
        if self._promotions is None:
            return CouponResult(CouponStatus.CODE_NOT_FOUND)
        return (await self._promotions.price_coupons([question]))[0]

    async def read_quote(self, id: QuoteId) -> Quote | None:
        """Read a quote; most orders have none."""
        return (await self._fx.read_quotes([id]))[0] if self._fx is not None else None

    async def drain(self) -> None:
        """Wait until nothing is under way: before a stop."""
        for batcher in (self._places, self._pays, self._callbacks, self._reads, self._offers):
            await batcher.drain()
        await self._quotes.drain()


def _merchant_shard(order: PlaceOrder) -> int:
    return shard_in(order.id)


def _paid_order(request: PayOrder) -> UUID:
    return request.order
