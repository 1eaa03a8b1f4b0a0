"""Limiting: what a merchant who is hardly known sells stays small, an order and a month."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import structlog

from vendrail.api.catalog import EVERYBODY, Catalog, MerchantId, Offer, SalesLimit
from vendrail.api.compliance import Compliance
from vendrail.api.settlement import Supply
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Database
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.ids import first_id_at
from vendrail.orders import decide
from vendrail.orders.service.choices import Choice
from vendrail.orders.store import sales

_log = structlog.get_logger(__name__)

_LIMITS_KNOWN = timedelta(seconds=10)
_SUMS_KNOWN = timedelta(seconds=30)
_MONTH = timedelta(days=30)
_SUMS_MAX = 10_000


class Wanted(NamedTuple):
    """An order that somebody wants to place."""

    order: UUID
    merchant: UUID
    amount_minor: int
    currency: str
    supply: Supply | None = None  # Of an agent's: it is a sale of its supplier's, too.


class _Sale(NamedTuple):
    """What a bounded merchant would sell by an order."""

    order: UUID
    minor: int
    limit: SalesLimit


class _Counted(NamedTuple):
    """What an order counts, since when, and how often it was sent."""

    at: datetime
    minor: int
    times: int = 1


class _Sold(NamedTuple):
    """What a merchant has sold, as it is known until a moment."""

    until: datetime
    minor: int
    counted: dict[UUID, _Counted]  # What this process counted of late, by order.


def wanted_by(choice: Choice, offer: Offer) -> Wanted:
    """Give what a buyer's choice would sell: most have no supplier."""
    order = choice.order
    if offer.supply is None:
        return Wanted(order.id, offer.merchant, choice.amount_minor, order.currency)
    supply = decide.supply(offer, order.currency)
    return Wanted(
        order.id,
        offer.merchant,
        choice.amount_minor,
        order.currency,
        supply.of(order.quantity) if supply is not None else None,
    )


class Limiting:
    """Knows how much merchants may sell. Nothing is asked for whom nothing is too much.

    A merchant's own limit goes before that of its tier, and where merchants have tiers, nobody is
    like everybody else. Limits are looked up every ten seconds, and what thirty days brought every
    half minute; between that what this process places is counted on. What agents sell of a
    supplier's counts for both: the whole price for the agent, the supplier's part for the supplier.
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
        self._sums: dict[UUID, _Sold] = {}

    async def has_limits(self) -> bool:
        """Tell whether anybody is limited at all, as it was known ten seconds ago."""
        await self._read()
        return bool(self._limits or self._tiers)

    async def judge(self, wanted: Sequence[Wanted]) -> list[bool]:
        """Say of each order whether it is within its merchants' limits; if so it counts."""
        await self._read()
        bounded = [self._bound(each) for each in wanted]
        await self._sum([sale.limit for sales in bounded for sale in sales])
        return [
            self._count(each, sales) if sales else True
            for each, sales in zip(wanted, bounded, strict=True)
        ]

    def release(self, refused: Sequence[Wanted]) -> None:
        """Count no more what was within its limits and was not placed for another reason.

        An order that was sent again counts on: what was refused is one of its repeats.
        """
        for wanted in refused:
            supply = wanted.supply
            for merchant in {wanted.merchant, supply.supplier if supply else wanted.merchant}:
                known = self._sums.get(merchant)
                counted = known.counted.get(wanted.order) if known is not None else None
                if known is None or counted is None:
                    continue
                if counted.times > 1:
                    known.counted[wanted.order] = counted._replace(times=counted.times - 1)
                else:
                    del known.counted[wanted.order]
                    self._sums[merchant] = known._replace(minor=known.minor - counted.minor)

    def _bound(self, wanted: Wanted) -> list[_Sale]:
        """Give whose bounded sale an order is: of whoever sells it, and of its supplier."""
        limit, supply = self._limit_of(wanted.merchant), wanted.supply
        found = [] if limit is None else [_Sale(wanted.order, wanted.amount_minor, limit)]
        if supply is not None and (limit := self._limit_of(supply.supplier)) is not None:
            found.append(_Sale(wanted.order, supply.amount_minor, limit))
        return found

    def _limit_of(self, merchant: UUID) -> SalesLimit | None:
        others = self._tiers or self._limits
        limit = self._limits.get(merchant) or others.get(merchant) or others.get(EVERYBODY)
        if limit is None or not limit.is_bounded:
            return None
        return replace(limit, merchant=MerchantId(merchant))

    def _count(self, wanted: Wanted, sales: Sequence[_Sale]) -> bool:
        """Count an order for all of its merchants, or where it is too much for one for none."""
        if not all(self._is_within(wanted.currency, sale) for sale in sales):
            return False
        now = self._clock.now()
        for order, minor, limit in sales:
            if limit.month_minor_max is not None:
                until, sold_minor, counted = self._sums[limit.merchant]
                before = counted.get(order, _Counted(now, 0, 0))  # Sent again, it is one order.
                counted[order] = _Counted(now, minor, before.times + 1)
                more_minor = minor - before.minor
                self._sums[limit.merchant] = _Sold(until, sold_minor + more_minor, counted)
        return True

    def _is_within(self, currency: str, sale: _Sale) -> bool:
        order, minor, limit = sale
        if currency != limit.currency:
            return False
        if limit.order_minor_max is not None and minor > limit.order_minor_max:
            return False
        if limit.month_minor_max is None:
            return True
        _, sold_minor, counted = self._sums[limit.merchant]
        before_minor = counted[order].minor if order in counted else 0
        return sold_minor + minor - before_minor <= limit.month_minor_max

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
            and (each.merchant not in self._sums or self._sums[each.merchant].until <= now)
        }
        if not stale:
            return
        # What was counted of late, by others beside us too, may not be written yet: it is added.
        async with self._db.reading() as tx:
            found = await sales.sum_standing(
                tx, stale, first_id_at(now - _MONTH), now, self._counted(stale, now)
            )
        if len(self._sums) + len(stale) > _SUMS_MAX:
            oldest = now - _SUMS_KNOWN  # Somebody may be about to count on what has just ended.
            self._sums = {id: known for id, known in self._sums.items() if known.until > oldest}
        for merchant in stale:
            known = self._sums.get(merchant)
            counted = known.counted if known is not None else {}
            minor = found.get(merchant, 0) + sum(each.minor for each in counted.values())
            self._sums[merchant] = _Sold(now + _SUMS_KNOWN, minor, counted)

    def _counted(self, stale: Mapping[UUID, str], now: datetime) -> list[UUID]:
        """Give the orders counted of late for merchants, and forget those counted before."""
        oldest = now - _SUMS_KNOWN
        orders: list[UUID] = []
        for merchant in stale:
            known = self._sums.get(merchant)
            if known is None:
                continue
            for order in [id for id, each in known.counted.items() if each.at <= oldest]:
                del known.counted[order]
            orders += known.counted
        return orders
