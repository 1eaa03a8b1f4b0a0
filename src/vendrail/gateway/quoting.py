"""Quotes over the public API: what an order is in another currency, promised for a while."""

from uuid import UUID

import msgspec

from vendrail.api.catalog import Offer
from vendrail.api.fx import Quote, QuoteId, QuoteRequest
from vendrail.api.orders import PlaceStatus
from vendrail.api.promotions import CouponQuestion, CouponStatus
from vendrail.gateway import problems
from vendrail.gateway.bodies import QuoteBody, QuotedBody
from vendrail.gateway.calls import Calls
from vendrail.gateway.exchange import Answer, Exchange, Refusal, said
from vendrail.gateway.settings import GatewaySettings
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import encode
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import from_serial, new_id, to_serial

_QUOTE = msgspec.json.Decoder(QuoteBody)


class QuoteDesk:
    """Has prices promised in other currencies; each promise is good for one order."""

    def __init__(self, calls: Calls, clock: Clock, settings: GatewaySettings) -> None:
        self._calls = calls
        self._clock = clock
        self._settings = settings

    async def quote(self, exchange: Exchange, address: str) -> Answer:
        """Promise what so many of a variant cost in another currency."""
        body = await exchange.json(_QUOTE, self._settings.body_bytes_max)
        offer = await self._calls.offer(body.sku)
        if offer is None:
            raise Refusal(problems.PLACE[PlaceStatus.SKU_NOT_FOUND])
        currency = body.currency or self._choose(tuple(offer.prices_minor))
        amount_minor = offer.total_minor(body.quantity, currency)
        if not offer.quantity_min <= body.quantity <= offer.quantity_max:
            raise Refusal(problems.PLACE[PlaceStatus.QUANTITY_OUT_OF_RANGE])
        if amount_minor <= 0:
            raise Refusal(problems.PLACE[PlaceStatus.CURRENCY_NOT_OFFERED])
        if body.coupon:
            amount_minor -= await self._take_off(
                offer, body.coupon, amount_minor, currency, address
            )
        id = QuoteId(new_id(self._clock.now()))
        result = await self._calls.quote(
            QuoteRequest(id, amount_minor, currency, body.paid_currency)
        )
        if result.quote is None:
            raise Refusal(problems.QUOTE[result.status])
        return said(201, encode(_quoted(result.quote)))

    async def _take_off(
        self, offer: Offer, code: str, amount_minor: int, currency: str, address: str
    ) -> int:
        """Say what a coupon takes off before the price is promised; it is held with the order."""
        question = CouponQuestion(
            code, offer.merchant, offer.product, offer.category, amount_minor, currency, address
        )
        result = await self._calls.coupon(question)
        if result.status is not CouponStatus.HELD:
            problem = problems.PLACE[PlaceStatus.COUPON_REFUSED]
            raise Refusal(problem, members={"coupon_problem": result.status.value})
        return result.discount_minor

    def _choose(self, currencies: tuple[str, ...]) -> str:
        wanted = self._settings.default_currency
        return wanted if wanted in currencies or not currencies else currencies[0]

    async def find(self, serial: str) -> Quote:
        """Give the quote that an order names."""
        try:
            id: UUID = from_serial(serial)
        except Malformed:
            raise Refusal(problems.PLACE[PlaceStatus.QUOTE_NOT_USABLE]) from None
        quote = await self._calls.read_quote(QuoteId(id))
        if quote is None:
            raise Refusal(problems.PLACE[PlaceStatus.QUOTE_NOT_USABLE])
        return quote


def _quoted(quote: Quote) -> QuotedBody:
    return QuotedBody(
        to_serial(quote.id),
        quote.amount_minor,
        quote.currency,
        quote.paid_minor,
        quote.paid_currency,
        quote.spread_minor,
        f"{quote.rate.mid:f}",
        quote.rate.rated_at,
        quote.expires_at,
    )
