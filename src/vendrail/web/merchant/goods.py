"""Products as forms have them: read into records, and said again where something is wrong."""

import re
from collections.abc import Mapping, Sequence
from uuid import UUID

from vendrail.api.catalog import (
    Catalog,
    DeliveryKind,
    HoldPolicy,
    MerchantId,
    Product,
    ProductId,
    PutStatus,
    QuantityPrice,
    ShopProductQuery,
    StockedProduct,
    Variant,
    VariantId,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Malformed
from vendrail.kernel.money import from_text, to_text
from vendrail.web.console.caller import Caller
from vendrail.web.languages import message
from vendrail.web.merchant.acting import read_id
from vendrail.web.merchant.warranties import Wrong, read_count, read_warranty, told_warranty

DONE = (PutStatus.CREATED, PutStatus.CHANGED, PutStatus.UNCHANGED)
REFUSALS = {
    PutStatus.SKU_TAKEN: message("This SKU is taken: choose another; they are unique here."),
    PutStatus.SLUG_TAKEN: message("Another product of the shop has this address: choose another."),
    PutStatus.SHOP_NOT_FOUND: message("Choose one of your shops."),
    PutStatus.LISTING_FIXED: message(
        "Another merchant supplies the keys of this product: it keeps its one variant, and its"
        " unique keys."
    ),
    PutStatus.PRICE_BELOW_FLOOR: message(
        "The supplier asks for more: set at least its floor price, in its currencies."
    ),
    PutStatus.FIELD_MALFORMED: message(
        "Something does not fit: texts are on one line without odd signs, SKUs of letters, digits,"
        " dots and hyphens, prices above zero, and the smallest quantity not above the largest."
    ),
}
PRICE_WRONG = message("Write prices in digits with one point, as 12.30; at least one is needed.")
COUNT_WRONG = message("Write quantities as whole numbers.")
STEPS_WRONG = message(
    "Quantity prices begin above the fewest of an order and end at the most; each is cheaper than"
    " the one before, and says from how many it holds."
)
_STEPS = range(10)  # As many as the catalog takes.
_HOURS_MAX = 720


async def find_product(catalog: Catalog, caller: Caller, serial: str) -> StockedProduct | None:
    """Find a merchant's own product with its stock; None: there is none, or it is another's."""
    id = read_id(serial)
    if id is None:
        return None
    just_after = ProductId(UUID(int=min(id.int + 1, (1 << 128) - 1)))
    query = ShopProductQuery(MerchantId(caller.merchant), before=just_after, products_max=1)
    [found] = await catalog.list_products([query])
    return next((each for each in found if each.product.id == id), None)


def slug_of(text: str) -> str:
    """Make an address out of a SKU."""
    cleaned = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return cleaned[:64].strip("-")


def read_variant(
    form: Mapping[str, str], currencies: Sequence[str], id: VariantId, before: Variant | None
) -> Variant | Wrong:
    """Read a variant out of its form; currencies that the form does not name keep their price."""
    prices = dict(before.prices_minor) if before else {}
    for currency in currencies:
        text = form.get(f"price_{currency}", "").strip()[:20]
        if f"price_{currency}" not in form:
            continue
        prices.pop(currency, None)
        if text:
            try:
                prices[currency] = from_text(text, currency)
            except Malformed:
                return Wrong(PRICE_WRONG)
    if not prices:
        return Wrong(PRICE_WRONG)
    names = ("quantity_min", "quantity_max", "position")
    counts = [read_count(form.get(name, "")) for name in names]
    least, most, position = counts
    if least is None or most is None or position is None:
        return Wrong(COUNT_WRONG)
    low = before.low_stock_max if before else None
    if "low_stock_max" in form:
        low = read_count(form["low_stock_max"])
        if low is None and form["low_stock_max"].strip():
            return Wrong(COUNT_WRONG)
    steps = before.quantity_prices if before else []
    if "step_0_from" in form:
        read = _read_steps(form, currencies, steps)
        if isinstance(read, Wrong):
            return read
        steps = read
    variant = Variant(
        id,
        form.get("sku", "").strip()[:64],
        form.get("title", "").strip()[:100],
        prices,
        least,
        most,
        position,
        low,
        steps,
    )
    return variant if variant.has_sound_steps else Wrong(STEPS_WRONG)


def _read_steps(
    form: Mapping[str, str], currencies: Sequence[str], before: Sequence[QuantityPrice]
) -> list[QuantityPrice] | Wrong:
    """Read quantity prices; a line without anything is none, what it does not name is kept."""
    steps = []
    for at in _STEPS:
        texts = {each: form.get(f"step_{at}_{each}", "").strip()[:20] for each in currencies}
        start = form.get(f"step_{at}_from", "").strip()
        given = {currency: text for currency, text in texts.items() if text}
        if not start and not given:
            continue
        count = read_count(start)
        known = before[at].prices_minor if at < len(before) else {}
        kept = {code: minor for code, minor in known.items() if code not in currencies}
        if count is None or not (given or kept):
            return Wrong(STEPS_WRONG)
        try:
            prices = {code: from_text(text, code) for code, text in given.items()}
        except Malformed:
            return Wrong(PRICE_WRONG)
        steps.append(QuantityPrice(count, kept | prices))
    return sorted(steps, key=lambda each: each.quantity_min)


def read_details(form: Mapping[str, str], product: Product) -> Product | Wrong:
    """Read what a product's own form says of it."""
    hours = read_count(form.get("restock_hours", "0"))
    if hours is None or hours > _HOURS_MAX:
        return Wrong(COUNT_WRONG)
    warranty = read_warranty(form, product)
    if isinstance(warranty, Wrong):
        return warranty
    policies = {each.value: each for each in HoldPolicy}
    return replace(
        product,
        title=form.get("title", "").strip()[:200],
        category=form.get("category", "").strip()[:100],
        description=_prose(form.get("description", "")),
        instructions=_prose(form.get("instructions", "")),
        hold_policy=policies.get(form.get("hold_policy", ""), product.hold_policy),
        restock_wait_s=hours * 3_600,
        warranty=warranty,
    )


def _prose(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def told(product: Product) -> dict[str, str]:
    """Say a product in words, for the log."""
    return {
        "title": product.title,
        "category": product.category,
        "description": product.description[:500],
        "instructions": product.instructions[:500],
        "picture": product.picture,
        "state": product.state.value,
        "hold_policy": product.hold_policy.value,
        "restock_wait_s": str(product.restock_wait_s),
        "warranty": told_warranty(product.warranty),
    }


def told_variant(variant: Variant | None) -> dict[str, str]:
    """Say a variant in words, for the log."""
    if variant is None:
        return {}
    prices = {
        f"price {currency}": to_text(minor, currency)
        for currency, minor in sorted(variant.prices_minor.items())
    }
    return {
        "sku": variant.sku,
        "title": variant.title,
        "quantity": f"{variant.quantity_min}–{variant.quantity_max}",
        "position": str(variant.position),
        "low_stock_max": "" if variant.low_stock_max is None else str(variant.low_stock_max),
        **prices,
        **{
            f"price {currency} from {step.quantity_min}": to_text(minor, currency)
            for step in variant.quantity_prices
            for currency, minor in sorted(step.prices_minor.items())
        },
    }


DELIVERIES = (
    DeliveryKind.UNIQUE_KEY,
    DeliveryKind.REUSABLE_KEY,
    DeliveryKind.TEXT,
    DeliveryKind.FILE,
)
