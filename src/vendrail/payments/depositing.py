"""What came to an attempt's address: which of it pays, which is too much, late or too little. Pure.

Only final transfers are counted, in the order of the chain, each once; so whoever counts again
finds the same.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.payments.decide import EXPIRY_MARGIN

OVER = ":over"  # Ends the number of what came beyond the price.


class Asked(NamedTuple):
    """What is asked for at an address, and whether it has come already."""

    attempt: UUID
    units: int
    amount_minor: int
    expires_at: datetime
    is_paid: bool


class Arrived(NamedTuple):
    """A transfer that is not yet counted, its units in what was asked for."""

    number: str
    units: int
    at: datetime
    is_final: bool
    is_steady: bool = True  # Its worth does not move, so it may come late.


class Credit(NamedTuple):
    """Money to be recorded under a number, for the transfers that it is made of."""

    number: str
    amount_minor: int
    paid_at: datetime
    is_price: bool = True  # False: it is not what was asked, whatever it is worth.


class Count(NamedTuple):
    """What counting led to: money, and under which number each transfer is counted."""

    credits: list[Credit]
    counted: list[tuple[str, str]]
    price: Credit | None  # The price, where it has come with these.


def count(asked: Asked, arrived: Sequence[Arrived], now: datetime) -> Count:
    """Count final transfers: they add up until the price is there; the rest is each its own.

    Too little waits for the rest until the attempt is over, and then for nobody: it is money that
    is not what was asked. A transfer on its way is waited for. What moves in worth and came when
    the attempt was over is not what was asked either: its buyer has seen where the rate went.
    """
    stale = [each for each in arrived if _is_stale(asked, each)]
    arrived = [each for each in arrived if not _is_stale(asked, each)]
    late = _each(asked, [each for each in stale if each.is_final], is_price=False)
    credits, counted = late.credits, late.counted
    final = [each for each in arrived if each.is_final]
    price: Credit | None = None
    if not asked.is_paid:
        parts: list[Arrived] = []
        while final and sum(each.units for each in parts) < asked.units:
            parts.append(final.pop(0))
        total = sum(each.units for each in parts)
        if total < asked.units:
            is_over = now >= asked.expires_at + EXPIRY_MARGIN
            if not is_over or len(parts) < len(arrived):
                return late
            short = _each(asked, parts)
            return Count(credits + short.credits, counted + short.counted, None)
        number, at = parts[-1].number, parts[-1].at
        price = Credit(number, asked.amount_minor, at)
        credits.append(price)
        counted += [(each.number, number) for each in parts]
        if over := worth_minor(asked, total - asked.units):
            credits.append(Credit(number + OVER, over, at))
    rest = _each(asked, final)
    return Count(credits + rest.credits, counted + rest.counted, price)


def worth_minor(asked: Asked, units: int) -> int:
    """Give the worth of units at the rate that was shown, in whole minor units."""
    return units * asked.amount_minor // asked.units


def _is_stale(asked: Asked, each: Arrived) -> bool:
    return not each.is_steady and each.at > asked.expires_at + EXPIRY_MARGIN


def _each(asked: Asked, parts: Sequence[Arrived], *, is_price: bool = True) -> Count:
    """Count each transfer by itself; dust, worth no minor unit, is only noted."""
    credits = [
        Credit(each.number, worth, each.at, is_price)
        for each in parts
        if (worth := worth_minor(asked, each.units))
    ]
    return Count(credits, [(each.number, each.number) for each in parts], None)
