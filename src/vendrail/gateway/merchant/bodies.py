"""What travels over the merchants' part of the API."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from vendrail.api.catalog import DeliveryKind, HoldPolicy, ProductState
from vendrail.gateway.bodies import QuantityPriceBody
from vendrail.kernel.codec import Record

_AMOUNT = Annotated[int, Meta(description="In minor units: 1990 is 19.90.", examples=[1990])]
_CURRENCY = Annotated[str, Meta(description="ISO 4217.", examples=["CNY"])]
_MOMENT = Annotated[datetime, Meta(description="RFC 3339, UTC.")]
_SERIAL = Annotated[str, Meta(examples=["06ASMRVT3W7J1C2XK9QF4EBN8D"])]
_NEXT = Annotated[str | None, Meta(description="Goes into `before` for the next page.")]


class MerchantShopBody(Record, frozen=True):
    """A shop of yours."""

    slug: Annotated[str, Meta(examples=["north-games"])]
    name: Annotated[str, Meta(examples=["North Games"])]
    is_open: bool


class MerchantShopListBody(Record, frozen=True):
    """All your shops."""

    items: list[MerchantShopBody]


class MerchantMethodBody(Record, frozen=True):
    """A way to pay, whether you take it, and what a channel takes of each payment by it."""

    method: Annotated[str, Meta(examples=["alipay"])]
    title: str
    currencies: list[str]
    is_on: bool
    cost_permyriad: Annotated[
        int, Meta(description="Of the amount, in hundredths of a percent; 60 is 0.60 %.")
    ]
    cost_minor: Annotated[int, Meta(description="Beside it, in the first of the currencies.")]
    cost_permyriad_max: Annotated[int, Meta(description="Over the dearest channel.")]
    cost_minor_max: int


class MerchantMethodListBody(Record, frozen=True):
    """All ways to pay that the platform offers."""

    items: list[MerchantMethodBody]


class PutMethodsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which ways to pay you do not take; all others are on."""

    methods_off: Annotated[
        list[Annotated[str, Meta(max_length=64)]],
        Meta(max_length=100, examples=[["alipay_qr"]]),
    ]


class PutQuantityPriceBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From so many pieces in one order each costs less."""

    quantity_min: Annotated[int, Meta(ge=2, le=1000, examples=[10])]
    prices_minor: Annotated[
        dict[str, int], Meta(description="Currency to price of one.", examples=[{"CNY": 1890}])
    ]


class PutVariantBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that can be ordered; the SKU is what names it, on the whole platform."""

    sku: Annotated[str, Meta(pattern="^[A-Za-z0-9._-]{1,64}$", examples=["STEAM-50"])]
    prices_minor: Annotated[
        dict[str, int], Meta(description="Currency to price of one.", examples=[{"CNY": 1990}])
    ]
    title: Annotated[str, Meta(max_length=100)] = ""
    quantity_min: Annotated[int, Meta(ge=1, le=1000)] = 1
    quantity_max: Annotated[int, Meta(ge=1, le=1000)] = 10
    quantity_prices: Annotated[
        Annotated[list[PutQuantityPriceBody], Meta(max_length=10)] | None,
        Meta(description="Cheaper from so many on, fewest first; null: as they are."),
    ] = None


class PutWarrantyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a dead key can be claimed, and how many are replaced without asking you."""

    hours: Annotated[int, Meta(ge=0, le=8784, description="0: none.", examples=[168])]
    covers: Annotated[str, Meta(max_length=500)] = ""
    keys_max: Annotated[int, Meta(ge=0, le=100, description="Of one order.")] = 0
    buyer_keys_max: Annotated[
        int, Meta(ge=0, le=1000, description="Of one buyer's in thirty days.")
    ] = 0
    is_refunded_when_out: Annotated[
        bool, Meta(description="No key is free: its price goes back, or (false) you answer.")
    ] = False


class WarrantyBody(Record, frozen=True):
    """How long a dead key can be claimed, and how many are replaced without asking you."""

    hours: Annotated[int, Meta(examples=[168])]
    covers: str
    keys_max: int
    buyer_keys_max: int
    is_refunded_when_out: bool


class PutProductBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A product, whole: what is left out has its default, variants left out are withdrawn."""

    shop: Annotated[str, Meta(description="Your shop's slug.", examples=["north-games"])]
    slug: Annotated[str, Meta(max_length=64, examples=["steam-wallet"])]
    title: Annotated[str, Meta(max_length=200, examples=["Steam Wallet"])]
    variants: Annotated[list[PutVariantBody], Meta(min_length=1, max_length=100)]
    description: Annotated[str, Meta(description="Markdown.", max_length=20_000)] = ""
    category: Annotated[str, Meta(max_length=100)] = ""
    state: Annotated[ProductState, Meta(description="`removed` takes it away for good.")] = (
        ProductState.ON_SALE
    )
    delivery: DeliveryKind = DeliveryKind.UNIQUE_KEY
    hold_policy: Annotated[
        HoldPolicy, Meta(description="Whether an unpaid order sets stock aside.")
    ] = HoldPolicy.AT_ORDER
    restock_wait_s: Annotated[int, Meta(ge=0, le=2_592_000)] = 0
    instructions: Annotated[
        str, Meta(description="Markdown, shown with the key.", max_length=20_000)
    ] = ""
    warranty: Annotated[PutWarrantyBody | None, Meta(description="Null or left out: as it is.")] = (
        None
    )


class StockBody(Record, frozen=True):
    """How many keys of a variant stand where."""

    free: int
    held: int
    allocated: int
    sold: int
    void: int


class MerchantVariantBody(Record, frozen=True):
    """One thing that can be ordered, and its stock."""

    sku: str
    title: str
    prices_minor: dict[str, int]
    quantity_min: int
    quantity_max: int
    stock: StockBody
    quantity_prices: list[QuantityPriceBody]


class MerchantProductBody(Record, frozen=True):
    """A product of yours, in whatever state."""

    id: _SERIAL
    shop: Annotated[str, Meta(examples=["north-games"])]
    slug: str
    title: str
    description: str
    category: str
    state: ProductState
    delivery: DeliveryKind
    hold_policy: HoldPolicy
    restock_wait_s: int
    instructions: str
    variants: list[MerchantVariantBody]
    warranty: Annotated[WarrantyBody | None, Meta(description="Null: what holds on the platform.")]


class MerchantProductListBody(Record, frozen=True):
    """One page of products, newest first."""

    items: list[MerchantProductBody]
    next: _NEXT


class PutBody(Record, frozen=True):
    """How writing a product ended: `created`, `changed` or `unchanged`."""

    id: _SERIAL
    status: Annotated[str, Meta(examples=["created"])]


class RejectBody(Record, frozen=True):
    """A line that was not taken."""

    line: Annotated[int, Meta(description="Its number in what was sent, from 1.", examples=[3])]
    reason: Annotated[
        str,
        Meta(description="`empty`, `too_long`, `duplicate`, `not_text`.", examples=["duplicate"]),
    ]


class IntakeBody(Record, frozen=True):
    """What came of a key file: every line was added or rejected."""

    intake: _SERIAL
    sku: str
    lines: int
    added: int
    rejected: Annotated[dict[str, int], Meta(description="Reason to number of lines.")]
    rejects: Annotated[list[RejectBody], Meta(description="The first 10,000, line by line.")]


class MerchantOrderBody(Record, frozen=True):
    """An order of yours; never with its keys."""

    id: _SERIAL
    state: Annotated[str, Meta(examples=["delivered"])]
    waiting: str
    sku: str
    title: str
    quantity: int
    amount_minor: _AMOUNT
    currency: _CURRENCY
    refunded_minor: int
    contact: Annotated[str, Meta(examples=["buyer@example.com"])]
    method: str
    placed_at: _MOMENT
    expires_at: _MOMENT
    paid_at: _MOMENT | None
    delivered_at: _MOMENT | None


class MerchantOrderListBody(Record, frozen=True):
    """One page of orders, newest first."""

    items: list[MerchantOrderBody]
    next: _NEXT


class AskRefundBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money to give back."""

    reason: Annotated[str, Meta(min_length=1, max_length=200, examples=["bought twice"])]
    amount_minor: Annotated[
        int, Meta(description="0: all that is left.", ge=0, le=1_000_000_000_000)
    ] = 0


class RefundBody(Record, frozen=True):
    """A refund as it stands."""

    id: _SERIAL
    order: _SERIAL
    amount_minor: _AMOUNT
    currency: _CURRENCY
    state: Annotated[str, Meta(description="`asked`, `paid`, `failed`.", examples=["asked"])]
    reason: str
    at: _MOMENT


class RefundListBody(Record, frozen=True):
    """All refunds of an order, first to last."""

    items: list[RefundBody]


class BalanceBody(Record, frozen=True):
    """Where your money in one currency is."""

    currency: _CURRENCY
    held_minor: Annotated[int, Meta(description="Paid, and not delivered yet.")]
    available_minor: Annotated[int, Meta(description="Yours now.")]
    pending_minor: Annotated[int, Meta(description="Yours, and not due yet.")]
    reserve_minor: Annotated[int, Meta(description="Yours, and kept longer.")]
    frozen_minor: int
    debt_minor: Annotated[int, Meta(description="Owed by you, after refunds of money paid out.")]
    leaving_minor: Annotated[
        int, Meta(description="Of what is available: set aside for payouts that have not ended.")
    ]


class BalanceListBody(Record, frozen=True):
    """Your balance in each currency."""

    items: list[BalanceBody]


class EntryBody(Record, frozen=True):
    """One movement of your balance; above zero where it was credited."""

    id: _SERIAL
    amount_minor: int
    code: Annotated[str, Meta(examples=["sale"])]
    subject: Annotated[str, Meta(description="Nearly always the order's id.")]
    memo: str
    at: _MOMENT


class EntryListBody(Record, frozen=True):
    """One page of entries, newest first."""

    items: list[EntryBody]
    next: _NEXT
