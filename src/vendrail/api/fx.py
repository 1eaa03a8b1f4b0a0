"""Foreign exchange: what a price is in another currency, by which sources, and for how long."""

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from enum import StrEnum
from typing import NewType, Protocol
from uuid import UUID

from vendrail.kernel.codec import Record
from vendrail.kernel.money import exponent

QuoteId = NewType("QuoteId", UUID)

_EXACT = Context(prec=60)  # No amount times no rate has more digits.


class Price(Record, frozen=True):
    """An amount in the other currency: at the middle rate, and what is added, to the unit."""

    fair_minor: int  # At the middle rate, whole units.
    spread_minor: int  # The exchange's cost, with what rounding up adds.

    @property
    def paid_minor(self) -> int:
        """All of it: what the buyer pays."""
        return self.fair_minor + self.spread_minor


class Rate(Record, frozen=True):
    """What one unit of a currency is in another: the middle of all sources, and our spread."""

    currency: str  # One of which …
    paid_currency: str  # … is so much of this.
    mid: Decimal
    basis_points: int  # Hundredths of a percent added to the middle.
    rated_at: datetime  # Of the oldest source that was counted.
    sources: list[str]

    def price(self, amount_minor: int) -> Price:
        """Say what an amount is in the other currency: rounded up, so that nothing is given away.

        What lies above the middle rate is told apart, so that it can be shown as a line of its own.
        """
        places = exponent(self.paid_currency) - exponent(self.currency)
        exact = _EXACT.multiply(Decimal(amount_minor), self.mid).scaleb(places, _EXACT)
        above = _EXACT.multiply(exact, Decimal(10_000 + self.basis_points)).scaleb(-4, _EXACT)
        fair = int(exact.to_integral_value(ROUND_FLOOR))
        paid = int(above.to_integral_value(ROUND_CEILING))
        return Price(fair, paid - fair)


class RatePair(Record, frozen=True):
    """A price's currency, and the one that it is to be paid in."""

    currency: str
    paid_currency: str


class RateStatus(StrEnum):
    """Whether there is a rate. Where several would fit, the first listed is given."""

    RATED = "rated"
    CURRENCY_UNKNOWN = "currency_unknown"
    CURRENCIES_EQUAL = "currencies_equal"
    NOT_RATED = "not_rated"  # No source knows both currencies.
    RATES_STALE = "rates_stale"  # Those that do are older than the limit.
    RATES_TOO_FEW = "rates_too_few"  # Fewer of them than must agree.
    RATES_DISPUTED = "rates_disputed"  # They differ by more than the limit.


class RateResult(Record, frozen=True):
    """A rate, or why there is none."""

    status: RateStatus
    rate: Rate | None = None


class QuoteRequest(Record, frozen=True):
    """Ask what an amount is in another currency; the id is the idempotency key."""

    id: QuoteId
    amount_minor: int
    currency: str
    paid_currency: str


class Quote(Record, frozen=True):
    """An amount in another currency that stands until it expires, for one order."""

    id: QuoteId
    amount_minor: int
    paid_minor: int
    spread_minor: int  # The part of it that lies above the middle rate.
    rate: Rate
    made_at: datetime
    expires_at: datetime
    order: UUID | None = None  # Which order has used it.

    @property
    def currency(self) -> str:
        """The currency of the price."""
        return self.rate.currency

    @property
    def paid_currency(self) -> str:
        """The currency that it is paid in."""
        return self.rate.paid_currency


class QuoteStatus(StrEnum):
    """How asking for one quote ended. Where several would fit, the first listed is given."""

    QUOTED = "quoted"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"
    CURRENCY_UNKNOWN = "currency_unknown"
    CURRENCIES_EQUAL = "currencies_equal"
    AMOUNT_OUT_OF_RANGE = "amount_out_of_range"
    NOT_RATED = "not_rated"
    RATES_STALE = "rates_stale"
    RATES_TOO_FEW = "rates_too_few"
    RATES_DISPUTED = "rates_disputed"


class QuoteResult(Record, frozen=True):
    """A quote, or why there is none."""

    status: QuoteStatus
    quote: Quote | None = None


class QuoteUse(Record, frozen=True):
    """Spend a quote on an order."""

    quote: QuoteId
    order: UUID


class UseStatus(StrEnum):
    """How using one quote ended. Where several would fit, the first listed is given."""

    USED = "used"
    EXISTS = "exists"  # By this order, before.
    QUOTE_NOT_FOUND = "quote_not_found"
    USED_ELSEWHERE = "used_elsewhere"  # A quote is good for one order.
    QUOTE_EXPIRED = "quote_expired"


class UseResult(Record, frozen=True):
    """The quote that was used, or why it was not."""

    status: UseStatus
    quote: Quote | None = None


class SourceView(Record, frozen=True):
    """How one source of rates stands."""

    name: str
    is_fresh: bool
    currencies_count: int
    rated_at: datetime | None  # Of which moment its rates are; None: there are none yet.
    fetched_at: datetime | None  # When they were read.
    tried_at: datetime | None
    problem: str  # Of the last try; empty: it went well.


class Position(Record, frozen=True):
    """What exchanges between two currencies have left with the platform, in both.

    Above zero the platform has it; below zero it gave it to merchants, and must buy it some day.
    """

    currency: str
    other_currency: str
    currency_minor: int
    other_minor: int
    result_minor: (
        int | None
    )  # What is left in the first when all is changed back now; None: no rate.


class Fx(Protocol):
    """Rates, quotes and the platform's exposure, in batches."""

    async def read_rates(self, pairs: Sequence[RatePair]) -> list[RateResult]:
        """Say what currencies are worth in others now: to show prices, not to promise them."""
        ...

    async def quote_amounts(self, requests: Sequence[QuoteRequest]) -> list[QuoteResult]:
        """Promise amounts in other currencies, each for one order and some time."""
        ...

    async def use_quotes(self, uses: Sequence[QuoteUse]) -> list[UseResult]:
        """Spend quotes on orders, each once; again for the same order is `exists`."""
        ...

    async def read_quotes(self, quotes: Sequence[QuoteId]) -> list[Quote | None]:
        """Read quotes; None for those that were never used and are forgotten."""
        ...

    async def list_sources(self) -> list[SourceView]:
        """List the sources of rates in use, and how they stand."""
        ...

    async def list_positions(self) -> list[Position]:
        """List what exchanges have left with the platform, by pairs of currencies."""
        ...
