"""Routing as payments promise it: chosen, kept with the attempt, learned from, told to people."""

from datetime import timedelta

import pytest
from tests.payments.conftest import MERCHANT, Shop, channel_of, open_shop

from vendrail.api.payments import (
    ChannelId,
    ChannelTerms,
    DecisionQuery,
    MethodChoice,
    OfferQuestion,
    PresentRequest,
    RouteReason,
    RoutingRule,
    RuleEffect,
    RuleId,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.db import connect_once
from vendrail.kernel.ids import new_id


@pytest.fixture
async def pair(shop, alipay):
    """A marketplace with two accounts that offer the same."""
    other = channel_of(alipay.register(), alipay.url, "second", title="B")
    assert ["created"] == await shop.payments.put_channels([other])
    return shop, shop.channel, other


def rule(shop, effect: RuleEffect, channel=None, **more) -> RoutingRule:
    """Make a rule."""
    id = RuleId(new_id(shop.clock.now()))
    return RoutingRule(id, effect, channel.id if channel else None, **more)


async def channels_of(shop, attempts) -> list:
    """Say where attempts went."""
    views = await shop.payments.read_attempts([each.order for each in attempts])
    return [each.attempt.channel for (each,) in views]


async def test_a_choice_is_kept_with_its_attempt(pair):
    """Eligible channels, their scores and propensities and the reason are there to be read."""
    shop, first, second = pair
    attempts = [shop.attempt() for _ in range(40)]
    assert ["opened"] * 40 == await shop.payments.open_attempts(attempts)
    went = await channels_of(shop, attempts)
    routes = await shop.payments.read_routes([each.id for each in attempts])

    for route, channel in zip(routes, went, strict=True):
        shares = {each.channel: each.share_ppm for each in route.options}
        assert {first.id, second.id} == shares.keys()
        assert 1_000_000 == sum(shares.values())
        assert shares[channel] > 0
        is_best = shares[channel] == max(shares.values())
        assert is_best == (route.reason is RouteReason.BEST)
        assert all(0 < each.score_ppm < 1_000_000 for each in route.options)


async def test_where_nothing_is_to_choose_nothing_is_written(shop, database_url):
    """One account alone costs no bytes, and the reader is told that there was no other."""
    attempt = await shop.opened()
    named = await shop.opened(channel=shop.channel.id)
    owner = await connect_once(database_url)
    [row] = await owner.fetch("select route from payments.attempt where id = $1", attempt.id)
    await owner.close()
    only, asked, nobody = await shop.payments.read_routes(
        [attempt.id, named.id, new_id(shop.clock.now())]
    )

    assert None is row["route"]
    assert ["only", "asked", None] == [only.reason, asked.reason, nobody]


async def test_an_attempt_sent_again_stays_where_it_went(pair):
    """What was chosen first stays, whatever has been decided since."""
    shop, first, second = pair
    attempt = await shop.opened()
    [went] = await channels_of(shop, [attempt])
    other = second if went == first.id else first
    pin = rule(shop, RuleEffect.PIN, other)
    assert ["created"] == await shop.payments.put_rules([pin])

    assert ["exists"] == await shop.payments.open_attempts([attempt])
    assert [went] == await channels_of(shop, [attempt])


async def test_rules_hold_at_once_and_are_taken_back(pair):
    """A pin sends all there, a ban none; each for whom it names; taken back it holds no more."""
    shop, first, second = pair
    pin = rule(shop, RuleEffect.PIN, second)
    ban = rule(shop, RuleEffect.NEVER, second, merchant=MERCHANT)
    nobody = rule(shop, RuleEffect.NEVER, merchant=MERCHANT, method="alipay_qr")
    put, drop = shop.payments.put_rules, shop.payments.drop_rules
    assert ["created", "exists", "exists_different"] == await put(
        [pin, pin, replace(pin, country="DE")]
    )
    pinned = [await shop.opened() for _ in range(5)]
    reasons = [each.reason for each in await shop.payments.read_routes([x.id for x in pinned])]
    assert ["created"] == await put([ban])
    assert ["created"] == await put([nobody])
    banned = [await shop.opened() for _ in range(5)]
    refused = await shop.payments.open_attempts([shop.attempt(method="alipay_qr")])
    assert [pin, ban, nobody] == await shop.payments.list_rules()
    assert [True, False] == await drop([pin.id, RuleId(new_id(shop.clock.now()))])

    assert [second.id] * 5 == await channels_of(shop, pinned)
    assert {"pinned"} == set(reasons)
    assert [first.id] * 5 == await channels_of(shop, banned)
    assert ["method_not_offered"] == refused
    assert [ban, nobody] == await shop.payments.list_rules()


async def test_rules_and_terms_that_say_nothing_are_refused(pair):
    """A pin needs a channel, a ban something, terms their bounds; nothing of it is written."""
    shop, first, _ = pair
    stranger = replace(first, id=ChannelId(new_id(shop.clock.now())))
    rules = [
        rule(shop, RuleEffect.PIN, method="alipay"),
        rule(shop, RuleEffect.NEVER, merchant=MERCHANT),
        rule(shop, RuleEffect.PIN, stranger),
        rule(shop, RuleEffect.PIN, first, country="China"),
    ]
    terms = [
        ChannelTerms(stranger.id),
        ChannelTerms(first.id, cap_percent=0),
        ChannelTerms(first.id, cost_permyriad=60),
        ChannelTerms(first.id, cost_permyriad=60),
    ]

    assert ["malformed", "malformed", "channel_not_found", "malformed"] == (
        await shop.payments.put_rules(rules)
    )
    assert ["channel_not_found", "malformed", "written", "written"] == (
        await shop.payments.put_terms(terms)
    )
    assert ["unchanged"] == await shop.payments.put_terms(terms[-1:])
    assert [] == await shop.payments.list_rules()
    assert {60, 0} == {each.cost_permyriad for each in await shop.payments.list_terms()}


async def test_the_cheaper_of_equals_is_chosen(pair):
    """Cost counts: what takes more of the money gets the exploring share and no more."""
    shop, first, second = pair
    terms = ChannelTerms(first.id, cost_permyriad=2_000)
    assert ["written"] == await shop.payments.put_terms([terms])
    attempts = [shop.attempt() for _ in range(100)]
    await shop.payments.open_attempts(attempts)
    went = await channels_of(shop, attempts)

    assert went.count(second.id) >= 80


async def test_a_day_s_volume_is_kept(local_shop, alipay):
    """A channel that has taken what it may in a day takes no more, until the next day."""
    shop = local_shop
    terms = ChannelTerms(shop.channel.id, volume_day_minor=2_000)
    assert ["written"] == await shop.payments.put_terms([terms])
    await shop.captured(1_500)
    await shop.payments.note_health()
    shop.clock.advance(3)
    few, many = shop.attempt(500), shop.attempt(501)
    assert ["opened", "method_not_offered"] == await shop.payments.open_attempts([few, many])
    shop.clock.advance(86_400)

    assert ["opened"] == await shop.payments.open_attempts([shop.attempt(1_999)])


async def test_a_day_s_volume_is_one_for_all_processes(make_service, key_app, alipay, clock):
    """Here it counts at once, before anything was written; there within seconds."""
    here, there = await make_service(), await make_service()
    shop = await open_shop(here, key_app, alipay, clock)
    terms = ChannelTerms(shop.channel.id, volume_day_minor=2_000)
    assert ["written"] == await here.put_terms([terms])
    await shop.captured(1_500)
    at_once = await here.open_attempts([shop.attempt(501)])
    await here.note_health()
    written = await here.open_attempts([shop.attempt(501), shop.attempt(500)])
    clock.advance(3)
    elsewhere = await there.open_attempts([shop.attempt(501), shop.attempt(500)])

    assert ["method_not_offered"] == at_once
    assert ["method_not_offered", "opened"] == written == elsewhere


async def test_a_share_is_kept_by_all_processes_together(make_service, key_app, alipay, clock):
    """Each holds it for its own traffic, so the whole does, however unevenly that is spread."""
    busy, calm = await make_service(), await make_service()
    shop = await open_shop(busy, key_app, alipay, clock)
    other = channel_of(alipay.register(), alipay.url, "second")
    assert ["created"] == await busy.put_channels([other])
    terms = [
        ChannelTerms(shop.channel.id, cost_permyriad=10, cap_percent=20),
        ChannelTerms(other.id, cost_permyriad=500),
    ]
    assert ["written"] * 2 == await busy.put_terms(terms)
    attempts = []
    for place in range(60):
        for service, count in ((busy, 15), (calm, 5)):
            batch = [shop.attempt() for _ in range(count)]
            assert {"opened"} == set(await service.open_attempts(batch))
            attempts += batch if place >= 20 else []  # The windows have filled by then.
        clock.advance(0.5)
    went = await channels_of(shop, attempts)

    assert 0.12 < went.count(shop.channel.id) / len(went) < 0.24


async def test_hours_and_countries_bound_a_channel(pair):
    """Outside its hours or countries another account takes the payment, or nobody."""
    shop, first, second = pair
    hour = shop.clock.now().hour
    closed = ChannelTerms(first.id, hour_from=(hour + 2) % 24, hour_to=(hour + 3) % 24)
    abroad = ChannelTerms(second.id, countries=["DE"])
    assert ["written"] * 2 == await shop.payments.put_terms([closed, abroad])
    here, there = shop.attempt(country="CN"), shop.attempt(country="DE")

    assert ["method_not_offered", "opened"] == await shop.payments.open_attempts([here, there])
    assert [second.id] == await channels_of(shop, [there])


# Learning.


async def test_what_one_process_learns_all_know(make_service, key_app, alipay, clock):
    """Successes are counted by channel, method, country and amount, once, for every process."""
    here, there = await make_service(), await make_service()
    shop = await open_shop(here, key_app, alipay, clock)
    attempt = await shop.opened(country="CN")
    notes = await shop.sign(attempt)
    await shop.tell(*notes, *notes)
    await here.note_health()
    await here.note_health()
    [found] = await there.list_segments([shop.channel.id])
    clock.advance(7 * 86_400)
    [faded] = await there.list_segments([shop.channel.id])

    assert [("", "", 0), ("alipay", "", 0), ("alipay", "CN", 0), ("alipay", "CN", 8)] == [
        (each.method, each.country, each.band) for each in found
    ]
    assert [(1_000, 0)] * 4 == [(each.successes_milli, each.failures_milli) for each in found]
    assert [500] * 4 == [each.successes_milli for each in faded]
    assert found[-1].success_ppm > found[0].success_ppm


async def test_money_that_fits_nothing_teaches_nothing(local_shop):
    """Only what was asked for counts as a success."""
    attempt = await local_shop.opened()
    await local_shop.tell(*await local_shop.sign(attempt, amount="1.00"))

    assert [[]] == await local_shop.payments.list_segments([local_shop.channel.id])


async def test_standings_tell_how_channels_are(pair):
    """A known channel's chance and state are told, an unknown one is nobody."""
    shop, first, _ = pair
    found, nobody = await shop.payments.read_standings(
        [first.id, ChannelId(new_id(shop.clock.now()))]
    )

    assert None is nobody
    assert (first.id, "", 0, 0) == (found.channel, found.fate, found.taken_ppm, found.price_ppm)
    assert 800_000 < found.success_ppm < 1_000_000


# Offering.


async def test_decisions_are_listed_with_what_came_of_them(pair, clock):
    """Page by page in order: paid, failed, given up; named and unopened ones were no decision."""
    shop, first, second = pair
    began = clock.now() - timedelta(minutes=1)
    paid = [await shop.shown() for _ in range(3)]
    for each in paid:
        [went] = await channels_of(shop, [each])
        till = shop if went == first.id else Shop(shop.payments, second, shop.alipay, clock)
        await till.tell(*await till.sign(each), channel=went)
    left = await shop.shown()
    await shop.opened()
    await shop.shown(channel=first.id)
    dead = [
        replace(each, settings=each.settings | {"gateway_url": "http://127.0.0.1:1/"})
        for each in (first, second)
    ]
    assert ["changed"] * 2 == await shop.payments.put_channels(dead)
    failed = await shop.opened(method="alipay_qr")
    await shop.payments.present_attempts([PresentRequest(failed.id)])
    query = DecisionQuery(began, clock.now() + timedelta(minutes=1), "CNY", decisions_max=2)
    found, page = [], [None]
    while page:
        [page] = await shop.payments.list_decisions([query])
        found += page
        query = replace(query, after=page[-1].attempt) if page else query
    clock.advance(3_600)
    [later] = await shop.payments.list_decisions([replace(query, after=None, decisions_max=50)])
    routes = await shop.payments.read_routes([each.attempt for each in found])
    names = {first.id: "alipay", second.id: "second"}

    went = {each.attempt: each.outcome for each in found}
    assert ["succeeded"] * 3 == [went.pop(each.id) for each in paid]
    assert "open" == went.pop(left.id)
    assert {"failed"} == set(went.values())
    assert failed.id in went
    assert sorted(each.attempt for each in found) == [each.attempt for each in found]
    assert "given_up" == next(each.outcome for each in later if each.attempt == left.id)
    for each, route in zip(found, routes, strict=True):
        shares = {names[option.channel]: option.share_ppm for option in route.options}
        assert each.propensity_ppm == shares[each.channel_name]


def question(**changes) -> OfferQuestion:
    """Ask about a payment of 12.30 yuan."""
    given = {"currency": "CNY", "amount_minor_min": 1_230, "amount_minor_max": 1_230}
    return OfferQuestion(**{"merchant": MERCHANT} | given | changes)


async def offered(shop, **changes) -> list[str]:
    """List the methods that are offered."""
    [found] = await shop.payments.offer_methods([question(**changes)])
    return [each.method for each in found]


async def test_each_way_is_offered_once_and_the_habit_first(pair):
    """Two accounts are one way; a buyer who took the code last time finds it on top."""
    shop, _, _ = pair

    assert ["alipay", "alipay_qr"] == await offered(shop)
    assert ["alipay_qr", "alipay"] == await offered(shop, habit="alipay_qr")
    assert [] == await offered(shop, currency="EUR")


async def test_the_likelier_way_is_offered_first(shop):
    """What costs a method much puts it behind, unless it is the buyer's habit."""
    terms = ChannelTerms(shop.channel.id, cost_permyriad=100)
    assert ["written"] == await shop.payments.put_terms([terms])
    ban = rule(shop, RuleEffect.NEVER, merchant=MERCHANT, method="alipay")
    assert ["created"] == await shop.payments.put_rules([ban])

    assert ["alipay_qr"] == await offered(shop)
    assert ["alipay", "alipay_qr"] == await offered(shop, merchant=new_id(shop.clock.now()))


async def test_a_merchant_s_choice_is_kept_by_every_process(make_service, key_app, alipay, clock):
    """What is off is refused and not offered, by others within seconds; what was opened is kept."""
    here, there = await make_service(), await make_service()
    shop = await open_shop(here, key_app, alipay, clock)
    elsewhere = new_id(clock.now())
    begun = await shop.opened(method="alipay_qr")
    await there.offer_methods([question()])
    choice = MethodChoice(MERCHANT, ["alipay_qr"])
    assert ["written", "unchanged"] == [
        *await here.put_method_choices([choice]),
        *await here.put_method_choices([choice]),
    ]
    clock.advance(3)
    seen = [
        [[each.method for each in found] for found in await service.offer_methods(asked)]
        for service in (here, there)
        for asked in [[question(), question(merchant=elsewhere)]]
    ]
    refused = await there.open_attempts(
        [shop.attempt(method="alipay_qr"), shop.attempt(method="alipay_qr", merchant=elsewhere)]
    )
    [action] = await there.present_attempts([PresentRequest(begun.id)])
    off = replace(shop.channel, settings=shop.channel.settings | {"products": "page"})
    assert ["changed"] == await here.put_channels([off])
    [[_, gone]] = await here.list_merchant_methods([MERCHANT])
    assert ["changed"] == await here.put_channels([shop.channel])
    assert ["written"] == await here.put_method_choices([MethodChoice(MERCHANT, [])])
    clock.advance(3)

    assert [[["alipay"], ["alipay", "alipay_qr"]]] * 2 == seen
    assert ["method_not_offered", "opened"] == refused
    assert "qr" == action.kind
    assert ("alipay_qr", [], False) == (gone.method, gone.currencies, gone.is_on)
    assert ["opened"] == await there.open_attempts([shop.attempt(method="alipay_qr")])


async def test_a_choice_leaves_one_way_and_names_those_there_are(shop):
    """Nothing left is refused, and so is what no account offers; each way is told with its cost."""
    none_left = MethodChoice(MERCHANT, ["alipay", "alipay_qr"])
    unknown = MethodChoice(MERCHANT, ["barter"])
    assert ["none_left", "method_unknown"] == await shop.payments.put_method_choices(
        [none_left, unknown]
    )
    terms = ChannelTerms(shop.channel.id, cost_permyriad=60, cost_minor=30)
    assert ["written"] == await shop.payments.put_terms([terms])
    [methods] = await shop.payments.list_merchant_methods([MERCHANT])

    assert [("alipay", True), ("alipay_qr", True)] == [(x.method, x.is_on) for x in methods]
    assert {(60, 30, 60, 30)} == {
        (x.cost_permyriad, x.cost_minor, x.cost_permyriad_max, x.cost_minor_max) for x in methods
    }


async def test_a_way_is_offered_where_some_amount_of_it_can_be_taken(shop):
    """A range that touches the account's bounds is offered, one beside them is not."""
    bounded = replace(shop.channel, amount_minor_min=1_000, amount_minor_max=2_000)
    assert ["changed"] == await shop.payments.put_channels([bounded])

    found = [
        bool(await offered(shop, amount_minor_min=least, amount_minor_max=most))
        for least, most in ((1, 999), (1, 1_000), (1_500, 9_000), (2_000, 9_000), (2_001, 9_000))
    ]
    assert [False, True, True, True, False] == found
