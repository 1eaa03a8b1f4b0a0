"""Stripe's webhooks: what proves them, and what they tell. Pure."""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from vendrail.api.payments import Callback
from vendrail.payments.channels.base import CallbackFacts, CallbackKind, CallbackRefusal
from vendrail.payments.channels.stripe_messages import (
    AUTHENTICATION,
    BLAMES,
    ELEMENT,
    FORM,
    Fields,
    StripeSettings,
    id_of,
    moment_of,
    number_of,
    text_of,
    whole,
)

TOLERANCE = timedelta(minutes=5)
_DISPUTE_ENDS = {
    "won": CallbackKind.DISPUTE_WON,
    "lost": CallbackKind.DISPUTE_LOST,
    "warning_closed": CallbackKind.DISPUTE_DROPPED,
    "prevented": CallbackKind.DISPUTE_DROPPED,
}
_PAID_SESSIONS = ("checkout.session.completed", "checkout.session.async_payment_succeeded")


def signature(secret: str, moment: int, body: bytes) -> str:
    """Sign a webhook: the secret is used as it is written, `whsec_` and all."""
    return hmac.new(secret.encode(), b"%d." % moment + body, hashlib.sha256).hexdigest()


def check_signature(header: str, body: bytes, secrets: Iterable[str], now: datetime) -> str:
    """Say what is wrong with a webhook's signature, or nothing; the moment it was made counts."""
    if not header:
        return "signature_missing"
    parts = [part.strip().partition("=") for part in header.split(",")]
    moments = [value for name, _, value in parts if name == "t"]
    given = [value for name, _, value in parts if name == "v1"]
    if len(moments) != 1 or not re.fullmatch(r"[0-9]{1,11}", moments[0]) or not given:
        return "signature_malformed"
    moment = int(moments[0])
    wanted = [signature(secret, moment, body) for secret in secrets]
    if not any(
        hmac.compare_digest(each.encode(), one.encode("utf-8", "replace"))
        for each in wanted
        for one in given
    ):
        return "signature_wrong"
    away_s = abs(now.timestamp() - moment)
    return "" if away_s <= TOLERANCE.total_seconds() else "timestamp_far"


def read_event(
    raw: Callback, settings: StripeSettings, now: datetime
) -> CallbackFacts | CallbackRefusal:
    """Verify a webhook and read what it tells."""
    if raw.method != "POST":
        return CallbackRefusal("method_not_post")
    header = raw.headers.get("stripe-signature", "")
    if problem := check_signature(header, raw.body, settings.webhook_secrets, now):
        return CallbackRefusal(problem)
    try:
        event = json.loads(raw.body)
    except (ValueError, RecursionError):
        return CallbackRefusal("malformed")
    data = event.get("data") if isinstance(event, dict) else None
    told = data.get("object") if isinstance(data, dict) else None
    if not isinstance(told, dict) or event.get("object") != "event":
        return CallbackRefusal("malformed")
    id, kind = text_of(event, "id"), text_of(event, "type")
    if not id.startswith("evt_") or not kind:
        return CallbackRefusal("malformed")
    facts = _facts(id, kind, told, moment_of(event.get("created")))
    if facts.kind is CallbackKind.CAPTURED and not (facts.provider_number and facts.currency):
        return CallbackRefusal("malformed")
    mismatch = ""
    if text_of(event, "account") != settings.connected_account:
        mismatch = "account_differs"
    elif event.get("livemode") is not settings.is_live:
        mismatch = "mode_differs"
    return _with(facts, mismatch)


def _with(facts: CallbackFacts, mismatch: str) -> CallbackFacts:
    if not mismatch:
        return facts
    return CallbackFacts(facts.event, facts.kind, facts.out_trade_no, mismatch=mismatch)


def _facts(id: str, kind: str, told: Fields, at: datetime | None) -> CallbackFacts:
    """Read one event; what is not known is kept, and changes nothing."""
    currency, number = text_of(told, "currency").upper(), number_of(told)
    if kind == "payment_intent.succeeded" and text_of(told, "status") == "succeeded":
        amount_minor = whole(told, "amount_received")
        payment = text_of(told, "id")
        return CallbackFacts(id, CallbackKind.CAPTURED, number, payment, amount_minor, currency, at)
    if kind in _PAID_SESSIONS and text_of(told, "payment_status") == "paid":
        payment, amount_minor = id_of(told.get("payment_intent")), whole(told, "amount_total")
        return CallbackFacts(id, CallbackKind.CAPTURED, number, payment, amount_minor, currency, at)
    if kind in {"payment_intent.payment_failed", "checkout.session.async_payment_failed"}:
        error = told.get("last_payment_error") or {}
        problem = text_of(error, "decline_code") or text_of(error, "code")
        if problem == AUTHENTICATION or (_is_said(told) and problem in BLAMES):
            return CallbackFacts(id, CallbackKind.OTHER, number, paid_at=at, problem=problem)
        return CallbackFacts(id, CallbackKind.FAILED, number, paid_at=at, problem=problem)
    if kind in {"payment_intent.canceled", "checkout.session.expired"}:
        return CallbackFacts(id, CallbackKind.CLOSED, number, paid_at=at)
    if told.get("object") == "refund":
        return _refund_facts(id, kind, told, at)
    if told.get("object") == "dispute":
        return _dispute_facts(id, kind, told, at)
    return CallbackFacts(id, CallbackKind.OTHER, number, paid_at=at)


def _is_said(told: Fields) -> bool:
    """Tell whether a buyer reads of a declined card in the form, and goes on there."""
    metadata = told.get("metadata")
    is_form = isinstance(metadata, Mapping) and text_of(metadata, FORM) == ELEMENT
    return is_form and text_of(told, "status") == "requires_payment_method"


def _refund_facts(id: str, kind: str, told: Fields, at: datetime | None) -> CallbackFacts:
    status = text_of(told, "status")
    outcome = CallbackKind.OTHER
    if kind == "refund.failed" or status in {"failed", "canceled"}:
        outcome = CallbackKind.REFUND_FAILED
    elif status == "succeeded":
        outcome = CallbackKind.REFUNDED
    return CallbackFacts(
        id,
        outcome,
        number_of(told),
        id_of(told.get("payment_intent")),
        whole(told, "amount"),
        text_of(told, "currency").upper(),
        at,
        case_number=text_of(told, "id"),
    )


def _fee(told: Fields, currency: str) -> int:
    """Add up what a dispute costs, where that is asked in its own currency."""
    moved = told.get("balance_transactions")
    listed = moved if isinstance(moved, list) else []
    return sum(
        max(0, whole(each, "fee"))
        for each in listed
        if isinstance(each, Mapping) and text_of(each, "currency").upper() == currency
    )


def _is_inquiry(status: str) -> bool:
    """Tell whether a bank only asks, or was answered before it took anything."""
    return status.startswith("warning_") or status == "prevented"


def _dispute_facts(id: str, kind: str, told: Fields, at: datetime | None) -> CallbackFacts:
    """A dispute names its payment, and nothing of ours: the capture is found by that.

    An inquiry takes no money. One that becomes a chargeback keeps its number, and is told by the
    money that is withdrawn.
    """
    outcome, status = CallbackKind.OTHER, text_of(told, "status")
    is_begun = kind == "charge.dispute.created" and not _is_inquiry(status)
    if is_begun or kind == "charge.dispute.funds_withdrawn":
        outcome = CallbackKind.DISPUTED
    elif kind == "charge.dispute.closed":
        outcome = _DISPUTE_ENDS.get(status, CallbackKind.OTHER)
    currency = text_of(told, "currency").upper()
    details = told.get("evidence_details")
    answer_by = details.get("due_by") if isinstance(details, Mapping) else None
    return CallbackFacts(
        id,
        outcome,
        "",
        id_of(told.get("payment_intent")),
        whole(told, "amount"),
        currency,
        at,
        case_number=text_of(told, "id"),
        problem=text_of(told, "reason"),
        fee_minor=_fee(told, currency),
        answer_by=moment_of(answer_by),
    )
