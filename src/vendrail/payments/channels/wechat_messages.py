"""WeChat Pay's messages: requests built, what comes verified, unsealed and read. Pure."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from vendrail.api.payments import Device
from vendrail.kernel.codec import encode
from vendrail.payments.channels import wechat_signatures as signatures
from vendrail.payments.channels.base import (
    Ask,
    Blame,
    CloseOutcome,
    QueryAnswer,
    QueryOutcome,
    RefundAnswer,
    RefundAsk,
    RefundOutcome,
)

SHANGHAI = timezone(timedelta(hours=8))  # WeChat Pay's clock, whatever this machine's says.
SCAN = "wechat_qr"  # The way to pay that shows a code here, wherever the browser runs.
WINDOW_S = 300  # What says it was signed further from now is not believed.

_DESCRIPTION_LENGTH_MAX = 127
_REASON_BYTES_MAX = 80
# Of an order; older doors spell it without lines.
_MISSING = frozenset({"ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS"})
# Refused for good: the same refund asked again would be refused again.
_REFUND_REFUSED = frozenset(
    {
        "PARAM_ERROR",
        "INVALID_REQUEST",
        "MCH_NOT_EXISTS",
        "ORDER_NOT_EXIST",
        "ORDERNOTEXIST",
        "RESOURCE_NOT_EXISTS",
        "USER_ACCOUNT_ABNORMAL",
    }
)
_MOMENT = re.compile(r"\d{1,12}", re.ASCII)


@dataclass(frozen=True)
class WechatSettings:
    """A merchant's account with WeChat Pay, ready for use."""

    api_url: str
    login_url: str
    openid_url: str
    appid: str
    mchid: str
    serial: str
    private_key: RSAPrivateKey
    api_key: bytes
    products: frozenset[str]
    public_key_id: str = ""
    public_key: RSAPublicKey | None = None
    app_secret: str = ""
    is_shared: bool = False  # Payments stand frozen until their parts have gone out.
    transfer_scene: str = ""
    transfer_report: tuple[tuple[str, str], ...] = ()
    # Fetched by serial number, each sealed with the API v3 key: WeChat Pay changes them at will.
    certificates: dict[str, x509.Certificate] = field(default_factory=dict)

    def key_for(self, serial: str, now: datetime) -> RSAPublicKey | None:
        """Give the key that a serial number names, where it is at hand and valid."""
        if serial.startswith(signatures.PUBLIC_KEY_MARK):
            return self.public_key if serial == self.public_key_id else None
        certificate = self.certificates.get(signatures.plain_serial(serial))
        return signatures.rsa_key_of(certificate, now) if certificate is not None else None


# Whose fault a refusal is: no other channel would have done better with these.
LOGIN_REFUSED = "LOGIN_REFUSED"  # Our word for a buyer who comes back from WeChat without proof.
BLAMES: Mapping[str, Blame] = dict.fromkeys(
    (
        "ACCOUNT_ERROR", "AUTH_CODE_ERROR", "AUTH_CODE_EXPIRE", "AUTH_CODE_INVALID",
        "BUYER_MISMATCH", LOGIN_REFUSED, "NOT_ENOUGH", "NOT_SUPORTCARD", "OPENID_MISMATCH",
        "USERPAYING", "USER_NOT_EXISTS",
    ),
    Blame.BUYER,
)  # fmt: skip
# What a login of WeChat's is refused with where its code was used, is over or is made up.
LOGIN_CODES = frozenset({40_029, 40_163, 40_226})


class Unclear(Exception):
    """A reply that says nothing that may be believed; `said` is its code, where it has one."""

    def __init__(self, problem: str, said: str = "") -> None:
        super().__init__(problem)
        self.said = said


class CertificateUnknown(Unclear):
    """A reply under a certificate that is not at hand: it can be fetched."""

    def __init__(self, serial: str) -> None:
        super().__init__(f"the reply is signed under the unknown certificate {serial[:64]}")


class Reply(msgspec.Struct, frozen=True):
    """A verified reply; an error has a code."""

    status_code: int
    code: str
    message: str
    fields: dict[str, Any]

    @property
    def is_good(self) -> bool:
        """Tell whether what was asked for was done."""
        return 200 <= self.status_code < 300

    @property
    def problem(self) -> str:
        """Say what was wrong, as the provider does."""
        return f"{self.code or self.status_code}: {self.message[:200]}"

    def text(self, name: str) -> str:
        """Give a field that is text, or nothing."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else ""


# Requests and replies.


def build_headers(
    settings: WechatSettings,
    method: str,
    target: str,
    body: bytes,
    now: datetime,
    serial: str = "",
) -> dict[str, str]:
    """Sign one request; the serial names the key that sensitive fields are sealed for."""
    moment, nonce = int(now.timestamp()), secrets.token_hex(16)
    text = signatures.request_text(method, target, moment, nonce, body)
    signature = signatures.sign(text, settings.private_key)
    headers = {
        "Authorization": signatures.authorization(
            settings.mchid, settings.serial, nonce, moment, signature
        ),
        "Accept": "application/json",
    }
    if body or method == "POST":
        headers["Content-Type"] = "application/json"
    if serial or settings.public_key_id:
        headers["Wechatpay-Serial"] = serial or settings.public_key_id
    return headers


def signed_by(headers: Mapping[str, str]) -> str:
    """Give the serial number of the key that something was signed with; empty: it is unsigned."""
    return headers.get("wechatpay-serial", "") if headers.get("wechatpay-signature") else ""


def refusal_of(
    headers: Mapping[str, str], body: bytes, key: RSAPublicKey | None, now: datetime
) -> str:
    """Give why something that came cannot be believed, or nothing; headers are in lower case."""
    signature = headers.get("wechatpay-signature", "")
    moment = headers.get("wechatpay-timestamp", "")
    if not signature or not moment:
        return "signature_missing"
    if signature.startswith(signatures.PROBE):
        return "signature_probe"
    if headers.get("wechatpay-signature-type", signatures.SCHEME) != signatures.SCHEME:
        return "signature_type_unknown"
    if not _MOMENT.fullmatch(moment) or abs(int(moment) - now.timestamp()) >= WINDOW_S:
        return "moment_too_far"
    if key is None:
        return "certificate_unknown"
    text = signatures.reply_text(moment, headers.get("wechatpay-nonce", ""), body)
    return "" if signatures.is_signed(text, signature, key) else "signature_wrong"


def read_reply(
    status_code: int,
    headers: Mapping[str, str],
    body: bytes,
    settings: WechatSettings,
    now: datetime,
) -> Reply:
    """Verify a reply over its exact bytes and read it, or raise `Unclear`.

    What went well is always signed. An error may be unsigned, as where our own signature was not
    accepted: then the connection alone vouches for it.
    """
    serial = signed_by(headers)
    if serial or 200 <= status_code < 300:
        key = settings.key_for(serial, now)
        if serial and key is None:
            raise CertificateUnknown(serial)
        if refusal := refusal_of(headers, body, key, now):
            raise Unclear(f"the reply's signature does not hold: {refusal}")
    return _read_fields(status_code, body)


def _read_fields(status_code: int, body: bytes) -> Reply:
    if not body:
        return Reply(status_code, "", "", {})
    try:
        fields = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unclear(f"the reply (HTTP {status_code}) is no JSON object: {error}") from error
    return Reply(status_code, str(fields.get("code", "")), str(fields.get("message", "")), fields)


def read_certificates(
    status_code: int,
    headers: Mapping[str, str],
    body: bytes,
    settings: WechatSettings,
    now: datetime,
) -> dict[str, x509.Certificate]:
    """Read the certificates that are good now, by serial number, or raise `Unclear`.

    The reply is signed under one of them. What is trusted is the seal: only WeChat Pay and the
    merchant have the API v3 key.
    """
    reply = _read_fields(status_code, body)
    if not reply.is_good:
        raise Unclear(f"no certificate was given out: {reply.problem}")
    found: dict[str, x509.Certificate] = {}
    for each in _dicts(reply.fields.get("data")):
        opened = unseal_resource(as_dict(each.get("encrypt_certificate")), settings)
        if opened is None:
            raise Unclear("a certificate is sealed with another key: see the API v3 key")
        try:
            certificate = x509.load_pem_x509_certificate(opened)
        except ValueError as error:
            raise Unclear(f"a certificate cannot be read: {error}") from error
        found[signatures.plain_serial(signatures.serial_of(certificate))] = certificate
    leaf = found.get(signatures.plain_serial(signed_by(headers)))
    key = signatures.rsa_key_of(leaf, now) if leaf is not None else None
    if settings.public_key is not None and signed_by(headers) == settings.public_key_id:
        key = settings.public_key
    if refusal := refusal_of(headers, body, key, now):
        raise Unclear(f"the certificates' signature does not hold: {refusal}")
    return found


def as_dict(value: object) -> dict[str, Any]:
    """Give an object of JSON, or an empty one where it is none."""
    return value if isinstance(value, dict) else {}


def _dicts(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def unseal_resource(resource: Mapping[str, Any], settings: WechatSettings) -> bytes | None:
    """Open what is sealed with the API v3 key; None where that is another, or it was changed."""
    parts = [resource.get(name, "") for name in ("nonce", "associated_data", "ciphertext")]
    if resource.get("algorithm") != "AEAD_AES_256_GCM" or not all(
        isinstance(part, str) for part in parts
    ):
        return None
    return signatures.unseal(settings.api_key, *parts)


def read_time(text: object) -> datetime | None:
    """Read a moment with its zone."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo is not None else None


def read_total(value: object, name: str = "total") -> int | None:
    """Read an amount in fen; None for anything but a whole number that is not negative."""
    amount = as_dict(value).get(name)
    is_whole = isinstance(amount, int) and not isinstance(amount, bool)
    return amount if is_whole and isinstance(amount, int) and amount >= 0 else None


# Orders.


def clip(text: str, bytes_max: int) -> str:
    """Cut text to so many bytes, between letters."""
    return text.encode()[:bytes_max].decode("utf-8", "ignore")


def order(ask: Ask, settings: WechatSettings) -> dict[str, object]:
    """Give what every product says of an order."""
    description = " ".join(ask.title.split())[:_DESCRIPTION_LENGTH_MAX] or ask.out_trade_no
    return {
        "appid": settings.appid,
        "mchid": settings.mchid,
        "description": description,
        "out_trade_no": ask.out_trade_no,
        "time_expire": ask.expires_at.astimezone(SHANGHAI).isoformat(timespec="seconds"),
        "notify_url": ask.notify_url,
        "amount": {"total": ask.amount_minor, "currency": ask.currency},
        **({"settle_info": {"profit_sharing": True}} if settings.is_shared else {}),
    }


def product_for(ask: Ask, settings: WechatSettings) -> str:
    """Choose what fits the way to pay and the buyer's browser, of what was signed up for."""
    if ask.method == SCAN:
        return "native"
    wished = {
        Device.WECHAT: ("jsapi", "h5", "native"),
        Device.DESKTOP: ("native", "h5", "jsapi"),
    }.get(ask.device, ("h5", "native", "jsapi"))
    return next(each for each in wished if each in settings.products)


def login_url(ask: Ask, settings: WechatSettings) -> str:
    """Give the address where WeChat says who the buyer is, and comes back to our door."""
    fields = {
        "appid": settings.appid,
        "redirect_uri": ask.door_url,
        "response_type": "code",
        "scope": "snsapi_base",
        "state": ask.out_trade_no,
    }
    return f"{settings.login_url}?{urlencode(fields)}#wechat_redirect"


def read_query(reply: Reply, ask: Ask, settings: WechatSettings) -> QueryAnswer:
    """Turn a verified reply about an order into what it means."""
    if reply.status_code == 404 and reply.code in _MISSING:
        return QueryAnswer(QueryOutcome.NOT_FOUND, problem=reply.problem)
    if not reply.is_good:
        return QueryAnswer(QueryOutcome.UNKNOWN, problem=reply.problem)
    named = (reply.text("out_trade_no"), reply.text("mchid"), reply.text("appid"))
    if named != (ask.out_trade_no, settings.mchid, settings.appid):
        return QueryAnswer(QueryOutcome.UNKNOWN, problem="answered about another order")
    state = reply.text("trade_state")
    if state == "REFUND":  # Some or all of it was given back by others: how much, it does not say.
        return QueryAnswer(QueryOutcome.UNKNOWN, problem="paid, and given back at WeChat Pay since")
    if state == "SUCCESS":
        total_minor, number = read_total(reply.fields.get("amount")), reply.text("transaction_id")
        if total_minor is None or not number:
            return QueryAnswer(QueryOutcome.UNKNOWN, problem="paid, without amount or number")
        currency = str(as_dict(reply.fields["amount"]).get("currency") or "CNY")
        paid_at = read_time(reply.fields.get("success_time"))
        return QueryAnswer(QueryOutcome.PAID, number, total_minor, currency, paid_at)
    if state in {"NOTPAY", "USERPAYING", "PAYERROR"}:
        return QueryAnswer(QueryOutcome.UNPAID)
    if state in {"CLOSED", "REVOKED"}:
        return QueryAnswer(QueryOutcome.CLOSED)
    return QueryAnswer(QueryOutcome.UNKNOWN, problem=f"trade_state {state!r}")


def read_close(reply: Reply) -> CloseOutcome:
    """Turn a verified reply to a closing into what it means."""
    if reply.is_good or reply.code == "ORDER_CLOSED":
        return CloseOutcome.CLOSED
    if reply.code in _MISSING:
        return CloseOutcome.NOT_FOUND
    return CloseOutcome.REFUSED if reply.code == "ORDERPAID" else CloseOutcome.UNKNOWN


# Refunds.


def refund_order(ask: RefundAsk) -> dict[str, object]:
    """Give what asks for money back; `out_refund_no` makes it happen once."""
    by = (
        {"transaction_id": ask.provider_number}
        if ask.provider_number
        else {"out_trade_no": ask.out_trade_no}
    )
    reason = clip(ask.reason, _REASON_BYTES_MAX)
    return {
        **by,
        "out_refund_no": ask.refund_number,
        **({"reason": reason} if reason else {}),
        "amount": {
            "refund": ask.amount_minor,
            "total": ask.captured_minor,
            "currency": ask.currency,
        },
    }


def read_refund(reply: Reply, ask: RefundAsk, *, is_question: bool) -> RefundAnswer:
    """Turn a verified reply about a refund into what it means.

    ABNORMAL is no end: the payer's account takes no money, and a person at WeChat Pay's desk says
    where it shall go.
    """
    if not reply.is_good:
        if is_question:
            is_missing = reply.status_code == 404 and reply.code == "RESOURCE_NOT_EXISTS"
            outcome = RefundOutcome.NOT_FOUND if is_missing else RefundOutcome.UNKNOWN
            return RefundAnswer(outcome, reply.problem)
        if reply.code in _REFUND_REFUSED:
            return RefundAnswer(RefundOutcome.FAILED, reply.problem, is_final=ask.tries == 0)
        return RefundAnswer(RefundOutcome.UNKNOWN, reply.problem)
    refunded_minor = read_total(reply.fields.get("amount"), "refund")
    if reply.text("out_refund_no") != ask.refund_number or refunded_minor != ask.amount_minor:
        return RefundAnswer(RefundOutcome.UNKNOWN, "answered about another refund")
    status = reply.text("status")
    if status == "SUCCESS":
        return RefundAnswer(RefundOutcome.SUCCEEDED)
    if status in {"PROCESSING", "ABNORMAL"}:
        return RefundAnswer(RefundOutcome.PENDING, "ABNORMAL" if status == "ABNORMAL" else "")
    if status == "CLOSED":
        return RefundAnswer(RefundOutcome.FAILED, "CLOSED")
    return RefundAnswer(RefundOutcome.UNKNOWN, f"status {status!r}")


def to_body(content: Mapping[str, object] | None) -> bytes:
    """Write a body once: the very bytes that are signed are sent."""
    return encode(content) if content is not None else b""
