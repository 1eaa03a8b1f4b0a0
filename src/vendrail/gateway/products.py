"""Products and ways to pay, as the public API shows them: for anybody, cached for a moment."""

from uuid import UUID

from vendrail.api.catalog import ProductId, ProductQuery, ProductState, ProductView
from vendrail.api.payments import Device, fitting
from vendrail.gateway.bodies import (
    MethodBody,
    MethodListBody,
    ProductBody,
    ProductListBody,
    QuantityPriceBody,
    ShopBody,
    VariantBody,
)
from vendrail.gateway.calls import Calls
from vendrail.gateway.exchange import Answer, Exchange, Refusal, shown
from vendrail.gateway.problems import PRODUCT_NOT_FOUND, QUERY_MALFORMED
from vendrail.gateway.settings import GatewaySettings
from vendrail.kernel.codec import encode
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import from_serial, to_serial
from vendrail.kernel.money import AMOUNT_MINOR_MAX, EXPONENTS

_CACHE_S = 5
_DEVICES = frozenset(Device)


class ProductPages:
    """Answers what is for sale and how it can be paid."""

    def __init__(self, calls: Calls, settings: GatewaySettings, public_url: str) -> None:
        self._calls = calls
        self._settings = settings
        self._public_url = public_url

    async def list_products(self, exchange: Exchange, _: str) -> Answer:
        """Answer one page of products on sale."""
        given = exchange.query()
        query = ProductQuery(
            shop_slug=given.get("shop") or None,
            category=given.get("category") or None,
            words=(given.get("q") or "")[:200] or None,
            after=ProductId(_read_id(given["after"], "after")) if given.get("after") else None,
            products_max=_read_limit(given.get("limit", ""), self._settings.products_max),
        )
        views = (await self._calls.catalog.find_products([query]))[0]
        is_full = len(views) == query.products_max
        body = ProductListBody(
            items=[self._product(view) for view in views],
            next=to_serial(views[-1].product.id) if views and is_full else None,
        )
        return shown(encode(body), _CACHE_S)

    async def read_product(self, _: Exchange, serial: str) -> Answer:
        """Answer one product."""
        try:
            id = from_serial(serial)
        except Malformed:
            raise Refusal(PRODUCT_NOT_FOUND) from None
        view = (await self._calls.catalog.read_products([ProductId(id)]))[0]
        if view is None or view.product.state.value == "draft":
            raise Refusal(PRODUCT_NOT_FOUND)
        return shown(encode(self._product(view)), _CACHE_S)

    async def list_methods(self, exchange: Exchange, _: str) -> Answer:
        """Answer the ways to pay in one currency."""
        currency = exchange.query().get("currency") or self._settings.default_currency
        if currency not in EXPONENTS:
            raise Refusal(QUERY_MALFORMED, f"currency is one of {', '.join(sorted(EXPONENTS))}.")
        least_minor, most_minor = 0, AMOUNT_MINOR_MAX
        if amount := exchange.query().get("amount_minor"):
            least_minor = most_minor = _read_amount(amount)
        device = None
        if named := exchange.query().get("device"):
            if named not in _DEVICES:
                raise Refusal(QUERY_MALFORMED, f"device is one of {', '.join(sorted(_DEVICES))}.")
            device = Device(named)
        methods = fitting(await self._calls.methods(currency), least_minor, most_minor, device)
        body = MethodListBody(
            [
                MethodBody(each.method, each.title, each.channel_name, each.currencies, each.shows)
                for each in methods
            ]
        )
        return shown(encode(body), _CACHE_S)

    def _product(self, view: ProductView) -> ProductBody:
        product = view.product
        picture = product.picture.lstrip("/")
        return ProductBody(
            id=to_serial(product.id),
            slug=product.slug,
            title=product.title,
            shop=ShopBody(view.shop.slug, view.shop.name),
            category=product.category,
            picture=f"{self._public_url}/media/{picture}" if picture else "",
            description_html=view.description_html,
            delivery=product.delivery.value,
            state=_state(view),
            sold_count=view.sold_count,
            variants=[
                VariantBody(
                    variant.sku,
                    variant.title,
                    variant.prices_minor,
                    variant.quantity_min,
                    variant.quantity_max,
                    view.stock.get(variant.sku, 0),
                    [
                        QuantityPriceBody(step.quantity_min, step.prices_minor)
                        for step in variant.quantity_prices
                    ],
                )
                for variant in product.variants
            ],
        )


def _state(view: ProductView) -> str:
    """Give the state as it is for buyers: what nobody can buy just now is paused."""
    state = view.product.state
    is_away = state is ProductState.ON_SALE and not view.is_on_sale
    return (ProductState.PAUSED if is_away else state).value


def _read_id(text: str, name: str) -> UUID:
    try:
        return from_serial(text)
    except Malformed as error:
        raise Refusal(QUERY_MALFORMED, f"{name}: {error.message}") from None


def _read_limit(text: str, limit_max: int) -> int:
    if not text:
        return min(48, limit_max)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= limit_max:
        raise Refusal(QUERY_MALFORMED, f"limit is a number from 1 to {limit_max}.")
    return int(text)


def _read_amount(text: str) -> int:
    amount_minor = int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else 0
    if not 0 < amount_minor <= AMOUNT_MINOR_MAX:
        raise Refusal(
            QUERY_MALFORMED, f"amount_minor is a whole number from 1 to {AMOUNT_MINOR_MAX}."
        )
    return amount_minor
