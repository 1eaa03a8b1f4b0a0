"""The pages as route handlers for the one application that the wiring builds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.types import Scope

from vendrail.api.buyers import Buyers
from vendrail.api.catalog import Catalog
from vendrail.api.domains import Domains
from vendrail.api.epay import Epay
from vendrail.api.fx import Fx
from vendrail.api.notify import Notify
from vendrail.api.orders import Orders
from vendrail.api.payments import Payments
from vendrail.api.payouts import Payouts
from vendrail.api.promotions import Promotions
from vendrail.api.support import Support
from vendrail.api.wallets import Wallets
from vendrail.kernel.clock import Clock
from vendrail.kernel.errors import Error, Malformed, Unavailable
from vendrail.kernel.limits.gate import Gate
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.soldfiles import SoldFiles
from vendrail.kernel.telemetry import Metrics
from vendrail.kernel.vault import Vault
from vendrail.web.calls import Calls
from vendrail.web.console.apis import Apis
from vendrail.web.consoles import console_handlers
from vendrail.web.countries import Countries
from vendrail.web.epay.doors import EpayDoors
from vendrail.web.files import file_handlers
from vendrail.web.hosts import ShopHosts, later
from vendrail.web.live import LivePages
from vendrail.web.pages import Assets, Pages
from vendrail.web.purse import Purse
from vendrail.web.settings import WebSettings
from vendrail.web.signedin import SignedIn
from vendrail.web.storefront.about import About
from vendrail.web.storefront.agreeing import Agreeing
from vendrail.web.storefront.door import Door
from vendrail.web.storefront.finding import Finding
from vendrail.web.storefront.front import AddressOf, Front, Limit
from vendrail.web.storefront.helping import Helping
from vendrail.web.storefront.letters import Letters
from vendrail.web.storefront.passkeys import account_handlers
from vendrail.web.storefront.quick import Quick
from vendrail.web.storefront.receipts import BuyersReceipts
from vendrail.web.storefront.shopping import Shopping
from vendrail.web.storefront.tracking import Tracking
from vendrail.web.storefront.wallet import wallet_handlers
from vendrail.web.visitor import Visitors
from vendrail.web.wallets import BuyerWallets

_log = structlog.get_logger(__name__)


# Pages that a place of its own kind has beside the others', as the demo has a mailbox.
MorePages = Callable[[Front], Sequence[HTTPRouteHandler]]
AnswerError = Callable[[Request[Any, Any, Any], Exception], Response[bytes]]


@dataclass(frozen=True)
class Web:
    """What the wiring mounts: routes, and the page for whatever goes wrong."""

    handlers: Sequence[Any]
    answer_error: AnswerError
    calls: Calls
    live: LivePages
    hosts: ShopHosts  # For the door before everything else.


def peer_address(scope: Scope) -> str:
    """Give the network address of whoever is connected."""
    client = scope.get("client")
    return client[0] if client else ""


def error_page(front: Front) -> AnswerError:
    """Give what answers with a page for whatever goes wrong."""

    def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        """Answer with a page that says what to do; what broke is logged, never shown."""
        if isinstance(error, HTTPException):
            return front.problem(request, error.status_code, headers=dict(error.headers or {}))
        if isinstance(error, Malformed):
            return front.problem(request, 400)
        if isinstance(error, Unavailable):
            return front.problem(request, 503, error.retry_after_s)
        _log.error("web.broken", path=request.url.path, exc_info=error)
        return front.problem(request, 500)

    return answer_error


def build_routes(
    catalog: Catalog,
    orders: Orders,
    payments: Payments,
    *,
    consoles: Apis | None = None,
    domains: Domains | None = None,
    epay: Epay | None = None,
    payouts: Payouts | None = None,
    fx: Fx | None = None,
    buyers: Buyers | None = None,
    support: Support | None = None,
    wallets: Wallets | None = None,
    promotions: Promotions | None = None,
    notify: Notify | None = None,
    vault: Vault,
    clock: Clock,
    wakeups: Wakeups,
    settings: WebSettings,
    address_of: AddressOf = peer_address,
    place_limit: Limit | None = None,
    make_gate: Callable[[Callable[[], bool]], Gate] | None = None,
    lookup_limit: Limit | None = None,
    account_limit: Limit | None = None,
    metrics: Metrics | None = None,
    more: MorePages | None = None,
) -> Web:
    """Build the storefront; with `consoles`, `epay`, `buyers` and `wallets` what is theirs."""
    calls = Calls(catalog, orders, payments, metrics, epay, fx, promotions)
    purse = Purse(settings, Countries(settings.country_database), calls.methods, calls.rate)
    visitors, assets = Visitors(vault, settings), Assets()
    signed_in = SignedIn(buyers, clock, settings, metrics) if buyers is not None else None
    front = Front(
        calls,
        Pages(visitors, settings, assets),
        visitors,
        clock,
        settings,
        address_of,
        purse,
        signed_in,
        BuyerWallets(wallets, orders, signed_in) if wallets and signed_in else None,
        hosts=ShopHosts(domains, calls.shop, settings.public_url),
        has_consoles=consoles is not None,
        has_letters=notify is not None,
    )
    live = LivePages(wakeups, settings.live_pages_max)
    gate = make_gate(calls.is_strained) if make_gate is not None else None
    home = settings.home.expanduser()
    files = SoldFiles(home / "files", vault)

    answer_error = error_page(front)
    rooms: list[HTTPRouteHandler] = [
        *Shopping(front, place_limit, gate).handlers(),
        *Tracking(front, live, files, support).handlers(),
        *BuyersReceipts(front, place_limit).handlers(),
        *(Helping(front, live, support, place_limit).handlers() if support is not None else ()),
        *Door(front).handlers(),
        *Finding(front, lookup_limit).handlers(),
        *About(front).handlers(),
        later(),
        *(account_handlers(front, signed_in, account_limit, gate) if signed_in else ()),
        *(Quick(front, place_limit).handlers() if signed_in else ()),
        *(Agreeing(front).handlers() if signed_in else ()),
        *(Letters(front, notify, signed_in).handlers() if notify else ()),
        *wallet_handlers(front, place_limit),
        *file_handlers(assets, home / "media"),
        *(EpayDoors(front, epay, payouts, place_limit, gate).handlers() if epay else ()),
        *(more(front) if more is not None else ()),
    ]
    for room in rooms:
        # Each kind by itself: a handler of the application for one kind would win over `Exception`.
        room.exception_handlers = dict.fromkeys((Error, HTTPException, Exception), answer_error)
    if consoles is not None:
        rooms += console_handlers(front, consoles, files, live, gate)
    return Web(rooms, answer_error, calls, live, front.hosts)
