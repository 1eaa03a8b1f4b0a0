"""What the metrics ask at each scrape, and what readiness means."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from vendrail.api.catalog import Catalog
from vendrail.api.compliance import COMPANY, PERSON
from vendrail.api.ledger import Chart, EntryQuery, Ledger
from vendrail.api.support import Support
from vendrail.app.clearing import ENTRIES_MAX, since
from vendrail.app.wiring import House
from vendrail.compliance.service import ComplianceService
from vendrail.kernel.db import Database
from vendrail.kernel.money import EXPONENTS
from vendrail.notify.service import NotifyService
from vendrail.orders.service import OrdersService
from vendrail.settlement.service import SettlementService
from vendrail.webhooks.service import WebhooksService

# What must come back to zero: refunds that are under way, and money that nobody knows yet.
_CLEARING = tuple(
    account
    for currency in EXPONENTS
    for account in (Chart(currency).refund_clearing(), Chart(currency).suspense_unmatched())
)
_DEBT_DAYS = (0, 7, 30, 90)
_SIZE = "select pg_database_size(current_database()), current_setting('server_version')"
_SIZE_KEPT = timedelta(minutes=1)


class Gauges:
    """Fills the gauges that change by themselves: pools, database, sagas, events, clearing."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._metrics = house.metrics
        self._sized_at: datetime | None = None

    async def refresh(self) -> None:
        """Ask everything once: called before each scrape."""
        for name, database in self._house.databases.items():
            for state, value in zip(("open", "idle", "most"), database.pool_use(), strict=True):
                self._metrics.put("vendrail_pool_connections", value, name, state)
        await self._put_database()
        orders = self._house.services.get("orders")
        if orders is not None:
            await self._put_sagas(orders)
        notify = self._house.services.get("notify")
        if notify is not None:
            await self._put_letters(notify)
        webhooks = self._house.services.get("webhooks")
        if webhooks is not None:
            await self._put_webhooks(webhooks)
        if "catalog" in self._house.services:
            suspensions = await self._house.api(Catalog).list_suspensions()
            self._metrics.put("vendrail_merchants_suspended", len(suspensions))
        compliance = self._house.services.get("compliance")
        if compliance is not None:
            await self._put_dossiers(compliance)
        if "support" in self._house.services:
            for each in await self._house.api(Support).count_complaints():
                self._metrics.put("vendrail_complaints", each.count, str(each.state))
                self._metrics.put("vendrail_complaints_overdue", each.overdue, str(each.state))
        settlement = self._house.services.get("settlement")
        if settlement is not None:
            await self._put_settlement(settlement)
        if "ledger" in self._house.services:
            ledger = self._house.api(Ledger)
            await self._put_clearing(ledger)
            due_at = (await ledger.read_closing()).due_at
            late_s = (self._house.clock.now() - due_at).total_seconds() if due_at else 0.0
            self._metrics.put("vendrail_close_late_seconds", max(0.0, late_s))

    async def _put_database(self) -> None:
        """Tell of the database that this process has; its size is asked for once a minute."""
        now = self._house.clock.now()
        if not self._house.databases or (self._sized_at and now - self._sized_at < _SIZE_KEPT):
            return
        database = next(iter(self._house.databases.values()))
        async with database.reading() as tx:
            size, version = (await tx.fetch(_SIZE))[0]
        self._sized_at = now
        self._metrics.put("vendrail_database_bytes", size)
        self._metrics.put("vendrail_database_info", 1, version)

    async def _put_sagas(self, orders: OrdersService) -> None:
        now, put = self._house.clock.now(), self._metrics.put
        for consumer, lag_s in orders.lags_s().items():
            put("vendrail_event_lag_seconds", lag_s, consumer)
        sagas = await orders.sum_sagas()
        for name in ("vendrail_sagas", "vendrail_saga_age_seconds"):
            self._metrics.clear(name)
        for saga in sagas:
            put("vendrail_sagas", saga.number, saga.kind, saga.state)
            age_s = (now - saga.started_at).total_seconds()
            put("vendrail_saga_age_seconds", age_s, saga.kind, saga.state)

    async def _put_letters(self, notify: NotifyService) -> None:
        number, since_ = await notify.sum_waiting()
        age_s = (self._house.clock.now() - since_).total_seconds() if since_ is not None else 0.0
        self._metrics.put("vendrail_letters_waiting", number)
        self._metrics.put("vendrail_letter_age_seconds", max(0.0, age_s))

    async def _put_webhooks(self, webhooks: WebhooksService) -> None:
        found = await webhooks.measure()
        self._metrics.put("vendrail_webhooks_waiting", found["waiting"])
        self._metrics.put("vendrail_webhook_late_seconds", found["late_s"])
        for state in ("hearing", "failing", "disabled"):
            self._metrics.put("vendrail_webhook_endpoints", found[state], state)

    async def _put_dossiers(self, compliance: ComplianceService) -> None:
        count, since_, tiers = await compliance.measure()
        age_s = (self._house.clock.now() - since_).total_seconds() if since_ is not None else 0.0
        self._metrics.put("vendrail_dossiers_waiting", count)
        self._metrics.put("vendrail_dossier_age_seconds", max(0.0, age_s))
        for tier in (PERSON, COMPANY):
            self._metrics.put("vendrail_merchants_verified", tiers.get(tier, 0), str(tier))

    async def _put_settlement(self, settlement: SettlementService) -> None:
        health, debts = await settlement.read_health(), await settlement.list_debts()
        now, put = self._house.clock.now(), self._metrics.put
        due_at = health.oldest_due_at
        put("vendrail_releases_overdue", health.overdue_count)
        lag_s = (now - due_at).total_seconds() if due_at is not None else 0.0
        put("vendrail_release_lag_seconds", max(0.0, lag_s))
        self._metrics.clear("vendrail_debts_minor")
        sums: dict[tuple[str, int], int] = {}
        for debt in debts:
            days = max(
                age for age in _DEBT_DAYS if now - debt.since >= timedelta(days=age) or not age
            )
            key = (debt.currency, days)
            sums[key] = sums.get(key, 0) + debt.debt_minor
        for (currency, days), minor in sums.items():
            put("vendrail_debts_minor", minor, currency, str(days))

    async def _put_clearing(self, ledger: Ledger) -> None:
        balances = await ledger.read_balances([account.id for account in _CLEARING])
        known = [balance for balance in balances if balance is not None]
        full = [balance.account for balance in known if balance.credit_minor]
        queries = [EntryQuery(id, entries_max=ENTRIES_MAX) for id in full]
        entries = dict(zip(full, await ledger.read_entries(queries) if full else (), strict=True))
        now = self._house.clock.now()
        for balance in known:
            labels = balance.name, balance.currency
            began = since(entries.get(balance.account, ()), balance.credit_minor)
            age_s = (now - began).total_seconds() if began is not None else 0.0
            self._metrics.put("vendrail_clearing_balance_minor", balance.credit_minor, *labels)
            self._metrics.put("vendrail_clearing_age_seconds", max(0.0, age_s), *labels)

    def readiness(self) -> dict[str, Callable[[], Awaitable[bool]]]:
        """Name what must answer before this process takes traffic: each service's database."""
        return {name: _asks(database) for name, database in self._house.databases.items()}


def _asks(database: Database) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        async with database.reading() as tx:
            return bool(await tx.fetch_value("select true"))

    return check
