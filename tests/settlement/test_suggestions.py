"""Suggested fees: sums of their parts, within bounds, and only where enough was sold."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from vendrail.api.settlement import (
    ChannelCost,
    FeeBounds,
    FeeCause,
    FeeFacts,
    FeePart,
    FeeSuggestionQuery,
    Settlement,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id
from vendrail.settlement.suggestions import (
    SALES_MIN,
    average_cost,
    average_fixed,
    is_wellformed,
    suggest,
)

BOUNDS = FeeBounds("CNY", 80, 400, 100, 1_000_000, 15, 10, 20)
FACTS = FeeFacts(UUID(int=7), "CNY", 5_000_000, 1_000, 35, 3)

_POINTS = st.integers(0, 10_000)
_BOUNDS = st.builds(
    lambda low, high, *rest: FeeBounds("CNY", min(low, high), max(low, high), *rest),
    _POINTS,
    _POINTS,
    _POINTS,
    st.integers(0, 10**15),
    _POINTS,
    _POINTS,
    _POINTS,
)
_FACTS = st.builds(
    lambda volume, sold, gone, disputed: FeeFacts(
        FACTS.merchant, "CNY", volume, sold, min(gone, sold), min(disputed, sold)
    ),
    st.integers(0, 10**15),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)


def test_a_suggestion_says_what_it_is_made_of() -> None:
    """Cost and margin, two doublings of volume, three percent refunded, three tenths disputed."""
    found = suggest(FACTS, 60, BOUNDS)

    assert 60 + 100 - 2 * 15 + 3 * 10 + 3 * 20 == found.basis_points
    assert [
        FeePart(FeeCause.COST, 60),
        FeePart(FeeCause.MARGIN, 100),
        FeePart(FeeCause.VOLUME, -30),
        FeePart(FeeCause.REFUNDS, 30),
        FeePart(FeeCause.DISPUTES, 60),
    ] == found.parts


@given(_FACTS, _POINTS, _BOUNDS)
def test_suggestions_are_sums_within_bounds(facts, cost, bounds) -> None:
    """Whatever was counted: parts sum to the whole, the whole is within, none is for nothing."""
    found = suggest(facts, cost, bounds)

    assert is_wellformed(bounds)
    assert (found is None) == (facts.sold_count < SALES_MIN)
    if found is not None:
        assert bounds.least_basis_points <= found.basis_points <= bounds.most_basis_points
        assert found.basis_points == sum(each.basis_points for each in found.parts)
        assert all(each.basis_points for each in found.parts)


@given(_FACTS, _POINTS, _BOUNDS, st.integers(1, 10**6))
def test_more_risk_is_never_cheaper_and_more_volume_never_dearer(facts, cost, bounds, more) -> None:
    """With everything else alike."""
    found = suggest(facts, cost, bounds)
    if found is None:
        return
    refunded = min(facts.sold_count, facts.refunded_count + more)
    riskier = suggest(replace(facts, refunded_count=refunded), cost, bounds)
    larger = suggest(replace(facts, volume_minor=facts.volume_minor + more), cost, bounds)

    assert riskier.basis_points >= found.basis_points >= larger.basis_points


def test_costs_are_averaged_and_rounded_up() -> None:
    """Of channels that cost nothing known, nothing; else no less than they cost."""
    assert 0 == average_cost([])
    assert 34 == average_cost([ChannelCost("a", 60), ChannelCost("b", 30), ChannelCost("c", 11)])


def test_what_each_payment_costs_counts_by_what_is_sold() -> None:
    """Thirty for each of a thousand small sales is a large part of them; of large ones, little."""
    costs = [ChannelCost("a", 60), ChannelCost("b", 60, 60, "CNY"), ChannelCost("c", 60, 9, "USD")]
    assert (20, 3, 0) == tuple(average_fixed(costs, each) for each in ("CNY", "USD", "EUR"))
    small = suggest(replace(FACTS, volume_minor=1_000_000), 60, BOUNDS, 30)
    large = suggest(replace(FACTS, volume_minor=100_000_000), 60, BOUNDS, 30)

    assert FeePart(FeeCause.COST, 60 + 300) == small.parts[0]
    assert FeePart(FeeCause.COST, 60 + 3) == large.parts[0]


async def test_bounds_are_kept_and_merchants_come_by_pages(world, clock) -> None:
    """No bounds, no suggestion; then merchants who sold enough, in order, a page at a time."""
    settlement: Settlement = world.settlement
    merchants = sorted(new_id(clock.now()) for _ in range(5))
    facts = [
        FeeFacts(merchant, "CNY", 1_000_000, SALES_MIN - (place == 0), 0, 0)
        for place, merchant in enumerate(merchants)
    ]
    await settlement.put_fee_facts(facts)
    clock.advance(60)
    query = FeeSuggestionQuery("CNY", None, 3)

    assert [[]] == await settlement.suggest_fees([query])
    assert ["changed", "unchanged", "field_malformed"] == await settlement.put_fee_bounds(
        [BOUNDS, BOUNDS, replace(BOUNDS, least_basis_points=401)]
    )
    assert [BOUNDS] == await settlement.list_fee_bounds()
    [first] = await settlement.suggest_fees([query])
    [rest] = await settlement.suggest_fees([replace(query, after=first[-1].facts.merchant)])
    assert merchants[1:] == [each.facts.merchant for each in (*first, *rest)]
    assert 3 == len(first)
