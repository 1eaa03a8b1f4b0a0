"""The choice of a channel, as pure decisions: what holds for every one of them."""

import math
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vendrail.api.payments import (
    ChannelId,
    ChannelTerms,
    Method,
    RouteFate,
    RoutingRule,
    RuleEffect,
    RuleId,
)
from vendrail.payments.routing import filters
from vendrail.payments.routing.caps import SLACK, Gauges
from vendrail.payments.routing.decide import (
    EXPLORED_MAX,
    EXPLORED_MIN,
    Candidate,
    choose,
    decide,
    plan,
)
from vendrail.payments.routing.segments import (
    Book,
    Estimate,
    Segment,
    amount_of,
    band_of,
    lineage,
)

CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SOFT = [
    RouteFate.FREE,
    RouteFate.CAPPED,
    RouteFate.FAILING,
    RouteFate.AWAY,
    RouteFate.DEVICE,
]
HARD = [each for each in RouteFate if each not in SOFT]
estimates = st.builds(Estimate, st.floats(0.0, 1.0), st.floats(0.0, 0.3, allow_subnormal=False))


anyone = st.builds(
    Candidate,
    st.just("c"),
    estimates,
    st.sampled_from(list(RouteFate)),
    st.floats(0.0, 0.2),
    st.floats(0.0, 0.05),
    st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    st.sampled_from([0.0, 0.1]),
    st.booleans(),
)


def candidates():
    """Some channels, in any state."""
    return st.lists(anyone, min_size=1, max_size=5).map(
        lambda those: [each._replace(channel=f"c{n}") for n, each in enumerate(those)]
    )


@CALM
@given(candidates())
def test_shares_are_one_whole_and_only_of_who_can(those):
    """Shares sum to one where anybody can take it, and whoever cannot has none."""
    made = plan(those)
    total = sum(each.share for each in made.options)

    assert math.isclose(total, 1.0 if made.best else 0.0, abs_tol=1e-9)
    assert all(each.share >= -1e-12 for each in made.options)
    assert all(each.share == 0.0 for each in made.options if each.fate in HARD)
    assert bool(made.best) == any(each.fate in SOFT for each in those)


@CALM
@given(candidates(), st.binary(min_size=16, max_size=16))
def test_a_decision_is_the_same_for_the_same_seed(those, seed):
    """Pure and seeded: asked twice, it says the same, and chooses only what has a share."""
    made = decide(those, seed)
    shares = {each.channel: each.share for each in made.plan.options}

    assert made == decide(those, seed)
    assert not made.channel or shares[made.channel] > 0.0


@CALM
@given(candidates())
def test_exploration_stays_within_its_bounds(those):
    """Whoever is not the best has a share together that is neither nothing nor much."""
    made = plan(those)
    best = max((each.share for each in made.options if each.channel == made.best), default=1.0)

    assert best == 1.0 or 1.0 - EXPLORED_MAX - 1e-9 <= best <= 1.0 - EXPLORED_MIN + 1e-9


@CALM
@given(candidates())
def test_the_worse_off_come_only_when_no_other_is_left(those):
    """Who is capped, failing or away has no share while somebody is in the running."""
    made = plan(those)
    is_free = any(each.fate is RouteFate.FREE for each in those)
    passed = [
        each
        for each, one in zip(made.options, those, strict=True)
        if each.fate is not RouteFate.FREE and not one.is_pinned
    ]

    assert not is_free or all(each.share == 0.0 for each in passed)


def test_propensities_are_what_happens():
    """Over many attempts each channel is chosen as often as its share says."""
    made = plan([Candidate("a", Estimate(0.9, 0.05)), Candidate("b", Estimate(0.88, 0.05))])
    count = 20_000
    chosen = [choose(made, place.to_bytes(16)).channel for place in range(count)]
    shares = {each.channel: each.share for each in made.options}

    assert 0.05 < shares["b"] <= EXPLORED_MAX
    for channel, share in shares.items():
        sigma = math.sqrt(share * (1.0 - share) / count)
        assert abs(chosen.count(channel) / count - share) < 4 * sigma


@pytest.mark.parametrize(
    "better, reason",
    [
        ({"cost": 0.1}, "best"),
        ({"weight": 0.5}, "best"),
        ({"price": 0.2}, "best"),
        ({"fate": RouteFate.FAILING}, "best"),
        ({"fate": RouteFate.AMOUNT}, "only"),
    ],
)
def test_what_counts_against_a_channel(better, reason):
    """A likelier channel loses where it is dear, held back, capped, failing or unable."""
    first = Candidate("first", Estimate(0.95, 0.0), **better)
    second = Candidate("second", Estimate(0.9, 0.0))

    assert ("second", reason) == (plan([first, second]).best, plan([first, second]).reason)
    assert "first" == plan([Candidate("first", Estimate(0.95, 0.0)), second]).best


def test_a_pin_holds_until_its_provider_is_away():
    """What a person pinned is taken though another is better, but not where it cannot pay."""
    pinned = Candidate("pinned", Estimate(0.2, 0.0), is_pinned=True)
    other = Candidate("other", Estimate(0.9, 0.0))
    away = pinned._replace(fate=RouteFate.AWAY)

    assert ("pinned", "pinned") == (plan([pinned, other]).best, plan([pinned, other]).reason)
    assert ("other", "best") == (plan([away, other]).best, plan([away, other]).reason)


def test_a_failure_fee_counts():
    """Expected success × (amount − cost), less what a failure costs."""
    safe = Candidate("safe", Estimate(0.5, 0.0))
    dear = Candidate("dear", Estimate(0.55, 0.0), cost_failed=0.2)

    assert "safe" == plan([safe, dear]).best


# What is known.


@CALM
@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_bands_keep_the_order_of_amounts(one, other):
    """A larger amount is never in a lower band, and each band has an amount of its own."""
    assert (band_of(one) <= band_of(other)) or one > other
    assert band_of(amount_of(band_of(one))) == band_of(one)


@CALM
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1_000_000)), min_size=1, max_size=30))
def test_the_order_of_noting_does_not_matter(outcomes):
    """Outcomes that come late weigh as if they had come in time."""
    segment, last_s = Segment("c", "m", "DE", 9), 1_000_000.0
    books = []
    for those in (outcomes, sorted(outcomes, key=lambda each: each[1])):
        book = Book(3_600.0 * 24)
        for is_won, at_s in those:
            book.note(segment, float(is_won), float(not is_won), float(at_s))
        books.append(book.counts(segment, last_s))

    assert all(
        math.isclose(*pair, rel_tol=1e-9, abs_tol=1e-12) for pair in zip(*books, strict=True)
    )


def test_what_was_learned_fades_by_half():
    """After a half-life an outcome weighs half, after two a quarter, in all its parents too."""
    book = Book(100.0)
    book.note(Segment("c", "m", "DE", 9), 8.0, 4.0, 0.0)
    for each in lineage(Segment("c", "m", "DE", 9)):
        assert (4.0, 2.0) == book.counts(each, 100.0)
        assert (2.0, 1.0) == book.counts(each, 200.0)


def test_a_small_segment_says_what_its_parent_says():
    """Few outcomes move an estimate little, many move it to their own share."""
    book = Book(1e9)
    book.note(Segment("c", "m", "DE", 9), 900.0, 100.0, 0.0)
    few, many = Segment("c", "m", "FR", 9), Segment("c", "m", "CH", 9)
    book.note(few, 0.0, 2.0, 0.0)
    book.note(many, 0.0, 2_000.0, 0.0)

    assert book.estimate(few, 0.0).mean > 0.5 * book.estimate(Segment("c", "m"), 0.0).mean
    assert book.estimate(many, 0.0).mean < 0.02
    assert book.estimate(few, 0.0).deviation > book.estimate(many, 0.0).deviation


def test_a_country_that_is_not_known_is_counted_once():
    """Without a country its segment is the method's: nothing is counted twice."""
    book = Book(1e9)
    book.note(Segment("c", "m", "", 9), 1.0, 0.0, 0.0)

    assert (1.0, 0.0) == book.counts(Segment("c", "m"), 0.0)


# Caps.


@pytest.mark.parametrize("cap", [0.05, 0.2, 0.5])
def test_a_cap_goes_where_it_does_most(cap):
    """A capped channel has about its share, of the payments it is best for, and never much more."""
    gauges = Gauges()
    gauges.set({"dear": cap})
    taken = {"small": 0.0, "large": 0.0}
    for place in range(20_000):
        kind = "large" if place % 4 == 0 else "small"
        gain = 0.4 if kind == "large" else 0.1
        share = 0.0 if gauges.is_full("dear") else float(gain > gauges.price("dear"))
        gauges.note({"dear": share})
        taken[kind] += share
        assert gauges.taken("dear") <= cap + SLACK + 0.01
    part = sum(taken.values()) / 20_000

    assert 0.8 * cap < part <= cap * 1.02  # The first ones come before the price is known.
    assert taken["large"] >= min(0.9 * part * 20_000, 0.9 * 5_000)


# Filters.

OFFER = Method(
    "alipay", ChannelId(UUID(int=1)), "a", "A", ["CNY"], "redirect", amount_minor_max=5_000
)
ASKED = filters.Asked(UUID(int=9), "alipay", "CNY", 1_000, "CN", 12)
TERMS = ChannelTerms(OFFER.channel)


@pytest.mark.parametrize(
    "fate, asked, terms, rules, taken",
    [
        ("", {}, {}, [], {}),
        ("currency", {"currency": "EUR"}, {}, [], {}),
        ("amount", {"amount_minor": 5_001}, {}, [], {}),
        ("hours", {}, {"hour_from": 13, "hour_to": 12}, [], {}),
        ("", {}, {"hour_from": 22, "hour_to": 13}, [], {}),
        ("country", {}, {"countries": ["DE"]}, [], {}),
        ("", {"country": ""}, {"countries": ["DE"]}, [], {}),
        ("volume", {}, {"volume_day_minor": 10_000}, [], {(OFFER.channel, "CNY"): 9_001}),
        ("", {}, {"volume_day_minor": 10_000}, [], {(OFFER.channel, "CNY"): 9_000}),
        ("rule", {}, {}, [{"channel": OFFER.channel}], {}),
        ("rule", {}, {}, [{"method": "alipay", "merchant": UUID(int=9)}], {}),
        ("", {}, {}, [{"method": "alipay", "merchant": UUID(int=8)}], {}),
        ("", {}, {}, [{"channel": OFFER.channel, "country": "DE"}], {}),
    ],
)
def test_who_cannot_take_a_payment(fate, asked, terms, rules, taken):
    """Currency, amount, hours, country, the day's volume and people's rules, each by itself."""
    made = [RoutingRule(RuleId(UUID(int=5)), RuleEffect.NEVER, **each) for each in rules]
    changed = ChannelTerms(OFFER.channel, **terms)

    assert fate == filters.fate_of(ASKED._replace(**asked), OFFER, changed, made, taken)


@pytest.mark.parametrize(
    "field, value",
    [
        ("cost_permyriad", -1),
        ("weight_percent", 1_001),
        ("cap_percent", 0),
        ("hour_to", 24),
        ("countries", ["de"]),
        ("countries", ["DEU"]),
    ],
)
def test_terms_that_make_no_sense_are_named(field, value):
    """Every bound of the terms names its field; terms nobody wrote are fine."""
    assert "" == TERMS.problem
    assert field == ChannelTerms(OFFER.channel, **{field: value}).problem
