"""Hosts: which shop a request is for, and what of the platform is there on a shop's own domain.

Nothing is ever made of a Host header itself: a domain counts when it was proven, and then what the
platform has written down of it is used.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from litestar import HttpMethod, Request, Response, route
from litestar.enums import ScopeType
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from vendrail.api.catalog import Shop
from vendrail.api.domains import Domains, ShopHost
from vendrail.kernel.errors import Error, Unavailable

_log = structlog.get_logger(__name__)

_KEPT_S = 2.0  # How long the list of domains is used before it is read again.
_NAME = "vendrail_shop_domain"  # In the scope of a request.
_NOWHERE = "/-"  # What is not there on a shop's domain is answered as a path of no page.
_UNREAD = "vendrail_hosts_unread"  # In the scope of a request: nobody knows yet whose its host is.
_LATER = "/-/later"  # Where such a request is answered.
_EVERYWHERE = "/assets/"  # What pages look like is the same on every host.
_ADDRESS = re.compile(r"[0-9.]+|\[.*")  # Nobody proves an address: it is the platform's.
_STS = b"strict-transport-security"
# Accounts, wallets, lookups, consoles, the API and callbacks are the platform's own host's alone:
# whoever governs a domain's DNS could read what is sent there.
_PATHS = frozenset(
    ("/", "/orders", "/lookup", "/help", "/robots.txt", "/sitemap.xml", "/favicon.ico")
)
_BELOW = (
    "/shops/", "/products/", "/orders/", "/pay/", "/assets/", "/media/", "/language/", "/theme/",
    "/currency/",
)  # fmt: skip
# Below an order, yet only for who is signed in, and on a shop's domain nobody is.
_OF_ACCOUNTS = re.compile(r"/orders/+(confirm|[^/]+/+(wallet|saved))(/.*)?")
_BETWEEN_US = "/rpc/"  # Services' own calls, which carry a secret, by whatever name they go.

ReadShop = Callable[[str], Awaitable[Shop | None]]


@dataclass(frozen=True)
class ShopDomain:
    """The domain that a request came by, and the shop that it shows."""

    host: str
    origin: str  # As https://keys.example: made of what was proven, not of what was sent.
    shop_id: UUID
    slug: str
    shop: Shop | None  # None: it cannot be read just now.

    @property
    def name(self) -> str:
        """Give what stands at the head of its pages."""
        return self.shop.name if self.shop is not None else self.host


class ShopHosts:
    """The active domains, remembered for a moment: a page costs no look at the database."""

    def __init__(
        self, domains: Domains | None, read_shop: ReadShop | None, public_url: str
    ) -> None:
        self._domains = domains
        self._read_shop = read_shop
        parts = urlsplit(public_url)
        self._scheme = parts.scheme
        self._port = f":{parts.port}" if parts.port else ""
        self._own = parts.hostname or ""
        self._is_known = domains is None
        self._by_host: dict[str, ShopHost] = {}
        self._origins: dict[UUID, str] = {}
        self._fresh_until = 0.0 if domains is not None else float("inf")
        self._reading: asyncio.Task[None] | None = None
        self._must_wait = True

    async def find(self, host: str) -> ShopDomain | None:
        """Find whose a host is, as of a moment ago; None: it is the platform's, or nobody's."""
        if self._fresh_until < time.monotonic():
            await self._renew()
        known = self._by_host.get(host)
        if known is None:
            return None
        origin, shop = self._origin(known.host), await self._shop(known.slug)
        return ShopDomain(known.host, origin, known.shop, known.slug, shop)

    async def _shop(self, slug: str) -> Shop | None:
        if self._read_shop is None:  # Where no pages are, nobody asks what it is called.
            return None
        try:
            return await self._read_shop(slug)
        except Error as error:
            _log.warning("hosts.shop_away", error=str(error))
            return None

    def origin_of(self, shop: UUID) -> str:
        """Give where a shop is at home: the domain that it proved first; empty: it has none."""
        return self._origins.get(shop, "")

    def forget(self) -> None:
        """Have the next request wait for what is so now: something was changed here."""
        if self._domains is not None:
            self._fresh_until, self._must_wait, self._reading = 0.0, True, None

    async def _renew(self) -> None:
        """Read the domains again, once for all who ask; who need not wait goes on with the old."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        if self._must_wait:
            await asyncio.shield(self._reading)

    async def _read(self) -> None:
        if self._domains is None:
            return
        try:
            found = await self._domains.list_hosts()
        except Error as error:  # What was known stays: a shop is not gone with its list.
            _log.warning("hosts.domains_away", error=str(error))
            found = None
        if self._reading is not asyncio.current_task():
            return  # It was forgotten while it was read.
        if found is not None:
            self._by_host = {each.host: each for each in found}
            self._origins = {each.shop: self._origin(each.host) for each in reversed(found)}
            self._is_known = True
        self._fresh_until, self._must_wait = time.monotonic() + _KEPT_S, False

    @property
    def is_known(self) -> bool:
        """Whether the list of domains was read at least once."""
        return self._is_known

    def is_open(self, host: str) -> bool:
        """Whether the platform answers a host: not while a shop may have it that is not known."""
        is_own = host in ("", self._own, "localhost") or _ADDRESS.fullmatch(host) is not None
        return self._is_known or is_own

    def _origin(self, host: str) -> str:
        return f"{self._scheme}://{host}{self._port}"


def domain_of(scope: Scope) -> ShopDomain | None:
    """Give the domain of a shop that a request came by; None: it came by the platform's host."""
    http: Any = scope
    found: ShopDomain | None = http.get(_NAME)
    return found


def is_unread(scope: Scope) -> bool:
    """Whether a request came by a host of which nobody knows yet whose it is."""
    http: Any = scope
    return bool(http.get(_UNREAD))


def later() -> HTTPRouteHandler:
    """Give the route by which such a request is told to come back in a moment.

    Not found would be kept by caches and search engines: a shop would seem gone.
    """

    async def answer(request: Request[Any, Any, Any]) -> Response[bytes]:
        if not is_unread(request.scope):
            raise NotFoundException
        raise Unavailable("The list of shops' domains was not read yet.", _KEPT_S)

    methods = [each for each in HttpMethod if each not in (HttpMethod.HEAD, HttpMethod.OPTIONS)]
    return route(_LATER, http_method=methods, name="web.hosts.later")(answer)


class HostDoor:
    """Before all pages, the API and callbacks: says by which domain a request came.

    `has_pages`: no, this process has none to show; then nothing is there on a shop's domain.
    """

    def __init__(self, hosts: ShopHosts, inner: ASGIApp, *, has_pages: bool = True) -> None:
        self._hosts = hosts
        self._inner = inner
        self._has_pages = has_pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; on a shop's domain only what belongs to the shop is there."""
        if scope["type"] == ScopeType.HTTP:
            http: Any = scope
            host = _host(http["headers"])
            domain, path = await self._hosts.find(host), http["path"]
            if domain is None and not self._hosts.is_open(host):
                if not path.startswith((_BETWEEN_US, _EVERYWHERE)):
                    http[_UNREAD], http["path"] = True, _LATER
            elif domain is not None:
                http[_NAME] = domain
                if not self._has_pages or not _is_shops(path):
                    http["path"] = _NOWHERE
                send = _narrowed(send)
        await self._inner(scope, receive, send)


def _is_shops(path: str) -> bool:
    """Whether a path is there on a shop's domain."""
    is_listed = path in _PATHS or path.startswith(_BELOW)
    return is_listed and _OF_ACCOUNTS.fullmatch(path) is None


def _host(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Read the name that a request was sent to, without its port."""
    for name, value in headers:
        if name == b"host":
            host = value.decode("latin-1").lower()
            return host.partition(":")[0].removesuffix(".")
    return ""


def _narrowed(send: Send) -> Send:
    """Promise HTTPS for this name alone: what is below a merchant's domain is not ours to bind."""

    async def narrow(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                (name, value.partition(b";")[0] if name == _STS else value)
                for name, value in message["headers"]
            ]
        await send(message)

    return narrow
