"""The service: claims on hosts, looking for their proofs, and which host shows which shop."""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from vendrail.api.catalog import Catalog, MerchantId, Shop
from vendrail.api.domains import (
    AddStatus,
    Domain,
    DomainAdded,
    DomainChecked,
    DomainCheckStatus,
    DomainId,
    DomainName,
    DomainState,
    Finding,
    NewDomain,
    ShopHost,
)
from vendrail.api.identity import Identity
from vendrail.api.notify import Notify
from vendrail.domains import decide, store
from vendrail.domains.decide import Patience, Standing
from vendrail.domains.proving import Prover
from vendrail.domains.service.telling import Telling
from vendrail.domains.settings import DomainsSettings
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database, Row, Transaction
from vendrail.kernel.http.targets import host_of
from vendrail.kernel.ids import derive, new_id
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.telemetry import Metrics

TOPIC = "domains"
_DUE_MAX = 20  # Looks under way at once.
_LEASE = timedelta(minutes=10)
_FIRST_LOOK = timedelta(minutes=2)
_TOKEN_BYTES = 20
_DAY = timedelta(days=1)
_TOLD_AT = 2  # The look that misses the proof so many times in a row has a letter written.


class DomainsService:
    """Fulfils `api.domains.Domains`."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        wakeups: Wakeups,
        metrics: Metrics,
        settings: DomainsSettings,
        catalog: Catalog,
    ) -> None:
        self._db = db
        self.clock = clock
        self.wakeups = wakeups
        self._metrics = metrics
        self._settings = settings
        self._catalog = catalog
        self._prover = Prover(settings.resolvers, settings.resolve_s)
        self._own_hosts = decide.read_own(host_of(settings.public_url), settings.reserved_hosts)
        self._patience = Patience(
            timedelta(seconds=settings.check_s),
            settings.failures_max,
            timedelta(days=settings.lost_after_days),
            timedelta(days=settings.watch_days),
        )
        for finding in Finding:
            metrics.count("vendrail_domain_checks_total", finding.value, by=0)

    def telling(self, notify: Notify, identity: Identity) -> Telling:
        """Give the room that hands letters on."""
        return Telling(self._db, self.clock, self._settings, notify, identity)

    async def add_domains(self, domains: Sequence[NewDomain]) -> list[DomainAdded]:
        """Write claims down; few at once, so one by one."""
        found = await self._catalog.list_shops([MerchantId(each.merchant) for each in domains])
        return [await self._add(new, shops) for new, shops in zip(domains, found, strict=True)]

    async def _add(self, new: NewDomain, shops: Sequence[Shop]) -> DomainAdded:
        host, fault = decide.read_host(new.host, self._own_hosts)
        if fault is not None:
            return DomainAdded(fault)
        shop = next((each for each in shops if each.id == new.shop), None)
        if shop is None:
            return DomainAdded(AddStatus.SHOP_NOT_FOUND)
        now = self.clock.now()
        async with self._db.transaction() as tx:
            await store.lock_merchant(tx, new.merchant)
            rows = await store.list_of_shop(tx, new.shop)
            known = next((row for row in rows if row["host"] == host), None)
            if known is not None:
                return DomainAdded(AddStatus.EXISTS, store.to_domain(known))
            if len(rows) >= self._settings.per_shop_max:
                return DomainAdded(AddStatus.TOO_MANY)
            count = await store.count_additions(tx, new.merchant, now - _DAY)
            if 0 < self._settings.per_day_max <= count:
                return DomainAdded(AddStatus.TOO_MANY_TODAY)
            await store.note_addition(tx, new.merchant, now)
            token = secrets.token_hex(_TOKEN_BYTES)
            domain = Domain(
                DomainId(derive(new.shop, f"domain:{host}:{token}")),
                new.merchant,
                new.shop,
                host,
                token,
                DomainState.WAITING,
                now,
            )
            await store.add(tx, domain, shop.slug, now + _FIRST_LOOK)
        return DomainAdded(AddStatus.ADDED, domain)

    async def check_domains(self, domains: Sequence[DomainName]) -> list[DomainChecked]:
        """Look for proofs now; few at once, so one by one."""
        return [await self._check(each) for each in domains]

    async def _check(self, name: DomainName) -> DomainChecked:
        now = self.clock.now()
        before = now - timedelta(seconds=self._settings.again_s)
        async with self._db.transaction() as tx:
            row = await store.begin_check(tx, name.id, name.merchant, before, now)
            known = row or await store.read(tx, name.id)
        if known is None or known["merchant"] != name.merchant:
            return DomainChecked(DomainCheckStatus.NOT_FOUND)
        if row is None:
            return DomainChecked(DomainCheckStatus.TOO_SOON, store.to_domain(known))
        settled = await self._look(row, is_asked=True)
        status = DomainCheckStatus.NOT_FOUND if settled is None else DomainCheckStatus.CHECKED
        return DomainChecked(status, settled)

    async def _look(self, row: Row, *, is_asked: bool = False) -> Domain | None:
        """Look for one proof and write what comes of it; None: it was removed meanwhile.

        `is_asked`: by a person, who is in the log with what they found.
        """
        finding = await self._prover.look(store.to_domain(row))
        self._metrics.count("vendrail_domain_checks_total", finding.value)
        now = self.clock.now()
        async with self._db.transaction() as tx:
            await store.lock_host(tx, row["host"])
            newest = await store.read(tx, row["id"])
            if newest is None:
                return None
            before = store.to_standing(newest)
            is_taken = await store.is_taken(tx, row["host"], row["id"])
            after = decide.settle(
                before, finding, is_taken=is_taken, now=now, patience=self._patience
            )
            await store.save(tx, after)
            await self._follow(tx, before, after, is_asked=is_asked)
        self.wakeups.wake(TOPIC)
        return after.domain

    async def _follow(
        self, tx: Transaction, before: Standing, after: Standing, *, is_asked: bool
    ) -> None:
        """Have told what was proven, missed or lost, and rivals of a host looked at."""
        domain, now = after.domain, self.clock.now()
        was_active = before.domain.state is DomainState.ACTIVE
        is_lost = domain.state is DomainState.LOST and was_active
        if is_lost or (domain.is_taken and not before.domain.is_taken):
            await store.hurry(tx, domain.host, now)
        is_missed = after.failures == _TOLD_AT and before.failures < _TOLD_AT
        is_proven = domain.state is DomainState.ACTIVE and not was_active and not is_asked
        if is_lost or is_missed or is_proven:
            step = "lost" if is_lost else "failing" if is_missed else "proven"
            id = new_id(now)  # Of this moment: the log is read by the time in ids.
            await store.add_letter(tx, id, domain, step, now)

    async def check_due(self) -> bool:
        """Look for the proofs that are due; true: there may be more."""
        now = self.clock.now()
        async with self._db.transaction() as tx:
            rows = await store.claim_due(tx, now, now + _LEASE, _DUE_MAX)
        await asyncio.gather(*(self._look(row) for row in rows))
        return len(rows) == _DUE_MAX

    async def remove_domains(self, domains: Sequence[DomainName]) -> list[bool]:
        """Take claims back; whoever proved a host that is free now gets it."""
        removed = []
        for each in domains:
            async with self._db.transaction() as tx:
                row = await store.remove(tx, each.id, each.merchant)
                if row is not None:
                    await store.hurry(tx, row["host"], self.clock.now())
            removed.append(row is not None)
        self.wakeups.wake(TOPIC)
        return removed

    async def list_domains(self, merchants: Sequence[UUID]) -> list[list[Domain]]:
        """List merchants' domains, the oldest first."""
        async with self._db.reading() as tx:
            rows = await store.list_of_merchants(tx, merchants)
        found: dict[UUID, list[Domain]] = defaultdict(list)
        for row in rows:
            found[row["merchant"]].append(store.to_domain(row))
        return [found[each] for each in merchants]

    async def list_hosts(self) -> list[ShopHost]:
        """List all active domains but those that the platform took for itself since."""
        async with self._db.reading() as tx:
            found = await store.list_hosts(tx)
        return [each for each in found if not decide.is_own(each.host, self._own_hosts)]
