"""Stripe's own library, speaking over an account's line: one pool, one breaker, one clock."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import stripe

from vendrail.payments.channels.line import Line
from vendrail.payments.channels.stripe_messages import StripeSettings

stripe.enable_telemetry = False  # Nothing about this machine leaves it.

_API, _FILES = "https://api.stripe.com", "https://files.stripe.com"

# What is sent of the headers that the library writes: none that tells of the machine.
_HEADERS = ("Authorization", "Stripe-Version", "Idempotency-Key", "Stripe-Account", "Content-Type")


class LineClient(stripe.HTTPClient):
    """Sends what the library asks by a line; it never tries again by itself."""

    name = "vendrail"

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send one request; `ProviderAway` passes through the library."""
        content = post_data.encode() if isinstance(post_data, str) else post_data
        kept = {name: headers[name] for name in _HEADERS if name in headers}
        reply = await self._line.send(method.upper(), url, content=content, headers=kept)
        return reply.body, reply.status_code, reply.headers

    async def request_stream_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[AsyncIterator[bytes], int, Mapping[str, str]]:
        """Send one request, and give its body in one piece."""
        body, status_code, told = await self.request_async(method, url, headers, post_data)

        async def pieces() -> AsyncIterator[bytes]:
            yield body

        return pieces(), status_code, told


def client_of(settings: StripeSettings, line: Line) -> stripe.StripeClient:
    """Give the library's client for an account."""
    return stripe.StripeClient(
        settings.secret_key,
        stripe_account=settings.connected_account or None,
        base_addresses={"api": settings.api_url, "files": files_url(settings.api_url)},
        max_network_retries=0,
        http_client=LineClient(line),
    )


def files_url(api_url: str) -> str:
    """Say where files are sent to: Stripe itself takes them at a host of their own."""
    return _FILES if api_url.rstrip("/") == _API else api_url


def fields_of(thing: stripe.StripeObject) -> dict[str, Any]:
    """Give an object of Stripe's as plain fields."""
    fields: dict[str, Any] = thing.to_dict()
    return fields


def is_replay(error: stripe.StripeError) -> bool:
    """Tell whether a refusal is one that was said before, under the same key."""
    headers: Mapping[str, str] = error.headers or {}
    return any(
        name.lower() == "idempotent-replayed" and value == "true" for name, value in headers.items()
    )


def problem_of(error: stripe.StripeError) -> str:
    """Give a refusal in short: its code and Stripe's words; its messages mask keys themselves."""
    code = error.code or type(error).__name__
    return f"{code}: {error.user_message or ''}"[:300].rstrip(": ")
