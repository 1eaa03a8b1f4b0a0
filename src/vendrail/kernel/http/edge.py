"""What every request passes: id, trace, address, size, safe headers, time taken; kept light.

An ASGI application around the Litestar one, so that also what matches no route is covered.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any, cast

import structlog
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from vendrail.kernel.cards import holds_card
from vendrail.kernel.http.addresses import Proxies
from vendrail.kernel.http.cardwatch import watched
from vendrail.kernel.http.problems import MEDIA_TYPE, problem_body
from vendrail.kernel.telemetry import Metrics, new_trace_id, request_id, start_trace

_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{8,64}")
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_TOO_LARGE = "The request is larger than this address takes."
_CARD = (
    "Card numbers and their check codes are typed on the payment provider's own page, never here. "
    "Nothing of it was kept; take it out and send the rest again."
)
_BROKEN = "Something broke on our side. Try again; if it stays, tell us the request's id."
_ENDS_OF_TIME_S = 31_536_000

_log = structlog.get_logger(__name__)

Headers = list[tuple[bytes, bytes]]


class _TooLarge(HTTPException):
    """The body went over its limit while it was read."""

    status_code = 413
    detail = _TOO_LARGE


class _CardSent(HTTPException):
    """A card's number came with a request."""

    status_code = 422
    detail = _CARD
    code = "card_number"


def page_policy(form_action: Sequence[str] = (), image_sources: Sequence[str] = ()) -> str:
    """Write the Content-Security-Policy of pages: no inline script, nothing from elsewhere."""
    return "; ".join(
        (
            "default-src 'self'",
            "script-src 'self'",
            "style-src 'self'",
            " ".join(("img-src 'self' data:", *image_sources)),
            "object-src 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            " ".join(("form-action 'self'", *form_action)),
        )
    )


class Edge:
    """Wraps the application of a process."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        is_https: bool = False,
        proxies: Sequence[str] = (),
        body_bytes_max: int = 2_000_000,
        body_bytes_max_below: Mapping[str, int] | None = None,
        form_action: Sequence[str] = (),
        cards_below: Sequence[str] = ("/rpc/",),
        metrics: Metrics | None = None,
    ) -> None:
        """`body_bytes_max_below` gives other limits to paths below a prefix (`/rpc/`, uploads).

        Card numbers are refused everywhere but below `cards_below`: where numbers are goods, or
        somebody else's names for payments.
        """
        self._cards_below = tuple(cards_below)
        self._app = app
        self._proxies = Proxies(proxies)
        self._body_bytes_max = body_bytes_max
        self._body_bytes_max_below = tuple((body_bytes_max_below or {"/rpc/": 32_000_000}).items())
        self._metrics = metrics
        if metrics is not None:
            for where in ("query", "body", "log"):
                metrics.count("vendrail_card_numbers_total", where, by=0)
        common: Headers = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),
        ]
        if is_https:
            hsts = b"max-age=%d; includeSubDomains" % _ENDS_OF_TIME_S
            common.append((b"strict-transport-security", hsts))
        self._data_headers: Headers = [
            *common,
            (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
        ]
        self._page_headers: Headers = [
            *common,
            (b"content-security-policy", page_policy(form_action).encode()),
            (b"cross-origin-opener-policy", b"same-origin"),
            (
                b"permissions-policy",
                b"camera=(), microphone=(), geolocation=(), payment=(), usb=()",
            ),
            (b"x-frame-options", b"DENY"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; lifespan and websocket events pass through."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        http: HTTPScope = scope
        trace_id = new_trace_id()
        mark, length, is_chunked = self._read_head(http)
        mark = mark or trace_id[:16].encode()
        method = http["method"]
        begun = perf_counter()
        token = request_id.set(mark.decode())
        exchange = _Exchange(send, self, mark)
        if method == "HEAD":
            # Every GET route answers HEAD too: as it answers GET, and the body stays here.
            http["method"] = "GET"
            exchange = _HeadExchange(send, self, mark)
            receive = exchange.until_ended(receive)
        limit = self._limit(http["path"])
        try:
            with start_trace(method, trace_id):
                if not http["path"].startswith(self._cards_below):
                    if http["query_string"] and holds_card(http["query_string"]):
                        self.count_card("query")
                        await exchange.refuse(422, "card_number", _CARD)
                        return
                    if method in _WITH_BODY:
                        found = partial(self.count_card, "body")
                        receive = watched(cast("dict[str, Any]", http), receive, found, _CardSent)
                if is_chunked or length > limit:
                    # Whoever reads it is stopped, and answers as it does: a page with a page.
                    receive = _bounded(receive, limit, length)
                await self._app(scope, receive, exchange.send)
        except _CardSent:
            await exchange.refuse(422, "card_number", _CARD)
        except _TooLarge:
            await exchange.refuse(413, "body_too_large", _TOO_LARGE)
        except Exception:  # noqa: BLE001  # The last line: nobody gets a traceback.
            _log.exception("request.broken", path=http["path"])
            await exchange.refuse(500, "broken", _BROKEN)
        finally:
            request_id.reset(token)
            if self._metrics is not None:
                self._measure(self._metrics, http, method, exchange.status, perf_counter() - begun)

    def _read_head(self, scope: HTTPScope) -> tuple[bytes, int, bool]:
        """Give the id that came along, the length, whether that is unknown; set the true client."""
        mark, length, is_chunked, forwarded = b"", 0, False, b""
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                mark = value if _REQUEST_ID.fullmatch(value) else b""
            elif name == b"content-length":
                length = int(value) if value.isdigit() else 1 << 62
            elif name == b"transfer-encoding":
                is_chunked = True
            elif name == b"x-forwarded-for":
                forwarded = forwarded + b"," + value if forwarded else value
        peer = scope["client"]
        if forwarded and peer:
            client = self._proxies.client(peer[0], forwarded.decode("latin-1"))
            if client != peer[0]:
                scope["client"] = (client, 0)
        # HTTP/2 knows no transfer-encoding: without a length the body may be of any size.
        is_open = not length and scope["method"] not in ("GET", "HEAD")
        return mark, length, is_chunked or is_open

    def count_card(self, where: str) -> None:
        """Count a card's number that was sent, and say that it was: never which."""
        _log.warning("request.card_refused", where=where)
        if self._metrics is not None:
            self._metrics.count("vendrail_card_numbers_total", where)

    def _limit(self, path: str) -> int:
        for prefix, limit in self._body_bytes_max_below:
            if path.startswith(prefix):
                return limit
        return self._body_bytes_max

    def headers(self, given: Headers, mark: bytes) -> Headers:
        """Add what is missing to a response's headers: pages get more than data does."""
        is_page = has_policy = has_referrer = False
        for name, value in given:
            key = name.lower()
            if key == b"content-type":
                is_page = value.startswith(b"text/html")
            elif key == b"content-security-policy":
                has_policy = True
            elif key == b"referrer-policy":
                has_referrer = True
        added = self._page_headers if is_page else self._data_headers
        if has_policy or has_referrer:
            own = {name.lower() for name, _ in given}
            added = [pair for pair in added if pair[0] not in own]
        return [*given, *added, (b"x-request-id", mark)]

    @staticmethod
    def _measure(
        metrics: Metrics, scope: HTTPScope, method: str, status: int, taken_s: float
    ) -> None:
        # Labels come from the routes, never from what was typed: their number is bounded.
        route = cast("dict[str, Any]", scope).get("path_template") or "none"
        method = method if method in _METHODS else "other"
        label = f"{status // 100}xx" if status else "none"
        metrics.observe("vendrail_http_request_seconds", taken_s, method, route, label)


class _Exchange:
    """One answer on its way out."""

    __slots__ = ("_edge", "_mark", "_send", "status")

    def __init__(self, send: Send, edge: Edge, mark: bytes) -> None:
        self._send = send
        self._edge = edge
        self._mark = mark
        self.status = 0

    async def send(self, message: Message) -> None:
        """Pass a message on; the first gets the headers that everything here has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = self._edge.headers(list(message["headers"]), self._mark)
        await self._send(message)

    async def refuse(self, status: int, code: str, detail: str) -> None:
        """Answer with a problem, if no answer has begun."""
        if self.status:
            return
        body = problem_body(status, code, detail)
        headers: Headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
        ]
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await self.send(cast("Message", start))
        rest = {"type": "http.response.body", "body": body, "more_body": False}
        await self.send(cast("Message", rest))


class _HeadExchange(_Exchange):
    """An answer without its body: what was asked is what it would be like."""

    __slots__ = ("_ended",)

    def __init__(self, send: Send, edge: Edge, mark: bytes) -> None:
        super().__init__(send, edge, mark)
        self._ended = asyncio.Event()

    async def send(self, message: Message) -> None:
        """Pass the head on and end the answer there; whatever comes of its body is dropped."""
        if message["type"] == "http.response.start":
            await super().send(message)
        elif not self._ended.is_set():
            self._ended.set()
            end = {"type": "http.response.body", "body": b"", "more_body": False}
            await super().send(cast("Message", end))

    def until_ended(self, receive: Receive) -> Receive:
        """Tell the application that the asker has gone, once the head is out: streams end too."""
        has_body = True

        async def receive_or_end() -> Any:
            nonlocal has_body
            if has_body:
                has_body = False
                return await receive()
            await self._ended.wait()
            return {"type": "http.disconnect"}

        return receive_or_end


def _bounded(receive: Receive, limit: int, length: int) -> Receive:
    """Stop a body where it goes over its limit: before its first byte, if its length says so."""
    size = 0

    async def bounded() -> Any:
        nonlocal size
        if length > limit:
            raise _TooLarge
        message = await receive()
        if message["type"] == "http.request":
            size += len(message["body"])
            if size > limit:
                raise _TooLarge
        return message

    return bounded
