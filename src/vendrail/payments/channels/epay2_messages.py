"""Epay's messages (易支付, V2): both sides sign by RSA, so that a callback proves itself. Pure.

A reply that says yes is signed by the platform, and counts only when that holds. A refusal is not
signed: it is as true as the address it comes from.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from vendrail.api.payments import ActionKind, Device, PaymentAction
from vendrail.kernel.epay import (
    CURRENCY,
    TYPES,
    cut_name,
    is_cut_one_way,
    read_amount,
    read_form,
    signing_text,
    write_amount,
)
from vendrail.payments.channels import alipay_signatures as signatures
from vendrail.payments.channels.base import (
    Ask,
    CallbackFacts,
    CallbackKind,
    CallbackRefusal,
    CloseOutcome,
    PayoutAnswer,
    PayoutAsk,
    PayoutOutcome,
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
PAYEES = {"alipay": "alipay", "wechat": "wxpay", "qqpay": "qqpay", "bank": "bank"}

_CHINA = timezone(timedelta(hours=8))
_WINDOW_S = 300
_DEVICES = {
    Device.DESKTOP: "pc",
    Device.MOBILE: "mobile",
    Device.WECHAT: "wechat",
    Device.ALIPAY: "alipay",
}
_NOT_FOUND = ("不存在", "没有找到", "未找到", "not found", "not exist")
_SOMEBODY = ("商户", "pid", "应用")  # A merchant that does not exist says nothing of orders.
_PAYOUTS = {
    "0": PayoutOutcome.PENDING,
    "1": PayoutOutcome.SUCCEEDED,
    "2": PayoutOutcome.FAILED,
}


@dataclass(frozen=True)
class Epay2Settings:
    """A merchant's account at an Epay V2 provider, ready for use."""

    url: str  # Ends with a slash.
    pid: str
    private_key: RSAPrivateKey
    public_key: RSAPublicKey  # The platform's.
    types: tuple[str, ...]
    shows: frozenset[str]  # `page`, `qr`.
    sign_type: str
    can_refund: bool


class Unclear(Exception):
    """A reply that says nothing that may be believed."""


# Requests and replies.


def request(fields: Mapping[str, str], settings: Epay2Settings, now: datetime) -> dict[str, str]:
    """Sign a request of this moment; what is empty is left out."""
    kept = {name: value for name, value in fields.items() if value}
    kept |= {"pid": settings.pid, "timestamp": str(int(now.timestamp()))}
    text = signing_text(kept).encode()
    sign = signatures.sign(text, settings.private_key)
    return {**kept, "sign": sign, "sign_type": settings.sign_type}


def is_signed(fields: Mapping[str, str], settings: Epay2Settings) -> bool:
    """Tell whether the platform signed these fields."""
    sign = fields.get("sign", "").encode()
    return signatures.is_signed(signing_text(fields).encode(), sign, [settings.public_key])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field comes twice")
    return fields


def read_reply(body: bytes, settings: Epay2Settings) -> dict[str, str]:
    """Read a reply's plain fields, or raise `Unclear`; a yes must be signed by the platform.

    Lists and objects are in no signature: nothing of them is read.
    """
    try:
        read = json.loads(
            body.decode("utf-8-sig"), parse_float=str, parse_int=str, object_pairs_hook=_once
        )
    except (ValueError, RecursionError) as error:
        raise Unclear(f"the reply is no JSON object: {error}") from error
    if not isinstance(read, dict):
        raise Unclear("the reply is no JSON object")
    fields = {name: value for name, value in read.items() if isinstance(value, str)}
    if not re.fullmatch(r"-?\d{1,9}", fields.get("code", ""), re.ASCII):
        raise Unclear("the reply has no code")
    if fields["code"] == "0" and not is_signed(fields, settings):
        raise Unclear("the reply's signature does not hold")
    return fields


def is_yes(fields: Mapping[str, str]) -> bool:
    """Tell whether a reply says yes."""
    return fields["code"] == "0"


def words(fields: Mapping[str, str]) -> str:
    """Give what a provider says of a refusal."""
    return fields.get("msg", "")[:200] or f"code {fields['code']}"


def _is_missing(fields: Mapping[str, str]) -> bool:
    said = words(fields).lower()
    return any(each in said for each in _NOT_FOUND) and not any(each in said for each in _SOMEBODY)


def _is_clear(fields: Mapping[str, str]) -> bool:
    return is_clear(fields.get("msg", ""))


# Ways to pay.


def order(ask: Ask) -> dict[str, str]:
    """Give what both ways to begin a payment say of an order, unsigned."""
    return {
        "type": TYPES[ask.method.removesuffix(SCAN)],
        "out_trade_no": ask.out_trade_no,
        "notify_url": ask.notify_url,
        "return_url": ask.return_url or ask.quit_url or ask.notify_url,
        "name": cut_name(ask.title) or ask.out_trade_no,
        "money": write_amount(ask.amount_minor),
    }


def scan_order(ask: Ask) -> dict[str, str]:
    """Give what asks the provider for a code."""
    return {
        **order(ask),
        "method": "web",
        "device": _DEVICES[ask.device],
        "clientip": ask.address or "127.0.0.1",
    }


def read_way(fields: Mapping[str, str]) -> Presentation:
    """Turn a reply to an order into the way to pay."""
    if not is_yes(fields):
        return away()
    kind, info = fields.get("pay_type", ""), fields.get("pay_info", "")
    number = fields.get("trade_no", "")
    if kind == "jump" and re.match(r"https?://\S+$", info):
        return Presentation(PaymentAction(ActionKind.REDIRECT, url=info), number, is_kept=True)
    if kind in {"qrcode", "urlscheme"} and info:
        return Presentation(PaymentAction(ActionKind.QR, text=info), number, is_kept=True)
    return away()


# What became of it.


def read_time(text: str) -> datetime | None:
    """Read a moment of the provider's clock."""
    try:
        moment = datetime.strptime(f"{text} +0800", "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        return None
    return moment.astimezone(UTC)


def read_query(fields: Mapping[str, str], ask: Ask, settings: Epay2Settings) -> QueryAnswer:
    """Turn a reply about an order into what it means; every name and amount must be there."""
    if not is_yes(fields):
        outcome = QueryOutcome.NOT_FOUND if _is_missing(fields) else QueryOutcome.UNKNOWN
        return QueryAnswer(outcome, problem=words(fields))
    if fields.get("out_trade_no") != ask.out_trade_no:
        return QueryAnswer(QueryOutcome.UNKNOWN, problem="answered about another order")
    if fields.get("pid") != settings.pid:
        return QueryAnswer(QueryOutcome.UNKNOWN, problem="answered about another merchant")
    status = fields.get("status", "")
    if status == "0":
        return QueryAnswer(QueryOutcome.UNPAID)
    if status == "2":  # Paid, and given back whole by the provider since: there is no money.
        return QueryAnswer(QueryOutcome.CLOSED)
    if status != "1":  # Frozen, or only authorised: neither ours nor nobody's.
        return QueryAnswer(QueryOutcome.UNKNOWN, problem=f"status {status[:20]!r}")
    amount_minor, number = read_amount(fields.get("money", "")), fields.get("trade_no", "")
    if not amount_minor or not number:
        return QueryAnswer(QueryOutcome.UNKNOWN, problem="paid, without amount or number")
    paid_at = read_time(fields.get("endtime", ""))
    return QueryAnswer(QueryOutcome.PAID, number, amount_minor, CURRENCY, paid_at)


def read_close(fields: Mapping[str, str]) -> CloseOutcome:
    """Turn a reply to a closing into what it means; some of a provider's channels cannot close."""
    if is_yes(fields):
        return CloseOutcome.CLOSED
    if _is_missing(fields):
        return CloseOutcome.NOT_FOUND
    return CloseOutcome.UNSUPPORTED if "不支持" in words(fields) else CloseOutcome.REFUSED


def read_refund(fields: Mapping[str, str]) -> RefundAnswer:
    """Turn a reply to a refund into what it means: the query tells of the end, yes or no."""
    if is_yes(fields):
        return RefundAnswer(RefundOutcome.PENDING, "taken on")
    if not _is_clear(fields):
        return RefundAnswer(RefundOutcome.UNKNOWN, words(fields))
    return RefundAnswer(RefundOutcome.FAILED, words(fields))


def read_refund_query(fields: Mapping[str, str], ask: RefundAsk) -> RefundAnswer:
    """Turn a reply about a refund into what it means."""
    if not is_yes(fields):
        outcome = RefundOutcome.NOT_FOUND if _is_missing(fields) else RefundOutcome.UNKNOWN
        return RefundAnswer(outcome, words(fields))
    if fields.get("out_refund_no") != ask.refund_number:
        return RefundAnswer(RefundOutcome.UNKNOWN, "answered about another refund")
    if read_amount(fields.get("money", "")) != ask.amount_minor:
        return RefundAnswer(RefundOutcome.UNKNOWN, "answered about another amount")
    status = fields.get("status", "")
    if status == "1":
        return RefundAnswer(RefundOutcome.SUCCEEDED)
    if status == "0":
        return RefundAnswer(RefundOutcome.FAILED, fields.get("errmsg", "")[:200])
    return RefundAnswer(RefundOutcome.UNKNOWN, f"status {status[:20]!r}")


# Payouts.


def transfer(ask: PayoutAsk) -> dict[str, str]:
    """Give what a transfer says, once per `out_biz_no`."""
    return {
        "type": PAYEES[ask.payee.kind],
        "account": ask.payee.account,
        "name": ask.payee.name,
        "money": write_amount(ask.amount_minor),
        "remark": " ".join(ask.title.split())[:64],
        "out_biz_no": ask.payout_number,
    }


def read_transfer(fields: Mapping[str, str], ask: PayoutAsk) -> PayoutAnswer:
    """Turn a reply to a transfer into what it means: a no is what the query makes of it."""
    if is_yes(fields):
        return _read_state(fields, ask)
    return PayoutAnswer(PayoutOutcome.UNKNOWN, problem=words(fields))


def is_refused(fields: Mapping[str, str], ask: PayoutAsk) -> bool:
    """Tell whether a transfer was refused when first told, in words that leave nothing open."""
    return ask.tries == 0 and not is_yes(fields) and _is_clear(fields)


def read_transfer_query(fields: Mapping[str, str], ask: PayoutAsk) -> PayoutAnswer:
    """Turn a reply about a transfer into what it means."""
    if not is_yes(fields):
        outcome = PayoutOutcome.NOT_FOUND if _is_missing(fields) else PayoutOutcome.UNKNOWN
        return PayoutAnswer(outcome, problem=words(fields))
    if read_amount(fields.get("amount", "")) != ask.amount_minor:
        return PayoutAnswer(PayoutOutcome.UNKNOWN, problem="answered about another amount")
    return _read_state(fields, ask)


def _read_state(fields: Mapping[str, str], ask: PayoutAsk) -> PayoutAnswer:
    if fields.get("out_biz_no") != ask.payout_number:
        return PayoutAnswer(PayoutOutcome.UNKNOWN, problem="answered about another payout")
    status = fields.get("status", "")
    outcome = _PAYOUTS.get(status, PayoutOutcome.UNKNOWN)
    problem = fields.get("errmsg", "")[:200]
    if outcome is PayoutOutcome.UNKNOWN:
        problem = f"status {status[:20]!r}"
    return PayoutAnswer(outcome, fields.get("biz_no", ""), problem)


# Callbacks.


def read_notification(
    form: bytes, settings: Epay2Settings, now: datetime
) -> CallbackFacts | CallbackRefusal:
    """Verify a callback over the values that came, and read it.

    Where its text could also have been signed of other fields, the money it tells of is a claim.
    """
    fields = read_form(form)
    if fields is None:
        return CallbackRefusal("malformed")
    if fields.get("sign_type", "RSA") not in {"RSA", "SHA256WithRSA"}:
        return CallbackRefusal("sign_type_not_rsa")
    if not is_signed(fields, settings):
        return CallbackRefusal("signature_wrong")
    moment = fields.get("timestamp", "")
    if not re.fullmatch(r"\d{10}", moment, re.ASCII):
        return CallbackRefusal("timestamp_malformed")
    if abs(now.timestamp() - int(moment)) > _WINDOW_S:
        return CallbackRefusal("timestamp_stale")
    is_paid = fields.get("trade_status") == "TRADE_SUCCESS"
    amount_minor = read_amount(fields.get("money", ""))
    mismatch = ""
    if fields.get("pid") != settings.pid:
        mismatch = "account_differs"
    elif is_paid and (not amount_minor or not fields.get("trade_no")):
        mismatch = "amount_or_number_malformed"
    elif is_paid and not fields.get("out_trade_no"):
        mismatch = "order_missing"
    money = CallbackKind.CAPTURED if is_cut_one_way(fields) else CallbackKind.CLAIMED
    return CallbackFacts(
        event=hashlib.sha256(signing_text(fields).encode()).hexdigest(),
        kind=money if is_paid else CallbackKind.OTHER,
        out_trade_no=fields.get("out_trade_no", ""),
        provider_number=fields.get("trade_no", ""),
        amount_minor=amount_minor or 0,
        currency=CURRENCY,
        paid_at=read_time(fields.get("endtime", "")),
        mismatch=mismatch,
    )
