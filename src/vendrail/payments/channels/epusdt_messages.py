"""Epusdt's messages: orders in yuan that are paid in USDT, signed by a shared token. Pure.

Three programs speak it: epusdt, BEpusdt, and GMPay, which has numbers for its merchants. Whoever
knows the token can write a callback, so a callback claims and nothing more.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from vendrail.api.payments import ActionKind, PaymentAction
from vendrail.kernel.vault import is_same
from vendrail.payments.channels.base import (
    Ask,
    CallbackFacts,
    CallbackKind,
    CallbackRefusal,
    CloseOutcome,
    Presentation,
    QueryAnswer,
    QueryOutcome,
    away,
)

CURRENCY = "CNY"
GMPAY = "gmpay"

_AMOUNT = re.compile(r"\d{1,12}(\.\d{1,8})?", re.ASCII)
_PLAIN = re.compile(r"\d{1,32}(\.\d{1,32})?", re.ASCII)
_TRADE = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_UNKNOWN_ORDER = "10008"
_PAID = "2"
_WAITING = frozenset({"1", "5"})  # Not paid, or seen and not final.
_OVER = frozenset({"3", "4", "6"})  # Expired, cancelled, failed on its chain.


@dataclass(frozen=True)
class EpusdtSettings:
    """An account at a server that speaks epusdt, ready for use."""

    url: str  # Ends with a slash.
    token: str
    variant: str  # `epusdt`, `bepusdt`, `gmpay`.
    signs_by: str  # `md5`, `hmac`.
    pid: str
    coin: str  # `usdt.trc20`: what is paid, and on which chain; empty: the server's own choice.

    @property
    def create_path(self) -> str:
        """Give where orders are made."""
        name = "payments/gmpay" if self.variant == GMPAY else "api"
        return f"{name}/v1/order/create-transaction"


class Unclear(Exception):
    """A reply that says nothing that may be believed."""


class Number(str):
    """A number of a JSON text, as it was written."""

    __slots__ = ()


# Signatures.


def write_number(text: str) -> str:
    """Write a number as short as it can be: 42.50 is 42.5, 10.00 is 10; others stay as they are."""
    if not _PLAIN.fullmatch(text):
        return text
    return f"{Decimal(text).normalize():f}"


def signature(fields: Mapping[str, str], token: str, signs_by: str) -> str:
    """Sign fields: sorted, non-empty, raw, joined; MD5 with the token behind, or HMAC by it."""
    text = "&".join(
        f"{name}={fields[name]}" for name in sorted(fields) if name != "signature" and fields[name]
    )
    if signs_by == "hmac":
        return hmac.new(token.encode(), text.encode(), "sha256").hexdigest()
    return hashlib.md5(f"{text}{token}".encode(), usedforsecurity=False).hexdigest()


def is_signed(fields: Mapping[str, str], settings: EpusdtSettings) -> bool:
    """Tell whether a signature is that of the fields, its numbers as they came or shortest."""
    told = fields.get("signature", "")
    shortest = {
        name: write_number(value) if isinstance(value, Number) else value
        for name, value in fields.items()
    }
    return any(
        is_same(signature(each, settings.token, settings.signs_by), told)
        for each in (fields, shortest)
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field comes twice")
    return fields


def read_json(body: bytes) -> dict[str, Any]:
    """Read an object whose numbers stay as they were written, or raise `Unclear`."""
    try:
        fields = json.loads(
            body.decode(), parse_float=Number, parse_int=Number, object_pairs_hook=_once
        )
    except (ValueError, RecursionError) as error:
        raise Unclear(f"no JSON object: {error}") from error
    if not isinstance(fields, dict):
        raise Unclear("no JSON object")
    return fields


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def read_amount(text: str) -> int | None:
    """Read yuan into fen, exactly; None for all else."""
    if not _AMOUNT.fullmatch(text):
        return None
    fen = Decimal(text) * 100
    return int(fen) if fen == fen.to_integral_value() else None


# Orders.


def order(ask: Ask, settings: EpusdtSettings) -> bytes:
    """Write the signed order; its amount is a number, written as short as it is signed."""
    coin, _, network = settings.coin.partition(".")
    amount = write_number(f"{ask.amount_minor // 100}.{ask.amount_minor % 100:02d}")
    fields = {
        "order_id": ask.out_trade_no,
        "amount": amount,
        "notify_url": ask.notify_url,
        "redirect_url": ask.return_url or ask.quit_url or ask.notify_url,
    }
    if settings.variant == GMPAY:
        fields |= {"pid": settings.pid, "currency": "cny", "token": coin, "network": network}
    elif settings.variant == "bepusdt":
        fields["trade_type"] = settings.coin
    return _signed(fields, settings)


def cancellation(trade_id: str, settings: EpusdtSettings) -> bytes:
    """Write what takes an order back."""
    return _signed({"trade_id": trade_id}, settings)


def _signed(fields: Mapping[str, str], settings: EpusdtSettings) -> bytes:
    kept: dict[str, Any] = {name: value for name, value in fields.items() if value}
    kept["signature"] = signature(kept, settings.token, settings.signs_by)
    if "amount" in kept:
        kept["amount"] = msgspec.Raw(kept["amount"].encode())
    return msgspec.json.encode(kept)


def read_way(reply: Mapping[str, Any], ask: Ask) -> Presentation:
    """Turn a reply to an order into the way to pay: the server's own page."""
    data = reply.get("data")
    if _text(reply, "status_code") != "200" or not isinstance(data, dict):
        return away()
    trade_id, url = _text(data, "trade_id"), _text(data, "payment_url")
    is_ours = (
        _text(data, "order_id") == ask.out_trade_no
        and read_amount(_text(data, "amount")) == ask.amount_minor
    )
    if not is_ours or not _TRADE.fullmatch(trade_id) or not re.match(r"https?://\S+$", url):
        return away()
    action = PaymentAction(ActionKind.REDIRECT, url=url)
    return Presentation(action, reference=trade_id, is_kept=True)


# What became of it.


def words(reply: Mapping[str, Any]) -> str:
    """Give what a server says of a refusal."""
    code = _text(reply, "status_code") or "missing"
    return f"{code} {_text(reply, 'message')[:200]}".strip()


def _is_unknown_order(reply: Mapping[str, Any]) -> bool:
    said = _text(reply, "message")
    return _text(reply, "status_code") == _UNKNOWN_ORDER or "订单不存在" in said


def read_query(reply: Mapping[str, Any], ask: Ask, settings: EpusdtSettings) -> QueryAnswer:
    """Turn a reply about a trade into what it means.

    It tells a state and no amount. The trade is the one this attempt was given for its amount, and
    a server takes the exact amount or none: so a paid trade is paid in full.
    """
    data = reply.get("data") if "status_code" in reply else reply
    if not isinstance(data, dict) or _text(reply, "status_code") not in {"", "200"}:
        outcome = QueryOutcome.NOT_FOUND if _is_unknown_order(reply) else QueryOutcome.UNKNOWN
        return QueryAnswer(outcome, problem=words(reply))
    status = _text(data, "status")
    if not ask.reference or _text(data, "trade_id") != ask.reference:
        return QueryAnswer(QueryOutcome.UNKNOWN, problem="answered about another trade")
    if status == _PAID:
        return QueryAnswer(QueryOutcome.PAID, ask.reference, ask.amount_minor, CURRENCY)
    if status in _WAITING or (status == "4" and settings.variant == GMPAY):
        return QueryAnswer(QueryOutcome.UNPAID)  # There 4 is: the payer has yet to choose a chain.
    if status in _OVER:
        return QueryAnswer(QueryOutcome.CLOSED)
    return QueryAnswer(QueryOutcome.UNKNOWN, problem=f"status {status[:20]!r}")


def read_close(reply: Mapping[str, Any]) -> CloseOutcome:
    """Turn a reply to a cancellation into what it means."""
    if _text(reply, "status_code") == "200":
        return CloseOutcome.CLOSED
    if _is_unknown_order(reply):
        return CloseOutcome.NOT_FOUND
    return CloseOutcome.REFUSED if _text(reply, "status_code") else CloseOutcome.UNKNOWN


# Callbacks.


def read_notification(body: bytes, settings: EpusdtSettings) -> CallbackFacts | CallbackRefusal:
    """Verify a callback over the values that came, and read it: money it tells of is a claim."""
    try:
        fields = read_json(body)
    except Unclear:
        return CallbackRefusal("malformed")
    told = {name: value for name, value in fields.items() if value is not None}
    if not all(isinstance(value, str) for value in told.values()):
        return CallbackRefusal("malformed")
    if not is_signed(told, settings):
        return CallbackRefusal("signature_wrong")
    is_paid = _text(told, "status") == _PAID
    amount_minor = read_amount(_text(told, "amount"))
    mismatch = ""
    if settings.variant == GMPAY and _text(told, "pid") != settings.pid:
        mismatch = "account_differs"
    elif is_paid and (not amount_minor or not _TRADE.fullmatch(_text(told, "trade_id"))):
        mismatch = "amount_or_number_malformed"
    elif is_paid and not _text(told, "order_id"):
        mismatch = "order_missing"
    return CallbackFacts(
        event=hashlib.sha256(repr(sorted(told.items())).encode()).hexdigest(),
        kind=CallbackKind.CLAIMED if is_paid else CallbackKind.OTHER,
        out_trade_no=_text(told, "order_id"),
        provider_number=_text(told, "trade_id"),
        amount_minor=amount_minor or 0,
        currency=CURRENCY,
        mismatch=mismatch,
    )
