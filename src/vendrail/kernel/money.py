"""Money is a whole number of minor units and a currency; it is shared out, never rounded away.

Exponents are those of ISO 4217. There is no float here, and none may come near.
"""

import re
from collections.abc import Sequence
from decimal import Decimal

from vendrail.kernel.codec import Record
from vendrail.kernel.errors import Malformed

EXPONENTS = {
    "AUD": 2, "BHD": 3, "CAD": 2, "CHF": 2, "CNY": 2, "DKK": 2, "EUR": 2, "GBP": 2, "HKD": 2,
    "IDR": 2, "INR": 2, "JOD": 3, "JPY": 0, "KRW": 0, "KWD": 3, "MOP": 2, "MYR": 2, "NOK": 2,
    "NZD": 2, "OMR": 3, "PHP": 2, "SEK": 2, "SGD": 2, "THB": 2, "TND": 3, "TWD": 2, "USD": 2,
    "VND": 0,
}  # fmt: skip
_AMOUNT = re.compile(r"([+-]?)([0-9]{1,30})(?:\.([0-9]{1,60}))?")
AMOUNT_MINOR_MAX = 10**15  # Far from 2^63, so that no sum of a batch can overflow a bigint.


class Money(Record, frozen=True):
    """An amount in minor units of one currency."""

    amount_minor: int
    currency: str


def exponent(currency: str) -> int:
    """Give the number of decimal places of a currency's minor unit."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise Malformed(
            f"Currency {currency!r} is not known; use one of {sorted(EXPONENTS)}."
        ) from None


def to_decimal(amount_minor: int, currency: str) -> Decimal:
    """Write minor units as a decimal number in major units, with all places."""
    return Decimal(amount_minor).scaleb(-exponent(currency))


def to_text(amount_minor: int, currency: str) -> str:
    """Write minor units as providers read them: `12.30`, no currency, no grouping."""
    return f"{to_decimal(amount_minor, currency):.{exponent(currency)}f}"


def from_text(text: str, currency: str) -> int:
    """Read a decimal text into minor units, exactly; more places than a currency has is wrong."""
    places = exponent(currency)
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise Malformed(f"{text[:40]!r} is not an amount; write digits and one point, as 12.30.")
    sign, whole, fraction = match[1], match[2], (match[3] or "").rstrip("0")
    if len(fraction) > places:
        raise Malformed(f"{text[:40]!r} has more decimal places than {currency} has.")
    value = int(whole + fraction.ljust(places, "0"))
    if value > AMOUNT_MINOR_MAX:
        raise Malformed(f"{text[:40]!r} is larger than any amount that is taken here.")
    return -value if sign == "-" else value


def allocate(amount_minor: int, weights: Sequence[int]) -> list[int]:
    """Share an amount out by weights; the parts sum to the whole (largest remainder first)."""
    total = sum(weights)
    if total <= 0 or min(weights) < 0:
        raise Malformed("Weights must be zero or more, and one must be above zero.")
    parts = [amount_minor * weight // total for weight in weights]
    remainders = [amount_minor * weight % total for weight in weights]
    order = sorted(range(len(weights)), key=lambda index: (-remainders[index], index))
    for index in order[: amount_minor - sum(parts)]:
        parts[index] += 1
    return parts


def portion(amount_minor: int, basis_points: int) -> int:
    """Take so many hundredths of a percent of an amount, rounded half up, in whole minor units."""
    return (amount_minor * basis_points + 5_000) // 10_000
