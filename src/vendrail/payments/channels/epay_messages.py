"""Epay's messages (易支付, V1): requests signed by MD5, what comes verified and read. Pure.

A signature is the MD5 of the sorted fields and the merchant's key: whoever knows the key can write
a callback. So a callback claims and nothing more; what is believed is what the provider answers.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from vendrail.api.payments import ActionKind, Device, PaymentAction
from vendrail.kernel.epay import (
    CURRENCY,
    TYPES,
    cut_name,
    is_signed,
    read_amount,
    read_form,
    signed,
)
from vendrail.kernel.money import to_text
from vendrail.payments.channels.base import (
    Ask,
    CallbackFacts,
    CallbackKind,
    CallbackRefusal,
    Presentation,
    QueryAnswer,
    QueryOutcome,
    RefundAnswer,
    RefundAsk,
    RefundOutcome,
    away,
)
from vendrail.payments.channels.epay_settings import is_clear

SCAN = "_qr"  # Ends the name of a way to pay that shows a code here.

_CHINA = timezone(timedelta(hours=8))  # The clock of most providers; it is shown, never decided by.
_DEVICES = {
    Device.DESKTOP: "pc",
    Device.MOBILE: "mobile",
    Device.WECHAT: "wechat",
    Device.ALIPAY: "alipay",
}
_NOT_FOUND = ("不存在", "没有找到", "未找到", "not found", "not exist")
# How often a refund must have been told and asked about before it counts as never begun: by then
# no request of ours can still be on its way.
_TRIES_SURE = 3


@dataclass(frozen=True)
class EpaySettings:
    """A merchant's account at an Epay provider, ready for use."""

    url: str  # Ends with a slash.
    pid: str
    key: str
    types: tuple[str, ...]
    shows: frozenset[str]  # `page`, `qr`.
    asks_by: str  # `GET` or `POST`.
    can_refund: bool


class Unclear(Exception):
    """A reply that says nothing that may be believed."""


# Ways to pay.


def order(ask: Ask, settings: EpaySettings) -> dict[str, str]:
    """Give what both ways to begin a payment say of an order, unsigned."""
    return {
        "pid": settings.pid,
        "type": TYPES[ask.method.removesuffix(SCAN)],
        "out_trade_no": ask.out_trade_no,
        "notify_url": ask.notify_url,
        "return_url": ask.return_url or ask.quit_url or ask.notify_url,
        "name": cut_name(ask.title) or ask.out_trade_no,
        "money": to_text(ask.amount_minor, ask.currency),
    }


def scan_order(ask: Ask, settings: EpaySettings) -> dict[str, str]:
    """Give the signed fields that ask the provider for a code."""
    fields = {
        **order(ask, settings),
        "clientip": ask.address or "127.0.0.1",
        "device": _DEVICES[ask.device],
    }
    return signed(fields, settings.key)


def read_reply(body: bytes) -> dict[str, Any]:
    """Read a reply; numbers stay as they were written. Raise `Unclear` if it is no object."""
    try:
        fields = json.loads(body.decode("utf-8-sig"), parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise Unclear(f"the reply is no JSON object: {error}") from error
    if not isinstance(fields, dict):
        raise Unclear("the reply is no JSON object")
    return fields


def text_of(fields: Mapping[str, Any], name: str) -> str:
    """Give a field that is text or a number as it was written, or nothing."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _words(fields: Mapping[str, Any]) -> str:
    return text_of(fields, "msg")[:200] or f"code {text_of(fields, 'code') or 'missing'}"


def read_way(fields: Mapping[str, Any]) -> Presentation:
    """Turn a reply to an order into the way to pay."""
    if text_of(fields, "code") != "1":
        return away()
    number = text_of(fields, "trade_no")
    if code := text_of(fields, "qrcode"):
        return Presentation(PaymentAction(ActionKind.QR, text=code), number, is_kept=True)
    for name in ("payurl", "urlscheme"):
        url = text_of(fields, name)
        if re.match(r"https?://", url):
            return Presentation(PaymentAction(ActionKind.REDIRECT, url=url), number, is_kept=True)
        if url:  # An address of an app: a code of it opens the app that scans it.
            return Presentation(PaymentAction(ActionKind.QR, text=url), number, is_kept=True)
    return away()


# What became of it.


def _read_time(text: str) -> datetime | None:
    try:
        moment = datetime.strptime(f"{text} +0800", "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        return None
    return moment.astimezone(UTC)


def read_query(fields: Mapping[str, Any], ask: Ask, settings: EpaySettings) -> QueryAnswer:
    """Turn a reply about an order into what it means; every name and amount must be there."""
    code, status = text_of(fields, "code"), text_of(fields, "status")
    if code != "1":
        words = _words(fields)
        is_known = code and any(each in words.lower() for each in _NOT_FOUND)
        # A merchant that does not exist is told in the same words: that says nothing of orders.
        is_order = is_known and "商户" not in words and "pid" not in words.lower()
        outcome = QueryOutcome.NOT_FOUND if is_order else QueryOutcome.UNKNOWN
        return QueryAnswer(outcome, problem=words)
    if text_of(fields, "out_trade_no") != ask.out_trade_no:
        return QueryAnswer(QueryOutcome.UNKNOWN, problem="answered about another order")
    if text_of(fields, "pid") not in {"", settings.pid}:
        return QueryAnswer(QueryOutcome.UNKNOWN, problem="answered about another merchant")
    if status == "0":
        return QueryAnswer(QueryOutcome.UNPAID)
    if status == "2":  # Paid, and given back whole by the provider since: there is no money.
        return QueryAnswer(QueryOutcome.CLOSED)
    if status != "1":
        return QueryAnswer(QueryOutcome.UNKNOWN, problem=f"status {status[:20]!r}")
    amount_minor, number = read_amount(text_of(fields, "money")), text_of(fields, "trade_no")
    if not amount_minor or not number:
        return QueryAnswer(QueryOutcome.UNKNOWN, problem="paid, without amount or number")
    paid_at = _read_time(text_of(fields, "endtime"))
    return QueryAnswer(QueryOutcome.PAID, number, amount_minor, CURRENCY, paid_at)


def read_refund(fields: Mapping[str, Any], ask: RefundAsk) -> RefundAnswer:
    """Turn a reply to a refund into what it means: a clear no at the first telling is final."""
    code = text_of(fields, "code")
    if code == "1":
        return RefundAnswer(RefundOutcome.SUCCEEDED)
    if not is_clear(text_of(fields, "msg")) or not re.fullmatch(r"-?\d{1,9}", code):
        return RefundAnswer(RefundOutcome.UNKNOWN, _words(fields))
    return RefundAnswer(RefundOutcome.FAILED, _words(fields), is_final=ask.tries == 0)


def read_refund_query(fields: Mapping[str, Any], ask: RefundAsk) -> RefundAnswer:
    """Turn what an order says of refunds into what it means for one of them.

    Epay knows no single refunds, only the sum that went back, and not every fork tells even that.
    """
    if text_of(fields, "code") != "1" or text_of(fields, "out_trade_no") != ask.out_trade_no:
        return RefundAnswer(RefundOutcome.UNKNOWN, _words(fields))
    if ask.is_whole and text_of(fields, "status") == "2":
        return RefundAnswer(RefundOutcome.SUCCEEDED)
    returned_minor = read_amount(text_of(fields, "refundmoney"))
    if returned_minor is None:
        return RefundAnswer(RefundOutcome.UNKNOWN, "the provider does not say what went back")
    if ask.is_alone and returned_minor == ask.others_minor + ask.amount_minor:
        return RefundAnswer(RefundOutcome.SUCCEEDED)
    if ask.is_alone and returned_minor == ask.others_minor and ask.tries >= _TRIES_SURE:
        return RefundAnswer(RefundOutcome.NOT_FOUND)
    return RefundAnswer(RefundOutcome.UNKNOWN, f"{returned_minor} went back in all")


# Callbacks.


def read_notification(form: bytes, settings: EpaySettings) -> CallbackFacts | CallbackRefusal:
    """Verify a callback over the values that came, and read it: money it tells of is a claim."""
    fields = read_form(form)
    if fields is None:
        return CallbackRefusal("malformed")
    if fields.get("sign_type", "MD5") != "MD5":
        return CallbackRefusal("sign_type_not_md5")
    if not is_signed(fields, settings.key):
        return CallbackRefusal("signature_wrong")
    is_paid = fields.get("trade_status") == "TRADE_SUCCESS"
    amount_minor = read_amount(fields.get("money", ""))
    mismatch = ""
    if fields.get("pid") != settings.pid:
        mismatch = "account_differs"
    elif is_paid and (not amount_minor or not fields.get("trade_no")):
        mismatch = "amount_or_number_malformed"
    elif is_paid and not fields.get("out_trade_no"):
        mismatch = "order_missing"
    return CallbackFacts(
        event=hashlib.sha256(repr(sorted(fields.items())).encode()).hexdigest(),
        kind=CallbackKind.CLAIMED if is_paid else CallbackKind.OTHER,
        out_trade_no=fields.get("out_trade_no", ""),
        provider_number=fields.get("trade_no", ""),
        amount_minor=amount_minor or 0,
        currency=CURRENCY,
        mismatch=mismatch,
    )
