"""Pure: whether a shop or product may be written, and what stands in its way."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from uuid import UUID

from vendrail.api.catalog import (
    DeliveryKind,
    MerchantId,
    Product,
    ProductId,
    ProductState,
    PutStatus,
    SalesLimit,
    Shop,
    Variant,
)
from vendrail.api.catalog.warranties import BUYER_KEYS_MAX, COVERS_MAX, HOURS_MAX, KEYS_MAX
from vendrail.catalog.agencies import are_above
from vendrail.catalog.screening import texts_of_shop
from vendrail.kernel.money import AMOUNT_MINOR_MAX, EXPONENTS

LOW_STOCK_MAX = 100_000
QUANTITY_MAX = 1_000
VARIANTS_MAX = 100
QUANTITY_PRICES_MAX = 10
PROSE_MAX = 100_000
RESTOCK_WAIT_S_MAX = 30 * 86_400
_SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")
_SKU = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,254}")
_FILE_PATH = re.compile(r"[^\W_][\w ./()+,&'-]{0,254}")
_SCHEMES = ("auto", "light", "dark")
_THEME = re.compile(r"[a-z0-9-]{1,32}")


_DISGUISES = frozenset(
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)  # Turn text around.


def is_line(text: str, length_max: int, *, length_min: int = 1) -> bool:
    """Whether a text is one line that can be shown: no control characters, no blank edges."""
    return (
        length_min <= len(text) <= length_max
        and text == text.strip()
        and not any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text)
        and _DISGUISES.isdisjoint(text)
    )


def is_prose(text: str) -> bool:
    """Whether a text can be shown as paragraphs: no control but line breaks and tabs."""
    return len(text) <= PROSE_MAX and not any(
        letter not in "\n\r\t" and unicodedata.category(letter) in ("Cc", "Cs") for letter in text
    )


def _is_sound_shop(shop: Shop) -> bool:
    return (
        _SLUG.fullmatch(shop.slug) is not None
        and is_line(shop.name, 100)
        and is_line(shop.merchant_name, 100)
        and is_line(shop.contact, 200, length_min=0)
        and _THEME.fullmatch(shop.theme) is not None
        and is_prose(shop.notice)
        and _is_bound(shop.low_stock_max)
        and shop.scheme in _SCHEMES
        and (shop.logo == "" or is_path_below(shop.logo))
    )


def _is_bound(bound: int | None) -> bool:
    return bound is None or 0 <= bound <= LOW_STOCK_MAX


def _is_sound_variant(variant: Variant) -> bool:
    return (
        _SKU.fullmatch(variant.sku) is not None
        and is_line(variant.title, 100, length_min=0)
        and len(variant.prices_minor) > 0
        and all(
            currency in EXPONENTS and 0 < price <= AMOUNT_MINOR_MAX
            for currency, price in variant.prices_minor.items()
        )
        and _is_bound(variant.low_stock_max)
        and len(variant.quantity_prices) <= QUANTITY_PRICES_MAX
        and variant.has_sound_steps
        and 1 <= variant.quantity_min <= variant.quantity_max <= QUANTITY_MAX
        and 0 <= variant.position < 10_000
    )


def is_path_below(path: str) -> bool:
    """Whether a text is the path of a picture below the media folder."""
    return _PATH.fullmatch(path) is not None and ".." not in PurePosixPath(path).parts


def is_file_path(path: str) -> bool:
    """Whether a text is the path of a file for sale: its name is its buyer's, in any language."""
    return _FILE_PATH.fullmatch(path) is not None and ".." not in PurePosixPath(path).parts


def _is_sound_warranty(product: Product) -> bool:
    warranty = product.warranty
    if warranty is None:
        return True
    is_unique = product.delivery is DeliveryKind.UNIQUE_KEY
    return (
        (is_unique or product.delivery is DeliveryKind.REUSABLE_KEY)
        and 1 <= warranty.hours <= HOURS_MAX
        and len(warranty.covers) <= COVERS_MAX
        and is_prose(warranty.covers)
        and 0 <= warranty.keys_max <= (KEYS_MAX if is_unique else 0)
        # Who replaces without asking says how often it is done for one buyer.
        and (warranty.buyer_keys_max == 0) == (warranty.keys_max == 0)
        and warranty.keys_max <= warranty.buyer_keys_max <= BUYER_KEYS_MAX
        and not (warranty.is_refunded_when_out and warranty.keys_max == 0)
    )


def _is_sound_product(product: Product) -> bool:
    variants = product.variants
    return (
        _SLUG.fullmatch(product.slug) is not None
        and is_line(product.title, 200)
        and is_line(product.category, 100, length_min=0)
        and is_prose(product.description)
        and is_prose(product.instructions)
        and (product.picture == "" or is_path_below(product.picture))
        and _is_sound_warranty(product)
        and 0 <= product.restock_wait_s <= RESTOCK_WAIT_S_MAX
        and 1 <= len(variants) <= VARIANTS_MAX
        and len({variant.id for variant in variants}) == len(variants)
        and len({variant.sku for variant in variants}) == len(variants)
        and all(_is_sound_variant(variant) for variant in variants)
    )


@dataclass(slots=True)
class ShopBook:
    """What stands in the catalog, as far as a batch must know, and what the batch writes."""

    shops: dict[UUID, Shop] = field(default_factory=dict)
    shop_slugs: dict[str, UUID] = field(default_factory=dict)
    products: dict[UUID, Product] = field(default_factory=dict)
    product_slugs: dict[tuple[UUID, str], UUID] = field(default_factory=dict)
    variants: dict[UUID, UUID] = field(default_factory=dict)  # Variant -> its product, for ever.
    skus: dict[str, UUID] = field(default_factory=dict)  # SKU -> the product that sells it.
    listed: dict[UUID, Mapping[str, int]] = field(default_factory=dict)  # Others' keys: the floor.
    written_shops: dict[UUID, Shop] = field(default_factory=dict)
    written_products: dict[ProductId, Product] = field(default_factory=dict)


def put_shop(book: ShopBook, new: Shop, *, is_forbidden: bool = False) -> PutStatus:
    """Write one shop into the book, or leave it untouched and say why."""
    known = book.shops.get(new.id)
    if known == new:
        return PutStatus.UNCHANGED
    if book.shop_slugs.get(new.slug, new.id) != new.id:
        return PutStatus.SLUG_TAKEN
    if not _is_sound_shop(new):
        return PutStatus.FIELD_MALFORMED
    # What stands there already may be closed, and is for a person to look at.
    if is_forbidden and (known is None or texts_of_shop(known) != texts_of_shop(new)):
        return PutStatus.TEXT_FORBIDDEN
    if known:
        book.shop_slugs.pop(known.slug, None)
    book.shops[new.id] = book.written_shops[new.id] = new
    book.shop_slugs[new.slug] = new.id
    return PutStatus.CHANGED if known else PutStatus.CREATED


def put_limit(known: dict[MerchantId, SalesLimit], new: SalesLimit) -> PutStatus:
    """Write one limit into what is known, or leave that untouched and say why."""
    before = known.get(new.merchant)
    bounds = (new.order_minor_max, new.month_minor_max)
    if not new.currency:
        if before is None or any(each is not None for each in bounds):
            return PutStatus.UNCHANGED if before is None else PutStatus.FIELD_MALFORMED
        del known[new.merchant]
        return PutStatus.CHANGED
    if new.currency not in EXPONENTS or any(
        each is not None and not 0 < each <= AMOUNT_MINOR_MAX for each in bounds
    ):
        return PutStatus.FIELD_MALFORMED
    if before == new:
        return PutStatus.UNCHANGED
    known[new.merchant] = new
    return PutStatus.CHANGED if before else PutStatus.CREATED


def sorted_variants(product: Product) -> list[Variant]:
    """Give a product's variants in the order in which they are shown."""
    return sorted(product.variants, key=lambda variant: (variant.position, variant.id))


def _is_same(known: Product, new: Product) -> bool:
    fields = [name for name in Product.__struct_fields__ if name != "variants"]
    return all(getattr(known, name) == getattr(new, name) for name in fields) and sorted_variants(
        known
    ) == sorted_variants(new)


def put_product(book: ShopBook, new: Product) -> PutStatus:
    """Write one product with its variants into the book, or leave it untouched and say why."""
    known = book.products.get(new.id)
    if known and _is_same(known, new):
        return PutStatus.UNCHANGED
    if new.shop not in book.shops:
        return PutStatus.SHOP_NOT_FOUND
    if book.product_slugs.get((new.shop, new.slug), new.id) != new.id:
        return PutStatus.SLUG_TAKEN
    if any(book.skus.get(variant.sku, new.id) != new.id for variant in new.variants):
        return PutStatus.SKU_TAKEN
    # A product never leaves its shop, nor a variant its product: whose they are is theirs to sell.
    moves = (known is not None and known.shop != new.shop) or any(
        book.variants.get(variant.id, new.id) != new.id for variant in new.variants
    )
    if moves or not _is_sound_product(new):
        return PutStatus.FIELD_MALFORMED
    if refusal := _find_listing_fault(book, known, new):
        return refusal
    if known:
        book.product_slugs.pop((known.shop, known.slug), None)
        for variant in known.variants:
            book.skus.pop(variant.sku, None)
    book.products[new.id] = book.written_products[new.id] = new
    book.product_slugs[new.shop, new.slug] = new.id
    for variant in new.variants:
        book.variants[variant.id] = new.id
        book.skus[variant.sku] = new.id
    return PutStatus.CHANGED if known else PutStatus.CREATED


def _find_listing_fault(book: ShopBook, known: Product | None, new: Product) -> PutStatus | None:
    """Find what stands against a product whose keys another merchant supplies; None: nothing."""
    variants = [*new.variants, *(known.variants if known else ())]
    listed = {each.id for each in variants if each.id in book.listed}
    if not listed:
        return None
    only = new.variants[0]
    is_unique = new.delivery is DeliveryKind.UNIQUE_KEY
    # A warranty would promise the supplier's keys, and nobody has asked the supplier.
    if len(new.variants) > 1 or only.id not in listed or not is_unique or new.warranty:
        return PutStatus.LISTING_FIXED
    # What is not for sale may keep its price: the floor may have been raised above it.
    if new.state is ProductState.ON_SALE and not are_above(only, book.listed[only.id]):
        return PutStatus.PRICE_BELOW_FLOOR
    return None


def search_text(product: Product) -> str:
    """Give the text in which words are found, in lower case."""
    parts = [product.title, product.category]
    for variant in product.variants:
        parts += [variant.title, variant.sku]
    return " ".join(parts).lower()
