"""Supplying: whether an agent's price bears its supplier and its fee, and what was sold so."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from vendrail.api.orders import (
    OrderId,
    OrderState,
    PlaceStatus,
    SuppliedOrder,
    SuppliedQuery,
    SuppliedSum,
)
from vendrail.api.settlement import Sale, SaleStatus, Settlement
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, replace
from vendrail.kernel.db import Database
from vendrail.kernel.ids import first_id_at
from vendrail.orders import decide
from vendrail.orders.service.choices import Choice
from vendrail.orders.store import LAST, supplies

_PAGE_MAX = 200
_SUMMED = timedelta(days=30)
_SUMMED_MAX = 20_000


class Supplying:
    """What placing asks of agents' orders, and what their suppliers may see."""

    def __init__(self, db: Database, clock: Clock, settlement: Settlement) -> None:
        self._db = db
        self._clock = clock
        self._settlement = settlement

    async def judge(self, choices: Sequence[Choice], now: datetime) -> None:
        """Refuse what would leave the agent less than nothing; most orders have no supplier."""
        asked: list[tuple[Choice, Sale]] = []
        for choice in choices:
            offer = choice.offer
            if choice.status is not PlaceStatus.PLACED or offer is None or offer.supply is None:
                continue
            order = choice.order
            choice.supply = supply = decide.supply(offer, order.currency)
            if supply is None:
                choice.status = PlaceStatus.CURRENCY_NOT_OFFERED
                continue
            asked.append(
                (
                    choice,
                    Sale(
                        order.id,
                        offer.merchant,
                        choice.amount_minor,
                        order.currency,
                        now,
                        method=order.method,
                        category=offer.category,
                        supply=supply.of(order.quantity),
                    ),
                )
            )
        if not asked:
            return
        results = await self._settlement.price_sales([sale for _, sale in asked])
        for (choice, _), result in zip(asked, results, strict=True):
            if result.status is not SaleStatus.SPLIT:
                choice.status = PlaceStatus.MARKUP_TOO_LOW

    async def list_supplied(self, queries: Sequence[SuppliedQuery]) -> list[list[SuppliedOrder]]:
        """Read pages; few and each its own, so one by one."""
        pages = []
        for query in queries:
            bounded = replace(query, orders_max=max(0, min(query.orders_max, _PAGE_MAX)))
            async with self._db.reading() as tx:
                rows = await supplies.list_supplied(tx, bounded, query.before or LAST)
            page = []
            for row in rows:
                facts = decode(row["facts"], decide.OrderFacts)
                assert facts.supply is not None  # Written with the column that was asked by.
                page.append(
                    SuppliedOrder(
                        OrderId(row["id"]),
                        row["merchant"],
                        facts.supply.variant,
                        facts.title,
                        row["quantity"],
                        facts.supply.floor_minor * row["quantity"],
                        row["currency"],
                        OrderState(row["state"]),
                        row["placed_at"],
                        row["refunded_minor"] > 0,
                    )
                )
            pages.append(page)
        return pages

    async def sum_supplied(self, queries: Sequence[SuppliedQuery]) -> list[list[SuppliedSum]]:
        """Sum what agents have sold in thirty days, by agent and currency."""
        first = first_id_at(self._clock.now() - _SUMMED)
        async with self._db.reading() as tx:
            return [await supplies.sum_supplied(tx, query, first, _SUMMED_MAX) for query in queries]
