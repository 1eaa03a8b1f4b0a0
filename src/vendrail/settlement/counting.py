"""What rules ask of merchants and channels, counted beside the trade: never while a sale waits.

Once a day every merchant's last 30 whole days are counted; within a minute, what channels cost is
taken over from the terms of routing. Counting again writes nothing where nothing has changed. Once
what was counted counts, suggestions are applied where that is allowed.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from uuid import UUID

from vendrail.api.disputes import Disputes
from vendrail.api.orders import MerchantSalesQuery, Orders
from vendrail.api.payments import Payments
from vendrail.api.settlement import ChannelCost, FeeFacts, Settlement
from vendrail.kernel.clock import Clock
from vendrail.settlement.fees import LEAD
from vendrail.settlement.store.fees import FeeStore

DAYS = timedelta(days=30)
_BATCH = 1_000


class Counted(Settlement, Protocol):
    """Who keeps what is counted, and whose clock tells the day."""

    clock: Clock

    async def adjust_fees(self) -> int:
        """Apply what is suggested where it is allowed."""
        ...


class Counting:
    """Counts, and has it kept."""

    def __init__(
        self,
        settlement: Counted,
        store: FeeStore,
        orders: Orders,
        payments: Payments,
        disputes: Disputes,
    ) -> None:
        self._settlement = settlement
        self._store = store
        self._orders = orders
        self._payments = payments
        self._disputes = disputes
        self._counted_on: date | None = None
        self._adjusted_on: date | None = None
        self._counts_from: datetime | None = None
        self._costs: list[ChannelCost] = []

    async def look(self) -> bool:
        """Count what is due; false: nothing more until later."""
        await self._take_costs()
        now = self._settlement.clock.now()
        today = now.astimezone(UTC).date()
        if today != self._counted_on:
            await self._count(datetime(today.year, today.month, today.day, tzinfo=UTC))
            self._counted_on, self._counts_from = today, self._settlement.clock.now() + LEAD
        elif today != self._adjusted_on and self._counts_from and now >= self._counts_from:
            await self._settlement.adjust_fees()
            self._adjusted_on = today
        return False

    async def _count(self, midnight: datetime) -> None:
        query = MerchantSalesQuery(midnight - DAYS, midnight)
        [sums] = await self._orders.count_sales([query])
        disputed = await self._count_disputed([each.merchant for each in sums], query.since)
        facts = [
            FeeFacts(
                each.merchant,
                each.currency,
                each.sold_minor,
                each.sold_count,
                each.refunded_count,
                disputed.get((each.merchant, each.currency), 0),
            )
            for each in sums
        ]
        sold = {(each.merchant, each.currency) for each in sums}
        silent = await self._store.load_counted() - sold
        facts += [FeeFacts(*key) for key in sorted(silent)]
        for at in range(0, len(facts), _BATCH):
            await self._settlement.put_fee_facts(facts[at : at + _BATCH])

    async def _count_disputed(
        self, merchants: Iterable[UUID], since: datetime
    ) -> dict[tuple[UUID, str], int]:
        """Count what was disputed of merchants' sales, by merchant and currency."""
        found: dict[tuple[UUID, str], int] = {}
        asked = sorted(set(merchants))
        for at in range(0, len(asked), _BATCH):
            for each in await self._disputes.count_disputes(asked[at : at + _BATCH], since):
                for currency, count in each.count_by_currency.items():
                    found[each.merchant, currency] = count
        return found

    async def _take_costs(self) -> None:
        accounts = {each.id: each for each in await self._payments.list_channels()}
        costs = [
            ChannelCost(
                accounts[each.channel].name,
                each.cost_permyriad,
                each.cost_minor,
                accounts[each.channel].currencies[0] if each.cost_minor else "",
                accounts[each.channel].currencies,
            )
            for each in await self._payments.list_terms()
            if each.channel in accounts
        ]
        if costs != self._costs:
            await self._settlement.put_channel_costs(costs)
            self._costs = costs
