"""Alipay's messages: requests built and signed, what comes verified and read. Pure."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from vendrail.api.payments import ActionKind, Device, PaymentAction
from vendrail.kernel.codec import encode
from vendrail.kernel.money import to_text
from vendrail.payments.channels import alipay_signatures as signatures
from vendrail.payments.channels.base import (
    Ask,
    Blame,
    CallbackFacts,
    CallbackKind,
    CallbackRefusal,
    Presentation,
    QueryAnswer,
    QueryOutcome,
    RefundAnswer,
    RefundAsk,
    RefundOutcome,
)

SHANGHAI = timezone(timedelta(hours=8))  # Alipay's clock, whatever this machine's says.
_SUBJECT_FORBIDDEN = str.maketrans("/=&", "   ")
_TIME = "%Y-%m-%d %H:%M:%S"
_CODE = re.compile(rb'"sub_code"\s*:\s*"([\w.-]{1,64})"')
_PLAIN_NAMES = re.compile(rb"[A-Za-z0-9_]+")
AGREEMENT_NEWS = frozenset({"dut_user_sign", "dut_user_unsign"})
_MONEY = frozenset({CallbackKind.CAPTURED, CallbackKind.CLAIMED})
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
_AMOUNT = re.compile(r"\d{1,12}(\.\d{1,2})?", re.ASCII)

# Refused for good: the same refund asked again would be refused again.
_REFUND_REFUSED = frozenset(
    {
        "ACQ.TRADE_NOT_EXIST",
        "ACQ.TRADE_HAS_FINISHED",
        "ACQ.TRADE_HAS_CLOSE",
        "ACQ.TRADE_STATUS_ERROR",
        "ACQ.TRADE_NOT_ALLOW_REFUND",
        "ACQ.TOTAL_FEE_EXCEED",
        "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL",
        "ACQ.REASON_TRADE_REFUND_FEE_ERR",
        "ACQ.REASON_TRADE_BEEN_FREEZEN",
        "ACQ.DISCORDANT_REPEAT_REQUEST",
        "ACQ.INVALID_PARAMETER",
    }
)


@dataclass(frozen=True)
class AlipaySettings:
    """An Alipay application, ready for use."""

    gateway_url: str
    app_id: str
    seller_id: str
    private_key: RSAPrivateKey
    public_keys: Mapping[str, RSAPublicKey]  # By certificate SN; key mode: one, under "".
    products: frozenset[str]
    app_cert_sn: str = ""
    root_cert_sn: str = ""
    roots: Sequence[x509.Certificate] = ()
    agreement_scene: str = ""  # Where agreements were granted; empty: they were not.
    agreement_product: str = ""
    # Fetched since, each by a chain to a root: Alipay changes its certificate without a word.
    fetched_keys: dict[str, RSAPublicKey] = field(default_factory=dict)

    def keys_for(self, cert_sn: str) -> list[RSAPublicKey]:
        """Give the keys that may have signed: the one the SN names, or all when none is named."""
        if self.app_cert_sn and cert_sn:
            key = self.public_keys.get(cert_sn) or self.fetched_keys.get(cert_sn)
            return [key] if key is not None else []
        return list(self.public_keys.values())


# Whose fault a refusal is: no other channel would have done better with these.
BLAMES: Mapping[str, Blame] = dict.fromkeys(
    (
        "ACQ.BUYER_BALANCE_NOT_ENOUGH", "ACQ.BUYER_BANKCARD_BALANCE_NOT_ENOUGH",
        "ACQ.BUYER_ENABLE_STATUS_FORBID", "ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR",
        "ACQ.BUYER_PAYMENT_AMOUNT_MONTH_LIMIT_ERROR", "ACQ.BUYER_SELLER_EQUAL",
        "ACQ.ERROR_BALANCE_PAYMENT_DISABLE", "ACQ.ERROR_BUYER_CERTIFY_LEVEL_LIMIT",
        "ACQ.MOBILE_PAYMENT_SWITCH_OFF", "ACQ.TRADE_BUYER_NOT_MATCH",
    ),
    Blame.BUYER,
)  # fmt: skip


class Unclear(Exception):
    """A reply that says nothing that may be believed."""


class CertificateUnknown(Unclear):
    """A reply under a certificate that is not at hand: it can be fetched by its SN."""

    def __init__(self, sn: str) -> None:
        super().__init__(f"the reply is signed under the unknown certificate {sn[:64]}")
        self.sn = sn


class Reply(msgspec.Struct, frozen=True):
    """A verified member of a reply."""

    code: str
    sub_code: str
    fields: dict[str, Any]

    @property
    def problem(self) -> str:
        """Name what was wrong, as the provider does."""
        return self.sub_code or self.code

    def text(self, name: str) -> str:
        """Give a field that is text, or nothing."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else ""


# Requests and replies.


def build_request(
    settings: AlipaySettings,
    method: str,
    business: Mapping[str, object],
    now: datetime,
    *,
    notify_url: str = "",
    return_url: str = "",
) -> dict[str, str]:
    """Build and sign the parameters of one request."""
    params = {
        "app_id": settings.app_id,
        "method": method,
        "format": "JSON",
        "charset": "utf-8",
        "sign_type": "RSA2",
        "timestamp": now.astimezone(SHANGHAI).strftime(_TIME),
        "version": "1.0",
        "notify_url": notify_url,
        "return_url": return_url,
        "app_cert_sn": settings.app_cert_sn,
        "alipay_root_cert_sn": settings.root_cert_sn,
        "biz_content": encode(business).decode(),
    }
    params = {name: value for name, value in params.items() if value}
    params["sign"] = signatures.sign(signatures.request_text(params), settings.private_key)
    return params


def read_reply(body: bytes, method: str, settings: AlipaySettings) -> Reply:
    """Verify a reply over its exact bytes and read it, or raise `Unclear`."""
    parts = signatures.members(body)
    if parts is None:
        raise Unclear("the reply is no JSON object")
    name = f"{method.replace('.', '_')}_response"
    node = parts.get(name, parts.get("error_response"))
    if node is None or "sign" not in parts:
        code = _CODE.search(node or b"")  # Proves nothing, but helps whoever set the account up.
        told = f"; it says {code[1].decode()}" if code else ""
        raise Unclear(f"the reply holds no signed answer to the question{told}")
    cert_sn = parts.get("alipay_cert_sn", b"").strip(b'"').decode("ascii", "replace")
    signature = parts["sign"].strip(b'"').replace(b"\\/", b"/")
    if not settings.keys_for(cert_sn):
        raise CertificateUnknown(cert_sn)
    if not signatures.is_signed(node, signature, settings.keys_for(cert_sn)):
        raise Unclear("the reply's signature does not hold")
    try:
        fields = msgspec.json.decode(node, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unclear(f"the signed answer is no JSON object: {error}") from error
    reply = Reply(str(fields.get("code", "")), str(fields.get("sub_code", "")), fields)
    if name not in parts and reply.code == "10000":
        raise Unclear("the reply answers another question")
    return reply


def read_certificate(body: bytes, sn: str, settings: AlipaySettings, now: datetime) -> RSAPublicKey:
    """Read the certificate that was asked for, or raise `Unclear`.

    The reply is signed under this very certificate, so what is trusted is its chain to a root of
    the account's own bundle, not the reply.
    """
    parts = signatures.members(body) or {}
    node = parts.get("alipay_open_app_alipaycert_download_response", b"{}")
    try:
        fields = msgspec.json.decode(node, type=dict[str, Any])
        pem = base64.b64decode(str(fields["alipay_cert_content"]), validate=True).decode("ascii")
        chain = signatures.load_certificates(pem)
        return signatures.trusted_key(chain, sn, settings.roots, now)
    except KeyError:
        raise Unclear(f"the certificate {sn[:64]} was not given out") from None
    except (ValueError, TypeError) as error:
        raise Unclear(f"the certificate {sn[:64]} cannot be trusted: {error}") from error


def read_time(text: str) -> datetime | None:
    """Read a moment of Alipay's clock."""
    if not _MOMENT.match(text):
        return None
    try:
        return datetime.fromisoformat(text[:19]).replace(tzinfo=SHANGHAI).astimezone(UTC)
    except ValueError:
        return None


def read_amount(text: str) -> int | None:
    """Read yuan into fen, exactly; None for anything but digits and at most two places."""
    if not _AMOUNT.fullmatch(text):
        return None
    whole, _, places = text.partition(".")
    return int(whole) * 100 + int(places.ljust(2, "0"))


def read_query(reply: Reply, ask: Ask) -> QueryAnswer:
    """Turn a verified reply about a trade into what it means."""
    if reply.code == "40004" and reply.sub_code == "ACQ.TRADE_NOT_EXIST":
        return QueryAnswer(QueryOutcome.NOT_FOUND, problem=reply.problem)
    if reply.code != "10000":
        return QueryAnswer(QueryOutcome.UNKNOWN, problem=reply.problem)
    if reply.text("out_trade_no") != ask.out_trade_no:
        return QueryAnswer(QueryOutcome.UNKNOWN, problem="answered about another trade")
    status = reply.text("trade_status")
    if status in {"TRADE_SUCCESS", "TRADE_FINISHED"}:
        amount_minor = read_amount(reply.text("total_amount"))
        number = reply.text("trade_no")
        if amount_minor is None or not number:
            return QueryAnswer(QueryOutcome.UNKNOWN, problem="paid, without amount or number")
        return QueryAnswer(
            QueryOutcome.PAID,
            number,
            amount_minor,
            reply.text("trans_currency") or "CNY",
            read_time(reply.text("send_pay_date")),
        )
    if status == "WAIT_BUYER_PAY":
        return QueryAnswer(QueryOutcome.UNPAID)
    if status == "TRADE_CLOSED":
        return QueryAnswer(QueryOutcome.CLOSED)
    return QueryAnswer(QueryOutcome.UNKNOWN, problem=f"trade_status {status!r}")


def read_refund(reply: Reply) -> RefundAnswer:
    """Turn a verified reply to a refund into what it means."""
    if reply.code == "10000":
        if reply.text("fund_change") == "Y":
            return RefundAnswer(RefundOutcome.SUCCEEDED)
        # Nothing moved by this call: it moved before, or not at all. The refund query tells.
        return RefundAnswer(RefundOutcome.UNKNOWN, "fund_change N")
    if reply.code == "40004" and reply.sub_code in _REFUND_REFUSED:
        return RefundAnswer(RefundOutcome.FAILED, reply.problem)
    return RefundAnswer(RefundOutcome.UNKNOWN, reply.problem)


def read_refund_query(reply: Reply, ask: RefundAsk) -> RefundAnswer:
    """Turn a verified reply about a refund into what it means."""
    if reply.code == "40004" and reply.sub_code in {
        "ACQ.TRADE_NOT_EXIST",
        "ACQ.REFUND_NOT_EXIST",
        "TRADE_NOT_EXIST",
    }:
        return RefundAnswer(RefundOutcome.NOT_FOUND, reply.problem)
    if reply.code != "10000":
        return RefundAnswer(RefundOutcome.UNKNOWN, reply.problem)
    if not reply.text("out_request_no") and not reply.text("refund_amount"):
        return RefundAnswer(RefundOutcome.NOT_FOUND)
    if reply.text("out_request_no") not in {"", ask.refund_number}:
        return RefundAnswer(RefundOutcome.UNKNOWN, "answered about another refund")
    status = reply.text("refund_status")
    amount_minor = read_amount(reply.text("refund_amount"))
    if status in {"", "REFUND_SUCCESS"} and amount_minor == ask.amount_minor:
        return RefundAnswer(RefundOutcome.SUCCEEDED)
    if status == "REFUND_PROCESSING":
        return RefundAnswer(RefundOutcome.PENDING)
    return RefundAnswer(RefundOutcome.UNKNOWN, f"{status or 'no status'}, {amount_minor}")


def read_notification(body: bytes, settings: AlipaySettings) -> CallbackFacts | CallbackRefusal:
    """Verify a notification over its raw bytes and read it.

    Where its text could also have been signed of other fields, the money it tells of is a claim.
    """
    fields = signatures.read_form(body)
    if fields is None:
        return CallbackRefusal("malformed")
    if fields.get(b"sign_type") != b"RSA2":
        return CallbackRefusal("sign_type_not_rsa2")
    keys = settings.keys_for(fields.get(b"alipay_cert_sn", b"").decode("ascii", "replace"))
    text = signatures.notification_text(fields)
    if not signatures.is_signed(text, fields.get(b"sign", b""), keys):
        return CallbackRefusal("signature_wrong")
    return _read_fields(fields, body, settings)


def _read_fields(
    fields: Mapping[bytes, bytes], body: bytes, settings: AlipaySettings
) -> CallbackFacts:
    charset = "gb18030" if fields.get(b"charset", b"").lower().startswith(b"gb") else "utf-8"

    def field(name: bytes) -> str:
        return fields.get(name, b"").decode(charset, "replace")

    amount_minor = read_amount(field(b"total_amount"))
    refunded = field(b"refund_fee")
    status = field(b"trade_status")
    if field(b"notify_type") in AGREEMENT_NEWS:
        return _read_agreement(field, body, settings, is_plain=_is_cut_one_way(fields))
    if field(b"notify_type") not in {"", "trade_status_sync"}:
        kind = CallbackKind.OTHER
    elif (read_amount(refunded) if refunded else 0) != 0 or field(b"gmt_refund"):
        # Refunds come by the same address, a partial one even as TRADE_SUCCESS: no new money.
        kind = CallbackKind.REFUNDED
    elif status in {"TRADE_SUCCESS", "TRADE_FINISHED"}:
        kind = CallbackKind.CAPTURED if _is_cut_one_way(fields) else CallbackKind.CLAIMED
    elif status == "TRADE_CLOSED":
        kind = CallbackKind.CLOSED
    else:
        kind = CallbackKind.OTHER
    mismatch = ""
    if field(b"app_id") != settings.app_id:
        mismatch = "application_differs"
    elif field(b"seller_id") != settings.seller_id:
        mismatch = "account_differs"
    elif kind in _MONEY and (amount_minor is None or not field(b"trade_no")):
        mismatch = "amount_or_number_malformed"
    elif kind is CallbackKind.CLAIMED and not field(b"out_trade_no"):
        mismatch = "order_missing"
    return CallbackFacts(
        event=field(b"notify_id") or hashlib.sha256(body).hexdigest(),
        kind=kind,
        out_trade_no=field(b"out_trade_no"),
        provider_number=field(b"trade_no"),
        amount_minor=amount_minor or 0,
        currency=field(b"trans_currency") or "CNY",
        paid_at=read_time(field(b"gmt_payment")) or read_time(field(b"notify_time")),
        mismatch=mismatch,
    )


def _read_agreement(
    field: Callable[[bytes], str], body: bytes, settings: AlipaySettings, *, is_plain: bool
) -> CallbackFacts:
    """Read that an agreement was signed or ended: it names no seller, and the query counts."""
    number, agreement = field(b"external_agreement_no"), field(b"agreement_no")
    return CallbackFacts(
        event=field(b"notify_id") or hashlib.sha256(body).hexdigest(),
        kind=CallbackKind.AGREED if is_plain and number and agreement else CallbackKind.OTHER,
        provider_number=agreement,
        paid_at=read_time(field(b"notify_time")),
        case_number=number,
        mismatch="application_differs" if field(b"app_id") != settings.app_id else "",
        problem="" if field(b"status") == "NORMAL" else "ended",
    )


def _is_cut_one_way(fields: Mapping[bytes, bytes]) -> bool:
    """Tell whether what is signed of fields can be read as these fields only.

    Our subjects hold neither & nor =; those of others who sell by the same application may.
    """
    if b"" in fields or not _PLAIN_NAMES.fullmatch(b"".join(fields)):
        return False
    return b"&" not in b"".join(fields.values())


# Ways to pay.


def order(ask: Ask) -> dict[str, object]:
    """Give what every way to pay says of an order."""
    subject = " ".join(ask.title.translate(_SUBJECT_FORBIDDEN).split())[:128] or ask.out_trade_no
    return {
        "out_trade_no": ask.out_trade_no,
        "total_amount": to_text(ask.amount_minor, ask.currency),
        "subject": subject,
        "time_expire": ask.expires_at.astimezone(SHANGHAI).strftime(_TIME),
    }


def present_page(settings: AlipaySettings, ask: Ask, now: datetime) -> Presentation:
    """Sign the address of the cashier that fits the buyer's device."""
    is_mobile = ask.device is not Device.DESKTOP
    if "wap" in settings.products and (is_mobile or "page" not in settings.products):
        method = "alipay.trade.wap.pay"
        business = {**order(ask), "product_code": "QUICK_WAP_WAY"}
        if ask.quit_url:
            business["quit_url"] = ask.quit_url
    else:
        method = "alipay.trade.page.pay"
        business = {**order(ask), "product_code": "FAST_INSTANT_TRADE_PAY"}
    params = build_request(
        settings, method, business, now, notify_url=ask.notify_url, return_url=ask.return_url
    )
    url = f"{settings.gateway_url}?{urlencode(params)}"
    return Presentation(PaymentAction(ActionKind.REDIRECT, url=url))
