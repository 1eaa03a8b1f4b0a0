"""The description of the public API (OpenAPI 3.1), made from the very shapes that are read."""

from typing import Any

import msgspec

from vendrail import __version__
from vendrail.api.orders import PlaceStatus
from vendrail.api.payments import Device
from vendrail.gateway import problems
from vendrail.gateway.bodies import (
    MethodListBody,
    OrderBody,
    PaidBody,
    PayBody,
    PlaceBody,
    PlacedBody,
    ProductBody,
    ProductListBody,
    ProofProblem,
    QuoteBody,
    QuotedBody,
)
from vendrail.gateway.merchant import description as merchant
from vendrail.gateway.parts import SERIAL, given, path_id, query, refusals, sent
from vendrail.kernel.codec import encode
from vendrail.kernel.http.problems import ProblemDetails
from vendrail.kernel.money import AMOUNT_MINOR_MAX

_SHAPES = (
    PlaceBody,
    PlacedBody,
    PayBody,
    PaidBody,
    QuoteBody,
    QuotedBody,
    OrderBody,
    ProductBody,
    ProductListBody,
    MethodListBody,
    ProblemDetails,
    ProofProblem,
    *merchant.SHAPES,
)
_DOOR = "https://pay.example.com/pay/06ASMRVT3W7J1C2XK9QF4EBN8D/06ASMRVT3X0000000000000000"
_PAYMENT = {
    "id": "06ASMRVT3X0000000000000000",
    "method": "alipay",
    "channel": "alipay-main",
    "action": {"kind": "redirect", "url": _DOOR, "text": "", "fields": {}, "problem": ""},
}
_OPEN = {
    "id": SERIAL,
    "state": "placed",
    "amount_minor": 1990,
    "currency": "CNY",
    "expires_at": "2026-11-23T08:15:00Z",
    "payment": _PAYMENT,
}
_DELIVERED = {
    "id": SERIAL,
    "state": "delivered",
    "waiting": "",
    "sku": "STEAM-50",
    "title": "Steam Wallet 50",
    "quantity": 1,
    "amount_minor": 1990,
    "currency": "CNY",
    "refunded_minor": 0,
    "placed_at": "2026-11-23T08:00:00Z",
    "expires_at": "2026-11-23T08:15:00Z",
    "paid_at": "2026-11-23T08:00:41Z",
    "delivered_at": "2026-11-23T08:00:41Z",
    "timeline": [
        {"kind": "placed", "at": "2026-11-23T08:00:00Z", "detail": ""},
        {"kind": "paid", "at": "2026-11-23T08:00:41Z", "detail": ""},
        {"kind": "delivered", "at": "2026-11-23T08:00:41Z", "detail": ""},
    ],
    "keys": ["AAAA-BBBB-CCCC"],
}


def describe(public_url: str) -> bytes:
    """Write the whole description as JSON."""
    _, shapes = msgspec.json.schema_components(_SHAPES, ref_template="#/components/schemas/{name}")
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Vendrail",
            "version": __version__,
            "summary": "Place an order, pay it, read its keys.",
            "description": (
                "Amounts are whole numbers in minor units. Ids are 26-character serial numbers. "
                "What goes wrong is answered as a problem (RFC 9457) that says what to do."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": f"{public_url}/api/v1"}],
        "tags": [
            {"name": "orders", "description": "Place, pay, read."},
            {"name": "products", "description": "What is for sale, and how it can be paid."},
            {"name": "merchants", "description": "What a merchant's programs do, by API key."},
        ],
        "paths": _paths(),
        "components": {
            "schemas": shapes,
            "securitySchemes": {
                "orderSecret": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The secret that placing the order gave.",
                },
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A merchant's API key: `vrk_…`.",
                },
            },
        },
    }
    return encode(document)


def _paths() -> dict[str, Any]:
    return {
        "/orders": {"post": _place()},
        "/orders/{id}": {"get": _read()},
        "/orders/{id}/payments": {"post": _pay()},
        "/orders/{id}/files/{number}": {"get": _read_file()},
        "/quotes": {"post": _quote()},
        "/products": {"get": _list_products()},
        "/products/{id}": {"get": _read_product()},
        "/methods": {"get": _list_methods()},
        **merchant.paths(),
    }


def _place() -> dict[str, Any]:
    example = {"sku": "STEAM-50", "quantity": 1, "contact": "buyer@example.com", "method": "alipay"}
    due = {"due_minor": _OPEN["amount_minor"], "due_currency": _OPEN["currency"]}
    placed = _OPEN | due | {"secret": "r4nd0m-and-long-keep-it-safe"}
    return {
        "operationId": "placeOrder",
        "tags": ["orders"],
        "summary": "Place an order",
        "description": (
            "Sending the same request with the same Idempotency-Key again gives the same order "
            "(with the header Idempotency-Replayed), however often."
        ),
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": True,
                "description": "Fresh for each order: such as a UUID.",
                "schema": {"type": "string", "minLength": 16, "maxLength": 255},
                "example": "6b9a4c0e-2d57-4c0c-9d0e-0f2b7f2a4a11",
            },
            {
                "name": "Altcha",
                "in": "header",
                "description": "The solution of a `challenge`, where one was asked for: base64.",
                "schema": {"type": "string", "maxLength": 2048},
            },
        ],
        "requestBody": sent("PlaceBody", example),
        "responses": {
            "201": given("The order", "PlacedBody", placed),
            **refusals(
                problems.BODY_MALFORMED,
                *problems.PLACE.values(),
                problems.RETURN_URL_MALFORMED,
                problems.BODY_TOO_LARGE,
                problems.MEDIA_TYPE_WRONG,
                problems.RATE_LIMITED,
            ),
        },
    }


def _quote() -> dict[str, Any]:
    quoted = {
        "id": SERIAL,
        "amount_minor": 1990,
        "currency": "CNY",
        "paid_minor": 285,
        "paid_currency": "USD",
        "spread_minor": 4,
        "rate": "0.141",
        "rated_at": "2026-11-23T06:00:00Z",
        "expires_at": "2026-11-23T08:15:00Z",
    }
    of_order = (
        PlaceStatus.SKU_NOT_FOUND,
        PlaceStatus.CURRENCY_NOT_OFFERED,
        PlaceStatus.QUANTITY_OUT_OF_RANGE,
        PlaceStatus.COUPON_REFUSED,
    )
    return {
        "operationId": "quoteOrder",
        "tags": ["orders"],
        "summary": "Have a price promised in another currency",
        "description": "Its id goes into `quote` of one order, before it expires.",
        "requestBody": sent("QuoteBody", {"sku": "STEAM-50", "paid_currency": "USD"}),
        "responses": {
            "201": given("The quote", "QuotedBody", quoted),
            **refusals(
                problems.BODY_MALFORMED,
                *(problems.PLACE[each] for each in of_order),
                *dict.fromkeys(problems.QUOTE.values()),
                problems.BODY_TOO_LARGE,
                problems.MEDIA_TYPE_WRONG,
                problems.RATE_LIMITED,
            ),
        },
    }


def _pay() -> dict[str, Any]:
    return {
        "operationId": "payOrder",
        "tags": ["orders"],
        "summary": "Pay again, or otherwise",
        "description": "Ways opened before stay payable; whichever is paid first counts.",
        "security": [{"orderSecret": []}],
        "parameters": [path_id("The order's serial number.")],
        "requestBody": sent("PayBody", {"method": "alipay"}),
        "responses": {
            "201": given("The order and the way to pay", "PaidBody", _OPEN),
            **refusals(
                problems.BODY_MALFORMED,
                problems.SECRET_MISSING,
                *problems.PAY.values(),
                problems.RETURN_URL_MALFORMED,
                problems.BODY_TOO_LARGE,
                problems.MEDIA_TYPE_WRONG,
            ),
        },
    }


def _read() -> dict[str, Any]:
    return {
        "operationId": "readOrder",
        "tags": ["orders"],
        "summary": "Read an order, with its keys once it is delivered",
        "security": [{"orderSecret": []}],
        "parameters": [path_id("The order's serial number.")],
        "responses": {
            "200": given("The order", "OrderBody", _DELIVERED),
            **refusals(problems.SECRET_MISSING, problems.ORDER_NOT_FOUND),
        },
    }


def _read_file() -> dict[str, Any]:
    number = {
        "name": "number",
        "in": "path",
        "required": True,
        "description": "Which of the order's files, counted from 1: as `keys` gives the address.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 1,
    }
    content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    name = {"description": "An attachment, with its name.", "schema": {"type": "string"}}
    return {
        "operationId": "readFile",
        "tags": ["orders"],
        "summary": "Read a file that was bought, once it is delivered",
        "security": [{"orderSecret": []}],
        "parameters": [path_id("The order's serial number."), number],
        "responses": {
            "200": {
                "description": "The file",
                "headers": {"Content-Disposition": name},
                "content": content,
            },
            **refusals(problems.SECRET_MISSING, problems.ORDER_NOT_FOUND, problems.NOT_FOUND),
        },
    }


def _list_products() -> dict[str, Any]:
    return {
        "operationId": "listProducts",
        "tags": ["products"],
        "summary": "Find products on sale, newest first",
        "parameters": [
            query("shop", "Only of this shop (its slug).", {"type": "string"}),
            query("category", "Only of this category.", {"type": "string"}),
            query("q", "Only with these words.", {"type": "string", "maxLength": 200}),
            query("after", "`next` of the page before.", {"type": "string"}),
            query(
                "limit",
                "How many at most.",
                {"type": "integer", "minimum": 1, "maximum": 100, "default": 48},
            ),
        ],
        "responses": {
            "200": given("One page", "ProductListBody"),
            **refusals(problems.QUERY_MALFORMED),
        },
    }


def _read_product() -> dict[str, Any]:
    return {
        "operationId": "readProduct",
        "tags": ["products"],
        "summary": "Read one product",
        "parameters": [path_id("The product's id.")],
        "responses": {
            "200": given("The product", "ProductBody"),
            **refusals(problems.PRODUCT_NOT_FOUND),
        },
    }


def _list_methods() -> dict[str, Any]:
    return {
        "operationId": "listMethods",
        "tags": ["products"],
        "summary": "List the ways to pay",
        "parameters": [
            query("currency", "ISO 4217.", {"type": "string", "default": "CNY"}),
            query(
                "amount_minor",
                "Only ways that take this amount, in minor units of the currency.",
                {"type": "integer", "minimum": 1, "maximum": AMOUNT_MINOR_MAX},
            ),
            query(
                "device",
                "Only ways that open where the buyer's browser runs.",
                {"type": "string", "enum": [each.value for each in Device]},
            ),
        ],
        "responses": {
            "200": given("The ways to pay", "MethodListBody"),
            **refusals(problems.QUERY_MALFORMED),
        },
    }
