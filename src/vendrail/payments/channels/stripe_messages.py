"""Stripe's messages: what is asked, what its objects mean, what its webhooks tell. Pure.

Amounts are whole numbers of a currency's smallest unit, as ours are; of currencies with three
places Stripe takes only multiples of ten.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from vendrail.api.payments import ActionKind, Device, PaymentAction
from vendrail.kernel.money import EXPONENTS
from vendrail.payments.channels.base import (
    Ask,
    Blame,
    Presentation,
    QueryAnswer,
    QueryOutcome,
    RefundAnswer,
    RefundAsk,
    RefundOutcome,
    away,
)

SCAN = "_qr"  # Ends the name of a way to pay that shows a code here.
NUMBER = "out_trade_no"  # What our number is called among Stripe's metadata.
FORM, ELEMENT = "form", "element"  # And what says that a card is typed in Stripe's form here.
REFUND_NUMBER = "refund_number"

# A session lives half an hour at least: it is made to end so long after the attempt does, and an
# attempt that has ended is closed before.
SESSION_MARGIN = timedelta(minutes=31)

# Ways to pay: what Stripe calls them, and the currencies where not all will do.
TYPES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "card": ("card", ()),
    "alipay": (
        "alipay",
        ("AUD", "CAD", "CNY", "EUR", "GBP", "HKD", "JPY", "MYR", "NZD", "SGD", "USD"),
    ),
    "wechat": (
        "wechat_pay",
        (
            "AUD", "CAD", "CHF", "CNY", "DKK", "EUR", "GBP", "HKD", "JPY", "NOK", "SEK", "SGD",
            "USD",
        ),
    ),
    "paynow": ("paynow", ("SGD",)),
    "promptpay": ("promptpay", ("THB",)),
}  # fmt: skip
# A code cannot be scanned off the screen that it is on; a wallet's own browser has no other screen.
_OUTSIDE = (Device.DESKTOP, Device.MOBILE)
DEVICES: Mapping[str, tuple[Device, ...]] = {
    "alipay": (*_OUTSIDE, Device.ALIPAY),
    **dict.fromkeys(("wechat", "wechat_qr", "paynow", "paynow_qr"), _OUTSIDE),
    **dict.fromkeys(("promptpay", "promptpay_qr"), _OUTSIDE),
}
SCANNED = ("wechat", "paynow", "promptpay")  # Stripe gives a code of these.
METHODS = (*TYPES, *(f"{name}{SCAN}" for name in SCANNED))

_CODES = (
    "paynow_display_qr_code",
    "promptpay_display_qr_code",
    "wechat_pay_display_qr_code",
)
_REFUND_STATES = {
    "succeeded": RefundOutcome.SUCCEEDED,
    "pending": RefundOutcome.PENDING,
    "requires_action": RefundOutcome.PENDING,
    "failed": RefundOutcome.FAILED,
    "canceled": RefundOutcome.FAILED,
}

Fields = Mapping[str, Any]

# Not an end: a bank wants to see the buyer, who pays the same payment on its page.
AUTHENTICATION = "authentication_required"

# Whose fault a decline is: no other channel would have done better with these.
BLAMES: Mapping[str, Blame] = dict.fromkeys(
    (
        "authentication_not_handled", "authentication_required", "call_issuer", "card_declined",
        "card_velocity_exceeded", "do_not_honor", "expired_card", "fraudulent", "generic_decline",
        "incorrect_cvc", "incorrect_number", "insufficient_funds", "invalid_cvc",
        "invalid_expiry_month", "invalid_expiry_year", "invalid_number", "lost_card",
        "payment_intent_authentication_failure", "pickup_card", "restricted_card", "stolen_card",
        "transaction_not_allowed", "withdrawal_count_limit_exceeded",
    ),
    Blame.BUYER,
)  # fmt: skip


@dataclass(frozen=True)
class StripeSettings:
    """An account at Stripe, ready for use."""

    secret_key: str
    webhook_secrets: tuple[str, ...]
    methods: tuple[str, ...]
    api_url: str
    connected_account: str  # Empty: the key's own.
    email: str  # Whom Stripe writes to where a way to pay insists on somebody.
    publishable_key: str = ""  # What the form here shows Stripe; empty: cards on Stripe's page.
    script_url: str = ""

    @property
    def is_live(self) -> bool:
        """Tell whether money is real."""
        return "_live_" in self.secret_key


# What is asked.


def can_take(ask: Ask) -> bool:
    """Tell whether Stripe can write an amount: of three places, the last is always zero."""
    return EXPONENTS[ask.currency] < 3 or ask.amount_minor % 10 == 0


def session(ask: Ask) -> dict[str, Any]:
    """Ask for a page of Stripe's on which the buyer pays: Checkout."""
    name, _ = TYPES[ask.method]
    back = ask.return_url or ask.quit_url or ask.notify_url
    asked: dict[str, Any] = {
        "mode": "payment",
        "payment_method_types": [name],
        "client_reference_id": ask.out_trade_no,
        "metadata": {NUMBER: ask.out_trade_no},
        "payment_intent_data": {"metadata": {NUMBER: ask.out_trade_no}},
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": ask.currency.lower(),
                    "unit_amount": ask.amount_minor,
                    "product_data": {"name": title_of(ask)},
                },
            }
        ],
        "adaptive_pricing": {"enabled": False},  # The price is ours, in the order's currency.
        "expires_at": int((ask.expires_at + SESSION_MARGIN).timestamp()),
        "success_url": back,
        "cancel_url": ask.quit_url or back,
    }
    if name == "wechat_pay":
        asked["payment_method_options"] = {name: {"client": "web"}}
    if ask.customer and name == "card":
        asked["customer"] = ask.customer
        asked["payment_intent_data"]["setup_future_usage"] = "off_session"
    return asked


def intent(ask: Ask, settings: StripeSettings) -> dict[str, Any]:
    """Ask for a code that the buyer scans here."""
    name, _ = TYPES[ask.method.removesuffix(SCAN)]
    method: dict[str, Any] = {"type": name}
    if name == "promptpay":
        method["billing_details"] = {"email": settings.email}
    asked: dict[str, Any] = {
        "amount": ask.amount_minor,
        "currency": ask.currency.lower(),
        "payment_method_types": [name],
        "payment_method_data": method,
        "confirm": True,
        "description": title_of(ask),
        "metadata": {NUMBER: ask.out_trade_no},
    }
    if name == "wechat_pay":
        asked["payment_method_options"] = {name: {"client": "web"}}
    return asked


def title_of(ask: Ask) -> str:
    """Give what the buyer reads, never nothing."""
    return " ".join(ask.title.split())[:250] or ask.out_trade_no


def idempotency_key(name: str, asked: Fields | None = None) -> str:
    """Give the key under which Stripe does a thing once; with what is asked, once for each."""
    if asked is None:
        return f"vendrail-{name}"
    text = json.dumps(asked, sort_keys=True, ensure_ascii=False)
    return f"vendrail-{name}-{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def search(number: str) -> str:
    """Give the words by which Stripe finds the payments of an attempt."""
    return f"metadata['{NUMBER}']:'{number}'"


def refund(ask: RefundAsk) -> dict[str, Any]:
    """Ask for money back."""
    return {
        "payment_intent": ask.provider_number,
        "amount": ask.amount_minor,
        "metadata": {
            REFUND_NUMBER: ask.refund_number,
            NUMBER: ask.out_trade_no,
            **({"reason": ask.reason[:500]} if ask.reason else {}),
        },
    }


# What its objects mean.


def text_of(fields: Fields, name: str) -> str:
    """Give a field that is text, or nothing."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def number_of(fields: Fields) -> str:
    """Give our number of a Stripe object, or nothing."""
    metadata = fields.get("metadata")
    return text_of(metadata, NUMBER) if isinstance(metadata, Mapping) else ""


def whole(fields: Fields, name: str) -> int:
    """Give a field that is a whole number, or 0."""
    value = fields.get(name)
    return value if type(value) is int else 0


def id_of(value: object) -> str:
    """Give the id of an object that is there whole, or by its id alone."""
    return text_of(value, "id") if isinstance(value, Mapping) else str(value or "")


def moment_of(seconds: object) -> datetime | None:
    """Read a moment as Stripe writes it, or nothing."""
    if type(seconds) is not int or not 0 < seconds < 10**11:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def read_session(fields: Fields) -> Presentation:
    """Turn a new session into the way to pay."""
    url = text_of(fields, "url")
    if not re.match(r"https?://", url):
        return away("captured" if text_of(fields, "payment_status") == "paid" else "closed")
    action = PaymentAction(ActionKind.REDIRECT, url=url)
    return Presentation(action, text_of(fields, "id"), is_kept=True)


def read_code(fields: Fields) -> Presentation:
    """Turn a confirmed payment into the code to scan."""
    status = text_of(fields, "status")
    if status in {"succeeded", "canceled"}:
        return away("captured" if status == "succeeded" else "closed")
    wanted = fields.get("next_action") or {}
    for name in _CODES:
        if code := text_of(wanted.get(name) or {}, "data"):
            action = PaymentAction(ActionKind.QR, text=code)
            return Presentation(action, text_of(fields, "id"), is_kept=True)
    return away()


def read_intent(fields: Fields, ask: Ask) -> QueryAnswer:
    """Turn a payment into what became of an attempt."""
    if number_of(fields) != ask.out_trade_no:
        return QueryAnswer(QueryOutcome.UNKNOWN, problem="the payment names another order")
    status = text_of(fields, "status")
    if status == "canceled":
        return QueryAnswer(QueryOutcome.CLOSED)
    if status != "succeeded":
        return QueryAnswer(QueryOutcome.UNPAID)
    charge = fields.get("latest_charge")
    if isinstance(charge, Mapping) and charge.get("refunded") is True:
        return QueryAnswer(QueryOutcome.CLOSED)  # Paid, and given back whole since: no money.
    created = charge.get("created") if isinstance(charge, Mapping) else None
    return QueryAnswer(
        QueryOutcome.PAID,
        text_of(fields, "id"),
        whole(fields, "amount_received"),
        text_of(fields, "currency").upper(),
        moment_of(created or fields.get("created")),
    )


def read_visit(fields: Fields, ask: Ask) -> QueryAnswer:
    """Turn a session into what became of an attempt."""
    if number_of(fields) != ask.out_trade_no:
        return QueryAnswer(QueryOutcome.UNKNOWN, problem="the session names another order")
    payment = fields.get("payment_intent")
    if isinstance(payment, Mapping) and text_of(payment, "status") == "succeeded":
        return read_intent(payment, ask)
    if text_of(fields, "status") == "expired":
        return QueryAnswer(QueryOutcome.CLOSED)
    return QueryAnswer(QueryOutcome.UNPAID)


def read_found(found: Iterable[Fields], ask: Ask) -> QueryAnswer:
    """Choose among the payments that Stripe found for an attempt: one that is paid, if any."""
    answers = [read_intent(each, ask) for each in found]
    for outcome in (QueryOutcome.PAID, QueryOutcome.UNPAID, QueryOutcome.CLOSED):
        for answer in answers:
            if answer.outcome is outcome:
                return answer
    return QueryAnswer(QueryOutcome.NOT_FOUND)


def read_refund(fields: Fields) -> RefundAnswer:
    """Turn a refund into what became of it."""
    status = text_of(fields, "status")
    outcome = _REFUND_STATES.get(status, RefundOutcome.UNKNOWN)
    if outcome is RefundOutcome.SUCCEEDED:
        return RefundAnswer(outcome)
    return RefundAnswer(outcome, text_of(fields, "failure_reason") or status or "no status")


def find_refund(found: Iterable[Fields], ask: RefundAsk) -> RefundAnswer:
    """Find ours among a payment's refunds by its number."""
    for fields in found:
        metadata = fields.get("metadata")
        if isinstance(metadata, Mapping) and metadata.get(REFUND_NUMBER) == ask.refund_number:
            return read_refund(fields)
    return RefundAnswer(RefundOutcome.NOT_FOUND)
