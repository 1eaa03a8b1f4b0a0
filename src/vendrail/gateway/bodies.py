"""What travels over the public API, each with the example that its documentation shows."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from vendrail.kernel.codec import Record
from vendrail.kernel.http.problems import ProblemDetails
from vendrail.kernel.limits.proofs import Challenge

_SERIAL = "06ASMRVT3W7J1C2XK9QF4EBN8D"
_ORDER_ID = Annotated[
    str, Meta(description="The order's serial number: 26 letters and digits.", examples=[_SERIAL])
]
_AMOUNT = Annotated[int, Meta(description="In minor units: 1990 is 19.90.", examples=[1990])]
_CURRENCY = Annotated[str, Meta(description="ISO 4217.", examples=["CNY"])]
_MOMENT = Annotated[datetime, Meta(description="RFC 3339, UTC.")]
_METHOD = Annotated[
    str,
    Meta(
        description="A way to pay, as `GET /methods` lists them.",
        examples=["alipay"],
        max_length=64,
    ),
]


_DEVICE = Annotated[
    Literal["", "desktop", "mobile", "wechat", "alipay"],
    Meta(
        description="Where the buyer's browser runs: `wechat` and `alipay` are those inside these"
        " apps. Empty: not known; then an account is preferred that opens everywhere.",
        examples=["mobile"],
    ),
]


class PlaceBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to place."""

    sku: Annotated[str, Meta(description="Which variant.", examples=["STEAM-50"], max_length=64)]
    contact: Annotated[
        str,
        Meta(
            description="The buyer's e-mail address or phone number, for notices and lookup.",
            examples=["buyer@example.com"],
            max_length=254,
        ),
    ]
    quantity: Annotated[int, Meta(ge=1, le=1_000_000, examples=[1])] = 1
    method: _METHOD = ""
    currency: Annotated[
        str, Meta(description="Empty: the shop's own.", max_length=3, examples=["CNY"])
    ] = ""
    locale: Annotated[
        str, Meta(description="Language of notices and pages.", max_length=16, examples=["en"])
    ] = "zh-Hans"
    return_url: Annotated[
        str,
        Meta(
            description="Where the provider sends the buyer back to; empty: our order page.",
            max_length=1024,
        ),
    ] = ""
    device: _DEVICE = ""
    quote: Annotated[
        str,
        Meta(
            description="To pay in another currency: the id of a quote for this very order.",
            max_length=64,
        ),
    ] = ""
    coupon: Annotated[str, Meta(description="A code that takes something off.", max_length=64)] = ""


class QuoteBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be paid in another currency."""

    sku: Annotated[str, Meta(description="Which variant.", examples=["STEAM-50"], max_length=64)]
    paid_currency: Annotated[
        str, Meta(description="ISO 4217: what is paid with.", examples=["USD"], max_length=3)
    ]
    quantity: Annotated[int, Meta(ge=1, le=1_000_000, examples=[1])] = 1
    currency: Annotated[
        str, Meta(description="Of the price; empty: the shop's own.", max_length=3)
    ] = ""
    coupon: Annotated[
        str, Meta(description="The code that the order will have.", max_length=64)
    ] = ""


class QuotedBody(Record, frozen=True):
    """A price in another currency that stands until it expires, for one order."""

    id: Annotated[str, Meta(description="Goes into `quote` of the order.", examples=[_SERIAL])]
    amount_minor: _AMOUNT
    currency: _CURRENCY
    paid_minor: Annotated[int, Meta(description="What the buyer pays, all of it.", examples=[285])]
    paid_currency: Annotated[str, Meta(examples=["USD"])]
    spread_minor: Annotated[
        int, Meta(description="The part of it that lies above the middle rate.", examples=[4])
    ]
    rate: Annotated[str, Meta(description="The middle rate.", examples=["0.141"])]
    rated_at: _MOMENT
    expires_at: _MOMENT


class ProofProblem(ProblemDetails, frozen=True, omit_defaults=True):
    """A problem that tells what is to be solved: see ALTCHA."""

    challenge: Challenge | None = None


class PayBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One more way to pay an order; earlier ones stay payable, and count if paid."""

    method: _METHOD
    return_url: Annotated[str, Meta(max_length=1024)] = ""
    device: _DEVICE = ""


class Action(Record, frozen=True):
    """What the buyer does next: go to `url`, scan `text`, post `fields` to `url`, or nothing."""

    kind: Annotated[
        str,
        Meta(
            description="`redirect`, `qr`, `form`, `address`, or `none` (see `problem`).",
            examples=["redirect"],
        ),
    ]
    url: Annotated[
        str, Meta(examples=[f"https://pay.example.com/pay/{_SERIAL}/06ASMRVT3X0000000000000000"])
    ] = ""
    text: str = ""
    fields: dict[str, str] = msgspec.field(default_factory=dict)
    problem: str = ""


class PaymentBody(Record, frozen=True):
    """One try to pay."""

    id: Annotated[str, Meta(examples=["06ASMRVT3X0000000000000000"])]
    method: _METHOD
    channel: Annotated[
        str, Meta(description="The channel account it runs over.", examples=["alipay-main"])
    ]
    action: Action


class PlacedBody(Record, frozen=True):
    """An order that was placed. Keep the secret: it opens the order."""

    id: _ORDER_ID
    secret: Annotated[str, Meta(description="Proves that the order is yours; shown to nobody.")]
    state: Annotated[str, Meta(examples=["placed"])]
    amount_minor: _AMOUNT
    currency: _CURRENCY
    due_minor: Annotated[
        int, Meta(description="What the buyer pays: the price, or what a quote says.")
    ]
    due_currency: _CURRENCY
    expires_at: _MOMENT | None
    payment: PaymentBody | None
    discount_minor: Annotated[
        int, Meta(description="What a coupon has taken off; `amount_minor` is what is left.")
    ]


class PaidBody(Record, frozen=True):
    """An order with one more way to pay it."""

    id: _ORDER_ID
    state: Annotated[str, Meta(examples=["placed"])]
    amount_minor: _AMOUNT
    currency: _CURRENCY
    expires_at: _MOMENT | None
    payment: PaymentBody | None


class StepBody(Record, frozen=True):
    """One step of the money."""

    kind: Annotated[str, Meta(examples=["paid"])]
    at: _MOMENT
    detail: Annotated[
        str, Meta(description="Where it is a number: minor units of the order's `due_currency`.")
    ] = ""


class OrderBody(Record, frozen=True):
    """An order; `keys` are there once it is delivered."""

    id: _ORDER_ID
    state: Annotated[
        str,
        Meta(
            description=(
                "`placed`, `paid`, `delivered`, `expired`, `cancelled`, `refunding`, `refunded`."
            ),
            examples=["delivered"],
        ),
    ]
    waiting: Annotated[
        str, Meta(description="Empty, or what a paid order waits for: `review`, `restock`, …")
    ]
    sku: str
    title: str
    quantity: int
    amount_minor: _AMOUNT
    currency: _CURRENCY
    due_minor: Annotated[
        int,
        Meta(description="What the buyer pays, in minor units of `due_currency`.", examples=[1990]),
    ]
    due_currency: Annotated[
        str,
        Meta(
            description="What the buyer pays in; that of the price unless another was promised.",
            examples=["CNY"],
        ),
    ]
    refunded_minor: Annotated[
        int, Meta(description="Of the price, in minor units of `currency`.", examples=[0])
    ]
    placed_at: _MOMENT
    expires_at: _MOMENT
    paid_at: _MOMENT | None
    delivered_at: _MOMENT | None
    timeline: list[StepBody]
    keys: Annotated[
        list[str],
        Meta(
            description=(
                "One text for each item; where files are sold, the address that gives each, "
                "for the same secret."
            ),
            examples=[["AAAA-BBBB-CCCC"]],
        ),
    ]
    discount_minor: Annotated[
        int, Meta(description="What a coupon has taken off; `amount_minor` is what is left.")
    ]


class ShopBody(Record, frozen=True):
    """A shop, in short."""

    slug: Annotated[str, Meta(examples=["north-games"])]
    name: Annotated[str, Meta(examples=["North Games"])]


class QuantityPriceBody(Record, frozen=True):
    """From so many pieces in one order each costs less."""

    quantity_min: Annotated[int, Meta(ge=2, le=1000, examples=[10])]
    prices_minor: Annotated[
        dict[str, int], Meta(description="Currency to price of one.", examples=[{"CNY": 1890}])
    ]


class VariantBody(Record, frozen=True):
    """One thing that can be ordered."""

    sku: Annotated[str, Meta(examples=["STEAM-50"])]
    title: str
    prices_minor: Annotated[
        dict[str, int], Meta(description="Currency to price of one.", examples=[{"CNY": 1990}])
    ]
    quantity_min: int
    quantity_max: int
    stock: Annotated[
        int | None, Meta(description="How many can be ordered now; null: without end.")
    ]
    quantity_prices: list[QuantityPriceBody]


class ProductBody(Record, frozen=True):
    """A product on sale, with its variants."""

    id: Annotated[str, Meta(examples=[_SERIAL])]
    slug: str
    title: str
    shop: ShopBody
    category: str
    picture: Annotated[str, Meta(description="Address of the picture; may be empty.")]
    description_html: Annotated[str, Meta(description="Sanitised HTML.")]
    delivery: Annotated[str, Meta(examples=["unique_key"])]
    state: Annotated[str, Meta(examples=["on_sale"])]
    sold_count: int
    variants: list[VariantBody]


class ProductListBody(Record, frozen=True):
    """One page of products; `next` goes into `after` for the next one, null at the end."""

    items: list[ProductBody]
    next: str | None


class MethodBody(Record, frozen=True):
    """A way to pay."""

    method: _METHOD
    title: Annotated[str, Meta(examples=["支付宝"])]
    channel: Annotated[str, Meta(examples=["alipay-main"])]
    currencies: list[str]
    shows: Annotated[str, Meta(description="`redirect`, `embed` or `qr`.", examples=["redirect"])]


class MethodListBody(Record, frozen=True):
    """The ways to pay that are offered now."""

    items: list[MethodBody]
