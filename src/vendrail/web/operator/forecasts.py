"""A reserve's next week, as a chart and a table: what payouts may ask of it, and what is there."""

from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from babel.dates import format_datetime
from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.payouts import ReserveForecast
from vendrail.kernel.codec import encode
from vendrail.kernel.money import to_text
from vendrail.web.amounts import time_zone
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.storefront.front import Page

_RESERVES = "/operator/reserves"


class DayRow(NamedTuple):
    """What may be needed by the end of a day."""

    ends_at: datetime
    usual_minor: int
    careful_minor: int
    left_minor: int  # Below zero: so much is missing.


class ForecastDesk:
    """The operator's page of one reserve's next week."""

    entries: tuple[Entry, ...] = ()

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._zone = time_zone(desk.front.settings.time_zone)

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        path = f"{_RESERVES}/{{channel:str}}/{{currency:str}}"
        return [self._desk.get(path, self.show, Permission.PAYOUTS_WRITE)]

    async def show(self, caller: Caller) -> Page:
        """Show one reserve's forecast."""
        wanted = (caller.part("channel"), caller.part("currency"))
        found = await self._desk.apis.payouts.forecast_reserves()
        each = next((e for e in found if (e.channel_name, e.currency) == wanted), None)
        if each is None:
            return self._desk.problem(caller.request, 404, caller)
        return self._desk.page(
            caller,
            "operator/forecast.html",
            path=_RESERVES,
            forecast=each,
            days=_days(each),
            suggested=to_text(each.suggested_minor, each.currency),
            chart=_chart(each, caller, self._zone) if each.careful_minor else "",
        )


def _days(each: ReserveForecast) -> list[DayRow]:
    ends = range(24, len(each.careful_minor) + 1, 24)
    return [
        DayRow(
            each.begins_at + timedelta(hours=end),
            each.waiting_minor + each.usual_minor[end - 1],
            each.waiting_minor + each.careful_minor[end - 1],
            each.free_minor - each.waiting_minor - each.careful_minor[end - 1],
        )
        for end in ends
    ]


def _chart(each: ReserveForecast, caller: Caller, zone: tzinfo) -> str:
    """Give the hours as the chart draws them: two curves of the need, and what is there."""
    locale = caller.visitor.language.locale
    hours = range(1, len(each.careful_minor) + 1)
    ends = [(each.begins_at + timedelta(hours=hour)).astimezone(zone) for hour in hours]
    told = {
        "currency": each.currency,
        "labels": [format_datetime(at, "EEE HH:mm", locale=locale) for at in ends],
        "lines": [
            [to_text(each.waiting_minor + minor, each.currency) for minor in each.usual_minor],
            [to_text(each.waiting_minor + minor, each.currency) for minor in each.careful_minor],
            [to_text(each.free_minor, each.currency)] * len(ends),
        ],
    }
    return encode(told).decode()
