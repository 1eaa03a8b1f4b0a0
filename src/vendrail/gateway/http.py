"""The public REST API under /api/v1, its description, and the callback door of every channel.

These are raw ASGI handlers with a router of their own: three requests an order share the budget of
DESIGN §6, so nothing is built for a request that its answer does not need.
"""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from litestar import asgi
from litestar.handlers import ASGIRouteHandler
from litestar.types import HTTPScope, Receive, Scope, Send

from vendrail.api.catalog import Catalog
from vendrail.api.orders import Orders
from vendrail.api.payments import Callback, ChannelId, Payments
from vendrail.gateway import problems
from vendrail.gateway.calls import Calls
from vendrail.gateway.exchange import Answer, Exchange, Refusal, refused, shown
from vendrail.gateway.openapi import describe
from vendrail.gateway.ordering import OrderDesk
from vendrail.gateway.products import ProductPages
from vendrail.gateway.settings import GatewaySettings
from vendrail.kernel.clock import Clock
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.http import limit_key
from vendrail.kernel.ids import from_serial
from vendrail.kernel.telemetry import Metrics, trace_id_here

AddressOf = Callable[[Scope], str]
Limit = Callable[[str], Awaitable[float]]  # Seconds to wait before the key may go on; 0: now.
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
        *,
        address_of: AddressOf = peer_address,
        place_limit: Limit | None = None,
        start_trace: Callable[[], str] = trace_id_here,
    ) -> None:
        self._calls = calls
        self._settings = settings
        self._address_of = address_of
        self._place_limit = place_limit
        self._start_trace = start_trace
        public_url = settings.public_url.rstrip("/")
        self._desk = OrderDesk(calls, clock, settings, public_url)
        products = ProductPages(calls, settings, public_url)
        self._description = describe(public_url)
        # Path below /api/v1, its tail cut off, to the methods that work there.
        self._routes: dict[tuple[str, ...], dict[str, _Handler]] = {
            ("orders",): {"POST": self._place},
            ("orders", "{id}"): {"GET": self._desk.read},
            ("orders", "{id}", "payments"): {"POST": self._desk.pay},
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
            return refused(refusal.problem, refusal.detail, refusal.headers)
        except Malformed as error:
            return refused(problems.BODY_MALFORMED, error.message)
        except Unavailable as error:
            seconds = b"%d" % max(1, round(error.retry_after_s + 0.499))
            return refused(problems.UNAVAILABLE, headers=[(b"retry-after", seconds)])

    async def _answer(self, exchange: Exchange, path: str) -> Answer:
        parts = path.strip("/").split("/")
        if parts == ["openapi.json"] and exchange.method in ("GET", "HEAD"):
            return shown(self._description, 300)
        rest = ""
        if parts[0] == "v1" and 2 <= len(parts) <= 4:
            if len(parts) > 2:
                rest = parts[2]
                parts[2] = "{id}"
            methods = self._routes.get(tuple(parts[1:]))
            if methods is not None:
                handler = methods.get("GET" if exchange.method == "HEAD" else exchange.method)
                if handler is not None:
                    return await handler(exchange, rest)
                allowed = ", ".join(methods).encode()
                return refused(problems.METHOD_NOT_ALLOWED, headers=[(b"allow", allowed)])
        return refused(problems.NOT_FOUND)

    async def _place(self, exchange: Exchange, _: str) -> Answer:
        address = self._address_of(exchange.scope)
        if self._place_limit is not None:
            wait_s = await self._place_limit(limit_key(address))
            if wait_s > 0:
                seconds = str(max(1, round(wait_s + 0.499)))
                raise Refusal(problems.RATE_LIMITED, headers=[("retry-after", seconds)])
        return await self._desk.place(exchange, address, self._start_trace())

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

    def handlers(self) -> list[ASGIRouteHandler]:
        """Give the route handlers for the one application that the wiring builds."""

        async def api(scope: Scope, receive: Receive, send: Send) -> None:
            await self.api(scope, receive, send)  # type: ignore[arg-type]

        async def callbacks(scope: Scope, receive: Receive, send: Send) -> None:
            await self.callbacks(scope, receive, send)  # type: ignore[arg-type]

        return [
            asgi("/api", is_mount=True, copy_scope=False, name="gateway.api")(api),
            asgi("/callbacks", is_mount=True, copy_scope=False, name="gateway.callbacks")(
                callbacks
            ),
        ]


def _channel_id(text: str) -> ChannelId:
    try:
        return ChannelId(from_serial(text) if len(text) == 26 else UUID(text))
    except (Malformed, ValueError):
        raise Refusal(problems.CHANNEL_NOT_FOUND) from None


def routes(
    catalog: Catalog,
    orders: Orders,
    payments: Payments,
    *,
    clock: Clock,
    settings: GatewaySettings,
    address_of: AddressOf = peer_address,
    place_limit: Limit | None = None,
    start_trace: Callable[[], str] = trace_id_here,
    metrics: Metrics | None = None,
) -> Sequence[ASGIRouteHandler]:
    """Build the public API and the callback door: handlers for the wiring's application."""
    calls = Calls(catalog, orders, payments, settings, metrics)
    gateway = Gateway(
        calls,
        clock,
        settings,
        address_of=address_of,
        place_limit=place_limit,
        start_trace=start_trace,
    )
    return gateway.handlers()
