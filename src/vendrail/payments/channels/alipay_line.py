"""Speaking to Alipay: questions signed and sent, replies believed when their signature holds."""

from collections.abc import Callable, Mapping
from datetime import datetime

import structlog

from vendrail.payments.channels.alipay_messages import (
    AlipaySettings,
    CertificateUnknown,
    Reply,
    build_request,
    read_certificate,
    read_reply,
)
from vendrail.payments.channels.base import Account

_log = structlog.get_logger(__name__)


async def call(
    account: Account[AlipaySettings],
    method: str,
    business: Mapping[str, object],
    now: datetime,
    *,
    notify_url: str = "",
) -> Reply:
    """Sign, send, verify; the common parameters go in the query, the business in the body."""
    settings = account.settings

    def build(content: Mapping[str, object]) -> dict[str, str]:
        return build_request(settings, method, content, now, notify_url=notify_url)

    body = await _send(account, build, business)
    try:
        return read_reply(body, method, settings)
    except CertificateUnknown as error:
        await _fetch_certificate(account, error.sn, now)
        return read_reply(body, method, settings)


async def _fetch_certificate(account: Account[AlipaySettings], sn: str, now: datetime) -> None:
    """Fetch Alipay's certificate by its SN, or raise `Unclear`."""
    settings = account.settings

    def build(content: Mapping[str, object]) -> dict[str, str]:
        return build_request(settings, "alipay.open.app.alipaycert.download", content, now)

    body = await _send(account, build, {"alipay_cert_sn": sn})
    settings.fetched_keys[sn] = read_certificate(body, sn, settings, now)
    _log.info("alipay.certificate_fetched", channel=str(account.id), sn=sn)


async def _send(
    account: Account[AlipaySettings],
    build: Callable[[Mapping[str, object]], dict[str, str]],
    business: Mapping[str, object],
) -> bytes:
    account.line.expect()
    (params,) = await account.line.offload(build, [business])
    form = {"biz_content": params.pop("biz_content")}
    url = account.settings.gateway_url
    reply = await account.line.send("POST", url, params=params, form=form)
    return reply.body
