"""What so many of a variant cost: one computation, for what is shown and for what is paid."""

from collections.abc import Mapping, Sequence

from vendrail.kernel.codec import Record


class QuantityPrice(Record, frozen=True):
    """From so many pieces in one order each costs less, in the currencies that are named."""

    quantity_min: int
    prices_minor: dict[str, int]  # Currency -> price of one.


def price_of_one(
    prices_minor: Mapping[str, int], steps: Sequence[QuantityPrice], quantity: int, currency: str
) -> int:
    """Give what each of so many costs; 0: it is not sold in that currency.

    A step that does not name the currency leaves the price of the step before it.
    """
    price = prices_minor.get(currency, 0)
    if price:
        for step in steps:
            if step.quantity_min <= quantity:
                price = step.prices_minor.get(currency, price)
    return price


def are_sound(
    prices_minor: Mapping[str, int], steps: Sequence[QuantityPrice], quantities: tuple[int, int]
) -> bool:
    """Whether steps begin one after the other, and each is cheaper than what was before.

    They begin above the fewest that can be ordered and not above the most: each can be met.
    """
    (before, most), prices = quantities, dict(prices_minor)
    for step in steps:
        if not before < step.quantity_min <= most or not step.prices_minor:
            return False
        if not all(0 < new < prices.get(code, 0) for code, new in step.prices_minor.items()):
            return False
        before, prices = step.quantity_min, prices | step.prices_minor
    return True


def span_minor(
    prices_minor: Mapping[str, int],
    steps: Sequence[QuantityPrice],
    quantities: tuple[int, int],
    currency: str,
) -> tuple[int, int]:
    """Give the least and the most that an order of so few to so many can cost.

    Ten may cost less than nine: so the edges of all steps are looked at.
    """
    least, most = quantities
    edges = {least, most}
    for step in steps:
        edges |= {step.quantity_min - 1, step.quantity_min}
    totals = [
        price_of_one(prices_minor, steps, each, currency) * each
        for each in edges
        if least <= each <= most
    ]
    return min(totals), max(totals)
