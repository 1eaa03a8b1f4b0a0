"""The faces: what people and programs meet, built as clients of the services' apis."""

from collections.abc import Awaitable, Callable

from vendrail.api.buyers import Buyers
from vendrail.api.catalog import Catalog
from vendrail.api.compliance import Compliance
from vendrail.api.disputes import Disputes
from vendrail.api.domains import Domains
from vendrail.api.epay import Epay
from vendrail.api.fx import Fx
from vendrail.api.identity import Identity
from vendrail.api.ledger import Ledger
from vendrail.api.notify import Notify
from vendrail.api.orders import Orders
from vendrail.api.payments import Payments
from vendrail.api.payouts import Payouts
from vendrail.api.promotions import Promotions
from vendrail.api.risk import Risk
from vendrail.api.settlement import Settlement
from vendrail.api.support import Support
from vendrail.api.wallets import Wallets
from vendrail.api.webhooks import Webhooks
from vendrail.app.wiring import House
from vendrail.gateway.http import Gateway, build_gateway
from vendrail.gateway.merchant.door import MerchantApis, MerchantDoor
from vendrail.gateway.settings import GatewaySettings
from vendrail.kernel.http.addresses import limit_key
from vendrail.kernel.limits import SharedLimit
from vendrail.kernel.limits.gate import Gate
from vendrail.kernel.limits.proofs import Proofs
from vendrail.kernel.telemetry import trace_id_here
from vendrail.web.app import MorePages, Web, build_routes
from vendrail.web.console.apis import Apis
from vendrail.web.hosts import ShopHosts
from vendrail.web.settings import WebSettings

_MINUTE_S = 60
_ACTS_PER_MINUTE_MAX = 60  # Of a merchant's person or key, where looking or writing down is logged.

Limit = Callable[[str], Awaitable[float]]
MakeGate = Callable[[Callable[[], bool]], Gate]


class Faces:
    """Builds the faces of one process; their limits hold over all processes together."""

    def __init__(
        self, house: House, render_metrics: Callable[[], Awaitable[bytes]] | None = None
    ) -> None:
        self._house = house
        self._render_metrics = render_metrics or house.metrics.render
        self._metrics = house.metrics
        self._apis = (house.api(Catalog), house.api(Orders), house.api(Payments))

    def gateway(self) -> Gateway:
        """Build the public REST API and the callback door."""
        settings: GatewaySettings = self._house.settings(GatewaySettings, "gateway")
        return build_gateway(
            *self._apis,
            clock=self._house.clock,
            vault=self._house.vault,
            settings=settings,
            place_limit=self._limit("api_place", settings.places_per_minute_max),
            make_gate=self._gate(settings.proof_numbers_max, settings.unproven_per_minute),
            merchants=self._merchants(settings),
            start_trace=trace_id_here,
            metrics=self._metrics,
            fx=self._house.api(Fx),
            promotions=self._house.api(Promotions),
        )

    def _merchants(self, settings: GatewaySettings) -> MerchantDoor:
        """Build the merchants' part of the API; a key's rate holds over all processes together."""
        house = self._house
        catalog, orders, payments = self._apis
        api = house.api
        apis = MerchantApis(
            api(Identity),
            catalog,
            orders,
            payments,
            api(Settlement),
            api(Ledger),
            api(Payouts),
            api(Webhooks),
        )
        capacity = settings.requests_per_key_per_minute_max
        limit = None
        if capacity:
            limit = SharedLimit(
                house.limits_database(), house.vault, house.clock, name="api_key",
                capacity=capacity, window_s=_MINUTE_S,
            )  # fmt: skip
        acts = self._limit("api_act", _ACTS_PER_MINUTE_MAX)
        return MerchantDoor(apis, house.clock, settings, limit, self._metrics, acts)

    def web(self, more: MorePages | None = None) -> Web:
        """Build the storefront and the consoles, and `more` pages that only a demo has."""
        house = self._house
        settings: WebSettings = house.settings(WebSettings, "web")
        return build_routes(
            *self._apis,
            consoles=self._consoles(),
            domains=house.api(Domains),
            epay=house.api(Epay),
            payouts=house.api(Payouts),
            fx=house.api(Fx),
            buyers=house.api(Buyers),
            support=house.api(Support),
            wallets=house.api(Wallets),
            promotions=house.api(Promotions),
            notify=house.api(Notify),
            vault=house.vault,
            clock=house.clock,
            wakeups=house.wakeups,
            settings=settings,
            place_limit=self._limit("web_place", settings.places_per_minute_max),
            make_gate=self._gate(settings.proof_numbers_max, settings.unproven_per_minute),
            lookup_limit=self._limit("lookup", settings.lookups_per_minute_max),
            account_limit=self._limit("sign_in", settings.sign_ins_per_minute_max),
            metrics=self._metrics,
            more=more,
        )

    def hosts(self) -> ShopHosts:
        """Give the domains of shops, for a process without pages: it has nothing to show there."""
        return ShopHosts(self._house.api(Domains), None, self._house.platform.public_url)

    def _consoles(self) -> Apis:
        """Give the services that the consoles use."""
        api = self._house.api
        catalog, orders, payments = self._apis
        return Apis(
            api(Identity),
            catalog,
            orders,
            payments,
            api(Risk),
            api(Settlement),
            api(Ledger),
            api(Notify),
            api(Epay),
            api(Fx),
            api(Support),
            api(Payouts),
            api(Wallets),
            api(Disputes),
            api(Webhooks),
            api(Promotions),
            api(Compliance),
            api(Domains),
            self._render_metrics,
            self._limit("console_act", _ACTS_PER_MINUTE_MAX),
        )

    def _gate(self, numbers_max: int, free_per_minute: int) -> MakeGate | None:
        """Say how the gate before a face's orders is made; no numbers: there is none."""
        if not numbers_max:
            return None
        house = self._house
        proofs = Proofs(house.limits_database(), house.vault, house.clock, numbers_max=numbers_max)

        def make(is_strained: Callable[[], bool]) -> Gate:
            return Gate(
                proofs,
                house.clock,
                free_per_minute=free_per_minute,
                is_strained=is_strained,
                metrics=self._metrics,
            )

        return make

    def _limit(self, name: str, per_minute_max: int) -> Limit | None:
        """Make a limit per network address, or person, and minute; 0: none."""
        if not per_minute_max:
            return None
        house, metrics = self._house, self._metrics
        shared = SharedLimit(
            house.limits_database(),
            house.vault,
            house.clock,
            name=name,
            capacity=per_minute_max,
            window_s=_MINUTE_S,
        )

        metrics.count("vendrail_limit_refusals_total", name, by=0)

        async def take(address: str) -> float:
            wait_s = await shared.take(limit_key(address))
            if wait_s:
                metrics.count("vendrail_limit_refusals_total", name)
            return wait_s

        return take
