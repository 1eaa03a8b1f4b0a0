"""The services that the consoles use."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

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
from vendrail.kernel.numbers import Numbered


@dataclass(frozen=True)
class Apis:
    """Everything that a page of a console may ask."""

    identity: Identity
    catalog: Catalog
    orders: Orders
    payments: Payments
    risk: Risk
    settlement: Settlement
    ledger: Ledger
    notify: Notify
    epay: Epay
    fx: Fx
    support: Support
    payouts: Payouts
    wallets: Wallets
    disputes: Disputes
    webhooks: Webhooks
    promotions: Promotions
    compliance: Compliance
    domains: Domains
    render_metrics: Callable[[], Awaitable[bytes]]  # Of all workers of this server.
    act_limit: Callable[[str], Awaitable[float]] | None = None  # Of one person; seconds to wait.

    @property
    def numbered(self) -> tuple[Numbered, ...]:
        """Give all services that find what they have by numbers."""
        return (
            self.orders,
            self.epay,
            self.payments,
            self.payouts,
            self.disputes,
            self.support,
            self.webhooks,
            self.ledger,
        )
