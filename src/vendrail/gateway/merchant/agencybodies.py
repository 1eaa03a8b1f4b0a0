"""What travels over the merchants' part of the API about agents and suppliers."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from vendrail.api.catalog import AgencyState
from vendrail.api.orders import OrderState
from vendrail.kernel.codec import Record

_MOMENT = Annotated[datetime, Meta(description="RFC 3339, UTC.")]
_SERIAL = Annotated[str, Meta(examples=["06ASMRVT3W7J1C2XK9QF4EBN8D"])]
_NEXT = Annotated[str | None, Meta(description="Goes into `before` for the next page.")]
_FLOOR = Annotated[
    dict[str, int],
    Meta(description="Currency to what the supplier gets of each.", examples=[{"CNY": 1500}]),
]
_PRICES = Annotated[
    dict[str, int], Meta(description="Currency to price of one.", examples=[{"CNY": 1990}])
]


class AgencyBody(Record, frozen=True):
    """Another merchant who sells for you, or for whom you sell."""

    merchant: _SERIAL
    name: str
    slug: Annotated[str, Meta(description="Of its first shop.")]
    side: Annotated[str, Meta(description="What it is to you: `agent` or `supplier`.")]
    state: AgencyState
    changed_at: _MOMENT


class AgencyListBody(Record, frozen=True):
    """All of them, the last changed first."""

    items: list[AgencyBody]


class FloorBody(Record, frozen=True):
    """One of your SKUs with unique keys, and what you get of agents for it."""

    sku: str
    title: str
    prices_minor: _PRICES
    floor_minor: _FLOOR
    listings: Annotated[int, Meta(description="How many shops of agents list it.")]


class FloorListBody(Record, frozen=True):
    """One page, those of the newest products first."""

    items: list[FloorBody]
    next: _NEXT


class PutFloorBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A floor, whole; empty: agents do not sell it."""

    floor_minor: _FLOOR


class FloorPutBody(Record, frozen=True):
    """How writing a floor ended: `changed` or `unchanged`."""

    sku: str
    status: str


class ListingBody(Record, frozen=True):
    """How you list a supplier's goods."""

    product: Annotated[str, Meta(description="Yours: see `GET /merchant/products/{id}`.")]
    prices_minor: _PRICES
    sold_minor: Annotated[
        dict[str, int], Meta(description="What of that bears the floor: it sells in no other.")
    ]
    is_paused: Annotated[bool, Meta(description="You do not sell it now.")]
    is_on_sale: Annotated[bool, Meta(description="Buyers can order it now.")]


class OfferedBody(Record, frozen=True):
    """What a supplier lets you sell."""

    id: Annotated[str, Meta(description="Goes into `PUT /merchant/listings/{id}`.")]
    sku: Annotated[str, Meta(description="The supplier's.")]
    title: str
    supplier: _SERIAL
    supplier_name: str
    floor_minor: Annotated[_FLOOR, Meta(description="Empty: it is no longer supplied.")]
    prices_minor: Annotated[_PRICES, Meta(description="What the supplier itself sells it for.")]
    free: Annotated[int, Meta(description="How many keys are left.")]
    listing: ListingBody | None


class OfferedListBody(Record, frozen=True):
    """One page, by supplier and title."""

    items: list[OfferedBody]
    next: _NEXT


class PutListingBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In which of your shops, and for how much; what else you have written of it stays."""

    shop: Annotated[str, Meta(max_length=64, examples=["north-games"])]
    prices_minor: _PRICES


class ListingPutBody(Record, frozen=True):
    """How listing ended: `listed`, `changed` or `unchanged`."""

    id: _SERIAL
    status: str
    product: _SERIAL


class SuppliedSaleBody(Record, frozen=True):
    """An agent's order of your keys: nothing of its buyer, nor of what they paid."""

    id: Annotated[str, Meta(description="What your part is booked under.")]
    agent: _SERIAL
    title: Annotated[str, Meta(description="As the agent calls it.")]
    quantity: int
    supplied_minor: Annotated[int, Meta(description="Your part of the price.")]
    currency: str
    state: OrderState
    is_refunded: Annotated[bool, Meta(description="Some of it has gone back, or all.")]
    placed_at: _MOMENT


class SuppliedSaleListBody(Record, frozen=True):
    """One page, newest first."""

    items: list[SuppliedSaleBody]
    next: _NEXT
