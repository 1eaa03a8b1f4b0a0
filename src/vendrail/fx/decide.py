"""When rates are believed, and what may happen to a quote. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import NamedTuple
from uuid import UUID

from vendrail.api.fx import (
    Quote,
    QuoteRequest,
    QuoteResult,
    QuoteStatus,
    QuoteUse,
    Rate,
    RatePair,
    RateResult,
    RateStatus,
    UseResult,
    UseStatus,
)
from vendrail.fx.sheets import Sheet, origin
from vendrail.kernel.codec import replace
from vendrail.kernel.money import AMOUNT_MINOR_MAX, EXPONENTS

_DIGITS = Context(prec=12)  # More than any source has, and few enough to read.


class Terms(NamedTuple):
    """What rates are judged by, and what is added to them."""

    age_s_max: int
    sources_min: int
    disagreement_basis_points_max: int
    spread_basis_points: int
    quote_s: int


def rate(pair: RatePair, sheets: Sequence[Sheet], terms: Terms, now: datetime) -> RateResult:
    """Give the middle of what fresh sources say of a pair, or why nothing can be believed.

    Sources that tell what one bank has said are one voice among the others, and one of the number.
    """
    if not {pair.currency, pair.paid_currency} <= EXPONENTS.keys():
        return RateResult(RateStatus.CURRENCY_UNKNOWN)
    if pair.currency == pair.paid_currency:
        return RateResult(RateStatus.CURRENCIES_EQUAL)
    told = [(sheet, mid) for sheet in sheets if (mid := sheet.cross(*_names(pair))) is not None]
    if not told:
        return RateResult(RateStatus.NOT_RATED)
    fresh = [(sheet, mid) for sheet, mid in told if is_fresh(sheet.rated_at, terms, now)]
    if not fresh:
        return RateResult(RateStatus.RATES_STALE)
    voices: dict[str, list[Decimal]] = {}
    for sheet, mid in fresh:
        voices.setdefault(origin(sheet.source), []).append(mid)
    if len(voices) < terms.sources_min:
        return RateResult(RateStatus.RATES_TOO_FEW)
    middle = median([median(mids) for mids in voices.values()])
    bound = middle * terms.disagreement_basis_points_max / Decimal(10_000)
    if any(abs(mid - middle) > bound for _, mid in fresh):
        return RateResult(RateStatus.RATES_DISPUTED)
    made = Rate(
        pair.currency,
        pair.paid_currency,
        _DIGITS.plus(middle),
        terms.spread_basis_points,
        min(sheet.rated_at for sheet, _ in fresh),
        sorted(sheet.source for sheet, _ in fresh),
    )
    return RateResult(RateStatus.RATED, made)


def is_fresh(rated_at: datetime, terms: Terms, now: datetime) -> bool:
    """Tell whether rates are young enough to count."""
    return now - rated_at <= timedelta(seconds=terms.age_s_max)


def median(values: Sequence[Decimal]) -> Decimal:
    """Give the middle of some values; of an even number the mean of the two in the middle."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _names(pair: RatePair) -> tuple[str, str]:
    return pair.currency, pair.paid_currency


def quote(
    asked: QuoteRequest,
    known: Quote | None,
    rates: Mapping[RatePair, RateResult],
    terms: Terms,
    now: datetime,
) -> QuoteResult:
    """Promise an amount in another currency, or say why not; what was promised stands."""
    if known is not None:
        if not _is_same(asked, known):
            return QuoteResult(QuoteStatus.EXISTS_DIFFERENT)
        return QuoteResult(QuoteStatus.EXISTS, known)
    found = rates[RatePair(asked.currency, asked.paid_currency)]
    if found.status in (RateStatus.CURRENCY_UNKNOWN, RateStatus.CURRENCIES_EQUAL):
        return QuoteResult(QuoteStatus(found.status.value))
    if not 0 < asked.amount_minor <= AMOUNT_MINOR_MAX:
        return QuoteResult(QuoteStatus.AMOUNT_OUT_OF_RANGE)
    if found.rate is None:
        return QuoteResult(QuoteStatus(found.status.value))
    price = found.rate.price(asked.amount_minor)
    if price.paid_minor > AMOUNT_MINOR_MAX:
        return QuoteResult(QuoteStatus.AMOUNT_OUT_OF_RANGE)
    made = Quote(
        asked.id,
        asked.amount_minor,
        price.paid_minor,
        price.spread_minor,
        found.rate,
        now,
        now + timedelta(seconds=terms.quote_s),
    )
    return QuoteResult(QuoteStatus.QUOTED, made)


def _is_same(asked: QuoteRequest, known: Quote) -> bool:
    return (asked.amount_minor, asked.currency, asked.paid_currency) == (
        known.amount_minor,
        known.currency,
        known.paid_currency,
    )


def use(
    asked: QuoteUse, known: Quote | None, spent: Mapping[UUID, UUID], now: datetime
) -> UseResult:
    """Say whether an order may have a quote; `spent` are the quotes of orders that have one."""
    if known is None:
        return UseResult(UseStatus.QUOTE_NOT_FOUND)
    if known.order == asked.order:
        return UseResult(UseStatus.EXISTS, known)
    if known.order is not None or asked.order in spent:
        return UseResult(UseStatus.USED_ELSEWHERE)
    if now >= known.expires_at:
        return UseResult(UseStatus.QUOTE_EXPIRED)
    return UseResult(UseStatus.USED, replace(known, order=asked.order))
