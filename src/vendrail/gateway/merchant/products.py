"""Merchants' shops and products: listed, read, and written whole by id."""

import msgspec

from vendrail.api.catalog import (
    Catalog,
    MerchantId,
    Product,
    ProductId,
    ProductState,
    ProductView,
    PutStatus,
    QuantityPrice,
    Shop,
    ShopProductQuery,
    StockCount,
    Variant,
    VariantId,
)
from vendrail.api.catalog.warranties import ProductWarranty
from vendrail.gateway.bodies import QuantityPriceBody
from vendrail.gateway.exchange import Answer, Exchange, Refusal, said
from vendrail.gateway.merchant import asked, problems
from vendrail.gateway.merchant.bodies import (
    MerchantProductBody,
    MerchantProductListBody,
    MerchantShopBody,
    MerchantShopListBody,
    MerchantVariantBody,
    PutBody,
    PutProductBody,
    PutVariantBody,
    PutWarrantyBody,
    StockBody,
    WarrantyBody,
)
from vendrail.gateway.merchant.keyring import Keyring, Program
from vendrail.gateway.problems import QUERY_MALFORMED
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import encode, replace
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import derive, from_serial, new_id, to_serial

_PUT = msgspec.json.Decoder(PutProductBody)
_BYTES_MAX = 1_000_000
_NOTHING = StockCount("", 0, 0, 0, 0, 0)


class ProductRoom:
    """Answers about a merchant's products."""

    def __init__(self, catalog: Catalog, keyring: Keyring, clock: Clock) -> None:
        self._catalog = catalog
        self._keyring = keyring
        self._clock = clock

    async def list_shops(self, _: Exchange, program: Program, __: str) -> Answer:
        """List the merchant's shops."""
        shops = await self._shops(program)
        body = MerchantShopListBody([MerchantShopBody(s.slug, s.name, s.is_open) for s in shops])
        return said(200, encode(body))

    async def list_products(self, exchange: Exchange, program: Program, _: str) -> Answer:
        """List a page of products."""
        query = exchange.query()
        before = asked.before(query)
        found = ShopProductQuery(
            MerchantId(program.merchant),
            query.get("q", "")[:200],
            _state(query.get("state", "")),
            ProductId(before) if before else None,
            asked.limit(query),
        )
        (products,) = await self._catalog.list_products([found])
        is_full = len(products) == found.products_max
        body = MerchantProductListBody(
            [
                _product(each.product, each.shop, {count.sku: count for count in each.counts})
                for each in products
            ],
            to_serial(products[-1].product.id) if products and is_full else None,
        )
        return said(200, encode(body))

    async def read_product(self, _: Exchange, program: Program, serial: str) -> Answer:
        """Read one product."""
        id = _id(serial)
        found = await self._own(program, id)
        if found is None:
            raise Refusal(problems.PRODUCT_NOT_FOUND)
        product, shop = found
        skus = [variant.sku for variant in product.variants]
        counts = await self._catalog.count_stock(skus)
        return said(200, encode(_product(product, shop, {c.sku: c for c in counts if c})))

    async def put_product(self, exchange: Exchange, program: Program, serial: str) -> Answer:
        """Write a product whole; the caller chose its id, so sending it again changes nothing."""
        id = _id(serial)
        body = await exchange.json(_PUT, _BYTES_MAX)
        shop = next((s for s in await self._shops(program) if s.slug == body.shop), None)
        if shop is None:
            raise Refusal(problems.SHOP_NOT_FOUND)
        found = await self._own(program, id)
        known = found[0] if found else None
        product = _written(id, shop, body, known)
        if known == product:
            return said(200, encode(PutBody(to_serial(id), PutStatus.UNCHANGED)))
        await self._keyring.record(
            program,
            "product.changed" if known else "product.created",
            f"product:{to_serial(id)}",
            once=new_id(self._clock.now()).hex,
            before=_told(known) if known else {},
            after=_told(product),
        )
        (status,) = await self._catalog.put_products([product])
        refusal = problems.PUT.get(status)
        if refusal is not None:
            raise Refusal(refusal)
        code = 201 if status is PutStatus.CREATED else 200
        return said(code, encode(PutBody(to_serial(id), status)))

    async def _shops(self, program: Program) -> list[Shop]:
        (shops,) = await self._catalog.list_shops([MerchantId(program.merchant)])
        return shops

    async def _own(self, program: Program, id: ProductId) -> tuple[Product, Shop] | None:
        """Give a product of the merchant's; None: there is none; another's is not found."""
        (view,) = await self._catalog.read_products([id])
        if view is None:
            return None
        if view.shop.merchant != program.merchant:
            raise Refusal(problems.PRODUCT_NOT_FOUND)
        return _written_of(view), view.shop


def _written_of(view: ProductView) -> Product:
    """Give a product as its merchant has written it: an agent's has prices that do not sell now."""
    if view.written_minor is None:
        return view.product
    [own] = view.product.variants
    return replace(view.product, variants=[replace(own, prices_minor=view.written_minor)])


def _id(serial: str) -> ProductId:
    try:
        return ProductId(from_serial(serial))
    except Malformed:
        raise Refusal(problems.PRODUCT_NOT_FOUND) from None


def _state(text: str) -> ProductState | None:
    if not text:
        return None
    listed = [state for state in ProductState if state is not ProductState.REMOVED]
    if text not in listed:
        raise Refusal(QUERY_MALFORMED, f"state is one of {', '.join(listed)}.")
    return ProductState(text)


def _written(id: ProductId, shop: Shop, body: PutProductBody, known: Product | None) -> Product:
    """Put what was sent together with what stays: variants' ids by their SKU, and the picture."""
    before = {v.sku: v for v in known.variants} if known else {}
    variants = [
        Variant(
            _variant_id(id, each.sku, before),
            each.sku,
            each.title,
            each.prices_minor,
            each.quantity_min,
            each.quantity_max,
            position,
            before[each.sku].low_stock_max if each.sku in before else None,  # As it is.
            _steps(each, before.get(each.sku)),
        )
        for position, each in enumerate(body.variants)
    ]
    return Product(
        id,
        shop.id,
        body.slug,
        body.title,
        variants,
        body.description,
        known.picture if known else "",
        body.category,
        body.state,
        body.delivery,
        body.hold_policy,
        body.restock_wait_s,
        body.instructions,
        _warranty(body.warranty, known),
    )


def _warranty(body: PutWarrantyBody | None, known: Product | None) -> ProductWarranty | None:
    if body is None:
        return known.warranty if known else None
    if not body.hours:
        return None
    return ProductWarranty(
        body.hours,
        body.covers,
        body.keys_max,
        body.buyer_keys_max,
        body.is_refunded_when_out,
    )


def _variant_id(product: ProductId, sku: str, before: dict[str, Variant]) -> VariantId:
    known = before.get(sku)
    return known.id if known else VariantId(derive(product, f"variant:{sku}"))


def _steps(body: PutVariantBody, known: Variant | None) -> list[QuantityPrice]:
    if body.quantity_prices is None:
        return known.quantity_prices if known else []
    return [QuantityPrice(each.quantity_min, each.prices_minor) for each in body.quantity_prices]


def _told(product: Product) -> dict[str, str]:
    """Tell of a product what the log keeps: what it is, and what it costs."""
    prices = [
        f"{variant.sku} {price} {currency}"
        for variant in product.variants
        for currency, price in variant.prices_minor.items()
    ] + [
        f"{variant.sku} from {step.quantity_min} {price} {currency}"
        for variant in product.variants
        for step in variant.quantity_prices
        for currency, price in step.prices_minor.items()
    ]
    told = {"title": product.title, "state": product.state, "prices_minor": ", ".join(prices)}
    promised = product.warranty
    if promised is None:
        return told
    at_once = f", {promised.keys_max}/{promised.buyer_keys_max} keys at once"
    return told | {"warranty": f"{promised.hours} h{at_once if promised.keys_max else ''}"}


def _product(product: Product, shop: Shop, counts: dict[str, StockCount]) -> MerchantProductBody:
    return MerchantProductBody(
        to_serial(product.id),
        shop.slug,
        product.slug,
        product.title,
        product.description,
        product.category,
        product.state,
        product.delivery,
        product.hold_policy,
        product.restock_wait_s,
        product.instructions,
        [
            MerchantVariantBody(
                variant.sku,
                variant.title,
                variant.prices_minor,
                variant.quantity_min,
                variant.quantity_max,
                _stock(counts.get(variant.sku, _NOTHING)),
                [
                    QuantityPriceBody(s.quantity_min, s.prices_minor)
                    for s in variant.quantity_prices
                ],
            )
            for variant in product.variants
        ],
        WarrantyBody(
            product.warranty.hours,
            product.warranty.covers,
            product.warranty.keys_max,
            product.warranty.buyer_keys_max,
            product.warranty.is_refunded_when_out,
        )
        if product.warranty
        else None,
    )


def _stock(count: StockCount) -> StockBody:
    return StockBody(count.free, count.held, count.allocated, count.sold, count.void)
