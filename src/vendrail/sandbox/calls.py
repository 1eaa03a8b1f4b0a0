"""The envelope of a gateway request: who asks what, and whether it is really they.

Checked in the provider's own order: the method, the application, the form, the signature. Only then
is a word of the content read.
"""

import json
from datetime import datetime
from functools import lru_cache
from urllib.parse import parse_qsl, urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from vendrail.sandbox import signatures
from vendrail.sandbox.fields import FIELDS
from vendrail.sandbox.provider import Provider, read_public_key
from vendrail.sandbox.records import App, read_stamp
from vendrail.sandbox.refusals import Node, refuse
from vendrail.sandbox.settings import Settings
from vendrail.sandbox.store import Store

_CHARSETS = {"utf-8": "utf-8", "utf8": "utf-8", "gbk": "gbk"}
_URL_LENGTH_MAX = 256


class Call(msgspec.Struct):
    """A request whose sender is known."""

    app: App
    now: datetime
    method: str
    content: dict[str, object]
    charset: str
    notify_url: str
    return_url: str
    base_url: str


class Rejected(msgspec.Struct):
    """A request that got no further than its envelope."""

    node: Node
    method: str  # Empty: the reply is an `error_response`.
    app: App | None  # None: the reply cannot be signed, for nobody is known who could check it.
    charset: str = "utf-8"


@lru_cache(maxsize=4_096)
def public_key_of(pem: str) -> RSAPublicKey:
    """Read a registered key once, not at every request."""
    return read_public_key(pem)


def read_params(query: bytes, body: bytes) -> dict[str, str] | None:
    """Merge query string and form body; nothing if a name comes twice with different values."""
    merged: dict[str, str] = {}
    try:
        parts = [part.decode("ascii") for part in (query, body)]
        # The charset names itself in letters that every charset shares.
        named = [value for part in parts for name, value in parse_qsl(part) if name == "charset"]
        charset = _CHARSETS.get(named[0].lower(), "utf-8") if named else "utf-8"
        for part in parts:
            for name, value in parse_qsl(
                part, keep_blank_values=True, encoding=charset, errors="strict"
            ):
                if merged.setdefault(name, value) != value:
                    return None
    except ValueError:
        return None
    return merged


class Doorkeeper:
    """Reads requests, knowing who may send them."""

    def __init__(self, store: Store, provider: Provider, settings: Settings) -> None:
        self._store = store
        self._provider = provider
        self._settings = settings
        self._methods = frozenset(FIELDS)

    def read(self, query: bytes, body: bytes, now: datetime, base_url: str) -> Call | Rejected:
        """Check the envelope, straight down; the first thing wrong is the answer."""
        params = read_params(query, body)
        if params is None:
            return Rejected(refuse("isv.invalid-parameter", "参数重复或编码错误"), "", None)
        method = params.get("method", "")
        if not method:
            return Rejected(refuse("isv.missing-method"), "", None)
        if method not in self._methods:
            return Rejected(refuse("isv.invalid-method"), "", None)
        if not params.get("app_id"):
            return Rejected(refuse("isv.missing-app-id"), method, None)
        app = self._store.apps.get(params["app_id"])
        if app is None:
            return Rejected(refuse("isv.invalid-app-id"), method, None)
        charset = _CHARSETS.get(params.get("charset", "").lower(), "")
        if not charset:
            return Rejected(refuse("isv.invalid-charset"), method, app)
        problem = (
            _check_form(params, self._settings, now)
            or _check_certificates(params, app, self._provider)
            or _check_signature(params, app, charset)
            or _check_urls(params)
        )
        if problem is not None:
            return Rejected(problem, method, app, charset)
        content = _read_content(params.get("biz_content", ""))
        if content is None:
            return Rejected(refuse("isv.illegal-json", "biz_content"), method, app, charset)
        return Call(
            app=app,
            now=now,
            method=method,
            content=content,
            charset=charset,
            notify_url=params.get("notify_url", ""),
            return_url=params.get("return_url", ""),
            base_url=base_url,
        )


def _check_form(params: dict[str, str], settings: Settings, now: datetime) -> Node | None:
    if not params.get("sign_type"):
        return refuse("isv.missing-signature-type")
    if params["sign_type"] != "RSA2":
        return refuse("isv.invalid-signature-type", "仅支持RSA2")
    if not params.get("sign"):
        return refuse("isv.missing-signature")
    if not params.get("timestamp"):
        return refuse("isv.missing-timestamp")
    moment = read_stamp(params["timestamp"])
    if moment is None or len(params["timestamp"]) != 19:
        return refuse("isv.invalid-timestamp", "格式为yyyy-MM-dd HH:mm:ss")
    if abs((now - moment).total_seconds()) > settings.timestamp_window_s:
        return refuse("isv.invalid-timestamp", "与北京时间相差过大")
    if not params.get("version"):
        return refuse("isv.missing-version")
    if params["version"] != "1.0":
        return refuse("isv.invalid-parameter", "version")
    if params.get("format") and params["format"].upper() != "JSON":
        return refuse("isv.invalid-format")
    return None


def _check_certificates(params: dict[str, str], app: App, provider: Provider) -> Node | None:
    """One application signs in one way: with certificates, or with bare keys."""
    if not app.is_certified:
        if params.get("app_cert_sn"):
            return refuse("isv.app-cert-not-exist", "应用为公钥模式")
        return None
    if not params.get("app_cert_sn"):
        return refuse("isv.missing-app-cert-sn")
    if not params.get("alipay_root_cert_sn"):
        return refuse("isv.missing-alipay-root-cert-sn")
    if params["app_cert_sn"] != app.certificate_number:
        return refuse("isv.app-cert-not-exist")
    if params["alipay_root_cert_sn"] != provider.root_number:
        return refuse("isv.invalid-alipay-root-cert-sn")
    return None


def _check_signature(params: dict[str, str], app: App, charset: str) -> Node | None:
    try:
        text = signatures.request_text(params).encode(charset)
    except UnicodeEncodeError:
        return refuse("isv.invalid-charset")
    if not signatures.is_signed_by(public_key_of(app.public_key_pem), text, params["sign"]):
        return refuse("isv.invalid-signature", "请检查签名内容与应用公钥是否匹配")
    return None


def _check_urls(params: dict[str, str]) -> Node | None:
    for name in ("notify_url", "return_url"):
        url = params.get(name, "")
        if url and not is_url(url):
            return refuse("isv.invalid-parameter", name)
    # The manual: a notify_url carries no parameters of one's own.
    if "?" in params.get("notify_url", ""):
        return refuse("isv.invalid-parameter", "notify_url")
    return None


def is_url(url: str) -> bool:
    """Tell whether an address is one that the provider would call or redirect to."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and port != 0
        and not parts.fragment
        and not parts.username
        and len(url) <= _URL_LENGTH_MAX
        and url.isprintable()
        and " " not in url
    )


def _read_content(text: str) -> dict[str, object] | None:
    """Read biz_content; numbers stay as they were written, so that no amount becomes a float."""
    try:
        content = json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
