"""The public REST API under /api/v1, its description, and the callback door of every channel.

These are raw ASGI handlers with a router of their own: three requests an order share the budget of
DESIGN §6, so nothing is built for a request that its answer does not need.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from vendrail.api.catalog import Catalog
from vendrail.api.fx import Fx
from vendrail.api.orders import Orders
from vendrail.api.payments import Callback, ChannelId, Payments
from vendrail.api.promotions import Promotions
from vendrail.gateway import problems, reading
from vendrail.gateway.calls import Calls
from vendrail.gateway.exchange import Answer, Exchange, Refusal, refused, shown
from vendrail.gateway.merchant.door import MerchantDoor
from vendrail.gateway.openapi import describe
from vendrail.gateway.ordering import OrderDesk
from vendrail.gateway.products import ProductPages
from vendrail.gateway.quoting import QuoteDesk
from vendrail.gateway.settings import GatewaySettings
from vendrail.kernel.clock import Clock
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.http import limit_key
from vendrail.kernel.ids import from_serial
from vendrail.kernel.limits.gate import Gate
from vendrail.kernel.soldfiles import SoldFiles
from vendrail.kernel.telemetry import Metrics, trace_id_here
from vendrail.kernel.vault import Vault

AddressOf = Callable[[Scope], str]
Limit = Callable[[str], Awaitable[float]]  # Seconds to wait before the key may go on; 0: now.
MakeGate = Callable[[Callable[[], bool]], Gate]  # Given what tells whether there is strain.
_PAGE = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"public, max-age=300"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
)
_STYLE = ((b"content-type", b"text/css"), (b"cache-control", b"public, max-age=300"))
_Handler = Callable[[Exchange, str], Awaitable[Answer]]


def peer_address(scope: Scope) -> str:
    """Give the network address of whoever is connected."""
    client = scope.get("client")
    return client[0] if client else ""


class Gateway:
    """The API as one ASGI application below /api, and the callbacks below /callbacks."""

    def __init__(
        self,
        calls: Calls,
        clock: Clock,
        settings: GatewaySettings,
        files: SoldFiles,
        *,
        address_of: AddressOf = peer_address,
        place_limit: Limit | None = None,
        make_gate: MakeGate | None = None,
        merchants: MerchantDoor | None = None,
        start_trace: Callable[[], str] = trace_id_here,
    ) -> None:
        self._merchants = merchants
        self._calls = calls
        self._settings = settings
        self._address_of = address_of
        self._place_limit = place_limit
        self._start_trace = start_trace
        public_url = settings.public_url.rstrip("/")
        gate = make_gate(calls.is_strained) if make_gate is not None else None
        self._quotes = quotes = QuoteDesk(calls, clock, settings)
        self._desk = OrderDesk(calls, clock, settings, public_url, files, quotes, gate)
        products = ProductPages(calls, settings, public_url)
        self._description = describe(public_url)
        self._page = reading.page(self._description)
        # Path below /api/v1 to the methods that work there; what stands for {…} is handed over.
        self._routes: dict[tuple[str, ...], dict[str, _Handler]] = {
            ("orders",): {"POST": self._place},
            ("orders", "{id}"): {"GET": self._desk.read},
            ("orders", "{id}", "payments"): {"POST": self._desk.pay},
            ("orders", "{id}", "files", "{number}"): {"GET": self._desk.read_file},
            ("quotes",): {"POST": self._quote},
            ("products",): {"GET": products.list_products},
            ("products", "{id}"): {"GET": products.read_product},
            ("methods",): {"GET": products.list_methods},
        }

    async def api(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Answer everything below /api."""
        path = scope["path"]
        exchange = Exchange(scope, receive, path)
        answer = await self._guarded(self._answer, exchange, path)
        await answer.send(send)

    async def callbacks(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Hand a provider's callback over untouched, and give back exactly what payments says."""
        exchange = Exchange(scope, receive, scope["path"])
        answer = await self._guarded(self._take, exchange, exchange.path.strip("/"))
        await answer.send(send)

    async def _guarded(self, handler: _Handler, exchange: Exchange, rest: str) -> Answer:
        try:
            return await handler(exchange, rest)
        except Refusal as refusal:
            return refused(refusal.problem, refusal.detail, refusal.headers, refusal.members)
        except Malformed as error:
            return refused(problems.BODY_MALFORMED, error.message)
        except Unavailable as error:
            seconds = b"%d" % max(1, round(error.retry_after_s + 0.499))
            return refused(problems.UNAVAILABLE, headers=[(b"retry-after", seconds)])

    async def _answer(self, exchange: Exchange, path: str) -> Answer:
        if "\0" in path:
            return refused(problems.NOT_FOUND)
        parts = path.strip("/").split("/")
        if parts == ["openapi.json"] and exchange.method in ("GET", "HEAD"):
            return shown(self._description, 300)
        if parts == ["docs"] and exchange.method in ("GET", "HEAD"):
            return Answer(200, self._page, list(_PAGE))
        if parts == ["docs.css"] and exchange.method in ("GET", "HEAD"):
            return Answer(200, reading.style(), list(_STYLE))
        if self._merchants is not None and parts[:2] == ["v1", "merchant"] and len(parts) > 2:
            address = self._address_of(exchange.scope)
            return await self._merchants.answer(exchange, parts[2:], address)
        rest = ""
        if parts[0] == "v1" and 2 <= len(parts) <= 5:
            if len(parts) > 2:
                rest = parts[2]
                parts[2] = "{id}"
            if len(parts) > 4:
                rest += "/" + parts[4]
                parts[4] = "{number}"
            methods = self._routes.get(tuple(parts[1:]))
            if methods is not None:
                http: Any = exchange.scope
                http["path_template"] = f"/api/v1/{'/'.join(parts[1:])}"  # For the metrics.
                handler = methods.get("GET" if exchange.method == "HEAD" else exchange.method)
                if handler is not None:
                    return await handler(exchange, rest)
                allowed = ", ".join(methods).encode()
                return refused(problems.METHOD_NOT_ALLOWED, headers=[(b"allow", allowed)])
        return refused(problems.NOT_FOUND)

    def is_full(self) -> bool:
        """Tell whether no order can be taken in now; one that is turned away is counted."""
        return self._calls.is_full()

    async def _place(self, exchange: Exchange, _: str) -> Answer:
        address = self._address_of(exchange.scope)
        await self._count(address)
        return await self._desk.place(exchange, address, self._start_trace())

    async def _quote(self, exchange: Exchange, _: str) -> Answer:
        address = self._address_of(exchange.scope)
        await self._count(address)  # A promise is a row, as an order is.
        return await self._quotes.quote(exchange, address)

    async def _count(self, address: str) -> None:
        """Count what a network address has written; refuse what is too much."""
        if self._place_limit is None:
            return
        wait_s = await self._place_limit(limit_key(address))
        if wait_s > 0:
            seconds = str(max(1, round(wait_s + 0.499)))
            raise Refusal(problems.RATE_LIMITED, headers=[("retry-after", seconds)])

    async def _take(self, exchange: Exchange, channel: str) -> Answer:
        body = await exchange.body(self._settings.callback_bytes_max)
        callback = Callback(
            _channel_id(channel),
            exchange.method,
            {
                name.decode("latin-1"): value.decode("latin-1")
                for name, value in exchange.headers.items()
            },
            exchange.scope["query_string"].decode("latin-1"),
            body,
        )
        answer = await self._calls.take(callback)
        content_type = answer.content_type.encode("latin-1")
        headers = [(b"content-type", content_type), (b"cache-control", b"no-store")]
        return Answer(answer.status_code, answer.body, headers)


class Doors:
    """The gateway before another application: what is below its paths never reaches the other.

    Three requests an order share a budget of microseconds; a router that knows every page and the
    layers around it would take a fifth of it.
    """

    def __init__(self, gateway: Gateway, inner: ASGIApp) -> None:
        self._gateway = gateway
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is the gateway's; pass everything else on."""
        if scope["type"] == ScopeType.HTTP:
            http: Any = scope
            path = http["path"]
            for prefix, answer in (
                ("/api", self._gateway.api),
                ("/callbacks", self._gateway.callbacks),
            ):
                if path == prefix or path.startswith(prefix + "/"):
                    http["path_template"] = prefix  # What the metrics call this route.
                    http["path"] = path[len(prefix) :] or "/"
                    await answer(http, receive, send)
                    return
        await self._inner(scope, receive, send)


class Turnstile:
    """Before everything else: an order that cannot be taken in now costs next to nothing.

    Turning away must be many times cheaper than taking in, or a flood is a standstill.
    """

    def __init__(self, gateway: Gateway, inner: ASGIApp) -> None:
        self._gateway = gateway
        self._inner = inner
        body = problems.UNAVAILABLE.body("")
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (b"retry-after", b"1"),
            (b"x-content-type-options", b"nosniff"),
        ]
        self._start: Any = {"type": "http.response.start", "status": 503, "headers": headers}
        self._body: Any = {"type": "http.response.body", "body": body, "more_body": False}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Turn a new order away while there are too many; pass everything else on."""
        if (
            scope["type"] == ScopeType.HTTP
            and scope["path"] == "/api/v1/orders"
            and scope["method"] == "POST"
            and self._gateway.is_full()
        ):
            await send(self._start)
            await send(self._body)
            return
        await self._inner(scope, receive, send)


def _channel_id(text: str) -> ChannelId:
    try:
        return ChannelId(from_serial(text) if len(text) == 26 else UUID(text))
    except (Malformed, ValueError):
        raise Refusal(problems.CHANNEL_NOT_FOUND) from None


def build_gateway(
    catalog: Catalog,
    orders: Orders,
    payments: Payments,
    *,
    clock: Clock,
    vault: Vault,
    settings: GatewaySettings,
    address_of: AddressOf = peer_address,
    place_limit: Limit | None = None,
    make_gate: MakeGate | None = None,
    merchants: MerchantDoor | None = None,
    start_trace: Callable[[], str] = trace_id_here,
    metrics: Metrics | None = None,
    fx: Fx | None = None,
    promotions: Promotions | None = None,
) -> Gateway:
    """Build the public API and the callback door; `Doors` puts them before an application."""
    return Gateway(
        Calls(catalog, orders, payments, settings, metrics, fx, promotions),
        clock,
        settings,
        SoldFiles(settings.home.expanduser() / "files", vault),
        address_of=address_of,
        place_limit=place_limit,
        make_gate=make_gate,
        merchants=merchants,
        start_trace=start_trace,
    )
