"""What a person or a program may ask for: how often, where to, and what happened."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.webhooks.conftest import name_of
from tests.webhooks.test_telling import verify

from vendrail.api.webhooks import (
    DeliveryName,
    EndpointChange,
    EndpointId,
    EventKind,
    EventQuery,
    NewEndpoint,
    NewSecret,
    Redelivery,
    Webhooks,
)
from vendrail.app.wiring import House
from vendrail.kernel.codec import replace
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.http.bringing import Bringer, Unheard, is_here
from vendrail.kernel.ids import new_id
from vendrail.webhooks.decide import endpoint_fault, take_turn


async def test_an_endpoint_is_tested_and_told_again_ten_times_in_a_minute(
    town, program, other, platform_url
):
    """The eleventh is refused with the wait and adds no row; another endpoint has its own turns."""
    made, second = await town.listen(program), await town.listen(other)
    await town.sell()
    await town.tell()
    since = town.clock.now() - timedelta(days=1)
    everything = Redelivery(
        made.endpoint.id, town.merchant, since, town.clock.now() + timedelta(days=1),
        is_unheard_only=False,
    )  # fmt: skip
    [delivery, *_] = await town.deliveries(made)
    begun = await town.webhooks.test_endpoints([name_of(made)] * 8)
    begun += await town.webhooks.redeliver_events([everything])
    await town.tell()
    begun += await town.webhooks.retry_deliveries([DeliveryName(delivery.id, town.merchant)])
    await town.tell()
    heard = len(program.heard)
    refused = await town.webhooks.test_endpoints([name_of(made)])
    refused += await town.webhooks.redeliver_events([everything])
    refused += await town.webhooks.retry_deliveries([DeliveryName(delivery.id, town.merchant)])
    await town.tell()
    beside = await town.webhooks.test_endpoints([name_of(second)])
    silent = len(program.heard)
    town.clock.advance(refused[0].wait_s)
    later = await town.webhooks.test_endpoints([name_of(made)])
    await town.tell()

    assert ["begun"] * 10 == [each.status for each in begun]
    assert ["too_often"] * 3 == [each.status for each in refused]
    assert 1 <= refused[0].wait_s <= 6
    assert "begun" == beside[0].status
    assert heard == silent
    assert "begun" == later[0].status
    assert heard + 1 == len(program.heard)


async def test_others_endpoints_and_those_switched_off_take_no_turn(town, program):
    """Of another merchant it is not found, switched off it says so, and neither is told."""
    made = await town.listen(program)
    foreign = name_of(made, new_id(town.clock.now()))
    strange = await town.webhooks.test_endpoints([foreign] * 20)
    change = EndpointChange(made.endpoint.id, town.merchant, is_enabled=False)
    await town.webhooks.change_endpoints([change])
    off = await town.webhooks.test_endpoints([name_of(made)] * 20)
    await town.tell()

    assert {"not_found"} == {each.status for each in strange}
    assert {"disabled"} == {each.status for each in off}
    assert [] == program.heard


@given(
    st.lists(st.integers(0, 90), max_size=30),
    st.integers(1, 30),
)
def test_no_minute_has_more_than_its_turns(waits, most):
    """No minute holds more than twice the bound, and whoever waits as told has a turn."""
    now, free_at, taken = datetime(2026, 11, 30, tzinfo=UTC), None, []
    for wait in waits:
        now += timedelta(seconds=wait)
        turn = take_turn(free_at, now, most)
        if turn.wait_s:
            then = take_turn(free_at, now + timedelta(seconds=turn.wait_s), most)
            assert 0 == then.wait_s
            continue
        free_at = turn.free_at
        taken.append(now)
    minute = timedelta(seconds=60)

    for at in taken:
        assert sum(at <= each < at + minute for each in taken) < 2 * most + 1


async def test_a_wish_for_another_secret_makes_one(town, program):
    """The same wish again makes no other secret and tells none: the one it made still signs."""
    made = await town.listen(program)
    wish = NewSecret(made.endpoint.id, town.merchant, new_id(town.clock.now()))
    first, again = await town.webhooks.rotate_secrets([wish, wish])
    await town.webhooks.test_endpoints([name_of(made)])
    await town.tell()

    later = [replace(wish, once=new_id(town.clock.now())) for _ in range(2)]
    await town.webhooks.rotate_secrets(later)
    town.clock.advance(2 * 86_400)
    while await town.house.services["webhooks"].forget():
        pass
    [known] = await town.webhooks.rotate_secrets([wish])

    assert ("done", "exists", "") == (first.status, again.status, again.secret)
    assert ("exists", "") == (known.status, known.secret)
    assert verify(program.heard[0], first.secret, now=town.clock.now())


async def test_an_endpoint_begins_switched_off(town, program):
    """Made so, nobody is told there until it is switched on; deleted, it is not made again."""
    id = EndpointId(new_id(town.clock.now()))
    new = NewEndpoint(id, town.merchant, program.url, is_enabled=False)
    [made] = await town.webhooks.make_endpoints([new])
    await town.webhooks.close_endpoints([name_of(made)])
    [again] = await town.webhooks.make_endpoints([new])

    assert ("disabled", "by_hand") == (made.endpoint.state, made.endpoint.reason)
    assert ("deleted", None) == (again.status, again.endpoint)


async def test_deleted_endpoints_leave_no_tests_behind(town, program, other):
    """With an endpoint go its tests, so that making and deleting grows nothing; others' stay."""
    made, second = await town.listen(program), await town.listen(other)
    await town.webhooks.test_endpoints([name_of(made), name_of(second)])
    await town.webhooks.close_endpoints([name_of(made)])
    [left] = await town.webhooks.list_webhook_events([EventQuery(town.merchant)])

    assert [EventKind.TEST] == [each.kind for each in left]


async def test_what_happened_is_found_by_kind_and_from_a_moment_on(town, program):
    """Several kinds in their order, page by page, and nothing from before the moment."""
    await town.listen(program)
    await town.sell()
    town.clock.advance(86_400)
    moment = town.clock.now()
    for _ in range(3):
        await town.sell()
    await town.read()
    kinds = [EventKind.ORDER_DELIVERED, EventKind.ORDER_PAID]
    query = EventQuery(town.merchant, kinds, events_max=4, since=moment)
    [first] = await town.webhooks.list_webhook_events([query])
    after = EventQuery(town.merchant, kinds, first[-1].id, 4, moment)
    none = EventQuery(town.merchant, [EventKind.DISPUTE_LOST], since=moment)
    rest, empty = await town.webhooks.list_webhook_events([after, none])
    [everything] = await town.webhooks.list_webhook_events([EventQuery(town.merchant, kinds)])

    assert (4, 2, []) == (len(first), len(rest), empty)
    assert all(each.at >= moment for each in (*first, *rest))
    assert [each.id for each in everything[:6]] == [each.id for each in (*first, *rest)]
    assert 8 == len(everything)


@pytest.mark.parametrize(
    "url", ["https://pay.example.com/x", "http://PAY.example.com.:8443/", "https://pay.example.com"]
)
def test_the_platforms_own_name_is_no_endpoint(url):
    """By whatever port and spelling, the platform is not told of what it tells."""
    own = ["pay.example.com"]

    assert "url_own" == endpoint_fault(url, "", [], own)
    assert None is endpoint_fault("https://other.example.com/", "", [], own)


async def test_what_leads_back_to_us_is_not_called():
    """An address that our own name leads to is refused, and nobody is called."""
    bringer = Bringer([], 30, ["1.1.1.1"])
    try:
        with pytest.raises(Unheard, match="our own"):
            await bringer.bring("http://1.1.1.1/")
    finally:
        await bringer.close()

    assert is_here("127.0.0.1")
    assert not is_here("1.1.1.1")


async def test_an_endpoint_at_the_platform_is_refused(platform_url, clock, vault, tmp_path):
    """Neither making an endpoint nor moving one leads to the platform's own public name."""
    platform = PlatformSettings(
        home=tmp_path, database_url=platform_url, public_url="https://pay.example.com"
    )
    house = House(platform, {}, clock, vault)
    webhooks, merchant = house.api(Webhooks), new_id(clock.now())
    ids = [EndpointId(new_id(clock.now())) for _ in range(2)]
    made = await webhooks.make_endpoints(
        [
            NewEndpoint(ids[0], merchant, "https://pay.example.com/merchant"),
            NewEndpoint(ids[1], merchant, "https://hooks.example.net/"),
        ]
    )
    moved = EndpointChange(ids[1], merchant, url="https://pay.example.com:444/x")
    statuses = await webhooks.change_endpoints([moved])
    await house.stop()

    assert ["url_own", "done"] == [each.status for each in made]
    assert ["url_own"] == statuses
