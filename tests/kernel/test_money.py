"""Money: whole minor units that are shared out and never rounded away (X20)."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendrail.kernel.errors import Malformed
from vendrail.kernel.money import (
    AMOUNT_MINOR_MAX,
    EXPONENTS,
    allocate,
    from_text,
    portion,
    to_decimal,
    to_text,
)

amounts = st.integers(-AMOUNT_MINOR_MAX, AMOUNT_MINOR_MAX)
currencies = st.sampled_from(sorted(EXPONENTS))
weights = st.lists(st.integers(0, 10**9), min_size=1, max_size=20).filter(any)


@given(amounts, weights)
def test_shares_sum_to_the_whole(amount, weights):
    """However an amount is shared out, its parts sum to it."""
    assert amount == sum(allocate(amount, weights))


@given(amounts, weights)
def test_each_share_is_fair(amount, weights):
    """A share differs from the exact one by less than one minor unit; a weight of 0 gets 0."""
    total = sum(weights)
    for part, weight in zip(allocate(amount, weights), weights, strict=True):
        assert abs(part * total - amount * weight) < total
        assert weight or part == 0


def test_the_first_of_equals_gets_the_remainder():
    """Equal weights share 100 as 34, 33, 33: always the same way."""
    assert [34, 33, 33] == allocate(100, [1, 1, 1])


@pytest.mark.parametrize("weights", [[], [0], [0, 0], [1, -1], [-1]])
def test_senseless_weights_are_malformed(weights):
    """Weights that are empty, all zero or negative are refused."""
    with pytest.raises(Malformed):
        allocate(100, weights)


@given(amounts, currencies)
def test_an_amount_comes_back_from_its_text(amount, currency):
    """Writing an amount as providers read it and reading it back changes nothing."""
    text = to_text(amount, currency)

    assert amount == from_text(text, currency)
    assert Decimal(text) == to_decimal(amount, currency)
    assert "e" not in text.lower()


@given(st.text(max_size=60), currencies)
def test_any_text_is_an_exact_amount_or_malformed(text, currency):
    """A text is read exactly or refused; nothing is rounded, nothing else goes wrong."""
    try:
        amount = from_text(text, currency)
    except Malformed:
        return

    assert to_decimal(amount, currency) == Decimal(text.strip())


@pytest.mark.parametrize(
    "text",
    ["", ".", "1.", ".5", "1e3", "1_000", "1,000", "NaN", "Infinity", "0x10", "1 0", "１２", "--1",
     "1e999999999", "1." + "0" * 40 + "1", "12.345", "9" * 16 + ".00"],
)  # fmt: skip
def test_what_is_no_plain_amount_is_malformed(text):
    """Exponents, separators, words, hidden decimal places and absurd sizes are refused."""
    with pytest.raises(Malformed):
        from_text(text, "CNY")


def test_currencies_have_their_own_places():
    """Yen have none, dinars three; more places than a currency has is an error, zeros are not."""
    assert 500 == from_text("500", "JPY")
    assert 1_234 == from_text("1.234", "KWD")
    assert 1_230 == from_text("12.3000", "CNY")
    assert "1.234" == to_text(1_234, "KWD")
    assert "-0.05" == to_text(-5, "CNY")
    with pytest.raises(Malformed):
        from_text("1.5", "JPY")
    with pytest.raises(Malformed):
        from_text("1", "XXX")


@given(st.integers(0, 10**12), st.integers(0, 10_000))
def test_a_portion_is_rounded_half_up(amount, basis_points):
    """A portion differs from the exact one by at most half a unit and never exceeds the whole."""
    part = portion(amount, basis_points)

    assert 0 <= part <= amount
    assert -5_000 < part * 10_000 - amount * basis_points <= 5_000
