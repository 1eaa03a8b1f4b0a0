"""What machines ask: /metrics, /healthz (is the process alive), /readyz (may it get requests)."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from vendrail.kernel.codec import encode
from vendrail.kernel.telemetry.metrics import CONTENT_TYPE
from vendrail.kernel.vault import is_same

Check = Callable[[], Awaitable[bool]]

_CHECK_TIMEOUT_S = 2.0

_log = structlog.get_logger(__name__)


def probes(
    render_metrics: Callable[[], Awaitable[bytes]], readiness: Mapping[str, Check], token: str = ""
) -> list[HTTPRouteHandler]:
    """Build the three routes; metrics are for private addresses, or for who holds the token."""

    @get("/metrics", include_in_schema=False)
    async def read_metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        if not _is_allowed(request, token):
            return Response(b"", status_code=404)
        return Response(await render_metrics(), headers={"content-type": CONTENT_TYPE})

    @get("/healthz", include_in_schema=False)
    async def read_health() -> Response[bytes]:
        return Response(b'{"status":"ok"}', media_type="application/json")

    @get("/readyz", include_in_schema=False)
    async def read_readiness() -> Response[bytes]:
        answers = await asyncio.gather(*(_ask(name, ask) for name, ask in readiness.items()))
        states = dict(zip(readiness, answers, strict=True))
        is_ready = all(states.values())
        body = {"status": "ok" if is_ready else "not_ready", "checks": states}
        status = 200 if is_ready else 503
        return Response(encode(body), status_code=status, media_type="application/json")

    return [read_metrics, read_health, read_readiness]


async def _ask(name: str, check: Check) -> bool:
    try:
        return await asyncio.wait_for(check(), _CHECK_TIMEOUT_S)
    except Exception as error:  # noqa: BLE001  # Whatever it was, the process is not ready.
        _log.warning("readiness.failed", check=name, error=str(error))
        return False


def _is_allowed(request: Request[Any, Any, Any], token: str) -> bool:
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if token and is_same(given, token):
        return True
    if "x-forwarded-for" in request.headers or "forwarded" in request.headers:
        return False  # Came from outside, through a proxy.
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    return address.is_private or address.is_loopback
