"""Schedules, pure: every sale meets one rule, and its parts are the whole, whatever the rules."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from vendrail.api.settlement import (
    ChannelCost,
    FeeFacts,
    FeeRule,
    FeeSchedule,
    FeeScheduleStatus,
    Sale,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import derive, new_id
from vendrail.kernel.money import AMOUNT_MINOR_MAX
from vendrail.settlement.fees import fee_minor, read_memo
from vendrail.settlement.rules import RuledSale, compile_schedule, fits, is_for_all, problem
from vendrail.settlement.split import MerchantAccounts, price, sale_transfers

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ORDER = new_id(NOW)
ACCOUNTS = MerchantAccounts(*(derive(ORDER, f"account:{number}") for number in range(8)))
MERCHANT = UUID(int=5)

amounts = st.one_of(st.integers(1, 1_000), st.integers(1, AMOUNT_MINOR_MAX))
small = st.integers(0, 2_000)
bands = st.one_of(
    st.just((0, 0)),
    st.tuples(small, st.just(0)),
    small.flatmap(lambda least: st.tuples(st.just(least), st.integers(least + 1, 4_000))),
)


@st.composite
def rules(draw, *, is_last=False):
    """A rule that can be kept; the last one is on every sale."""
    least, most = draw(small), draw(small)
    cost = FeeRule(
        draw(st.integers(0, 10_000)),
        is_cost_borne=draw(st.booleans()),
        is_fee_refunded=draw(st.booleans()),
    )
    if is_last:
        return cost
    (amount, below), (volume, volume_below) = draw(bands), draw(bands)
    (refunds, refunds_below), (disputes, disputes_below) = draw(bands), draw(bands)
    return replace(
        cost,
        currency="CNY",
        fixed_minor=draw(small),
        fee_minor_min=least,
        fee_minor_max=draw(st.sampled_from([0, least + most])),
        tiers=draw(st.lists(st.integers(0, 9), max_size=2)),
        categories=draw(st.lists(st.sampled_from(["games", "cards"]), max_size=2)),
        methods=draw(st.lists(st.sampled_from(["alipay", "wechat"]), max_size=2)),
        amount_minor_min=amount,
        amount_minor_below=below,
        volume_minor_min=volume,
        volume_minor_below=volume_below,
        refund_permyriad_min=refunds,
        refund_permyriad_below=refunds_below,
        dispute_permyriad_min=disputes,
        dispute_permyriad_below=disputes_below,
    )


schedules = st.builds(
    lambda first, last: FeeSchedule(ORDER, [*first, last], NOW, version=7),
    st.lists(rules(), max_size=5),
    rules(is_last=True),
)
sales = st.builds(
    RuledSale,
    amounts,
    st.sampled_from(["CNY", "USD"]),
    st.sampled_from(["alipay", "wechat", ""]),
    st.sampled_from(["games", "cards", ""]),
    st.integers(0, 9),
    st.builds(
        FeeFacts,
        st.just(MERCHANT),
        st.just("CNY"),
        small,
        small,
        small,
        small,
        st.just(0),
        st.none(),
    ),
)
costs = st.one_of(
    st.none(),
    st.builds(
        ChannelCost,
        st.just("alipay"),
        st.integers(0, 10_000),
        small,
        st.sampled_from(["CNY", "USD"]),
    ),
)


@given(schedules, sales)
def test_every_sale_meets_the_first_rule_that_fits(schedule, sale):
    """There is always an answer, no rule before it fits, and its memo names version and rule."""
    version = compile_schedule(schedule).decide(sale)
    fitting = [number for number, rule in enumerate(schedule.rules, 1) if fits(rule, sale)]

    assert problem(schedule.rules) in (None, FeeScheduleStatus.NO_LAST_RULE)
    assert fitting[0] == version.rule
    assert (7, version.rule) == read_memo(version.memo)
    assert f"fee:7.{version.rule}" == version.memo


@given(schedules, sales, costs)
def test_the_legs_of_a_ruled_sale_sum_to_the_whole(schedule, sale, cost):
    """Share, fee and channel's cost are the sale's amount; no leg is zero or below it."""
    told = Sale(ORDER, MERCHANT, sale.amount_minor, sale.currency, NOW)
    result = price(told, compile_schedule(schedule).decide(sale), cost)
    legs = sale_transfers(told, result, ACCOUNTS)

    assert sale.amount_minor == result.share_minor + result.fee_minor + result.cost_minor
    assert sale.amount_minor == sum(leg.amount_minor for leg in legs)
    assert min(result.share_minor, result.fee_minor, result.cost_minor) >= 0
    assert result.share_minor + result.fee_minor > 0
    assert all(leg.amount_minor > 0 for leg in legs)
    assert [*[True] * (len(legs) - 1), False] == [leg.is_linked for leg in legs]
    assert {f"fee:7.{result.fee_rule}"} == {leg.memo for leg in legs}


@given(schedules, sales, amounts)
def test_more_money_never_costs_less_by_the_same_rule(schedule, sale, other):
    """Within a rule the fee rises with the amount, and stays between its bounds."""
    version = compile_schedule(schedule).decide(sale)
    less, more = sorted((sale.amount_minor, other))
    fees = [fee_minor(version, amount) for amount in (less, more)]

    assert fees == sorted(fees)
    for amount, fee in zip((less, more), fees, strict=True):
        assert min(amount, version.fee_minor_min) <= fee <= amount
        if version.fee_minor_max:
            assert fee <= version.fee_minor_max


@given(schedules, sales, costs)
def test_who_bears_the_cost_is_the_rule_that_fits(schedule, sale, cost):
    """Where the platform bears the channel's cost, nothing of it is the merchant's."""
    version = compile_schedule(schedule).decide(sale)
    told = Sale(ORDER, MERCHANT, sale.amount_minor, sale.currency, NOW)
    result = price(told, version, cost)

    if not version.is_cost_borne or cost is None:
        assert 0 == result.cost_minor
    assert result.fee_minor == fee_minor(version, sale.amount_minor)


def test_fees_of_rules_by_example():
    """Half a unit is rounded up; the fixed part is added, then the cap, then the floor."""
    cases = [
        (FeeRule(250, 30, currency="CNY"), 10_000, 280),
        (FeeRule(250, 30, 10, 100, currency="CNY"), 10_000, 100),
        (FeeRule(50, currency="CNY"), 100, 1),
        (FeeRule(50, currency="CNY"), 99, 0),
        (FeeRule(0, 0, 20, 50, currency="CNY"), 10, 10),
    ]

    for rule, amount, expected in cases:
        schedule = compile_schedule(FeeSchedule(ORDER, [rule], NOW, version=1))
        assert expected == fee_minor(schedule.versions[0], amount)


def test_the_cost_of_a_channel_by_example():
    """Percent and fixed part beside the fee, at most what is left; foreign parts are left out."""
    rule = FeeRule(1_000, is_cost_borne=True)
    [version] = compile_schedule(FeeSchedule(ORDER, [rule], NOW, version=1)).versions
    cases = [
        (ChannelCost("a", 60, 5, "CNY"), 1_000, (100, 11)),
        (ChannelCost("a", 60, 5, "USD"), 1_000, (100, 6)),
        (ChannelCost("a", 0, 5_000, "CNY"), 1_000, (100, 900)),
        (ChannelCost("a", 10_000), 1, (0, 0)),
        (None, 1_000, (100, 0)),
    ]

    for cost, amount, expected in cases:
        result = price(Sale(ORDER, MERCHANT, amount, "CNY", NOW), version, cost)
        assert expected == (result.fee_minor, result.cost_minor)


def test_schedules_without_sense_are_refused():
    """The last rule and no other is on every sale; amounts name their currency; bands have room."""
    last = FeeRule(100)
    named = FeeRule(100, methods=["alipay"])
    no_last, wrong = FeeScheduleStatus.NO_LAST_RULE, FeeScheduleStatus.FIELD_MALFORMED
    cases = [
        ([], no_last),
        ([named], no_last),
        ([last, last], no_last),
        ([named, last], None),
        ([FeeRule(10_001)], wrong),
        ([FeeRule(100, 5)], wrong),
        ([FeeRule(100, currency="CNY", fee_minor_min=5, fee_minor_max=4), last], wrong),
        ([FeeRule(100, currency="XXX"), last], wrong),
        ([FeeRule(100, amount_minor_min=5), last], wrong),
        ([FeeRule(100, currency="CNY", amount_minor_min=5, amount_minor_below=5), last], wrong),
        ([FeeRule(100, refund_permyriad_min=10_002), last], wrong),
        ([FeeRule(100, refund_permyriad_min=100), last], None),
        ([FeeRule(100, tiers=[10]), last], wrong),
        ([FeeRule(100, methods=[""]), last], wrong),
        ([*[named] * 100, last], wrong),
    ]

    for given_rules, expected in cases:
        assert expected == problem(given_rules)
    assert is_for_all(last)
    assert not is_for_all(named)
