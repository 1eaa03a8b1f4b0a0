"""The rules, pure: windows, limits, lists."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from vendrail.api.risk import ListKind, RiskDecision
from vendrail.risk.rules import (
    HOURS,
    Ceiling,
    SubjectKind,
    Total,
    answer,
    day_of,
    excess_until,
    has_reached,
    hour_of,
    reasons_above,
    subject_number,
    total,
)

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
HOUR = hour_of(NOW)
orders_at = st.lists(
    st.tuples(st.integers(-60 * 3_600, 0), st.integers(0, 2), st.integers(1, 500)), max_size=40
)


def slots_of(orders):
    """Write orders (seconds ago, currency, amount) as slots."""
    return [
        value
        for ago_s, currency, amount in orders
        for value in (hour_of(NOW + timedelta(seconds=ago_s)), currency, 1, amount)
    ]


@given(orders_at)
def test_a_window_is_between_24_and_25_hours(orders):
    """All orders of the last 24 hours count, and none that is more than 25 hours old."""
    counted = total(slots_of(orders), HOUR, 1)
    at_least = [order for order in orders if order[0] > -HOURS * 3_600]
    at_most = [order for order in orders if order[0] > -(HOURS + 1) * 3_600]

    assert len(at_least) <= counted.orders <= len(at_most)
    assert sum(order[2] for order in at_least if order[1] == 1) <= counted.amount_minor
    assert counted.amount_minor <= sum(order[2] for order in at_most if order[1] == 1)


@given(orders_at, st.integers(1, 10), st.integers(0, 2_000))
def test_an_excess_ends_when_the_limit_is_free_again(orders, limit, limit_minor):
    """At the end of an excess the subject is below its limits, and an hour before it was not."""
    slots = slots_of(orders)
    ceiling = Ceiling(0, limit, 0, limit_minor)
    if not has_reached(total(slots, HOUR, 1), ceiling):
        return
    until = excess_until(slots, HOUR, 1, ceiling)

    assert NOW < until <= NOW + timedelta(hours=HOURS + 1)
    assert not has_reached(total(slots, hour_of(until), 1), ceiling)
    assert has_reached(total(slots, hour_of(until) - 1, 1), ceiling)


def test_limits_are_exceeded_above_not_at():
    """At the limit is within it; one above asks a person; one above the hard limit refuses."""
    ceiling = Ceiling(2, 4, 100, 200)
    cases = [
        (Total(2, 100), [], False),
        (Total(3, 100), ["orders_per_buyer"], False),
        (Total(2, 101), ["amount_per_buyer"], False),
        (Total(5, 0), ["orders_per_buyer"], True),
        (Total(1, 201), ["amount_per_buyer"], True),
        (Total(5, 101), ["orders_per_buyer", "amount_per_buyer"], True),
    ]

    for so_far, reasons, is_refused in cases:
        assert (reasons, is_refused) == reasons_above(SubjectKind.BUYER, so_far, ceiling)
    assert ([], False) == reasons_above(SubjectKind.BUYER, Total(10**9, 10**9), Ceiling(0, 0))


def test_the_strictest_answer_wins_and_trust_lifts_only_soft_ones():
    """Blocked over refused over trusted over reviewed over soft limits."""
    blocked, reviewed, trusted = ListKind.BLOCKED, ListKind.REVIEWED, ListKind.TRUSTED
    cases = [
        (set(), [], False, RiskDecision.ALLOW),
        (set(), ["x"], False, RiskDecision.REVIEW),
        (set(), ["x"], True, RiskDecision.REFUSE),
        ({trusted}, ["x"], False, RiskDecision.ALLOW),
        ({trusted}, ["x"], True, RiskDecision.REFUSE),
        ({trusted, blocked}, [], False, RiskDecision.REFUSE),
        ({trusted, reviewed}, [], False, RiskDecision.ALLOW),
        ({reviewed}, [], False, RiskDecision.REVIEW),
        ({reviewed}, ["x"], True, RiskDecision.REFUSE),
    ]

    for lists, reasons, is_refused, expected in cases:
        assert expected == answer(lists, reasons, is_refused=is_refused).decision


@given(st.text(min_size=1) | st.binary(min_size=16).map(bytes.hex), st.sampled_from(SubjectKind))
def test_a_subject_number_fits_a_bigint(value, kind):
    """Numbers are the same each time, not negative, within 63 bits, and differ by kind."""
    number = subject_number(kind, value)

    assert number == subject_number(kind, value)
    assert 0 <= number < 2**63
    assert 3 == len({subject_number(each, value) for each in SubjectKind})


def test_days_and_hours_follow_utc():
    """An hour belongs to the UTC day it lies in."""
    midnight = datetime(2026, 11, 24, tzinfo=UTC)

    assert day_of(hour_of(midnight)) == day_of(hour_of(midnight - timedelta(seconds=1))) + 1
