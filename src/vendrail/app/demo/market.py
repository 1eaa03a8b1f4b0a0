"""The marketplace of the demo, read from market.toml into records with ids of their own."""

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from vendrail.api.catalog import (
    DeliveryKind,
    MerchantId,
    Product,
    ProductId,
    QuantityPrice,
    Shop,
    ShopId,
    Variant,
    VariantId,
)
from vendrail.api.catalog.warranties import ProductWarranty
from vendrail.api.settlement import FeeTerms
from vendrail.api.wallets import WalletTerms
from vendrail.kernel.codec import Record
from vendrail.kernel.ids import named_id

CURRENCY = "CNY"
KEYS_PER_VARIANT = 240
PICTURES = "demo"  # Below the media folder.
_SOFT_BREAK = re.compile(r"(?<=[\u3000-\u9fff\uff00-\uffef])\n(?=[\u3000-\u9fff\uff00-\uffef])")


class _MerchantRow(Record, frozen=True):
    slug: str
    name: str
    basis_points: int
    fixed_minor: int = 0
    fee_minor_min: int = 0


class _ShopRow(Record, frozen=True):
    slug: str
    merchant: str
    name: str
    contact: str
    notice: str


class _WalletRow(Record, frozen=True):
    currency: str
    top_up_min: int
    top_up_max: int
    balance_max: int
    step_up: int


class _VariantRow(Record, frozen=True):
    sku: str
    title: str
    price: int
    quantity_max: int = 10
    steps: tuple[tuple[int, int], ...] = ()  # From so many on, the price of one.


class _ProductRow(Record, frozen=True):
    slug: str
    shop: str
    title: str
    category: str
    description: str
    instructions: str
    variants: list[_VariantRow]
    currency: str = CURRENCY
    keys: str = ""
    delivery: DeliveryKind = DeliveryKind.UNIQUE_KEY
    content: str = ""
    warranty: ProductWarranty | None = None


class _Rows(Record, frozen=True):
    merchant: list[_MerchantRow]
    wallet: list[_WalletRow]
    shop: list[_ShopRow]
    product: list[_ProductRow]


class Goods(Record, frozen=True):
    """One product of the demo, and what it delivers."""

    product: Product
    form: str  # The form of its unique keys; empty where it has none.
    content: str  # What a text or a reusable key delivers.


class Market(Record, frozen=True):
    """All merchants' terms, shops and goods, and what wallets of buyers may hold."""

    terms: list[FeeTerms]
    shops: list[Shop]
    goods: list[Goods]
    wallets: list[WalletTerms]


def _id(kind: str, slug: str) -> Any:
    """Give the one id of a thing of the demo: the same at every start, in every database."""
    return named_id(f"vendrail.demo.{kind}.{slug}")


def prose(text: str) -> str:
    """Take out line breaks inside Chinese sentences: Markdown would show them as blanks."""
    return _SOFT_BREAK.sub("", text.strip())


def _product(row: _ProductRow) -> Product:
    variants = [
        Variant(
            id=VariantId(_id("variant", each.sku)),
            sku=each.sku,
            title=each.title,
            prices_minor={row.currency: each.price},
            quantity_max=each.quantity_max,
            position=position,
            quantity_prices=[
                QuantityPrice(start, {row.currency: price}) for start, price in each.steps
            ],
        )
        for position, each in enumerate(row.variants)
    ]
    return Product(
        id=ProductId(_id("product", row.slug)),
        shop=ShopId(_id("shop", row.shop)),
        slug=row.slug,
        title=row.title,
        variants=variants,
        description=prose(row.description),
        picture=f"{PICTURES}/{row.slug}.svg",
        category=row.category,
        delivery=row.delivery,
        instructions=prose(row.instructions),
        warranty=row.warranty,
    )


def read_market() -> Market:
    """Read the marketplace."""
    text = (Path(__file__).parent / "market.toml").read_text("utf-8")
    rows = msgspec.convert(tomllib.loads(text), _Rows)
    merchants = {row.slug: row for row in rows.merchant}
    terms = [
        FeeTerms(
            merchant=_id("merchant", row.slug),
            currency=CURRENCY,
            basis_points=row.basis_points,
            fixed_minor=row.fixed_minor,
            fee_minor_min=row.fee_minor_min,
        )
        for row in rows.merchant
    ]
    shops = [
        Shop(
            id=ShopId(_id("shop", row.slug)),
            merchant=MerchantId(_id("merchant", row.merchant)),
            merchant_name=merchants[row.merchant].name,
            slug=row.slug,
            name=row.name,
            notice=prose(row.notice),
            contact=row.contact,
        )
        for row in rows.shop
    ]
    goods = [Goods(_product(row), row.keys, row.content.strip()) for row in rows.product]
    wallets = [
        WalletTerms(
            row.currency,
            is_on=True,
            top_up_minor_min=row.top_up_min,
            top_up_minor_max=row.top_up_max,
            balance_minor_max=row.balance_max,
            step_up_minor=row.step_up,
        )
        for row in rows.wallet
    ]
    return Market(terms, shops, goods, wallets)
