"""The visitor's purse: in which currency prices are shown, and in which one they are paid."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from decimal import Context, Decimal
from typing import NamedTuple

from vendrail.api.catalog import Variant
from vendrail.api.fx import Rate, RatePair, RateResult, RateStatus
from vendrail.api.payments import Method
from vendrail.kernel.money import EXPONENTS, exponent
from vendrail.web.countries import Countries
from vendrail.web.languages import message
from vendrail.web.settings import WebSettings

_DIGITS = Context(prec=6)

_SAYS = {
    RateStatus.RATES_STALE: message(
        "Exchange rates are too old just now, so this price is in its own currency."
    ),
    RateStatus.RATES_TOO_FEW: message(
        "Too few sources of exchange rates answer just now, so this price is in its own currency."
    ),
    RateStatus.RATES_DISPUTED: message(
        "Sources of exchange rates disagree just now, so this price is in its own currency."
    ),
}


def few_digits(value: Decimal) -> str:
    """Write a number in few digits, for reading."""
    return f"{_DIGITS.plus(value):f}"


class Shown(NamedTuple):
    """How the prices of one product are shown to one visitor."""

    currency: str  # The price's own.
    paid_currency: str  # What the visitor pays in.
    rate: Rate | None = None  # Into that, where it is another.
    told_currency: str = ""  # What the visitor thinks in, where it is yet another …
    told_rate: Rate | None = None  # … and what it is in that, about; None: it is the price's own.
    problem: str = ""  # Why the visitor's own currency is not shown.

    def paid(self, amount_minor: int) -> int:
        """Say what is paid for an amount."""
        return self.rate.price(amount_minor).paid_minor if self.rate else amount_minor

    def told(self, amount_minor: int) -> int:
        """Say about how much an amount is to the visitor."""
        return self.told_rate.price(amount_minor).paid_minor if self.told_rate else amount_minor

    @property
    def mid_text(self) -> str:
        """Write the middle rate whole, for the form that comes back with it."""
        return f"{self.rate.mid:f}" if self.rate else ""

    @property
    def places(self) -> int:
        """Say how many places more the currency that is paid has than the price's."""
        return exponent(self.paid_currency) - exponent(self.currency)

    @property
    def rate_text(self) -> str:
        """Write the middle rate in few digits, for reading."""
        return few_digits(self.rate.mid) if self.rate else ""

    @property
    def percent_text(self) -> str:
        """Write what the exchange adds, in percent."""
        points = self.rate.basis_points if self.rate else 0
        whole, rest = divmod(points, 100)
        return f"{whole}.{rest:02}".rstrip("0").rstrip(".")


class Purse:
    """Chooses currencies, by the visitor's word first, then by where the address is."""

    def __init__(
        self,
        settings: WebSettings,
        countries: Countries,
        methods: Callable[[str], Awaitable[Sequence[Method]]],
        rate: Callable[[RatePair], Awaitable[RateResult]],
    ) -> None:
        self._settings = settings
        self._countries = countries
        self._methods = methods
        self.rate = rate
        own = settings.default_currency
        listed = dict.fromkeys((own, *settings.currencies))
        self.currencies = tuple(each for each in listed if each in EXPONENTS)

    def country(self, address: str) -> str:
        """Give the country of an address, where it is known."""
        return self._countries.country(address)

    def choose(self, chosen: str, address: str) -> str:
        """Give the currency that a visitor sees prices in."""
        if chosen in self.currencies:
            return chosen
        if self._settings.is_currency_by_country:
            found = self._countries.currency(address)
            if found in self.currencies:
                return found
        return self._settings.default_currency

    async def shown(self, variants: Iterable[Variant], wanted: str) -> Shown:
        """Say how a product is shown: paid in the visitor's currency wherever that can be."""
        offered = list(dict.fromkeys(code for each in variants for code in each.prices_minor))
        own = self._settings.default_currency
        if not offered:
            return Shown(own, own)
        currency = next((each for each in (wanted, own) if each in offered), offered[0])
        paid, rate, problem = currency, None, ""
        for candidate in dict.fromkeys((wanted, currency, own)):
            if not await self._methods(candidate):
                continue
            if candidate != currency:
                result = await self.rate(RatePair(currency, candidate))
                if result.rate is None:
                    problem = problem or _SAYS.get(result.status, "")
                    continue
                rate = result.rate
            paid = candidate
            break
        if wanted == paid:
            return Shown(currency, paid, rate)
        if wanted == currency:
            return Shown(currency, paid, rate, wanted)
        told = await self.rate(RatePair(currency, wanted))
        if told.rate is None:
            return Shown(currency, paid, rate, problem=problem or _SAYS.get(told.status, ""))
        return Shown(currency, paid, rate, wanted, told.rate)
