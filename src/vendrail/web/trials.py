"""Fee rules tried on sales that were: streamed, a page of orders at a time, and summed."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, tzinfo
from typing import NamedTuple
from uuid import UUID

from vendrail.api.orders import DeliveredOrder, Orders, PastSaleQuery
from vendrail.api.payments import Payments
from vendrail.api.settlement import FeeRule, FeeTerms, FeeTrial, PastSale, Settlement, TriedFee

_PAGE = 2_000
SALES_MAX = 300_000  # A page waits for it; whoever has more asks on the command line.


class FeeSum(NamedTuple):
    """What some sales cost their merchants, and what they would have."""

    sales_count: int = 0
    sold_minor: int = 0
    was_minor: int = 0  # With what they bore of channels' costs.
    would_minor: int = 0

    def plus(self, amount_minor: int, fee: TriedFee) -> "FeeSum":
        """Add one sale."""
        return FeeSum(
            self.sales_count + 1,
            self.sold_minor + amount_minor,
            self.was_minor + fee.fee_minor + fee.cost_minor,
            self.would_minor + fee.tried_fee_minor + fee.tried_cost_minor,
        )


class Trial(NamedTuple):
    """What rules would have brought; by currency, and the parts of it."""

    currencies: dict[str, FeeSum]
    merchants: dict[tuple[UUID, str], FeeSum]
    days: dict[tuple[date, str], FeeSum]
    rules: dict[tuple[int, str], FeeSum]  # By the rule that would have been it; 0: own terms.
    is_whole: bool  # Whether every sale of the time is in it.


async def try_rules(
    rules: Sequence[FeeRule],
    since: datetime,
    until: datetime,
    zone: tzinfo,
    orders: Orders,
    payments: Payments,
    settlement: Settlement,
    sales_max: int = SALES_MAX,
) -> Trial:
    """Try rules on every delivered order of a time, oldest first, holding a page of them at once.

    What goes by currency is never added up over currencies.
    """

    async def attempt(page: Sequence[PastSale]) -> list[tuple[PastSale, TriedFee]]:
        [result] = await settlement.try_fees([FeeTrial(list(rules), list(page))])
        return list(zip(page, result.fees, strict=True))

    return await _try(attempt, since, until, zone, orders, payments, sales_max)


async def _try(
    attempt: Callable[[Sequence[PastSale]], Awaitable[list[tuple[PastSale, TriedFee]]]],
    since: datetime,
    until: datetime,
    zone: tzinfo,
    orders: Orders,
    payments: Payments,
    sales_max: int,
) -> Trial:
    trial = Trial({}, {}, {}, {}, is_whole=True)
    after, count = None, 0
    while True:
        [page] = await orders.list_sales([PastSaleQuery(since, until, after, _PAGE)])
        if page:
            for sale, fee in await attempt(await _sales(page, payments)):
                _add(trial, sale, fee, zone)
            after, count = page[-1].id, count + len(page)
        if len(page) < _PAGE:
            return trial
        if count >= sales_max:
            return trial._replace(is_whole=False)


async def try_terms(
    terms: Sequence[FeeTerms],
    since: datetime,
    until: datetime,
    zone: tzinfo,
    orders: Orders,
    payments: Payments,
    settlement: Settlement,
    sales_max: int = SALES_MAX,
) -> Trial:
    """Try own terms on every delivered order of those merchants, in the currency of each."""
    tried = {(each.merchant, each.currency): each for each in terms}

    async def attempt(page: Sequence[PastSale]) -> list[tuple[PastSale, TriedFee]]:
        sales = [each for each in page if (each.merchant, each.currency) in tried]
        if not sales:
            return []
        asked = {(each.merchant, each.currency) for each in sales}
        trial = FeeTrial([], sales, [tried[key] for key in sorted(asked)])
        [result] = await settlement.try_fees([trial])
        return list(zip(sales, result.fees, strict=True))

    return await _try(attempt, since, until, zone, orders, payments, sales_max)


async def _sales(page: Sequence[DeliveredOrder], payments: Payments) -> list[PastSale]:
    """Say of orders what rules ask for: how they were paid in the end is known to payments."""
    captures = await payments.read_captures([each.id for each in page])
    return [
        PastSale(
            each.merchant,
            each.amount_minor,
            each.currency,
            each.placed_at,
            paid[0].channel_name if paid else "",
            paid[0].method if paid else each.method,
            each.category,
        )
        for each, paid in zip(page, captures, strict=True)
    ]


def _add(trial: Trial, sale: PastSale, fee: TriedFee, zone: tzinfo) -> None:
    currency, amount = sale.currency, sale.amount_minor
    trial.currencies[currency] = trial.currencies.get(currency, FeeSum()).plus(amount, fee)
    whose = (sale.merchant, currency)
    trial.merchants[whose] = trial.merchants.get(whose, FeeSum()).plus(amount, fee)
    when = (sale.placed_at.astimezone(zone).date(), currency)
    trial.days[when] = trial.days.get(when, FeeSum()).plus(amount, fee)
    which = (fee.number, currency)
    trial.rules[which] = trial.rules.get(which, FeeSum()).plus(amount, fee)
