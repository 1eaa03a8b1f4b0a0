"""Schedules through the api: what is free goes out by itself, once a period, and says why not."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vendrail.api.ledger import Chart
from vendrail.api.payouts import (
    PayeeId,
    PayoutOrigin,
    PayoutQuery,
    PayoutSchedule,
    PayoutState,
    PayoutTerms,
    ScheduleKind,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import new_id
from vendrail.payouts.calendar import CALENDAR, day_of, next_due, period_of

from tests.payouts.conftest import LEASE_S, World  # isort: skip

ZONE = "Asia/Shanghai"


def daily(world: World, **changes) -> PayoutSchedule:
    """A schedule of every day at nine."""
    values = {"kind": ScheduleKind.DAILY, "payee": world.payee, "zone": ZONE, "hour": 9}
    return PayoutSchedule(world.merchant, world.currency, **(values | changes))


async def put(world: World, new: PayoutSchedule):
    """Choose a schedule."""
    [status] = await world.payouts.put_schedules([new])
    return status


async def look(world: World) -> None:
    """Look at what is due, and carry on what was asked for."""
    while await world.house.services["payouts"].look_due():
        pass
    await world.run()


async def view(world: World):
    """Read the schedule as it stands."""
    [found] = await world.payouts.read_schedules([(world.merchant, world.currency)])
    return found


async def due(world: World) -> None:
    """Let time pass until it is due, and a little more."""
    found = await view(world)
    world.clock.advance((found.due_at - world.clock.now()).total_seconds() + 1)


async def sent(world: World):
    """List what went out by itself, newest first."""
    [found] = await world.payouts.list_payouts([PayoutQuery(world.merchant, payouts_max=200)])
    return [each for each in found if each.origin in (PayoutOrigin.SCHEDULED, PayoutOrigin.INSTANT)]


async def test_all_that_is_free_goes_out_at_the_hour(world: World) -> None:
    """At nine where the merchant is, less the fee, and not before; then again the next day."""
    await world.payouts.put_terms([PayoutTerms("CNY", 100, 30, 0)])
    await world.earn(10_000)
    assert "changed" == await put(world, daily(world))
    assert "unchanged" == await put(world, daily(world))
    found = await view(world)
    assert 9 == found.due_at.astimezone(ZoneInfo(ZONE)).hour
    await look(world)
    assert [] == await sent(world)

    await due(world)
    await look(world)
    [first] = await sent(world)
    assert (9_970, 30) == (first.amount_minor, first.fee_minor)
    assert PayoutState.SUCCEEDED is first.state
    assert PayoutOrigin.SCHEDULED is first.origin
    assert 9_970 == world.paid(first.id)
    assert "available" not in await world.books()
    after = await view(world)
    assert ("asked", first.id) == (after.outcome, after.payout)
    assert found.due_at + timedelta(days=1) == after.due_at

    await world.earn(500)
    await due(world)
    await look(world)
    assert [470, 9_970] == [each.amount_minor for each in await sent(world)]


async def test_a_period_is_paid_out_once_however_it_is_changed(world: World) -> None:
    """A later hour of the same day comes tomorrow; after days of rest there is one payout."""
    await world.earn(1_000)
    await put(world, daily(world))
    await due(world)
    await look(world)
    await world.earn(1_000)
    assert "changed" == await put(world, daily(world, hour=23))
    here = (await view(world)).due_at.astimezone(ZoneInfo(ZONE))
    assert (23, world.clock.now().astimezone(ZoneInfo(ZONE)).date() + timedelta(days=1)) == (
        here.hour,
        here.date(),
    )
    world.clock.advance(5 * 24 * 3_600)
    await look(world)
    await world.earn(1_000)
    await look(world)

    assert [1_000, 1_000] == [each.amount_minor for each in await sent(world)]
    assert (await view(world)).due_at > world.clock.now()


@pytest.mark.parametrize("why", ["too_little", "suspended", "in_debt", "payee_not_found",
                                 "payee_cooling", "not_offered"])  # fmt: skip
async def test_what_stands_against_it_is_said_and_nothing_moves(world: World, why: str) -> None:
    """The period passes, the schedule says why, and the next one is looked at as ever."""
    await world.earn(50 if why == "too_little" else 1_000)
    chosen = daily(world)
    if why == "payee_cooling":
        other = world.new_payee(account="13800138000")
        await world.payouts.add_payees([other])
        test = await world.test_payee(other.id)
        await world.prove(other.id, world.paid(test))
        chosen = daily(world, payee=other.id, kind=ScheduleKind.INSTANT, hour=0, zone="UTC")
    assert "changed" == await put(world, chosen)
    if why == "suspended":
        await world.payouts.suspend_merchants([(world.merchant, "looked into")])
    if why == "in_debt":
        chart = Chart(world.currency)
        await world.move(chart.merchant(world.merchant, "debt"), chart.provider("alipay"), 5)
    if why == "payee_not_found":
        await world.payouts.close_payees([(world.payee, world.merchant)])
    if why == "not_offered":
        kinds = [ScheduleKind.MANUAL, ScheduleKind.WEEKLY]
        await world.payouts.put_terms([PayoutTerms("CNY", 100, 0, 0, kinds)])
    await due(world)
    before = await world.books()
    await look(world)

    found = await view(world)
    assert why == found.outcome
    assert found.due_at > world.clock.now()
    assert [] == await sent(world)
    assert before == await world.books()


async def test_a_threshold_waits_until_so_much_is_there(world: World) -> None:
    """Below the amount nothing goes out; from it on, all that is free does."""
    await world.payouts.put_terms([PayoutTerms("CNY", 100, 0, 0)])
    chosen = daily(world, kind=ScheduleKind.THRESHOLD, threshold_minor=5_000, hour=0)
    assert "changed" == await put(world, chosen)
    await world.earn(4_999)
    await look(world)
    assert [] == await sent(world)
    assert (await view(world)).outcome is None
    await world.earn(2)
    await due(world)
    await look(world)

    [only] = await sent(world)
    assert (5_001, PayoutOrigin.INSTANT) == (only.amount_minor, only.origin)


async def test_at_once_is_one_payout_a_look(world: World) -> None:
    """What becomes free between two looks goes out together."""
    await put(world, daily(world, kind=ScheduleKind.INSTANT, hour=0))
    await world.earn(1_000)
    await look(world)
    await world.earn(300)
    await world.earn(400)
    await look(world)
    assert [1_000] == [each.amount_minor for each in await sent(world)]
    await due(world)
    await look(world)

    assert [700, 1_000] == [each.amount_minor for each in await sent(world)]


async def test_what_cannot_be_chosen_is_said(world: World) -> None:
    """Odd hours and zones, other merchants' accounts, unproven ones, and what is not offered."""
    wrong = [
        daily(world, hour=24),
        daily(world, zone="Mars/Base"),
        daily(world, zone="../../etc/passwd"),
        daily(world, kind=ScheduleKind.WEEKLY, day=8),
        daily(world, kind=ScheduleKind.THRESHOLD),
        daily(world, threshold_minor=5),
        daily(world, payee=None),
        replace(daily(world), currency="???"),
    ]
    assert ["field_malformed"] * len(wrong) == await world.payouts.put_schedules(wrong)
    other = world.new_payee(account="13800138000")
    await world.payouts.add_payees([other])
    unknown = PayeeId(new_id(world.clock.now()))
    foreign = replace(daily(world), merchant=new_id(world.clock.now()))
    assert ["payee_unverified", "payee_not_found", "payee_not_found", "currency_not_offered"] == (
        await world.payouts.put_schedules(
            [
                daily(world, payee=other.id),
                daily(world, payee=unknown),
                foreign,
                replace(daily(world), currency="USD"),
            ]
        )
    )
    await world.payouts.put_terms([PayoutTerms("CNY", 100, 0, 0, [ScheduleKind.MANUAL])])
    assert "not_offered" == await put(world, daily(world))
    assert "unchanged" == await put(world, PayoutSchedule(world.merchant, "CNY"))


async def test_crash_points_of_a_look(make_world, fuse) -> None:
    """Broken off wherever it may be, and looked at by others: one payout of the day, no less."""
    world = await make_world(fuse=fuse)
    await world.be_verified()
    await world.payouts.put_terms([PayoutTerms("CNY", 100, 30, 0)])
    await put(world, daily(world))
    for made, count in enumerate(range(0, 120, 5), 1):
        await world.earn(1_000)
        await due(world)
        is_whole = True
        try:
            with fuse.broken_after(count):
                await look(world)
        except Broken:
            is_whole = False
        world.clock.advance(LEASE_S)
        await look(world)
        await world.later(LEASE_S)

        found = await sent(world)
        assert made == len(found)
        assert {970} == {each.amount_minor for each in found}
        assert {PayoutState.SUCCEEDED} == {each.state for each in found}
        assert "asked" == (await view(world)).outcome
        if is_whole:
            assert count > 10
            return
    raise AssertionError("It never came to its end.")


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(CALENDAR),
    st.sampled_from(["UTC", ZONE, "America/New_York", "Europe/Berlin", "Australia/Lord_Howe"]),
    st.integers(0, 23),
    st.integers(1, 31),
    st.integers(1_577_000_000, 2_050_000_000),
)
def test_every_period_has_its_moment(kind, zone, hour, day, start) -> None:
    """From any moment on, each day, week or month comes once, in order, also where clocks turn."""
    here, begin = ZoneInfo(zone), datetime.fromtimestamp(start, UTC)
    day = min(day, 7) if kind is ScheduleKind.WEEKLY else day
    schedule = PayoutSchedule(new_id(begin), "CNY", kind, None, zone, hour, day)
    now, last_on, periods = begin, None, []
    for _ in range(14):
        moment = next_due(schedule, now, last_on)
        assert moment > now
        last_on = day_of(moment, here)
        periods.append(period_of(kind, last_on))
        now = moment

    assert sorted(set(periods)) == periods
    length = {ScheduleKind.DAILY: 1, ScheduleKind.WEEKLY: 7, ScheduleKind.MONTHLY: 31}[kind]
    assert now - begin <= timedelta(days=14 * length + 2)
