"""Currencies: what exchanges have left with the platform, today's rates, and their sources."""

from typing import NamedTuple

from litestar.handlers import HTTPRouteHandler

from vendrail.api.fx import RatePair, RateResult
from vendrail.api.identity import Permission
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.purse import few_digits
from vendrail.web.storefront.front import Page

_PATH = "/operator/currencies"


class Line(NamedTuple):
    """The rate of one currency against our own."""

    currency: str
    found: RateResult

    @property
    def text(self) -> str:
        """Write how much of it one unit of our own is."""
        return few_digits(self.found.rate.mid) if self.found.rate else ""


class Currencies:
    """The page of exchanges."""

    entries = (Entry(_PATH, message("Foreign exchange"), "coins", Permission.BALANCE_READ),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the route of this page."""
        return [self._desk.get(_PATH, self.show, Permission.BALANCE_READ)]

    async def show(self, caller: Caller) -> Page:
        """Show exposure, rates and sources as they are now."""
        fx, purse = self._desk.apis.fx, self._desk.front.purse
        own = self._desk.front.settings.default_currency
        others = [each for each in purse.currencies if each != own]
        rates = await fx.read_rates([RatePair(own, each) for each in others])
        spread = next((each.rate.basis_points for each in rates if each.rate is not None), None)
        return self._desk.page(
            caller,
            "operator/currencies.html",
            own=own,
            positions=await fx.list_positions(),
            lines=[Line(*pair) for pair in zip(others, rates, strict=True)],
            spread=spread,
            sources=await fx.list_sources(),
        )
