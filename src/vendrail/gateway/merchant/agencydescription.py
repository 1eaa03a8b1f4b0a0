"""The addresses of agents and suppliers in the description of the API."""

from typing import Any

from vendrail.api.identity import Permission
from vendrail.gateway import problems as common
from vendrail.gateway.merchant import problems
from vendrail.gateway.merchant.agencybodies import (
    AgencyListBody,
    FloorListBody,
    FloorPutBody,
    ListingPutBody,
    OfferedListBody,
    PutFloorBody,
    PutListingBody,
    SuppliedSaleListBody,
)
from vendrail.gateway.merchant.describing import PAGING, operation, page
from vendrail.gateway.parts import SERIAL, given, path_id, query, sent

SHAPES = (
    AgencyListBody,
    FloorListBody,
    FloorPutBody,
    ListingPutBody,
    OfferedListBody,
    PutFloorBody,
    PutListingBody,
    SuppliedSaleListBody,
)
_READ, _WRITE = Permission.PRODUCTS_READ, Permission.PRODUCTS_WRITE
_AT = "2026-11-23T08:00:00Z"
_BODY = (common.BODY_MALFORMED, common.BODY_TOO_LARGE, common.MEDIA_TYPE_WRONG)
_OTHER = "06ASMRW1X0000000000000000M"
_AGENCY = {
    "merchant": _OTHER,
    "name": "Mei",
    "slug": "mei",
    "side": "agent",
    "state": "accepted",
    "changed_at": _AT,
}
_FLOOR = {
    "sku": "STEAM-50",
    "title": "Steam Wallet – 50",
    "prices_minor": {"CNY": 4850},
    "floor_minor": {"CNY": 4500},
    "listings": 2,
}
_OFFERED = {
    "id": SERIAL,
    "sku": "STEAM-50",
    "title": "Steam Wallet – 50",
    "supplier": _OTHER,
    "supplier_name": "North Games",
    "floor_minor": {"CNY": 4500},
    "prices_minor": {"CNY": 4850},
    "free": 97,
    "listing": {
        "product": "06ASMRW1X0000000000000000N",
        "prices_minor": {"CNY": 4990},
        "sold_minor": {"CNY": 4990},
        "is_paused": False,
        "is_on_sale": True,
    },
}
_SALE = {
    "id": "06ASMRW1X0000000000000000P",
    "agent": _OTHER,
    "title": "Steam Wallet – 50",
    "quantity": 1,
    "supplied_minor": 4500,
    "currency": "CNY",
    "state": "delivered",
    "is_refunded": False,
    "placed_at": _AT,
}
_SKU = {
    "name": "sku",
    "in": "path",
    "required": True,
    "description": "One of yours, with unique keys.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    "example": "STEAM-50",
}


def paths() -> dict[str, Any]:
    """Describe every address of agents and suppliers."""
    agencies = given("Your agents and suppliers", "AgencyListBody", {"items": [_AGENCY]})
    return {
        "/merchant/agencies": {
            "get": operation(
                "listMerchantAgencies",
                "List your agents and suppliers",
                _READ,
                agencies,
                description="They are invited and accepted in the console.",
            )
        },
        "/merchant/floors": {
            "get": operation(
                "listMerchantFloors",
                "List what you get of agents, the newest products first",
                _READ,
                page("floor prices", "FloorListBody", _FLOOR),
                common.QUERY_MALFORMED,
                parameters=[_words("a title or a SKU"), *PAGING],
            )
        },
        "/merchant/floors/{sku}": {"put": _put_floor()},
        "/merchant/offers": {
            "get": operation(
                "listMerchantOffers",
                "List what suppliers let you sell, by supplier and title",
                _READ,
                page("what you may sell", "OfferedListBody", _OFFERED),
                common.QUERY_MALFORMED,
                parameters=[_words("a title, a SKU or the supplier's name"), *PAGING],
            )
        },
        "/merchant/listings/{id}": {"put": _put_listing()},
        "/merchant/supplied-sales": {
            "get": operation(
                "listMerchantSuppliedSales",
                "List what agents have sold of your keys, newest first",
                Permission.BALANCE_READ,
                page("sales", "SuppliedSaleListBody", _SALE),
                common.QUERY_MALFORMED,
                parameters=PAGING,
            )
        },
    }


def _words(where: str) -> dict[str, Any]:
    text = {"type": "string", "maxLength": 200}
    return query("q", f"Only with these words in {where}.", text)


def _put_floor() -> dict[str, Any]:
    described = operation(
        "putMerchantFloor",
        "Say what you get of agents for a SKU",
        _WRITE,
        given("It counts now", "FloorPutBody", {"sku": "STEAM-50", "status": "changed"}),
        *_BODY,
        *problems.FLOOR.values(),
        parameters=[_SKU],
        description="Listings below it are not for sale from then on; agents are told by letter.",
    )
    described["requestBody"] = sent("PutFloorBody", {"floor_minor": {"CNY": 4500}})
    return described


def _put_listing() -> dict[str, Any]:
    told = {"id": SERIAL, "status": "listed", "product": "06ASMRW1X0000000000000000N"}
    described = operation(
        "putMerchantListing",
        "List what a supplier lets you sell",
        _WRITE,
        given("It is listed", "ListingPutBody", told),
        *_BODY,
        problems.MARKUP_TOO_LOW,
        *problems.LISTING.values(),
        parameters=[path_id("The offer's id.")],
        description=(
            "Its prices are written whole, so that sending them again changes nothing; texts, "
            "quantity prices and whether it is paused stay as you have written them."
        ),
    )
    body = {"shop": "north-games", "prices_minor": {"CNY": 4990}}
    described["requestBody"] = sent("PutListingBody", body)
    return described
