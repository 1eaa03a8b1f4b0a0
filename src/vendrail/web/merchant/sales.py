"""Sales: what, how and when was sold, in pictures over tables, for weeks or months."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.orders import SalePart, SaleParts, SalePartsQuery
from vendrail.kernel.money import to_decimal
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import LISTED, export, filters_of, saved_at
from vendrail.web.console.lists import is_currency, one_of
from vendrail.web.languages import message
from vendrail.web.merchant.acting import chosen_currency, log_export, midnight
from vendrail.web.merchant.balance import currencies_of
from vendrail.web.papers.sheets import Cell, Rows
from vendrail.web.storefront.front import Page

_ROOT = "/merchant/sales"
_DAYS = (7, 30, 90)
_FIELDS = {"days": one_of([str(each) for each in _DAYS]), "currency": is_currency}
_FILTERS = ("days", "currency")
_SHOWN_MAX = 50
_COLUMNS = ("by", "key", "title", "sku", "orders", "items", "sold", "refunded", "currency")


class Bar(NamedTuple):
    """A part of the sales, and how long its bar is."""

    part: SalePart
    width: int  # In thousandths of the longest.


class Sales:
    """What sells?"""

    entries = (Entry(_ROOT, message("Sales"), "chart", Permission.OVERVIEW_READ),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._zone = desk.front.settings.time_zone

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of the page and of its file."""
        needed = Permission.OVERVIEW_READ
        return [
            self._desk.get(_ROOT, self.show, needed, fields=_FIELDS),
            self._desk.get(f"{_ROOT}.csv", self.export, needed),
        ]

    async def show(self, caller: Caller) -> Page:
        """Show the sales of some days by product, by way to pay and by hour."""
        currencies = await currencies_of(self._desk, caller)
        currency, days = chosen_currency(caller, currencies), _days(caller)
        parts, since = await self._read(caller, currency, days)
        return self._desk.page(
            caller,
            "merchant/sales.html",
            path=_ROOT,
            currencies=currencies,
            currency=currency,
            days=days,
            spans=_DAYS,
            begins_at=parts.begins_at if parts.begins_at > since else None,
            sold_minor=sum(each.sold_minor for each in parts.methods),
            refunded_minor=sum(each.refunded_minor for each in parts.methods),
            orders=sum(each.sold_count for each in parts.methods),
            variants=_bars(parts.variants[:_SHOWN_MAX]),
            variants_left=len(parts.variants) - _SHOWN_MAX,
            methods=_bars(parts.methods),
            hours=_hours(parts.hours),
            exported=saved_at(caller, _ROOT, _FILTERS),
        )

    async def _read(self, caller: Caller, currency: str, days: int) -> tuple[SaleParts, datetime]:
        now = self._desk.clock.now()
        since = midnight(now, self._zone, 1 - days)
        query = SalePartsQuery(caller.merchant, since, now, currency, self._zone)
        [parts] = await self._desk.apis.orders.sum_sale_parts([query])
        return parts, since

    async def export(self, caller: Caller) -> Page:
        """Give what the page shows as CSV; who took it is kept."""
        told = filters_of(caller, _FILTERS)
        turned = await log_export(self._desk, caller, LISTED, "list:sales", told)
        if turned is not None:
            return turned
        currency = chosen_currency(caller, await currencies_of(self._desk, caller))
        parts, _ = await self._read(caller, currency, _days(caller))

        async def read(_: None) -> tuple[Rows, None]:
            lists = {"product": parts.variants, "method": parts.methods, "hour": parts.hours}
            return [_row(by, each, currency) for by, some in lists.items() for each in some], None

        return export("sales", _COLUMNS, read)


def _days(caller: Caller) -> int:
    return {str(each): each for each in _DAYS}.get(caller.asked("days", 3), 30)


def _bars(parts: Sequence[SalePart]) -> list[Bar]:
    most = max((each.sold_minor for each in parts), default=0) or 1
    return [Bar(each, each.sold_minor * 1_000 // most) for each in parts]


def _hours(parts: Sequence[SalePart]) -> list[Bar]:
    """Give all hours of a day, also those in which nothing was sold."""
    known = {int(each.key): each for each in parts}
    return _bars([known.get(hour, SalePart(str(hour), 0, 0, 0, 0)) for hour in range(24)])


def _row(by: str, part: SalePart, currency: str) -> list[Cell]:
    return [
        by,
        part.key,
        part.title,
        part.sku,
        part.sold_count,
        part.quantity,
        to_decimal(part.sold_minor, currency),
        to_decimal(part.refunded_minor, currency),
        currency,
    ]
