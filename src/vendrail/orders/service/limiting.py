"""Limiting: what a merchant who is hardly known sells stays small, an order and a month."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import structlog

from vendrail.api.catalog import EVERYBODY, Catalog, MerchantId, SalesLimit
from vendrail.api.compliance import Compliance
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Database
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.ids import first_id_at
from vendrail.orders.store import sales

_log = structlog.get_logger(__name__)

_LIMITS_KNOWN = timedelta(seconds=10)
_SUMS_KNOWN = timedelta(seconds=30)
_MONTH = timedelta(days=30)
_SUMS_MAX = 10_000


class Wanted(NamedTuple):
    """An order that somebody wants to place."""

    merchant: UUID
    amount_minor: int
    currency: str


class Limiting:
    """Knows how much merchants may sell. Nothing is asked for whom nothing is too much.

    A merchant's own limit goes before that of its tier, and where merchants have tiers, nobody is
    like everybody else. Limits are looked up every ten seconds, and what thirty days brought every
    half minute; between that what this process places is counted on.
    """

    def __init__(
        self, db: Database, clock: Clock, catalog: Catalog, compliance: Compliance
    ) -> None:
        self._db = db
        self._clock = clock
        self._catalog = catalog
        self._compliance = compliance
        self._limits: dict[UUID, SalesLimit] = {}  # What operators have written …
        self._tiers: dict[UUID, SalesLimit] = {}  # … and what tiers may sell, where there are any.
        self._is_known = False  # Until somebody has answered once, nobody knows who is limited.
        self._until = clock.now() - _LIMITS_KNOWN
        self._sums: dict[UUID, tuple[datetime, int]] = {}  # Until when it is known, and how much.

    async def has_limits(self) -> bool:
        """Tell whether anybody is limited at all, as it was known ten seconds ago."""
        await self._read()
        return bool(self._limits or self._tiers)

    async def judge(self, wanted: Sequence[Wanted]) -> list[bool]:
        """Say of each order whether it is within its merchant's limit; if so it counts."""
        await self._read()
        bounded = [self._limit_of(each) for each in wanted]
        await self._sum([each for each in bounded if each is not None])
        return [
            limit is None or self._count(each, limit)
            for each, limit in zip(wanted, bounded, strict=True)
        ]

    def _limit_of(self, wanted: Wanted) -> SalesLimit | None:
        others = self._tiers or self._limits
        limit = (
            self._limits.get(wanted.merchant)
            or others.get(wanted.merchant)
            or others.get(EVERYBODY)
        )
        if limit is None or not limit.is_bounded:
            return None
        return replace(limit, merchant=MerchantId(wanted.merchant))

    def _count(self, wanted: Wanted, limit: SalesLimit) -> bool:
        if wanted.currency != limit.currency:
            return False
        if limit.order_minor_max is not None and wanted.amount_minor > limit.order_minor_max:
            return False
        if limit.month_minor_max is not None:
            until, sold_minor = self._sums[wanted.merchant]
            if sold_minor + wanted.amount_minor > limit.month_minor_max:
                return False
            self._sums[wanted.merchant] = (until, sold_minor + wanted.amount_minor)
        return True

    async def _read(self) -> None:
        """Look limits up; while nobody answers, those known before count; without any, no sale."""
        now = self._clock.now()
        if now < self._until:
            return
        try:
            limits, bounds = await self._catalog.list_limits(), await self._compliance.list_bounds()
        except Unavailable as error:
            _log.warning("orders.limits_away", error=str(error))
            if not self._is_known:
                raise
        else:
            self._limits = {each.merchant: each for each in limits}
            self._tiers = {
                each.merchant: SalesLimit(
                    MerchantId(each.merchant),
                    each.currency,
                    each.order_minor_max,
                    each.month_minor_max,
                )
                for each in bounds
            }
            self._is_known = True
        self._until = now + _LIMITS_KNOWN

    async def _sum(self, limits: Sequence[SalesLimit]) -> None:
        """Read what bounded merchants have sold, where it was not known a moment ago."""
        now = self._clock.now()
        stale: dict[UUID, str] = {
            each.merchant: each.currency
            for each in limits
            if each.month_minor_max is not None
            and (each.merchant not in self._sums or self._sums[each.merchant][0] <= now)
        }
        if not stale:
            return
        async with self._db.reading() as tx:
            found = await sales.sum_standing(tx, stale, first_id_at(now - _MONTH), now)
        if len(self._sums) + len(stale) > _SUMS_MAX:
            self._sums = {id: known for id, known in self._sums.items() if known[0] > now}
        until = now + _SUMS_KNOWN
        self._sums.update((merchant, (until, found.get(merchant, 0))) for merchant in stale)
