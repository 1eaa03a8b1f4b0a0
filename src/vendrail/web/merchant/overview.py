"""The first page: how today is going, how the month went, what runs out."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from litestar.handlers import HTTPRouteHandler

from vendrail.api.catalog import (
    EVERYBODY,
    LowStockQuery,
    MerchantId,
    ProductState,
    SalesLimit,
    ShopProductQuery,
)
from vendrail.api.compliance import UNKNOWN
from vendrail.api.identity import Permission
from vendrail.api.orders import SalesQuery, SalesSum, SoldOrder, SoldOrderQuery
from vendrail.api.payouts import PayeeState, PayoutOrigin, PayoutQuery, PayoutState
from vendrail.api.settlement import MerchantBalance
from vendrail.kernel.codec import encode
from vendrail.kernel.money import to_text
from vendrail.web.amounts import time_zone
from vendrail.web.console.caller import MERCHANT, Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.merchant.acting import chosen_currency, midnight
from vendrail.web.merchant.forecast import Running, daily, read_sold, running
from vendrail.web.storefront.front import Page

_DAYS = 30
_HOUR = timedelta(hours=1)  # Of which a day may have 23 or 25.
_LOW = 10
_RECENT = 6
_RUNNING = 8
_PRODUCTS = 200
_PAID = 200


@dataclass(frozen=True)
class Stretch:
    """One hour or day, whether or not anything happened in it."""

    starts_at: datetime
    placed: int = 0
    sold: int = 0
    sold_minor: int = 0
    refunded_minor: int = 0


@dataclass(frozen=True)
class Figures:
    """What a stretch of time came to, and what the one before it had come to."""

    sold_minor: int
    refunded_minor: int
    sold: int
    placed: int
    sold_minor_before: int

    @property
    def change(self) -> int | None:
        """How much more than before, in percent; None: there is nothing to compare with."""
        if not self.sold_minor_before:
            return None
        more = (self.sold_minor - self.sold_minor_before) * 100
        return (2 * more + self.sold_minor_before) // (2 * self.sold_minor_before)


@dataclass(frozen=True)
class Begun:
    """The first steps of a merchant, and which are done."""

    has_shop: bool
    has_product: bool
    sells: bool


@dataclass(frozen=True)
class Paid:
    """What a merchant does before the first payout, and which of it is done; None: not asked."""

    is_known: bool | None
    has_account: bool | None

    @property
    def is_open(self) -> bool:
        """Whether anything is left to do."""
        return self.is_known is False or self.has_account is False


class PaidOut(NamedTuple):
    """What has been paid out since a moment."""

    amount_minor: int
    since: datetime


class MoneyPart(NamedTuple):
    """A part of a merchant's money on its way, and its place in the bar of all parts."""

    part: str
    minor: int
    begins: int  # In thousandths of the bar …
    width: int  # … and so wide.


def money_parts(balance: MerchantBalance) -> list[MoneyPart]:
    """Lay the parts beside each other in the order that money goes through them."""
    held = {
        "held": balance.held_minor,
        "pending": balance.pending_minor,
        "reserve": balance.reserve_minor,
        "frozen": balance.frozen_minor,
        "available": balance.available_minor,
    }
    whole = max(1, sum(held.values()))
    parts, before = [], 0
    for part, minor in held.items():
        begins, before = before * 1_000 // whole, before + minor
        parts.append(MoneyPart(part, minor, begins, before * 1_000 // whole - begins))
    return parts


class Overview:
    """How is today going?"""

    entries = (Entry(MERCHANT, message("Overview"), "chart", Permission.OVERVIEW_READ),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._zone = desk.front.settings.time_zone

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of the page and of what its chart draws."""
        needed = Permission.OVERVIEW_READ
        return [
            self._desk.get(MERCHANT, self.overview, needed),
            self._desk.get(f"{MERCHANT}/overview/sales", self.sales, needed),
        ]

    async def overview(self, caller: Caller) -> Page:
        """Show the day, the month, the balance, and what runs out."""
        currencies = await self._currencies(caller)
        currency = chosen_currency(caller, currencies)
        span = _span(caller)
        hours, days, balance, runs, recent, begun = await asyncio.gather(
            self._sums(caller, "hour", currency),
            self._sums(caller, "day", currency),
            self._balance(caller, currency),
            self._running(caller),
            self._recent(caller),
            self._begun(caller),
        )
        before = await self._until_now_yesterday(caller, currency)
        [stop] = await self._desk.apis.catalog.read_suspensions([MerchantId(caller.merchant)])
        [disputes] = await self._desk.apis.disputes.find_due([caller.merchant])
        return self._desk.page(
            caller,
            "merchant/overview.html",
            currencies=currencies,
            currency=currency,
            span=span,
            today=_figures(hours, before),
            month=_figures(days, 0),
            stretches=[each for each in (hours if span == "today" else days) if each.placed],
            balance=balance,
            money_parts=money_parts(balance) if balance is not None else [],
            paid_out=await self._paid_out(caller, currency),
            running=runs,
            recent=recent,
            low_max=_LOW,
            begun=begun,
            paid=await self._paid(caller),
            sales_stop=stop,
            disputes=disputes if caller.may(Permission.ORDERS_READ) else None,
            limit=await self._limit(caller),
            may_begin=caller.may(Permission.PRODUCTS_WRITE),
            may_open=caller.may(Permission.SHOP_WRITE),
        )

    async def sales(self, caller: Caller) -> Page:
        """Give what the chart draws: amounts as decimal text, for the eye alone."""
        currency = chosen_currency(caller, await self._currencies(caller))
        step: Literal["hour", "day"] = "hour" if _span(caller) == "today" else "day"
        stretches = await self._sums(caller, step, currency)
        zone = time_zone(self._zone)
        form = "%H:%M" if step == "hour" else "%m-%d"
        told = {
            "currency": currency,
            "labels": [each.starts_at.astimezone(zone).strftime(form) for each in stretches],
            "sales": [to_text(each.sold_minor, currency) for each in stretches],
            "refunds": [to_text(each.refunded_minor, currency) for each in stretches],
            "orders": [each.sold for each in stretches],
        }
        return Page(
            encode(told),
            media_type="application/json",
            headers={"cache-control": "no-store", "x-content-type-options": "nosniff"},
        )

    async def _currencies(self, caller: Caller) -> list[str]:
        """Name the currencies a merchant may sell in, the site's own first."""
        [terms] = await self._desk.apis.settlement.read_fee_terms([caller.merchant])
        own = self._desk.front.settings.default_currency
        return [own, *sorted({each.currency for each in terms} - {own})]

    async def _sums(
        self, caller: Caller, step: Literal["hour", "day"], currency: str
    ) -> list[Stretch]:
        now = self._desk.clock.now()
        if step == "hour":
            since = midnight(now, self._zone).astimezone(UTC)
            until = midnight(now, self._zone, 1).astimezone(UTC)
            starts = [since + n * _HOUR for n in range((until - since) // _HOUR)]
        else:
            starts = [midnight(now, self._zone, n - _DAYS + 1) for n in range(_DAYS)]
            since, until = starts[0], midnight(now, self._zone, 1)
        query = SalesQuery(caller.merchant, since, until, step, self._zone)
        [sums] = await self._desk.apis.orders.sum_sales([query])
        return _filled(starts, [each for each in sums if each.currency == currency])

    async def _until_now_yesterday(self, caller: Caller, currency: str) -> int:
        now = self._desk.clock.now()
        since = midnight(now, self._zone, -1)
        query = SalesQuery(caller.merchant, since, now - timedelta(days=1), "day", self._zone)
        [sums] = await self._desk.apis.orders.sum_sales([query])
        return sum(each.sold_minor for each in sums if each.currency == currency)

    async def _balance(self, caller: Caller, currency: str) -> MerchantBalance | None:
        if not caller.may(Permission.BALANCE_READ):
            return None
        [balance] = await self._desk.apis.settlement.read_merchant_balances(
            [(caller.merchant, currency)]
        )
        return balance

    async def _running(self, caller: Caller) -> list[Running]:
        """List what runs out first: what is low, and what the last weeks' pace uses up soon."""
        apis, merchant, now = self._desk.apis, MerchantId(caller.merchant), self._desk.clock.now()
        query = LowStockQuery(merchant, free_max=_LOW, variants_max=_RECENT)
        on_sale = ShopProductQuery(merchant, state=ProductState.ON_SALE, products_max=_PRODUCTS)
        [low], [products], sold = await asyncio.gather(
            apis.catalog.list_low_stock([query]),
            apis.catalog.list_products([on_sale]),
            read_sold(apis.orders, merchant, now),
        )
        return running(products, low, daily(sold, now))[:_RUNNING]

    async def _paid_out(self, caller: Caller, currency: str) -> PaidOut | None:
        """Sum what has been paid out of late: the newest payouts are looked at."""
        if not caller.may(Permission.BALANCE_READ):
            return None
        since = self._desk.clock.now() - timedelta(days=_DAYS)
        query = PayoutQuery(caller.merchant, [PayoutState.SUCCEEDED], payouts_max=_PAID)
        [found] = await self._desk.apis.payouts.list_payouts([query])
        if len(found) == _PAID:  # There may be more behind them.
            since = max(since, found[-1].asked_at)
        late = [
            each
            for each in found
            if each.asked_at >= since
            and each.currency == currency
            and each.origin is not PayoutOrigin.TEST  # The platform's money: no balance paid it.
        ]
        return PaidOut(sum(each.amount_minor for each in late), since)

    async def _begun(self, caller: Caller) -> Begun:
        """Say how far a merchant has come; whoever sells has come all the way."""
        merchant, catalog = MerchantId(caller.merchant), self._desk.apis.catalog
        on_sale = ShopProductQuery(merchant, state=ProductState.ON_SALE, products_max=1)
        any_state = ShopProductQuery(merchant, products_max=1)
        sold, made = await catalog.list_products([on_sale, any_state])
        [shops] = await catalog.list_shops([merchant]) if not sold else [[]]
        return Begun(bool(sold or shops), bool(made), bool(sold))

    async def _limit(self, caller: Caller) -> SalesLimit | None:
        """Give how much the merchant may sell; None: any amount."""
        apis, merchant = self._desk.apis, MerchantId(caller.merchant)
        limits = {each.merchant: each for each in await apis.catalog.list_limits()}
        tiers = {each.merchant: each for each in await apis.compliance.list_bounds()}
        found = limits.get(merchant)
        if found is None and tiers:
            tier = tiers.get(merchant) or tiers[EVERYBODY]
            found = SalesLimit(merchant, tier.currency, tier.order_minor_max, tier.month_minor_max)
        found = found or limits.get(EVERYBODY)
        return found if found is not None and found.is_bounded else None

    async def _paid(self, caller: Caller) -> Paid | None:
        """Say what is left to do before money goes out, to who can do it."""
        if not caller.may(Permission.VERIFICATION_WRITE):
            return None
        apis, merchant = self._desk.apis, caller.merchant
        [standing] = await apis.compliance.read_standings([merchant])
        [payees] = await apis.payouts.list_payees([merchant])
        ways = await apis.payments.list_payout_ways() if not payees else []
        has_account = any(each.state is PayeeState.VERIFIED for each in payees)
        return Paid(
            standing.tier > UNKNOWN if standing.is_asked else None,
            has_account if payees or ways else None,
        )

    async def _recent(self, caller: Caller) -> list[SoldOrder]:
        if not caller.may(Permission.ORDERS_READ):
            return []
        query = SoldOrderQuery(caller.merchant, orders_max=_RECENT)
        [recent] = await self._desk.apis.orders.list_orders([query])
        return recent


def _span(caller: Caller) -> str:
    return "month" if caller.asked("span") == "month" else "today"


def _filled(starts: Sequence[datetime], sums: Sequence[SalesSum]) -> list[Stretch]:
    """Put empty stretches where nothing was sold, so that time runs evenly."""
    known: dict[datetime, Any] = {each.starts_at: each for each in sums}
    return [
        Stretch(
            start,
            known[start].placed_count,
            known[start].sold_count,
            known[start].sold_minor,
            known[start].refunded_minor,
        )
        if start in known
        else Stretch(start)
        for start in starts
    ]


def _figures(stretches: Sequence[Stretch], before_minor: int) -> Figures:
    return Figures(
        sum(each.sold_minor for each in stretches),
        sum(each.refunded_minor for each in stretches),
        sum(each.sold for each in stretches),
        sum(each.placed for each in stretches),
        before_minor,
    )
