"""Products: a list with what is left, each with its variants, prices, picture and preview."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from litestar.handlers import HTTPRouteHandler

from vendrail.api.catalog import (
    MerchantId,
    Product,
    ProductId,
    ProductState,
    PutStatus,
    Shop,
    ShopProductQuery,
    StockCount,
    StockedProduct,
    Variant,
    VariantId,
)
from vendrail.api.identity import Permission
from vendrail.api.payments import fitting
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import derive, new_id, to_serial
from vendrail.kernel.money import to_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, LISTED, filters_of, save, saved_at
from vendrail.web.console.lists import is_name, one_of
from vendrail.web.console.tables import PRODUCTS
from vendrail.web.languages import message
from vendrail.web.merchant import goods
from vendrail.web.merchant.acting import changes, log, log_export, read_id
from vendrail.web.merchant.forecast import SOON_DAYS, daily, lasting, read_sold
from vendrail.web.merchant.goods import find_product
from vendrail.web.merchant.pictures import WRONG, take_picture
from vendrail.web.merchant.warranties import Wrong
from vendrail.web.merchant.warranties import fields_of as warranty_fields
from vendrail.web.pages import onward
from vendrail.web.storefront.coupons import NOTHING
from vendrail.web.storefront.front import Page
from vendrail.web.storefront.shopping import span_of

_ROOT = "/merchant/products"
_ONE = f"{_ROOT}/{{serial:str}}"
_PAGE = 50


_STATES = {each.value: each for each in ProductState if each is not ProductState.REMOVED}
_FIELDS = {"q": is_name, "state": one_of(_STATES)}


class Products:
    """What is for sale."""

    entries = (Entry(_ROOT, message("Products"), "box", Permission.PRODUCTS_READ),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._catalog = desk.apis.catalog
        self._media = desk.front.settings.home.expanduser() / "media"

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, read, write = self._desk, Permission.PRODUCTS_READ, Permission.PRODUCTS_WRITE
        return [
            desk.get(_ROOT, self.products, read, fields=_FIELDS),
            desk.get(f"{_ROOT}.csv", self.export, read),
            desk.get(f"{_ROOT}/new", self.ask_new, write),
            desk.post(f"{_ROOT}/new", self.make, write),
            desk.get(_ONE, self.product, read),
            desk.post(_ONE, self.change, write),
            desk.post(f"{_ONE}/state", self.change_state, write),
            desk.post(f"{_ONE}/variants", self.change_variant, write),
            desk.post(f"{_ONE}/picture", self.change_picture, write, is_streamed=True),
            desk.get(f"{_ONE}/preview", self.preview, read),
        ]

    async def products(self, caller: Caller) -> Page:
        """Show a page of products."""
        words, state = caller.asked("q"), _STATES.get(caller.asked("state"))
        before = read_id(caller.asked("before"))
        query = ShopProductQuery(
            MerchantId(caller.merchant),
            words,
            state,
            ProductId(before) if before else None,
            _PAGE + 1,
        )
        [found] = await self._catalog.list_products([query])
        shown = found[:_PAGE]
        fields = {"q": words, "state": state.value if state else ""}
        if len(found) > _PAGE:
            fields["before"] = to_serial(shown[-1].product.id)
        now = self._desk.clock.now()
        sold = await read_sold(self._desk.apis.orders, caller.merchant, now) if shown else []
        pace = daily(sold, now)
        told = urlencode({name: value for name, value in fields.items() if value})
        return self._desk.page(
            caller,
            "merchant/products.html",
            path=_ROOT,
            products=shown,
            lasting={
                each.product.id: min(lasting(each, pace).values(), default=None) for each in shown
            },
            soon=SOON_DAYS,
            words=words,
            state=state.value if state else "",
            states=list(_STATES),
            exported=saved_at(caller, _ROOT, ("q", "state")),
            older=f"{_ROOT}?{told}" if len(found) > _PAGE else "",
            may_write=caller.may(Permission.PRODUCTS_WRITE),
            is_first=not (words or state or before),
            currency=self._desk.front.settings.default_currency,
        )

    async def export(self, caller: Caller) -> Page:
        """Give the products that the page lists as CSV; who took them is kept."""
        told = filters_of(caller, ("q", "state"))
        turned = await log_export(self._desk, caller, LISTED, "list:products", told)
        if turned is not None:
            return turned
        words, state = caller.asked("q"), _STATES.get(caller.asked("state"))
        merchant = MerchantId(caller.merchant)

        async def read(last: StockedProduct | None) -> Sequence[StockedProduct]:
            before = last.product.id if last else None
            query = ShopProductQuery(merchant, words, state, before, AT_ONCE)
            [found] = await self._catalog.list_products([query])
            return found

        return save("products", PRODUCTS, read)

    async def _shops(self, caller: Caller) -> list[Shop]:
        [shops] = await self._catalog.list_shops([MerchantId(caller.merchant)])
        return shops

    async def currencies(self, caller: Caller) -> list[str]:
        """Name the currencies that prices may be in: the site's own, and those with fee terms."""
        [terms] = await self._desk.apis.settlement.read_fee_terms([caller.merchant])
        own = self._desk.front.settings.default_currency
        return [own, *sorted({each.currency for each in terms} - {own})]

    async def ask_new(self, caller: Caller) -> Page:
        """Ask what is to be sold."""
        return await self._new(caller, {})

    async def _new(
        self, caller: Caller, written: Mapping[str, str], problem: str = "", status: int = 200
    ) -> Page:
        return self._desk.page(
            caller,
            "merchant/product_new.html",
            path=_ROOT,
            status=status,
            shops=await self._shops(caller),
            currencies=await self.currencies(caller),
            deliveries=[each.value for each in goods.DELIVERIES],
            nonce=written.get("nonce") or to_serial(new_id(self._desk.clock.now())),
            written=defaultdict(str, written),
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def make(self, caller: Caller) -> Page:
        """Make a product with its first variant; it is a draft until it is put on sale."""
        form = caller.form
        nonce = read_id(form.get("nonce", ""))
        deliveries = {each.value: each for each in goods.DELIVERIES}
        delivery = deliveries.get(form.get("delivery", ""))
        shops = {to_serial(shop.id): shop for shop in await self._shops(caller)}
        shop = shops.get(form.get("shop", ""))
        if nonce is None or delivery is None:
            return self._desk.problem(caller.request, 400, caller)
        if shop is None:
            problem = goods.REFUSALS[PutStatus.SHOP_NOT_FOUND]
            return await self._new(caller, form, problem, 422)
        id = ProductId(derive(nonce, f"product:{caller.merchant}"))
        first = goods.read_variant(
            {**form, "title": form.get("variant", ""), "position": "0"},
            await self.currencies(caller),
            VariantId(derive(id, "variant")),
            None,
        )
        if isinstance(first, Wrong):
            return await self._new(caller, form, first.text, 422)
        product = Product(
            id,
            shop.id,
            goods.slug_of(first.sku),
            form.get("title", "").strip()[:200],
            [first],
            category=form.get("category", "").strip()[:100],
            state=ProductState.DRAFT,
            delivery=delivery,
        )
        after = {**goods.told(product), **goods.told_variant(first), "delivery": delivery.value}
        problem = await self._put(caller, product, "product.created", {}, after)
        if problem:
            return await self._new(caller, form, problem, 422)
        return onward(f"{_ROOT}/{to_serial(id)}")

    async def _put(
        self,
        caller: Caller,
        product: Product,
        act: str,
        before: Mapping[str, str],
        after: Mapping[str, str],
    ) -> str:
        """Log and write a product; give what stood in the way."""
        was, now = changes(before, after)
        if was or now:
            subject = f"product:{to_serial(product.id)}"
            await log(self._desk, caller, act, subject, before=was, after=now)
        [status] = await self._catalog.put_products([product])
        return "" if status in goods.DONE else goods.REFUSALS[status]

    async def product(self, caller: Caller) -> Page:
        """Show one product with all that can be changed of it."""
        found = await find_product(self._catalog, caller, caller.part("serial"))
        if found is None:
            return self._desk.problem(caller.request, 404, caller)
        return await self._product(caller, found)

    async def _product(
        self,
        caller: Caller,
        found: StockedProduct,
        *,
        problem: str = "",
        written: Mapping[str, str] | None = None,
        place: str = "",
        status: int = 200,
    ) -> Page:
        product = found.product
        [case] = await self._catalog.read_goods_cases([product.id])
        return self._desk.page(
            caller,
            "merchant/product.html",
            case=case,
            path=_ROOT,
            status=status,
            found=found,
            product=product,
            shop=found.shop,
            rows_of_variants=_rows(found),
            currencies=await self.currencies(caller),
            prices=_price_texts(product.variants),
            steps={each.sku: _step_texts(each) for each in product.variants},
            may_write=caller.may(Permission.PRODUCTS_WRITE),
            may_keys=caller.may(Permission.KEYS_READ),
            written=defaultdict(str, written or {}),
            place=place,
            warranty=warranty_fields(product.warranty),
            restock_hours=product.restock_wait_s // 3_600,
            known=[to_serial(each.id) for each in product.variants],
            new_variant=to_serial(new_id(self._desk.clock.now())),
            done=caller.asked("done"),
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def change(self, caller: Caller) -> Page:
        """Change what a product says of itself."""
        found = await find_product(self._catalog, caller, caller.part("serial"))
        if found is None:
            return self._desk.problem(caller.request, 404, caller)
        product = goods.read_details(caller.form, found.product)
        if isinstance(product, Wrong):
            problem = product.text
        else:
            before, after = goods.told(found.product), goods.told(product)
            problem = await self._put(caller, product, "product.changed", before, after)
        if problem:
            return await self._product(
                caller, found, problem=problem, written=caller.form, place="details", status=422
            )
        return onward(f"{_ROOT}/{to_serial(found.product.id)}?done=saved")

    async def change_state(self, caller: Caller) -> Page:
        """Put a product on sale, pause it, or take it away."""
        found = await find_product(self._catalog, caller, caller.part("serial"))
        states = {each.value: each for each in ProductState}
        state = states.get(caller.written("state"))
        if found is None or state is None:
            return self._desk.problem(caller.request, 404 if found is None else 400, caller)
        product = replace(found.product, state=state)
        before, after = goods.told(found.product), goods.told(product)
        problem = await self._put(caller, product, "product.changed", before, after)
        if problem:
            return await self._product(caller, found, problem=problem, status=422)
        if state is ProductState.REMOVED:
            return onward(_ROOT)
        return onward(f"{_ROOT}/{to_serial(product.id)}?done=saved")

    async def change_variant(self, caller: Caller) -> Page:
        """Add a variant, change one, or withdraw it: its keys stay."""
        found = await find_product(self._catalog, caller, caller.part("serial"))
        id = read_id(caller.written("variant"))
        if found is None or id is None:
            return self._desk.problem(caller.request, 404 if found is None else 400, caller)
        known = next((each for each in found.product.variants if each.id == id), None)
        # The id of a new one is bound to its product: no form can name another's variant.
        id = id if known else derive(found.product.id, f"variant:{id}")
        others = [each for each in found.product.variants if each.id != id]
        if known and caller.written("act") == "withdraw":
            after: dict[str, str] = {}
            product = replace(found.product, variants=others)
            act = "variant.withdrawn"
        else:
            read = goods.read_variant(
                caller.form, await self.currencies(caller), VariantId(id), known
            )
            if isinstance(read, Wrong):
                return await self._variant_refused(caller, found, read.text)
            after = goods.told_variant(read)
            product = replace(found.product, variants=[*others, read])
            act = "variant.changed" if known else "variant.created"
        before = goods.told_variant(known)
        problem = await self._put(caller, product, act, before, after)
        if problem:
            return await self._variant_refused(caller, found, problem)
        return onward(f"{_ROOT}/{to_serial(found.product.id)}?done=saved#variants")

    async def _variant_refused(self, caller: Caller, found: StockedProduct, problem: str) -> Page:
        return await self._product(
            caller,
            found,
            problem=problem,
            written=caller.form,
            place=caller.written("variant"),
            status=422,
        )

    async def change_picture(self, caller: Caller) -> Page:
        """Take a picture in: what it is, is told by its first bytes, never by its name."""
        found = await find_product(self._catalog, caller, caller.part("serial"))
        if found is None:
            return self._desk.problem(caller.request, 404, caller)
        path = await take_picture(caller, self._media)
        if not path:
            return await self._product(caller, found, problem=WRONG, status=422)
        product = replace(found.product, picture=path)
        before, after = goods.told(found.product), goods.told(product)
        problem = await self._put(caller, product, "product.changed", before, after)
        if problem:
            return await self._product(caller, found, problem=problem, status=422)
        return onward(f"{_ROOT}/{to_serial(product.id)}?done=saved")

    async def preview(self, caller: Caller) -> Page:
        """Show a product as its buyers see it, whatever its state."""
        found = await find_product(self._catalog, caller, caller.part("serial"))
        if found is None:
            return self._desk.problem(caller.request, 404, caller)
        [view] = await self._catalog.read_products([found.product.id])
        if view is None:
            return self._desk.problem(caller.request, 404, caller)
        own = self._desk.front.settings.default_currency
        variants = sorted(view.product.variants, key=lambda each: each.position)
        shown = await self._desk.front.purse.shown(variants, own)
        least_minor, most_minor = span_of(variants, shown.currency)
        return self._desk.plain(
            caller.request,
            caller.visitor,
            "merchant/preview.html",
            view=view,
            product=view.product,
            shop=view.shop,
            variants=variants,
            chosen=variants[0].sku,
            shown=shown,
            methods=fitting(
                await self._desk.front.calls.methods(shown.paid_currency),
                shown.paid(least_minor),
                shown.paid(most_minor),
            ),
            ways=(),
            can_save=False,
            filled={},
            nonce="",
            challenge="",
            problem_field="",
            problem="",
            coupon=NOTHING,
            coupon_problem="",
        )


def _rows(found: StockedProduct) -> list[tuple[Variant, StockCount | None]]:
    """Pair each variant with its counters, in their order."""
    counts = {each.sku: each for each in found.counts}
    ordered = sorted(found.product.variants, key=lambda each: (each.position, each.id))
    return [(variant, counts.get(variant.sku)) for variant in ordered]


def _step_texts(variant: Variant) -> list[tuple[int, dict[str, str]]]:
    return [
        (step.quantity_min, {code: to_text(minor, code) for code, minor in prices.items()})
        for step in variant.quantity_prices
        if (prices := step.prices_minor)
    ]


def _price_texts(variants: Sequence[Variant]) -> dict[str, dict[str, str]]:
    return {
        each.sku: {
            currency: to_text(minor, currency) for currency, minor in each.prices_minor.items()
        }
        for each in variants
    }
