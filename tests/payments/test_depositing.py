"""Counting what came to an address: nothing is lost, and nothing counts twice."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from vendrail.payments.decide import EXPIRY_MARGIN
from vendrail.payments.depositing import OVER, Arrived, Asked, count, worth_minor

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=15) + EXPIRY_MARGIN
_UNITS = st.integers(1, 30_000_000)


def asked(*, is_paid: bool = False) -> Asked:
    """Ask for ten dollars in a token with six places."""
    return Asked(UUID(int=1), 10_000_000, 1_000, NOW + timedelta(minutes=15), is_paid)


def transfers(units: list[int], final: int) -> list[Arrived]:
    """Make transfers in the chain's order, the first ones final."""
    return [
        Arrived(f"0x{place:02d}:0", each, NOW + timedelta(seconds=place), place < final)
        for place, each in enumerate(units)
    ]


def test_the_price_is_one_credit_however_it_came():
    """Two transfers that make the price are one credit, under the number of the last."""
    result = count(asked(), transfers([4_000_000, 6_000_000], 2), NOW)

    assert [("0x01:0", 1_000)] == [(each.number, each.amount_minor) for each in result.credits]
    assert [("0x00:0", "0x01:0"), ("0x01:0", "0x01:0")] == result.counted
    assert result.credits[0] == result.price


def test_what_is_over_is_a_credit_of_its_own():
    """More than the price is the price, and the rest under a number of its own."""
    result = count(asked(), transfers([12_500_000], 1), NOW)

    assert [("0x00:0", 1_000), (f"0x00:0{OVER}", 250)] == [
        (each.number, each.amount_minor) for each in result.credits
    ]


def test_too_little_waits_until_the_attempt_is_over():
    """A part counts for nothing while the rest may come; then it is money of its own."""
    parts = transfers([4_000_000], 1)

    assert ([], []) == count(asked(), parts, NOW)[:2]
    assert [400] == [each.amount_minor for each in count(asked(), parts, LATER).credits]
    assert count(asked(), parts, LATER).price is None


def test_a_transfer_on_its_way_is_waited_for():
    """Even when the attempt is over, what is not final yet may still make the price."""
    result = count(asked(), transfers([4_000_000, 6_000_000], 1), LATER)

    assert ([], []) == result[:2]


def test_dust_is_noted_and_makes_no_money():
    """Less than a minor unit is counted as seen, and is no credit."""
    result = count(asked(is_paid=True), transfers([9_999], 1), NOW)

    assert [] == result.credits
    assert [("0x00:0", "0x00:0")] == result.counted


def test_what_moves_in_worth_pays_only_in_time():
    """Coins after the attempt's time and its margin are money, and never the price."""
    late = [Arrived("0x00:coin", 10_000_000, LATER + timedelta(seconds=1), True, False)]
    timely = [Arrived("0x00:coin", 10_000_000, LATER, True, False)]
    result = count(asked(), late, LATER)

    assert [(1_000, False)] == [(each.amount_minor, each.is_price) for each in result.credits]
    assert [("0x00:coin", "0x00:coin")] == result.counted
    assert result.price is None
    assert count(asked(), timely, LATER).price is not None


@given(st.lists(_UNITS, max_size=8), st.integers(0, 8))
def test_no_unit_is_invented(units, final):
    """All credits together are never worth more than what is final."""
    arrived = transfers(units, final)
    result = count(asked(), arrived, LATER)
    total = sum(each.units for each in arrived if each.is_final)

    assert sum(each.amount_minor for each in result.credits) <= worth_minor(asked(), total)
    assert len(result.counted) == len({number for number, _ in result.counted})
    assert len(result.credits) == len({each.number for each in result.credits})
    assert {number for number, _ in result.counted} <= {
        each.number for each in arrived if each.is_final
    }


@given(st.lists(_UNITS, min_size=1, max_size=8), st.integers(1, 8))
def test_counting_in_two_steps_is_counting_at_once(units, first):
    """What becomes final bit by bit makes the same money as what becomes final at once."""
    all_at_once = count(asked(), transfers(units, len(units)), NOW)
    step = count(asked(), transfers(units, first), NOW)
    done = {number for number, _ in step.counted}
    rest = [each for each in transfers(units, len(units)) if each.number not in done]
    after = count(asked(is_paid=step.price is not None), rest, NOW)

    assert all_at_once.credits == step.credits + after.credits
    assert all_at_once.counted == step.counted + after.counted
