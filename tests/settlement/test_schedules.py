"""Schedules through the api: sales are priced by rules, explained, undone and refunded."""

from datetime import timedelta

from vendrail.api.ledger import Chart
from vendrail.api.settlement import (
    ChannelCost,
    FeeFacts,
    FeeRule,
    FeeSchedule,
    FeeScheduleStatus,
    FeeTerms,
    FeeTrial,
    PastSale,
    SaleStatus,
    TriedFee,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id

CARDS = FeeRule(250, 30, 10, currency="CNY", title="digital cards", categories=["cards"])
REST = FeeRule(100, is_fee_refunded=True)


async def put(world, *rules, **other) -> FeeSchedule:
    """Write a version of the schedule, and let it begin."""
    now = world.clock.now()
    new = FeeSchedule(new_id(now), list(rules), person="op@rail.example", reason="a test", **other)
    assert [FeeScheduleStatus.CREATED] == await world.settlement.put_fee_schedules([new])
    world.clock.advance(11)
    return new


async def channel_cost(world) -> int:
    """What merchants have borne of channels' costs."""
    account = Chart("CNY").platform_channel_cost().id
    [balance] = await world.ledger.read_balances([account])
    return balance.credit_minor if balance else 0


async def test_a_sale_is_priced_by_the_first_rule_that_fits(world):
    """The product's category decides; the memo finds version and rule again, and tells them."""
    new = await put(world, CARDS, REST)
    sales = [replace(world.sale(1_000), category=each) for each in ("cards", "games")]
    cards, games = await world.settlement.split_sales(sales)
    [listed] = await world.settlement.list_fee_schedules()
    memos = [f"fee:{each.fee_version}.{each.fee_rule}" for each in (cards, games)]
    told = await world.settlement.tell_fees([*memos, "fee:999.1", "else"])

    assert (SaleStatus.SPLIT, 55, 945, 1) == (
        cards.status,
        cards.fee_minor,
        cards.share_minor,
        cards.fee_rule,
    )
    assert (10, 990, 2) == (games.fee_minor, games.share_minor, games.fee_rule)
    assert (new.id, new.rules, "op@rail.example") == (listed.id, listed.rules, listed.person)
    assert [CARDS, REST] == [each.rule for each in told[:2]]
    assert [1, 2] == [each.number for each in told[:2]]
    assert [listed.valid_from] * 2 == [each.valid_from for each in told[:2]]
    assert [None, None] == told[2:]
    assert [cards, games] == await world.settlement.split_sales(sales)


async def test_own_terms_win_over_the_schedule(world):
    """A merchant with terms of its own pays those, before a schedule begins and after."""
    terms = FeeTerms(world.merchant, world.currency, 300)
    await world.settlement.put_fee_terms([terms])
    await put(world, REST)
    [result] = await world.settlement.split_sales([world.sale(1_000)])
    [told] = await world.settlement.tell_fees([f"fee:{result.fee_version}"])

    assert (30, 0) == (result.fee_minor, result.fee_rule)
    assert told.is_own
    assert (300, "CNY", 0) == (told.rule.basis_points, told.rule.currency, told.number)


async def test_a_sale_keeps_the_version_it_was_placed_under(world):
    """A version that follows changes nothing of what was placed before it began."""
    await put(world, REST)
    old = world.sale(1_000)
    await put(world, FeeRule(500))
    [before, after] = await world.settlement.split_sales([old, world.sale(1_000)])

    assert (10, 50) == (before.fee_minor, after.fee_minor)
    assert before.fee_version < after.fee_version


async def test_what_was_counted_decides_from_a_moment_on(world):
    """Volume, rates and tier count for sales placed after they were written, and not before."""
    big = FeeRule(50, currency="CNY", volume_minor_min=100_000, refund_permyriad_below=200)
    trusted = FeeRule(80, tiers=[2])
    await put(world, big, trusted, REST)
    first = world.sale(1_000)
    facts = FeeFacts(world.merchant, "CNY", 100_000, 100, 1)
    assert [True] == await world.settlement.put_fee_facts([facts])
    assert [False] == await world.settlement.put_fee_facts([facts])
    world.clock.advance(11)
    second = world.sale(1_000)
    await world.settlement.put_fee_facts([replace(facts, refunded_count=2)])
    assert [True] == await world.settlement.put_merchant_tiers([(world.merchant, 2)])
    assert [False] == await world.settlement.put_merchant_tiers([(world.merchant, 2)])
    world.clock.advance(11)
    results = await world.settlement.split_sales([first, second, world.sale(1_000)])
    [[kept]] = await world.settlement.read_fee_facts([world.merchant])

    assert [10, 5, 8] == [each.fee_minor for each in results]
    assert (100_000, 200, 2) == (kept.volume_minor, kept.refund_permyriad, kept.tier)
    assert [2] == await world.settlement.read_merchant_tiers([world.merchant])


async def test_the_channel_cost_is_a_leg_of_its_own(world):
    """Where the merchant bears it, it goes to the platform's channel cost, and back when undone."""
    rule = replace(REST, is_cost_borne=True)
    assert [True] == await world.settlement.put_channel_costs([ChannelCost("alipay", 60, 5, "CNY")])
    await put(world, rule)
    sale, undone = world.sale(1_000), world.sale(1_000)
    [result, _] = await world.settlement.split_sales([sale, undone])
    assert (10, 11, 979) == (result.fee_minor, result.cost_minor, result.share_minor)
    assert 22 == await channel_cost(world)
    assert [True] == await world.settlement.reverse_sales([undone])

    assert 11 == await channel_cost(world)
    assert {"provider": -2_000, "held": 1_000, "available": 979, "fee": 10} == (
        await world.balances()
    )
    await world.settlement.open_refunds([world.refund(sale, 1_000)])
    # The fee goes back by the rule; the channel keeps its cost, so the merchant bears it.
    assert {"provider": -2_000, "held": 1_000, "debt": -11, "clearing": 1_000} == (
        await world.balances()
    )


async def test_a_second_payment_finds_the_split_that_stands(world):
    """Paid again by a method with another fee, the sale stays split once, and its money is here."""
    await put(world, FeeRule(300, methods=["wechat"]), REST)
    sale = replace(world.sale(1_000), method="alipay")
    second = replace(
        sale, method="wechat", booking=world.booking(sale.order, 1_000, "second capture")
    )
    [first] = await world.settlement.split_sales([sale])
    [again] = await world.settlement.split_sales([second])

    assert first == again
    assert {"provider": -2_000, "held": 1_000, "available": 990, "fee": 10} == (
        await world.balances()
    )


async def test_schedules_are_written_once_and_never_back(world):
    """A repeat changes nothing, another one under its id is refused, and so is the past."""
    new = await put(world, REST)
    settlement = world.settlement
    late = FeeSchedule(new_id(world.clock.now()), [FeeRule(1)], world.clock.now())

    assert [FeeScheduleStatus.EXISTS] == await settlement.put_fee_schedules([new])
    assert [FeeScheduleStatus.EXISTS_DIFFERENT] == await settlement.put_fee_schedules(
        [replace(new, rules=[FeeRule(7)])]
    )
    assert [FeeScheduleStatus.UNCHANGED] == await settlement.put_fee_schedules(
        [replace(new, id=late.id)]
    )
    assert [FeeScheduleStatus.BACKDATED] == await settlement.put_fee_schedules([late])
    assert [FeeScheduleStatus.NO_LAST_RULE] == await settlement.put_fee_schedules(
        [replace(late, rules=[])]
    )
    assert 1 == len(await settlement.list_fee_schedules())


async def test_another_process_is_never_behind_on_schedules(world):
    """What a process has read of a merchant is not trusted when a new version begins."""
    await world.settlement.split_sales([world.sale(1_000)])  # Now the defaults are in memory.
    await put(world, FeeRule(700))
    [result] = await world.settlement.split_sales([world.sale(1_000)])

    assert 70 == result.fee_minor


async def test_a_trial_says_what_would_have_been(world):
    """Past sales are priced as they were and by the rules; own terms stay; nothing is written."""
    own = new_id(world.clock.now())
    await world.settlement.put_fee_terms([FeeTerms(own, "CNY", 400)])
    await world.settlement.put_channel_costs([ChannelCost("alipay", 60)])
    world.clock.advance(11)
    placed_at = world.clock.now()
    sales = [
        PastSale(world.merchant, 1_000, "CNY", placed_at, category="cards"),
        PastSale(world.merchant, 1_000, "CNY", placed_at - timedelta(days=20), "alipay"),
        PastSale(own, 1_000, "CNY", placed_at),
    ]
    rules = [CARDS, replace(REST, basis_points=200, is_cost_borne=True)]
    good, wrong = await world.settlement.try_fees(
        [FeeTrial(rules, sales), FeeTrial([CARDS], sales)]
    )

    assert [
        TriedFee(10, 0, 55, 0, 1),
        TriedFee(10, 0, 20, 6, 2),
        TriedFee(40, 0, 40, 0, 0),
    ] == good.fees
    assert FeeScheduleStatus.NO_LAST_RULE is wrong.status
    assert [] == await world.settlement.list_fee_schedules()
