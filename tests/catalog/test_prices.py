"""Quantity prices: one computation for what is shown and what is paid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendrail.api.catalog import QuantityPrice, Variant, VariantId
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import named_id

ONE = Variant(
    VariantId(named_id("one")),
    "ONE",
    "One",
    {"CNY": 1_000, "JPY": 200},
    quantity_min=2,
    quantity_max=50,
    quantity_prices=[
        QuantityPrice(10, {"CNY": 900, "JPY": 190}),
        QuantityPrice(20, {"CNY": 850}),
    ],
)


@pytest.mark.parametrize(
    "quantity, currency, total_minor",
    [
        (1, "CNY", 1_000),
        (9, "CNY", 9_000),
        (10, "CNY", 9_000),
        (19, "CNY", 17_100),
        (20, "CNY", 17_000),
        (20, "JPY", 3_800),  # The second step does not name it: the first one's price stays.
        (20, "USD", 0),
        (0, "CNY", 0),
    ],
)
def test_the_last_step_that_is_reached_counts(quantity, currency, total_minor):
    """A step holds from its count on, in the currencies that it names, whatever their coins."""
    assert total_minor == ONE.total_minor(quantity, currency)


@st.composite
def variants(draw):
    """Draw variants whose steps fit."""
    least = draw(st.integers(1, 5))
    starts = sorted(draw(st.sets(st.integers(least + 1, 40), max_size=4)))
    prices = sorted(
        draw(st.sets(st.integers(1, 10_000), min_size=len(starts) + 1, max_size=len(starts) + 1)),
        reverse=True,
    )
    steps = [
        QuantityPrice(start, {"CNY": price})
        for start, price in zip(starts, prices[1:], strict=True)
    ]
    return replace(
        ONE,
        prices_minor={"CNY": prices[0]},
        quantity_min=least,
        quantity_max=40,
        quantity_prices=steps,
    )


@given(variants())
def test_the_span_holds_every_order(variant):
    """The least and the most that are told are those of all quantities, each of them met."""
    totals = [variant.total_minor(each, "CNY") for each in range(variant.quantity_min, 41)]

    assert variant.has_sound_steps
    assert (min(totals), max(totals)) == variant.span_minor("CNY")


@given(variants(), st.integers(1, 39))
def test_who_orders_more_never_pays_more_for_each(variant, quantity):
    """The price of one falls or stays with every piece more."""
    here, next_ = (variant.total_minor(each, "CNY") for each in (quantity, quantity + 1))

    assert next_ * quantity <= here * (quantity + 1)
