"""The addresses of payouts in the description of the API."""

from typing import Any

from vendrail.api.identity import Permission
from vendrail.api.payouts import PayoutState
from vendrail.gateway import problems as common
from vendrail.gateway.merchant import problems
from vendrail.gateway.merchant.describing import (
    IDEMPOTENCY,
    PAGING,
    one_of,
    operation,
    page,
)
from vendrail.gateway.merchant.payoutbodies import (
    AskPayoutBody,
    PaidOutListBody,
    PayeeListBody,
    PayoutBody,
    PayoutListBody,
    PutScheduleBody,
    ReleaseListBody,
    ScheduleBody,
    TakenListBody,
)
from vendrail.gateway.parts import SERIAL, given, path_id, query, sent

SHAPES = (
    AskPayoutBody,
    PaidOutListBody,
    PayeeListBody,
    PayoutBody,
    PayoutListBody,
    PutScheduleBody,
    ReleaseListBody,
    ScheduleBody,
    TakenListBody,
)
_AT = "2026-11-23T08:00:00Z"
_PAYEE = {
    "id": SERIAL,
    "kind": "logon_id",
    "shown": "se***@example.com",
    "state": "verified",
    "currencies": ["CNY"],
    "usable_at": _AT,
}
_PAYOUT = {
    "id": "06ASMRW1X0000000000000000D",
    "payee": SERIAL,
    "shown": "se***@example.com",
    "amount_minor": 150_000,
    "fee_minor": 100,
    "currency": "CNY",
    "origin": "manual",
    "state": "sent",
    "problem": "",
    "provider_number": "",
    "asked_at": _AT,
    "sent_at": _AT,
    "ended_at": None,
}
_SCHEDULE = {
    "currency": "CNY",
    "kind": "daily",
    "payee": SERIAL,
    "zone": "Asia/Shanghai",
    "hour": 9,
    "day": 1,
    "threshold_minor": 0,
    "due_at": "2026-11-24T01:00:00Z",
    "outcome": "asked",
    "outcome_at": "2026-11-23T01:00:02Z",
    "payout": "06ASMRW1X0000000000000000D",
}
_RELEASE = {"part": "pending", "due_at": _AT, "amount_minor": 4850, "currency": "CNY"}
_PAID_OUT = {
    "payout": "06ASMRW1X0000000000000000D",
    "amount_minor": 4850,
    "currency": "CNY",
    "at": _AT,
}
_TAKEN = {"code": "sale", "subject": SERIAL, "amount_minor": 4850, "at": _AT}
_CURRENCY = {
    "name": "currency",
    "in": "path",
    "required": True,
    "description": "ISO 4217.",
    "schema": {"type": "string", "pattern": "^[A-Z]{3}$"},
    "example": "CNY",
}


def paths() -> dict[str, Any]:
    """Describe every address of payouts."""
    return {**_payout_paths(), **_schedule_paths(), **_share_paths()}


def _payout_paths() -> dict[str, Any]:
    read = Permission.BALANCE_READ
    return {
        "/merchant/payees": {
            "get": operation(
                "listMerchantPayees",
                "List your accounts for payouts",
                read,
                given("Your accounts", "PayeeListBody", {"items": [_PAYEE]}),
                description="They are added and proven in the console.",
            )
        },
        "/merchant/payouts": {
            "get": operation(
                "listMerchantPayouts",
                "List your payouts, newest first",
                read,
                page("payouts", "PayoutListBody", _PAYOUT),
                common.QUERY_MALFORMED,
                parameters=[
                    query("state", "Only in this state.", one_of(list(PayoutState))),
                    *PAGING,
                ],
            ),
            "post": _ask(),
        },
        "/merchant/payouts/{id}": {
            "get": operation(
                "readMerchantPayout",
                "Read one of your payouts",
                read,
                given("The payout", "PayoutBody", _PAYOUT),
                problems.PAYOUT_NOT_FOUND,
                parameters=[path_id("The payout's id.")],
            )
        },
    }


def _ask() -> dict[str, Any]:
    described = operation(
        "askMerchantPayout",
        "Ask for a payout",
        Permission.PAYOUTS_WRITE,
        given("The payout", "PayoutBody", _PAYOUT),
        common.BODY_MALFORMED,
        problems.IDEMPOTENCY_KEY_MISSING,
        *problems.PAYOUT.values(),
        common.BODY_TOO_LARGE,
        common.MEDIA_TYPE_WRONG,
        parameters=[IDEMPOTENCY],
        description=(
            "The money is set aside at once; it goes out by itself, to an account that is proven "
            "to be yours. The same Idempotency-Key gives the same payout again, for a day."
        ),
        status="201",
    )
    asked = {"payee": SERIAL, "amount_minor": 150_000, "currency": "CNY"}
    described["requestBody"] = sent("AskPayoutBody", asked)
    return described


def _schedule_paths() -> dict[str, Any]:
    answer = given("The schedule", "ScheduleBody", _SCHEDULE)
    put = operation(
        "putMerchantSchedule",
        "Choose when payouts go out",
        Permission.PAYOUTS_WRITE,
        answer,
        common.BODY_MALFORMED,
        problems.SCHEDULE_NOT_FOUND,
        *problems.SCHEDULE.values(),
        common.BODY_TOO_LARGE,
        common.MEDIA_TYPE_WRONG,
        parameters=[_CURRENCY],
        description="A day, week or month is paid out once at most, also when this is changed.",
    )
    chosen = {"kind": "daily", "payee": SERIAL, "zone": "Asia/Shanghai", "hour": 9}
    put["requestBody"] = sent("PutScheduleBody", chosen)
    return {
        "/merchant/schedules/{currency}": {
            "get": operation(
                "readMerchantSchedule",
                "Read when payouts go out",
                Permission.BALANCE_READ,
                answer,
                problems.SCHEDULE_NOT_FOUND,
                parameters=[_CURRENCY],
            ),
            "put": put,
        }
    }


def _share_paths() -> dict[str, Any]:
    return {
        "/merchant/releases": {
            "get": operation(
                "listMerchantReleases",
                "List what becomes available when",
                Permission.BALANCE_READ,
                given("What is due later", "ReleaseListBody", {"items": [_RELEASE]}),
                common.QUERY_MALFORMED,
                parameters=[query("currency", "ISO 4217.", {"type": "string", "default": "CNY"})],
            )
        },
        "/merchant/payouts/{id}/shares": {
            "get": operation(
                "listMerchantPayoutShares",
                "List what a payout was made of",
                Permission.BALANCE_READ,
                given("Its parts", "TakenListBody", {"items": [_TAKEN]}),
                problems.PAYOUT_NOT_FOUND,
                parameters=[path_id("The payout's id.")],
            )
        },
        "/merchant/orders/{id}/payouts": {
            "get": operation(
                "listMerchantOrderPayouts",
                "List the payouts that took an order's share",
                Permission.BALANCE_READ,
                given("Its payouts", "PaidOutListBody", {"items": [_PAID_OUT]}),
                problems.ORDER_NOT_FOUND,
                parameters=[path_id("The order's id.")],
                description=(
                    "First in, first out over what became available; known a minute after a "
                    "payout has ended."
                ),
            )
        },
    }
