"""The way to WeChat Pay: signs, sends, verifies, and fetches certificates when one is missing."""

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlencode

import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from vendrail.payments.channels import line, wechat_signatures
from vendrail.payments.channels.base import Account
from vendrail.payments.channels.line import FILE_BYTES_MAX, REPLY_BYTES_MAX
from vendrail.payments.channels.wechat_messages import (
    CertificateUnknown,
    Reply,
    Unclear,
    WechatSettings,
    build_headers,
    read_certificates,
    read_reply,
    to_body,
)

_log = structlog.get_logger(__name__)


async def call(
    account: Account[WechatSettings],
    method: str,
    path: str,
    now: datetime,
    *,
    query: Mapping[str, str] | None = None,
    body: Mapping[str, object] | None = None,
    serial: str = "",
) -> Reply:
    """Ask WeChat Pay one thing; raise `Unclear` or `ProviderAway` where nothing can be believed."""
    target = f"{path}?{urlencode(query)}" if query else path
    came = await _send(account, method, target, to_body(body), now, serial)
    settings = account.settings
    try:
        return read_reply(came.status_code, came.headers, came.body, settings, now)
    except CertificateUnknown:
        await fetch_certificates(account, now)
        return read_reply(came.status_code, came.headers, came.body, settings, now)


async def download(account: Account[WechatSettings], url: str, now: datetime) -> line.Reply:
    """Fetch a file from the address that a reply gave; the file itself is not signed."""
    target = url.removeprefix(account.settings.api_url)
    if target == url or not target.startswith("/v3/"):
        raise Unclear("the file lies somewhere else than with WeChat Pay")
    return await _send(account, "GET", target, b"", now, "", FILE_BYTES_MAX)


async def fetch_certificates(account: Account[WechatSettings], now: datetime) -> None:
    """Fetch the certificates that are good now, and keep them with the account."""
    came = await _send(account, "GET", "/v3/certificates", b"", now, "")
    settings = account.settings
    found = read_certificates(came.status_code, came.headers, came.body, settings, now)
    settings.certificates.clear()
    settings.certificates.update(found)
    _log.info("wechat.certificates_fetched", channel=str(account.id), serials=sorted(found))


async def sealing_key(account: Account[WechatSettings], now: datetime) -> tuple[str, RSAPublicKey]:
    """Give the key that names are sealed for, and its serial number: the public key, or newest."""
    settings = account.settings
    if settings.public_key is not None:
        return settings.public_key_id, settings.public_key
    if not settings.certificates:
        await fetch_certificates(account, now)
    newest = max(settings.certificates.values(), key=lambda each: each.not_valid_after_utc)
    key = wechat_signatures.rsa_key_of(newest, now)
    if key is None:
        raise Unclear("no certificate is valid now")
    return wechat_signatures.serial_of(newest), key


async def _send(
    account: Account[WechatSettings],
    method: str,
    target: str,
    body: bytes,
    now: datetime,
    serial: str,
    bytes_max: int = REPLY_BYTES_MAX,
) -> line.Reply:
    settings = account.settings

    def build(content: bytes) -> dict[str, str]:
        return build_headers(settings, method, target, content, now, serial)

    account.line.expect()
    (headers,) = await account.line.offload(build, [body])
    return await account.line.send(
        method,
        f"{settings.api_url}{target}",
        content=body or None,
        headers=headers,
        bytes_max=bytes_max,
    )
