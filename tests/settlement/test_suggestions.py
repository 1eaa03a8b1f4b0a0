"""Suggested fees: sums of their parts, within bounds, and only where enough was sold."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendrail.api.settlement import (
    ChannelCost,
    FeeAdjustmentQuery,
    FeeAllowance,
    FeeBounds,
    FeeCause,
    FeeFacts,
    FeePart,
    FeeRule,
    FeeSchedule,
    FeeSuggestionQuery,
    FeeTerms,
    FeeTrial,
    PastSale,
    Settlement,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id
from vendrail.settlement.adjusting import adjust
from vendrail.settlement.fees import FeeVersion
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
    assert 0 == average_cost([], "CNY")
    costs = [ChannelCost("a", 60), ChannelCost("b", 30), ChannelCost("c", 11)]
    assert 34 == average_cost(costs, "CNY")  # Which take it is not known: all.


async def test_channels_that_do_not_take_a_currency_are_no_part_of_its_average(world):
    """One of three takes it: what that one costs is the average, of the percentage as well."""
    settlement = world.settlement
    costs = [
        ChannelCost("a", 20, 0, "", ["USD", "SGD"]),
        ChannelCost("b", 60, 30, "CNY", ["CNY", "USD"]),
        ChannelCost("c", 20, 0, "", ["SGD"]),
    ]
    assert [True] * 3 == await settlement.put_channel_costs(costs)
    world.clock.advance(60)
    moved = replace(costs[2], currencies=["SGD", "EUR"])
    assert [False, True] == await settlement.put_channel_costs([costs[0], moved])
    facts = FeeFacts(FACTS.merchant, "CNY", 100_000, 100)
    await settlement.put_fee_facts([facts])
    await settlement.put_fee_bounds([FeeBounds("CNY", 0, 1_000, 0)])
    world.clock.advance(60)
    [[found]] = await settlement.suggest_fees([FeeSuggestionQuery("CNY")])

    assert 60 + 300 == found.basis_points
    assert (60, 40, 20, 20, 0) == tuple(
        average_cost([*costs[:2], moved], each) for each in ("CNY", "USD", "SGD", "EUR", "JPY")
    )


def test_what_each_payment_costs_counts_by_what_is_sold() -> None:
    """Thirty for each of a thousand small sales is a large part of them; of large ones, little."""
    costs = [ChannelCost("a", 60), ChannelCost("b", 60, 60, "CNY"), ChannelCost("c", 60, 9, "USD")]
    assert (20, 3, 0) == tuple(average_fixed(costs, each) for each in ("CNY", "USD", "EUR"))
    small = suggest(replace(FACTS, volume_minor=1_000_000), 60, BOUNDS, 30)
    large = suggest(replace(FACTS, volume_minor=100_000_000), 60, BOUNDS, 30)

    assert FeePart(FeeCause.COST, 60 + 300) == small.parts[0]
    assert FeePart(FeeCause.COST, 60 + 3) == large.parts[0]


def test_what_terms_take_of_each_payment_is_not_suggested_again() -> None:
    """Sales of 10.00 at 0.60 % + 0.30 with 1 % margin: 1.60 % beside 0.30, 4.60 % beside none."""
    facts = FeeFacts(FACTS.merchant, "CNY", 100_000, 100)
    bounds = replace(BOUNDS, volume_basis_points=0, most_basis_points=500)
    beside, alone = (suggest(facts, 60, bounds, 30, taken) for taken in (30, 0))

    assert (160, 460) == (beside.basis_points, alone.basis_points)
    assert FeePart(FeeCause.FIXED, -300) in beside.parts
    held = suggest(facts, 60, replace(bounds, most_basis_points=200), 30, 30)
    assert [160] == [held.basis_points]  # Bounds are of the percentage that is written.


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


async def test_who_pays_by_the_rules_keeps_what_their_rule_takes_beside_the_percentage(
    world, clock
):
    """An average sale's rule is the base: what it takes of each sale is not asked for again."""
    settlement, bounds = world.settlement, replace(BOUNDS, least_basis_points=0)
    small = FeeRule(250, 30, 50, is_fee_refunded=True, currency="CNY", amount_minor_below=10_000)
    ruled, large, own = sorted(new_id(clock.now()) for _ in range(3))
    await settlement.put_channel_costs([ChannelCost("alipay", 60, 30, "CNY")])
    await settlement.put_fee_bounds([bounds])
    await settlement.put_fee_schedules([FeeSchedule(new_id(clock.now()), [small, FeeRule(300)])])
    await settlement.put_fee_terms([FeeTerms(own, "CNY", 200, 10, 15)])
    sold = {ruled: 5_000_000, large: 50_000_000, own: 5_000_000}
    await settlement.put_fee_facts(
        [replace(FACTS, merchant=each, volume_minor=volume) for each, volume in sold.items()]
    )
    clock.advance(60)
    [found] = await settlement.suggest_fees([FeeSuggestionQuery("CNY")])
    told = {each.facts.merchant: each for each in found}

    assert (FeeTerms(ruled, "CNY", 250, 30, 50, True), False) == (
        told[ruled].base,
        told[ruled].is_base_own,
    )
    assert (FeeTerms(large, "CNY", 300), False) == (told[large].base, told[large].is_base_own)
    assert (FeeTerms(own, "CNY", 200, 10, 15), True) == (told[own].base, told[own].is_base_own)
    # Of 50.00, 0.30 are 60 hundredths of a percent: asked as fixed already, so not again.
    assert (220, 280, 260) == (
        told[ruled].basis_points,
        suggest(FACTS, 60, bounds, 30).basis_points,
        told[own].basis_points,
    )


async def test_what_channels_cost_is_part_of_the_base_where_the_rule_lets_the_merchant_bear_it(
    world, clock
):
    """Own terms take no channel's cost beside, so the base has it, as it is on average."""
    settlement, merchant = world.settlement, new_id(clock.now())
    rule = FeeRule(200, 10, is_cost_borne=True, currency="CNY")
    await settlement.put_channel_costs([ChannelCost("alipay", 60, 30, "CNY")])
    await settlement.put_fee_bounds([BOUNDS])
    await settlement.put_fee_schedules([FeeSchedule(new_id(clock.now()), [rule, FeeRule(300)])])
    await settlement.put_fee_facts([replace(FACTS, merchant=merchant)])
    clock.advance(60)
    [[found]] = await settlement.suggest_fees([FeeSuggestionQuery("CNY")])

    assert FeeTerms(merchant, "CNY", 260, 40) == found.base
    assert suggest(FACTS, 60, BOUNDS, 30, 40).basis_points == found.basis_points


async def test_the_night_changes_the_percentage_alone(world, clock):
    """What own terms take of each sale, at least, and give back, stays; who has none has none."""
    settlement, service = world.settlement, world.service
    own, ruled = sorted(new_id(clock.now()) for _ in range(2))
    await settlement.put_channel_costs([ChannelCost("alipay", 60, 30, "CNY")])
    await settlement.put_fee_bounds([BOUNDS])
    await settlement.put_fee_terms([FeeTerms(own, "CNY", 250, 30, 50, is_fee_refunded=True)])
    clock.advance(31 * 86_400)
    await settlement.put_fee_facts([replace(FACTS, merchant=each) for each in (own, ruled)])
    clock.advance(60)
    await settlement.put_fee_allowances([FeeAllowance(None, 0, is_allowed=True, notice_days=7)])

    assert 1 == await service.adjust_fees()
    [[newest, _], none] = await settlement.read_fee_terms([own, ruled])
    assert FeeTerms(own, "CNY", 220, 30, 50, True) == replace(newest, valid_from=None)
    assert [] == none


NIGHT = datetime(2026, 3, 1, 0, 5, tzinfo=UTC)


def _versions(*points: int, days: int = 30) -> list[FeeVersion]:
    """Versions of own terms, newest first, a month apart, the newest so many days old."""
    return [
        FeeVersion(9 - at, each, 30, 10, True, NIGHT - timedelta(days=days + 31 * at))
        for at, each in enumerate(points)
    ]


def test_what_is_applied_is_the_percentage_alone_and_begins_at_a_midnight():
    """The rest of own terms stays; whole days of notice lie before it, however late it is."""
    suggestion = suggest(FACTS, 60, BOUNDS)
    allowance = FeeAllowance(None, 2, is_allowed=True, notice_days=14)
    made = adjust(suggestion, _versions(250, 100), allowance, NIGHT)

    assert 220 == made.terms.basis_points
    assert (30, 10, True) == (
        made.terms.fixed_minor,
        made.terms.fee_minor_min,
        made.terms.is_fee_refunded,
    )
    assert datetime(2026, 3, 16, tzinfo=UTC) == made.terms.valid_from
    assert NIGHT + timedelta(days=14) <= made.terms.valid_from


@pytest.mark.parametrize(
    "versions, is_allowed",
    [
        (_versions(250), False),
        ([], True),  # By the rules for everybody.
        (_versions(220), True),  # It is that already.
        (_versions(250, days=29), True),  # Agreed on within what is counted …
        (_versions(250, days=-3), True),  # … or on its way.
    ],
)
def test_nothing_is_applied_where_it_is_not_allowed_or_too_soon(versions, is_allowed):
    """Nobody who pays by the rules, nobody twice in a month, nobody against what people said."""
    suggestion = suggest(FACTS, 60, BOUNDS)
    allowance = FeeAllowance(None, 2, is_allowed=is_allowed)

    assert adjust(suggestion, versions, allowance, NIGHT) is None


@given(_FACTS, _POINTS, _BOUNDS, _POINTS, st.integers(1, 90), st.integers(0, 10**6))
def test_what_is_applied_is_within_bounds_and_told_long_before(
    facts, cost, bounds, before, days, second
):
    """At whatever moment: within the bounds, another percentage, after the whole notice."""
    suggestion = suggest(facts, cost, bounds)
    now = NIGHT + timedelta(seconds=second)
    allowance = FeeAllowance(facts.merchant, None, is_allowed=True, notice_days=days)
    made = adjust(suggestion, _versions(before), allowance, now) if suggestion else None
    if made is None:
        assert suggestion is None or suggestion.basis_points == before
        return
    valid_from = made.terms.valid_from

    assert bounds.least_basis_points <= made.terms.basis_points <= bounds.most_basis_points
    assert timedelta(days=days) <= valid_from - now < timedelta(days=days + 1)


async def test_a_fee_that_follows_takes_a_fixed_cost_once(world, clock):
    """Own terms of 2.50 % + 0.30, channels 0.60 % + 0.30: 1.60 % + 0.30, by hand and by itself."""
    settlement, service, world.merchant = world.settlement, world.service, new_id(clock.now())
    merchant, stranger = world.merchant, new_id(clock.now())
    await settlement.put_channel_costs([ChannelCost("alipay", 60, 30, "CNY")])
    await settlement.put_fee_bounds([FeeBounds("CNY", 80, 500, 100)])
    await settlement.put_fee_terms([FeeTerms(merchant, "CNY", 250, 30)])
    await settlement.put_fee_allowances([FeeAllowance(None, 0, is_allowed=True, notice_days=7)])
    clock.advance(31 * 86_400)
    facts = FeeFacts(merchant, "CNY", 100_000, 100)
    await settlement.put_fee_facts([facts, replace(facts, merchant=stranger)])
    clock.advance(60)
    [found] = await settlement.suggest_fees([FeeSuggestionQuery("CNY")])
    assert 1 == await service.adjust_fees()
    clock.advance(9 * 86_400)
    [result] = await settlement.split_sales([world.sale(1_000)])

    points = {each.facts.merchant: each.basis_points for each in found}
    assert {merchant: 160, stranger: 460} == points
    assert 46 == result.fee_minor


async def _suggested(world, count: int = 1) -> list[UUID]:
    """Merchants with own terms of 2.50 % for a long time, and 2.20 % suggested."""
    settlement, clock = world.settlement, world.clock
    merchants = sorted(new_id(clock.now()) for _ in range(count))
    await settlement.put_channel_costs([ChannelCost("alipay", 60, 30, "CNY")])
    await settlement.put_fee_bounds([BOUNDS])
    await settlement.put_fee_terms([FeeTerms(each, "CNY", 250, 30) for each in merchants])
    clock.advance(31 * 86_400)
    await settlement.put_fee_facts([replace(FACTS, merchant=each) for each in merchants])
    clock.advance(60)
    return merchants


async def test_suggestions_are_applied_once_where_they_are_allowed(world, clock):
    """By its tier or its own word, which goes before; many nights and processes change it once."""
    settlement, service = world.settlement, world.service
    followed, quiet, own = await _suggested(world, 3)
    assert 0 == await service.adjust_fees()
    assert ["changed", "changed", "changed", "unchanged", "field_malformed"] == (
        await settlement.put_fee_allowances(
            [
                FeeAllowance(None, 0, is_allowed=True, notice_days=7),
                FeeAllowance(quiet, None, is_allowed=False),
                FeeAllowance(own, None, is_allowed=True, notice_days=30),
                FeeAllowance(own, None, is_allowed=True, notice_days=30),
                FeeAllowance(own, 3, is_allowed=True),
            ]
        )
    )
    assert 2 == sum(await asyncio.gather(*(service.adjust_fees() for _ in range(5))))
    clock.advance(86_400)
    assert 0 == await service.adjust_fees()
    versions = await settlement.read_fee_terms([followed, quiet, own])
    [made] = await settlement.list_fee_adjustments([FeeAdjustmentQuery(followed)])

    assert [[220, 250], [250], [220, 250]] == [[e.basis_points for e in own] for own in versions]
    assert 30 == versions[0][0].fixed_minor
    assert (250, 220, suggest(FACTS, 60, BOUNDS, 30, 30).parts) == (
        made[0].before_basis_points,
        made[0].basis_points,
        made[0].parts,
    )
    assert versions[0][0].valid_from == made[0].valid_from
    [first] = await settlement.list_fee_adjustments([FeeAdjustmentQuery(None, None, 1)])
    [rest] = await settlement.list_fee_adjustments([FeeAdjustmentQuery(None, first[0].id)])
    assert {followed, own} == {each.merchant for each in (*first, *rest)}


@pytest.mark.parametrize("days", [0, 10])
async def test_what_was_applied_is_taken_back_before_it_begins_and_after(world, clock, days):
    """What stood before counts again, once; and the merchant is left alone from then on."""
    settlement, service = world.settlement, world.service
    [merchant] = await _suggested(world)
    await settlement.put_fee_allowances([FeeAllowance(None, 0, is_allowed=True, notice_days=7)])
    assert 1 == await service.adjust_fees()
    [[made]] = await settlement.list_fee_adjustments([FeeAdjustmentQuery(merchant)])
    clock.advance(days * 86_400)
    ids = [made.id, made.id, new_id(clock.now())]

    assert ["taken_back", "exists", "not_found"] == await settlement.take_back_adjustments(ids)
    clock.advance(40 * 86_400)
    await settlement.put_fee_facts([replace(FACTS, merchant=merchant, sold_count=999)])
    clock.advance(60)
    world.merchant = merchant
    [result] = await settlement.split_sales([world.sale(10_000)])
    assert 280 == result.fee_minor
    assert 0 == await service.adjust_fees()
    [[newest, *_]] = await settlement.read_fee_terms([merchant])
    [allowance] = await settlement.read_fee_allowances([merchant])
    assert (250, 30) == (newest.basis_points, newest.fixed_minor)
    assert allowance.is_allowed is False


async def test_other_terms_that_were_written_since_are_not_taken_back(world, clock):
    """Whoever agreed on terms after it has the last word."""
    settlement, service = world.settlement, world.service
    [merchant] = await _suggested(world)
    await settlement.put_fee_allowances([FeeAllowance(merchant, None, is_allowed=True)])
    assert 1 == await service.adjust_fees()
    [[made]] = await settlement.list_fee_adjustments([FeeAdjustmentQuery(merchant)])
    clock.advance(20 * 86_400)
    await settlement.put_fee_terms([FeeTerms(merchant, "CNY", 190)])

    assert ["followed"] == await settlement.take_back_adjustments([made.id])
    [[newest, *_]] = await settlement.read_fee_terms([merchant])
    assert 190 == newest.basis_points
    assert ["changed"] == await settlement.put_fee_allowances([FeeAllowance(merchant, None, None)])
    [allowance] = await settlement.read_fee_allowances([merchant])
    assert (None, 0, False) == (allowance.merchant, allowance.tier, allowance.is_allowed)


@pytest.mark.parametrize("points", [190, 220, 250])
async def test_terms_agreed_on_during_the_notice_end_what_is_on_its_way(world, clock, points):
    """They count from then on, also what stands already and what was told; said again, once."""
    settlement, service = world.settlement, world.service
    [world.merchant] = await _suggested(world)
    merchant, agreed = world.merchant, FeeTerms(world.merchant, "CNY", points, 30)
    await settlement.put_fee_allowances([FeeAllowance(merchant, None, is_allowed=True)])
    assert 1 == await service.adjust_fees()
    clock.advance(2 * 86_400)

    assert ["created", "unchanged"] == await settlement.put_fee_terms([agreed, agreed])
    assert ["unchanged"] == await settlement.put_fee_terms([agreed])
    for days in (1, 20):
        clock.advance(days * 86_400)
        [result] = await settlement.split_sales([world.sale(10_000)])
        assert points + 30 == result.fee_minor
    [[made]] = await settlement.list_fee_adjustments([FeeAdjustmentQuery(merchant)])
    assert made.overtaken_at < made.valid_from
    assert ["followed"] == await settlement.take_back_adjustments([made.id])


async def test_terms_that_begin_after_what_is_on_its_way_leave_it_alone(world, clock):
    """It begins as told, then what was agreed on; neither is taken back any more."""
    settlement, service = world.settlement, world.service
    [world.merchant] = await _suggested(world)
    merchant = world.merchant
    await settlement.put_fee_allowances([FeeAllowance(merchant, None, is_allowed=True)])
    assert 1 == await service.adjust_fees()
    later = FeeTerms(merchant, "CNY", 190, 30, 0, True, clock.now() + timedelta(days=20))
    assert ["created"] == await settlement.put_fee_terms([later])
    [[made]] = await settlement.list_fee_adjustments([FeeAdjustmentQuery(merchant)])

    assert made.overtaken_at is None
    assert ["followed"] == await settlement.take_back_adjustments([made.id])
    for points in (220, 190):
        clock.advance(16 * 86_400)
        [result] = await settlement.split_sales([world.sale(10_000)])
        assert points + 30 == result.fee_minor


async def test_terms_are_tried_on_sales_that_were(world, clock):
    """Tried terms stand in for whatever counted; everybody else pays what was paid."""
    settlement = world.settlement
    merchant, other = await _suggested(world, 2)
    sales = [PastSale(each, 10_000, "CNY", clock.now()) for each in (merchant, other)]
    terms = [FeeTerms(merchant, "CNY", 220, 30)]
    [result, empty] = await settlement.try_fees([FeeTrial([], sales, terms), FeeTrial([], sales)])

    assert [(280, 250), (280, 280)] == [(e.fee_minor, e.tried_fee_minor) for e in result.fees]
    assert "no_last_rule" == empty.status
