"""The whole platform in one table: which services there are, what each is and needs.

All in one process or split over many is a matter of this table's rows, never of other code: for
each need the wiring gives the object of this process or a client of a peer.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

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
from vendrail.buyers.jobs import jobs as buyers_jobs
from vendrail.buyers.service import BuyersService
from vendrail.catalog.jobs import jobs as catalog_jobs
from vendrail.catalog.service import CatalogService
from vendrail.compliance.jobs import jobs as compliance_jobs
from vendrail.compliance.service import ComplianceService
from vendrail.disputes.jobs import jobs as disputes_jobs
from vendrail.disputes.service import DisputesService
from vendrail.domains.jobs import jobs as domains_jobs
from vendrail.domains.service import DomainsService
from vendrail.epay.jobs import jobs as epay_jobs
from vendrail.epay.service import EpayService
from vendrail.fx.jobs import jobs as fx_jobs
from vendrail.fx.service import FxService
from vendrail.identity.jobs import jobs as identity_jobs
from vendrail.identity.service import IdentityService
from vendrail.kernel.jobs import Job
from vendrail.ledger.jobs import jobs as ledger_jobs
from vendrail.ledger.service import LedgerService
from vendrail.notify.jobs import jobs as notify_jobs
from vendrail.notify.service import NotifyService
from vendrail.orders.jobs import jobs as orders_jobs
from vendrail.orders.service import OrdersService
from vendrail.payments.jobs import jobs as payments_jobs
from vendrail.payments.service import PaymentsService
from vendrail.payouts.jobs import jobs as payouts_jobs
from vendrail.payouts.service import PayoutsService
from vendrail.promotions.jobs import jobs as promotions_jobs
from vendrail.promotions.service import PromotionsService
from vendrail.risk.jobs import jobs as risk_jobs
from vendrail.risk.service import RiskService
from vendrail.settlement.jobs import jobs as settlement_jobs
from vendrail.settlement.service import SettlementService
from vendrail.support.jobs import jobs as support_jobs
from vendrail.support.service import SupportService
from vendrail.wallets.service import WalletsService
from vendrail.webhooks.jobs import jobs as webhooks_jobs
from vendrail.webhooks.service import WebhooksService


@dataclass(frozen=True)
class ServiceEntry:
    """One service: its name is its schema, its role and its address below /rpc."""

    name: str
    api: Any  # The Protocol that others see.
    implementation: Any  # The class that fulfils it; its constructor's types are its needs.
    jobs: Callable[..., list[Job]] = field(default=lambda _: [])  # Of it, and of apis it reads.
    connections_max: int = 3


SERVICES = (
    ServiceEntry("ledger", Ledger, LedgerService, ledger_jobs),
    ServiceEntry("fx", Fx, FxService, fx_jobs, connections_max=1),
    ServiceEntry("catalog", Catalog, CatalogService, catalog_jobs),
    ServiceEntry("risk", Risk, RiskService, risk_jobs),
    ServiceEntry("notify", Notify, NotifyService, notify_jobs, connections_max=2),
    ServiceEntry("identity", Identity, IdentityService, identity_jobs, connections_max=2),
    ServiceEntry("buyers", Buyers, BuyersService, buyers_jobs, connections_max=2),
    ServiceEntry("compliance", Compliance, ComplianceService, compliance_jobs, connections_max=1),
    ServiceEntry("settlement", Settlement, SettlementService, settlement_jobs, connections_max=2),
    ServiceEntry("wallets", Wallets, WalletsService, connections_max=1),
    ServiceEntry("promotions", Promotions, PromotionsService, promotions_jobs, connections_max=1),
    ServiceEntry("payments", Payments, PaymentsService, payments_jobs),
    ServiceEntry("orders", Orders, OrdersService, orders_jobs, connections_max=4),
    ServiceEntry("payouts", Payouts, PayoutsService, payouts_jobs, connections_max=2),
    ServiceEntry("disputes", Disputes, DisputesService, disputes_jobs, connections_max=1),
    ServiceEntry("domains", Domains, DomainsService, domains_jobs, connections_max=1),
    ServiceEntry("epay", Epay, EpayService, epay_jobs, connections_max=2),
    ServiceEntry("support", Support, SupportService, support_jobs, connections_max=2),
    ServiceEntry("webhooks", Webhooks, WebhooksService, webhooks_jobs, connections_max=2),
)

FACES = ("gateway", "web")  # What people and programs meet; clients of the services.

SCHEMAS = (*(entry.name for entry in SERVICES), "limits")
