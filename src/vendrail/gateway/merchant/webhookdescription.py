"""The addresses of webhooks and events in the description of the API."""

from typing import Any

from vendrail.api.identity import Permission
from vendrail.api.webhooks import DeliveryState
from vendrail.gateway import problems as common
from vendrail.gateway.merchant import problems
from vendrail.gateway.merchant.describing import IDEMPOTENCY, PAGING, one_of, operation, page
from vendrail.gateway.merchant.webhookbodies import (
    AskRedeliveryBody,
    DeliveryListBody,
    EndpointBody,
    EndpointListBody,
    EventListBody,
    PutEndpointBody,
    ToldBody,
)
from vendrail.gateway.parts import SERIAL, given, path_id, query, sent
from vendrail.gateway.problems import Problem

SHAPES = (
    AskRedeliveryBody,
    DeliveryListBody,
    EndpointBody,
    EndpointListBody,
    EventListBody,
    PutEndpointBody,
    ToldBody,
)
_READ, _WRITE = Permission.WEBHOOKS_READ, Permission.WEBHOOKS_WRITE
_AT = "2026-11-23T08:00:00Z"
_ENDPOINT = {
    "id": SERIAL,
    "url": "https://hooks.example/vendrail",
    "kinds": ["order.delivered"],
    "is_ordered": False,
    "note": "the robot",
    "state": "enabled",
    "reason": "",
    "made_at": _AT,
    "keyed_at": _AT,
    "old_key_until": None,
    "failing_since": None,
    "heard_at": _AT,
    "waiting": 0,
    "secret": "",
}
_MADE = _ENDPOINT | {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
_DELIVERY = {
    "id": "06ASMRW1X0000000000000000H",
    "event": "06ASMRW1X0000000000000000J",
    "kind": "order.delivered",
    "state": "heard",
    "attempts": 1,
    "happened_at": _AT,
    "due_at": _AT,
    "problem": "",
    "heard_at": _AT,
}
_EVENT = {
    "id": "06ASMRW1X0000000000000000J",
    "type": "order.delivered",
    "timestamp": _AT,
    "data": {"order": SERIAL},
}
_TOLD = {"count": 3, "is_more": False, "delivery": None}
_BODY = (common.BODY_MALFORMED, common.BODY_TOO_LARGE, common.MEDIA_TYPE_WRONG)
_DATE_TIME = {"type": "string", "format": "date-time"}
_GIVEN = {"url": "https://hooks.example/vendrail", "kinds": ["order.delivered"]}


def paths() -> dict[str, Any]:
    """Describe every address of webhooks and events."""
    root = "/merchant/webhook-endpoints"
    listed = given("Your endpoints", "EndpointListBody", {"items": [_ENDPOINT]})
    return {
        root: {
            "get": operation("listMerchantEndpoints", "List your endpoints", _READ, listed),
            "post": _make(),
        },
        f"{root}/{{id}}": _one(),
        f"{root}/{{id}}/secret": {"post": _make_secret()},
        f"{root}/{{id}}/test": {
            "post": _telling("testMerchantEndpoint", "Send a test event to an endpoint")
        },
        f"{root}/{{id}}/redeliveries": {"post": _redeliver()},
        f"{root}/{{id}}/deliveries": {"get": _list_deliveries()},
        "/merchant/events": {"get": _list_events()},
    }


def _of_one(id: str, summary: str, *refused: Problem, **more: Any) -> dict[str, Any]:
    answer = given("The endpoint", "EndpointBody", more.pop("example", _ENDPOINT))
    scope = more.pop("scope", _WRITE)
    own = [path_id("The endpoint's id."), *more.pop("parameters", [])]
    return operation(
        id, summary, scope, answer, problems.ENDPOINT_NOT_FOUND, *refused, parameters=own, **more
    )


def _one() -> dict[str, Any]:
    put = _of_one("putMerchantEndpoint", "Change an endpoint", *_BODY, *problems.ENDPOINT.values())
    put["requestBody"] = sent("PutEndpointBody", _GIVEN)
    return {
        "get": _of_one("readMerchantEndpoint", "Read one of your endpoints", scope=_READ),
        "put": put,
        "delete": _of_one("deleteMerchantEndpoint", "Delete an endpoint with its log"),
    }


def _make() -> dict[str, Any]:
    described = operation(
        "makeMerchantEndpoint",
        "Make an endpoint",
        _WRITE,
        given("The endpoint with its secret", "EndpointBody", _MADE),
        *_BODY,
        problems.IDEMPOTENCY_KEY_MISSING,
        problems.ENDPOINT_KEY_REUSED,
        *problems.ENDPOINT.values(),
        parameters=[IDEMPOTENCY],
        description="`secret` is told this once; the same Idempotency-Key gives it without.",
        status="201",
    )
    described["requestBody"] = sent("PutEndpointBody", _GIVEN)
    return described


def _make_secret() -> dict[str, Any]:
    return _of_one(
        "makeMerchantEndpointSecret",
        "Make another secret for an endpoint",
        problems.IDEMPOTENCY_KEY_MISSING,
        example=_MADE,
        parameters=[IDEMPOTENCY],
        description="It is told this once; for a day the one before signs beside it.",
        status="201",
    )


def _telling(id: str, summary: str, *refused: Problem) -> dict[str, Any]:
    return operation(
        id,
        summary,
        _WRITE,
        given("How much is begun", "ToldBody", _TOLD),
        problems.ENDPOINT_NOT_FOUND,
        *refused,
        *problems.AGAIN.values(),
        parameters=[path_id("The endpoint's id.")],
        description="An endpoint is tested and told again ten times in a minute at most.",
    )


def _redeliver() -> dict[str, Any]:
    described = _telling(
        "redeliverMerchantEvents", "Tell an endpoint again of what happened within a time", *_BODY
    )
    described["requestBody"] = sent("AskRedeliveryBody", {"since": _AT})
    return described


def _list_deliveries() -> dict[str, Any]:
    return operation(
        "listMerchantDeliveries",
        "List what an endpoint was told, newest first",
        _READ,
        page("deliveries", "DeliveryListBody", _DELIVERY),
        problems.ENDPOINT_NOT_FOUND,
        common.QUERY_MALFORMED,
        parameters=[
            path_id("The endpoint's id."),
            query("state", "Only in this state.", one_of(list(DeliveryState))),
            *PAGING,
        ],
    )


def _list_events() -> dict[str, Any]:
    kinds = "Only of these kinds, parted by commas: `order.paid,order.refunded`."
    return operation(
        "listMerchantEvents",
        "List what happened, newest first",
        _READ,
        page("events", "EventListBody", _EVENT),
        common.QUERY_MALFORMED,
        parameters=[
            query("kinds", kinds, {"type": "string", "maxLength": 500}),
            query("since", "What happened from then on.", _DATE_TIME),
            *PAGING,
        ],
        description="What your endpoints are told, whether they heard it or not.",
    )
