"""What every page of the storefront leans on: pages, calls, visitors, limits."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from litestar import Request, Response
from litestar.types import Scope

from vendrail.api.buyers import BuyerSession
from vendrail.api.catalog import Shop
from vendrail.api.orders import OrderId, OrderQuery, OrderView
from vendrail.api.payments import Device
from vendrail.kernel.clock import Clock
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.http import limit_key
from vendrail.web.calls import Calls
from vendrail.web.hosts import ShopHosts, domain_of, is_unread
from vendrail.web.languages import message
from vendrail.web.pages import Pages
from vendrail.web.papers.press import Press
from vendrail.web.purse import Purse
from vendrail.web.settings import WebSettings
from vendrail.web.signedin import SignedIn
from vendrail.web.storefront.habits import Habits
from vendrail.web.visitor import Visitor, Visitors
from vendrail.web.wallets import BuyerWallets

Asked = Request[Any, Any, Any]
Page = Response[bytes]
AddressOf = Callable[[Scope], str]
Limit = Callable[[str], Awaitable[float]]  # Seconds to wait before the key may go on; 0: now.

_log = structlog.get_logger(__name__)

_PROBLEMS = {
    400: (
        message("That did not work"),
        message("The request could not be read. Go back and try again."),
    ),
    403: (
        message("Please send the form again"),
        message(
            "It was not sent from this page, or cookies are off. Go back, reload and try again."
        ),
    ),
    404: (
        message("Nothing here"),
        message("The address may be old or mistyped. The shop is one step away."),
    ),
    405: (
        message("That did not work"),
        message("The request could not be read. Go back and try again."),
    ),
    413: (message("That did not work"), message("What was sent is too large.")),
    422: (
        message("No card number here"),
        message(
            "A card's number and its check code are typed on the payment provider's own page, never"
            " here. Nothing of it was kept: go back, take it out, and send the rest again."
        ),
    ),
    429: (
        message("A little slower, please"),
        message("There were too many tries from your network. Wait a moment, then go on."),
    ),
    500: (
        message("Our mistake"),
        message("Nothing was lost. Try again; orders and payments are safe."),
    ),
    503: (
        message("Very busy right now"),
        message("Nothing was charged. Wait a few seconds and try again."),
    ),
}


class Front:
    """The tools of the storefront's rooms, and the pages for when something is wrong."""

    def __init__(
        self,
        calls: Calls,
        pages: Pages,
        visitors: Visitors,
        clock: Clock,
        settings: WebSettings,
        address_of: AddressOf,
        purse: Purse,
        signed_in: SignedIn | None = None,
        wallets: BuyerWallets | None = None,
        *,
        hosts: ShopHosts | None = None,
        has_consoles: bool = False,
        has_letters: bool = False,
    ) -> None:
        self.calls = calls
        self.pages = pages
        self.visitors = visitors
        self.clock = clock
        self.settings = settings
        self.address_of = address_of
        self.purse = purse
        self.signed_in = signed_in
        self.wallets = wallets
        self.has_consoles = has_consoles
        self.has_letters = has_letters
        self.habits = Habits(visitors, clock, calls.attempts)
        self.press = Press()
        self.public_url = settings.public_url.rstrip("/")
        self.hosts = hosts or ShopHosts(None, calls.shop, self.public_url)

    def is_brief(self, visitor: Visitor) -> bool:
        """Whether an order that is opened stays open no longer than the browser.

        Whoever is signed in finds it in the account again.
        """
        return self.signed_in is not None and bool(self.signed_in.token(visitor))

    def visitor(self, request: Asked) -> Visitor:
        """Read who is asking."""
        headers = request.headers
        found = self.visitors.read(headers.get("cookie", ""), headers.get("accept-language", ""))
        address = self.address_of(request.scope)
        found.currency = self.purse.choose(found.currency, address)
        found.country = self.purse.country(address)
        found.domain = domain_of(request.scope)
        return found

    def origin(self, visitor: Visitor) -> str:
        """Give where a browser is, as far as that is proven: where a provider sends it back to."""
        return visitor.domain.origin if visitor.domain is not None else self.public_url

    def home_of(self, shop: Shop) -> str:
        """Give the one address of a shop that search engines are to keep."""
        own = self.hosts.origin_of(shop.id)
        return f"{own}/" if own else f"{self.public_url}/shops/{shop.slug}"

    async def read(self, visitor: Visitor, query: OrderQuery) -> OrderView | None:
        """Read an order; on a shop's own domain, orders of other shops are not there."""
        view = await self.calls.read(query)
        return view if view is not None and _is_here(visitor, view) else None

    async def is_here(self, visitor: Visitor, order: OrderId) -> bool:
        """Whether an order belongs on the host that a browser came by, whoever may open it."""
        if visitor.domain is None:
            return True
        view = await self.calls.read(OrderQuery(order, None))
        return view is not None and _is_here(visitor, view)

    def page(self, request: Asked, visitor: Visitor, template: str, **context: Any) -> Page:
        """Answer with a page."""
        accepts = request.headers.get("accept-encoding", "")
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        context.setdefault("here", path)
        context.setdefault("device", device_kind(request))
        domain = visitor.domain
        context["domain"] = domain
        if domain is not None:  # Its pages are the shop's: what is the platform's is not there.
            context["site_name"] = domain.name
            context.setdefault("look", domain.shop)
        is_ours = domain is None and not is_unread(request.scope)
        signed_in = self.signed_in if is_ours else None
        context["has_consoles"] = self.has_consoles and is_ours
        context["has_letters"] = self.has_letters and is_ours
        context["has_accounts"] = signed_in is not None
        context["is_signed_in"] = signed_in is not None and bool(signed_in.token(visitor))
        context["shown_currencies"] = self.purse.currencies
        return self.pages.page(template, visitor, accepts=accepts, **context)

    def problem(
        self, request: Asked, status: int, wait_s: float = 0, headers: dict[str, str] | None = None
    ) -> Page:
        """Answer with the page for a status, in the visitor's language."""
        known = status if status in _PROBLEMS else (500 if status >= 500 else 400)
        title, advice = _PROBLEMS[known]
        sent = dict(headers or {})
        if wait_s > 0 or known == 503:
            sent["retry-after"] = str(max(1, round(wait_s + 0.499)))
        visitor = self.visitor(request)
        return self.page(
            request,
            visitor,
            "problem.html",
            status=status,
            headers=sent,
            here="/",
            title=self.pages.translate(visitor, title),
            advice=self.pages.translate(visitor, advice),
        )

    async def session(self, visitor: Visitor) -> BuyerSession | None:
        """Give the buyer who is signed in; a guest is asked for nothing, and costs nothing."""
        if self.signed_in is None:
            return None
        try:
            return await self.signed_in.session(visitor)
        except Unavailable as error:  # A shop is open also while its accounts are away.
            _log.warning("web.accounts_away", error=str(error))
            return None

    async def refuse_form(
        self, request: Asked, visitor: Visitor, form: dict[str, str], limit: Limit | None = None
    ) -> Page | None:
        """Refuse a form that is not ours, or that comes too often; None: it may pass."""
        if not self.visitors.is_own_form(visitor, request.headers, form.get("form_token", "")):
            return self.problem(request, 403)
        if limit is not None:
            wait_s = await limit(limit_key(self.address_of(request.scope)))
            if wait_s > 0:
                return self.problem(request, 429, wait_s)
        return None


def _is_here(visitor: Visitor, order: OrderView) -> bool:
    return visitor.domain is None or order.shop == visitor.domain.shop_id


def device_kind(request: Asked) -> Device:
    """Where the browser runs: in a wallet's own app, on a phone, or on a desk."""
    agent = request.headers.get("user-agent", "")
    if "MicroMessenger" in agent:
        return Device.WECHAT
    if "AlipayClient" in agent:
        return Device.ALIPAY
    hint = request.headers.get("sec-ch-ua-mobile", "")
    if hint:
        return Device.MOBILE if hint == "?1" else Device.DESKTOP
    is_mobile = any(mark in agent for mark in ("Mobi", "Android", "iPhone", "iPad"))
    return Device.MOBILE if is_mobile else Device.DESKTOP
