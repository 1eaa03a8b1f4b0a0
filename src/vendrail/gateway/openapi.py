"""The description of the public API (OpenAPI 3.1), made from the very shapes that are read."""

from typing import Any

import msgspec

from vendrail import __version__
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
)
from vendrail.gateway.problems import Problem
from vendrail.kernel.codec import encode
from vendrail.kernel.http.problems import ProblemDetails

_SHAPES = (
    PlaceBody,
    PlacedBody,
    PayBody,
    PaidBody,
    OrderBody,
    ProductBody,
    ProductListBody,
    MethodListBody,
    ProblemDetails,
)
_SERIAL = "06ASMRVT3W7J1C2XK9QF4EBN8D"
_DOOR = "https://pay.example.com/pay/06ASMRVT3W7J1C2XK9QF4EBN8D/06ASMRVT3X0000000000000000"
_PAYMENT = {
    "id": "06ASMRVT3X0000000000000000",
    "method": "alipay",
    "channel": "alipay-main",
    "action": {"kind": "redirect", "url": _DOOR, "text": "", "fields": {}, "problem": ""},
}
_OPEN = {
    "id": _SERIAL,
    "state": "placed",
    "amount_minor": 1990,
    "currency": "CNY",
    "expires_at": "2026-11-23T08:15:00Z",
    "payment": _PAYMENT,
}
_DELIVERED = {
    "id": _SERIAL,
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
        ],
        "paths": _paths(),
        "components": {
            "schemas": shapes,
            "securitySchemes": {
                "orderSecret": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The secret that placing the order gave.",
                }
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
        "/products": {"get": _list_products()},
        "/products/{id}": {"get": _read_product()},
        "/methods": {"get": _list_methods()},
    }


def _place() -> dict[str, Any]:
    example = {"sku": "STEAM-50", "quantity": 1, "contact": "buyer@example.com", "method": "alipay"}
    placed = _OPEN | {"secret": "r4nd0m-and-long-keep-it-safe"}
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
            }
        ],
        "requestBody": _sent("PlaceBody", example),
        "responses": {
            "201": _given("The order", "PlacedBody", placed),
            **_refusals(
                problems.BODY_MALFORMED,
                *problems.PLACE.values(),
                problems.RETURN_URL_MALFORMED,
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
        "parameters": [_id("The order's serial number.")],
        "requestBody": _sent("PayBody", {"method": "alipay"}),
        "responses": {
            "201": _given("The order and the way to pay", "PaidBody", _OPEN),
            **_refusals(
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
        "parameters": [_id("The order's serial number.")],
        "responses": {
            "200": _given("The order", "OrderBody", _DELIVERED),
            **_refusals(problems.SECRET_MISSING, problems.ORDER_NOT_FOUND),
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
        "parameters": [_id("The order's serial number."), number],
        "responses": {
            "200": {
                "description": "The file",
                "headers": {"Content-Disposition": name},
                "content": content,
            },
            **_refusals(problems.SECRET_MISSING, problems.ORDER_NOT_FOUND, problems.NOT_FOUND),
        },
    }


def _list_products() -> dict[str, Any]:
    return {
        "operationId": "listProducts",
        "tags": ["products"],
        "summary": "Find products on sale, newest first",
        "parameters": [
            _query("shop", "Only of this shop (its slug).", {"type": "string"}),
            _query("category", "Only of this category.", {"type": "string"}),
            _query("q", "Only with these words.", {"type": "string", "maxLength": 200}),
            _query("after", "`next` of the page before.", {"type": "string"}),
            _query(
                "limit",
                "How many at most.",
                {"type": "integer", "minimum": 1, "maximum": 100, "default": 48},
            ),
        ],
        "responses": {
            "200": _given("One page", "ProductListBody"),
            **_refusals(problems.QUERY_MALFORMED),
        },
    }


def _read_product() -> dict[str, Any]:
    return {
        "operationId": "readProduct",
        "tags": ["products"],
        "summary": "Read one product",
        "parameters": [_id("The product's id.")],
        "responses": {
            "200": _given("The product", "ProductBody"),
            **_refusals(problems.PRODUCT_NOT_FOUND),
        },
    }


def _list_methods() -> dict[str, Any]:
    return {
        "operationId": "listMethods",
        "tags": ["products"],
        "summary": "List the ways to pay",
        "parameters": [
            _query("currency", "ISO 4217.", {"type": "string", "default": "CNY"}),
        ],
        "responses": {
            "200": _given("The ways to pay", "MethodListBody"),
            **_refusals(problems.QUERY_MALFORMED),
        },
    }


def _id(description: str) -> dict[str, Any]:
    return {
        "name": "id",
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "pattern": "^[0-9A-Za-z]{26}$"},
        "example": _SERIAL,
    }


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _ref(shape: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{shape}"}


def _sent(shape: str, example: object) -> dict[str, Any]:
    media = {"schema": _ref(shape), "example": example}
    return {"required": True, "content": {"application/json": media}}


def _given(description: str, shape: str, example: object = None) -> dict[str, Any]:
    media: dict[str, Any] = {"schema": _ref(shape)}
    if example is not None:
        media["example"] = example
    return {"description": description, "content": {"application/json": media}}


def _refusals(*expected: Problem) -> dict[str, Any]:
    """Gather problems by status, each shown as an example under its code."""
    by_status: dict[int, list[Problem]] = {}
    for problem in (*expected, problems.BROKEN, problems.UNAVAILABLE):
        by_status.setdefault(problem.status, []).append(problem)
    answers: dict[str, Any] = {}
    for status, kinds in sorted(by_status.items()):
        examples = {
            kind.code: {"summary": kind.title, "value": msgspec.json.decode(kind.body())}
            for kind in kinds
        }
        media = {"schema": _ref("ProblemDetails"), "examples": examples}
        answer: dict[str, Any] = {
            "description": " / ".join(dict.fromkeys(kind.title for kind in kinds)),
            "content": {"application/problem+json": media},
        }
        if status in (429, 503):
            answer["headers"] = {
                "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}
            }
        answers[str(status)] = answer
    return answers
