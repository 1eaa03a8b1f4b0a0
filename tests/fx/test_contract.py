"""What foreign exchange promises: rates that can be believed, quotes that hold, used once."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from tests.fx.conftest import ALL

from vendrail.api.fx import QuoteStatus, QuoteUse, RatePair, RateStatus, UseStatus
from vendrail.api.ledger import Chart, Transfer, TransferCode
from vendrail.fx import store
from vendrail.fx.sources import read_installed
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id


async def test_three_services_in_three_forms_agree(world):
    """The bank, Open Exchange Rates and Frankfurter say the same; all of them are named."""
    [cny, jpy] = await world.fx.read_rates([RatePair("CNY", "USD"), RatePair("KRW", "JPY")])

    assert [RateStatus.RATED] * 2 == [cny.status, jpy.status]
    assert ["ecb", "frankfurter", "openexchangerates"] == cny.rate.sources
    assert Decimal("0.1503") == round(cny.rate.mid, 4)
    assert [(True, "")] * 3 == [(s.is_fresh, s.problem) for s in await world.fx.list_sources()]


async def test_what_cannot_be_rated_says_why(world):
    """An unknown currency, one and the same, one that no source has: each its own status."""
    pairs = [RatePair("CNY", "XXX"), RatePair("CNY", "CNY"), RatePair("CNY", "KWD")]

    assert [
        RateStatus.CURRENCY_UNKNOWN,
        RateStatus.CURRENCIES_EQUAL,
        RateStatus.NOT_RATED,
    ] == [found.status for found in await world.fx.read_rates(pairs)]


async def test_b6_a_quote_holds_and_replay_gives_the_same(world, sources):
    """What was promised under an id stands, whatever rates become; another request is told."""
    asked = world.ask(10_000)
    [first] = await world.fx.quote_amounts([asked])
    for source in ("ecb", "openexchangerates", "frankfurter"):
        await sources.fault(source, basis_points=500)
    await world.fetch()
    [again, other, new] = await world.fx.quote_amounts(
        [asked, world.ask(10_001, id=asked.id), world.ask(10_000)]
    )

    assert QuoteStatus.QUOTED == first.status
    assert (QuoteStatus.EXISTS, first.quote) == (again.status, again.quote)
    assert (QuoteStatus.EXISTS_DIFFERENT, None) == (other.status, other.quote)
    assert new.quote.paid_minor > first.quote.paid_minor
    assert first.quote.expires_at - first.quote.made_at >= timedelta(minutes=10)
    assert [first.quote] == await world.fx.read_quotes([asked.id])


async def test_one_id_twice_in_one_batch_is_promised_once(world):
    """Of two requests under one id in one batch the second is a repeat, or is told apart."""
    asked = world.ask(500)

    found = await world.fx.quote_amounts([asked, asked, world.ask(501, id=asked.id)])

    assert [
        QuoteStatus.QUOTED,
        QuoteStatus.EXISTS,
        QuoteStatus.EXISTS_DIFFERENT,
    ] == [each.status for each in found]


async def test_what_cannot_be_quoted_is_refused_alone(world):
    """A wrong amount or pair is refused with a status; its neighbours are quoted."""
    found = await world.fx.quote_amounts(
        [
            world.ask(0),
            world.ask(10**15, "USD", "VND"),
            world.ask(10**15 + 1),
            world.ask(100, "CNY", "CNY"),
            world.ask(100, "CNY", "ABC"),
            world.ask(100, "CNY", "BHD"),
            world.ask(100),
        ]
    )
    out = QuoteStatus.AMOUNT_OUT_OF_RANGE

    assert [
        out,
        QuoteStatus.NOT_RATED,
        out,
        QuoteStatus.CURRENCIES_EQUAL,
        QuoteStatus.CURRENCY_UNKNOWN,
        QuoteStatus.NOT_RATED,
        QuoteStatus.QUOTED,
    ] == [each.status for each in found]


async def test_a_quote_is_used_once(world):
    """The first order has it; again it is the same answer; another order is refused."""
    asked = world.ask(700)
    await world.fx.quote_amounts([asked])
    order, other = new_id(world.clock.now()), new_id(world.clock.now())

    used = await world.fx.use_quotes([QuoteUse(asked.id, order), QuoteUse(asked.id, other)])
    again = await world.fx.use_quotes([QuoteUse(asked.id, order), QuoteUse(asked.id, other)])

    assert [UseStatus.USED, UseStatus.USED_ELSEWHERE] == [each.status for each in used]
    assert [UseStatus.EXISTS, UseStatus.USED_ELSEWHERE] == [each.status for each in again]
    assert order == used[0].quote.order
    assert used[0].quote == again[0].quote
    assert [used[0].quote] == await world.fx.read_quotes([asked.id])


async def test_an_order_uses_one_quote(world):
    """An order that has a quote gets no second one."""
    first, second = world.ask(700), world.ask(700)
    await world.fx.quote_amounts([first, second])
    order = new_id(world.clock.now())

    used = await world.fx.use_quotes([QuoteUse(first.id, order), QuoteUse(second.id, order)])

    assert [UseStatus.USED, UseStatus.USED_ELSEWHERE] == [each.status for each in used]


async def test_a_quote_ends(world):
    """After its time a quote is not used any more; one that nobody promised is not there."""
    asked = world.ask(700)
    await world.fx.quote_amounts([asked])
    order = new_id(world.clock.now())
    world.clock.advance(901)

    used = await world.fx.use_quotes([QuoteUse(asked.id, order), QuoteUse(order, order)])

    assert [UseStatus.QUOTE_EXPIRED, UseStatus.QUOTE_NOT_FOUND] == [each.status for each in used]


async def test_orders_that_race_for_a_quote_use_it_once(world):
    """Of ten orders at once that want one quote, one has it."""
    asked = world.ask(700)
    await world.fx.quote_amounts([asked])
    uses = [QuoteUse(asked.id, new_id(world.clock.now())) for _ in range(10)]

    found = await asyncio.gather(*(world.fx.use_quotes([use]) for use in uses))

    assert 1 == [each.status for [each] in found].count(UseStatus.USED)
    assert 9 == [each.status for [each] in found].count(UseStatus.USED_ELSEWHERE)


async def test_rivals_under_one_id_get_one_promise(world):
    """The same id asked ten times at once is one quote."""
    asked = world.ask(700)
    found = await asyncio.gather(*(world.fx.quote_amounts([asked]) for _ in range(10)))

    assert 1 == len({each.quote.paid_minor for [each] in found})
    assert {QuoteStatus.QUOTED, QuoteStatus.EXISTS} >= {each.status for [each] in found}


async def test_disputed_rates_are_not_quoted(world, sources):
    """A source that is half a percent off leaves no rate, and a half again of it does."""
    await sources.fault("ecb", basis_points=50, currency="CNY")
    await world.fetch()
    disputed = (await world.fx.quote_amounts([world.ask()]))[0].status
    await sources.fault("ecb", basis_points=25, currency="CNY")
    await world.fetch()

    assert QuoteStatus.RATES_DISPUTED == disputed
    assert RateStatus.RATED == (await world.rate()).status
    assert RateStatus.RATED == (await world.rate("EUR", "USD")).status


async def test_old_rates_are_not_quoted(world, sources):
    """A source that stands still counts until it is too old; without any there is no quote."""
    for source in ("ecb", "openexchangerates", "frankfurter"):
        await sources.fault(source, days_old=10)
    world.clock.advance(5 * 86_400)
    await world.fetch()

    assert RateStatus.RATES_STALE == (await world.rate()).status
    assert [False] * 3 == [each.is_fresh for each in await world.fx.list_sources()]
    assert QuoteStatus.RATES_STALE == (await world.fx.quote_amounts([world.ask()]))[0].status


async def test_a_source_that_fails_leaves_its_last_rates(world, sources):
    """Away or broken: why is told, the others go on, and its last sheet counts while young."""
    await sources.fault("ecb", is_away=True)
    await sources.fault("frankfurter", is_broken=True)
    await world.fetch()
    told = {each.name: each for each in await world.fx.list_sources()}

    assert "status 503" in told["ecb"].problem
    assert "JSON" in told["frankfurter"].problem
    assert told["ecb"].is_fresh
    assert 3 == len((await world.rate()).rate.sources)

    world.clock.advance(5 * 86_400)
    await world.service.fetch_due()

    assert RateStatus.RATES_TOO_FEW == (await world.rate()).status  # One alone of two origins.
    world.start(sources=("openexchangerates",))
    assert ["openexchangerates"] == (await world.rate()).rate.sources
    world.start(sources=ALL)

    await sources.forgive()
    world.clock.advance(61)  # What failed is tried again within a minute or so.
    await world.service.fetch_due()

    assert [""] * 3 == [each.problem for each in await world.fx.list_sources()]
    assert RateStatus.RATED == (await world.rate()).status


async def test_an_older_sheet_does_not_replace_a_newer_one(world, sources):
    """A source that steps back keeps its newer rates, and what it did is told."""
    before = {each.name: each.rated_at for each in await world.fx.list_sources()}
    await sources.fault("ecb", days_old=2)
    world.clock.advance(60)
    await world.fetch()
    told = {each.name: each for each in await world.fx.list_sources()}

    assert before["ecb"] == told["ecb"].rated_at
    assert "newer ones are kept" in told["ecb"].problem


async def test_of_two_processes_the_newer_sheet_stays(world):
    """Whoever writes last with older rates changes nothing."""
    newer = read_installed()
    older = replace(newer, rated_at=newer.rated_at - timedelta(days=1))
    now = world.clock.now()
    async with world.db.transaction() as tx:
        await store.claim_sources(tx, ["history"], now, now, now)
        written = [await store.put_sheet(tx, each, now) for each in (newer, older, newer)]
        rows = await store.load_sources(tx, ["history"])

    assert [True, False, True] == written
    assert newer == store.sheet_of(rows["history"])


async def test_a_leap_is_not_believed_while_older_rates_are_fresh(world, sources):
    """Eleven percent in an hour is a problem, and the rate stands; nine percent is believed."""
    before = (await world.rate()).rate.mid
    for source in ALL:
        await sources.fault(source, basis_points=1_100, currency="CNY")
    await world.fetch()
    told = [each.problem for each in await world.fx.list_sources()]
    kept = (await world.rate()).rate.mid
    for source in ALL:
        await sources.fault(source, basis_points=900, currency="CNY")
    await world.fetch()

    assert all("CNY went from" in problem for problem in told)
    assert before == kept
    assert [""] * 3 == [each.problem for each in await world.fx.list_sources()]
    assert before != (await world.rate()).rate.mid


async def test_a_leap_is_believed_when_nothing_else_is_left(world, sources):
    """Once the rates before are too old to count, what a source says now counts."""
    for source in ALL:
        await sources.fault(source, basis_points=1_100, currency="CNY")
    world.clock.advance(6 * 86_400)
    await world.fetch()

    assert [""] * 3 == [each.problem for each in await world.fx.list_sources()]
    assert RateStatus.RATED == (await world.rate()).status


async def test_two_faces_of_one_bank_are_one_source(world, sources):
    """The bank and Frankfurter agree with themselves: without another nothing is believed."""
    world.start(age_s_max=86_400)
    await sources.fault("openexchangerates", is_away=True)
    world.clock.advance(2 * 86_400)
    await world.service.fetch_due()
    alone = (await world.rate()).status
    world.start(sources=("ecb", "frankfurter"))

    assert RateStatus.RATES_TOO_FEW == alone
    assert ["ecb", "frankfurter"] == (await world.rate()).rate.sources
    with pytest.raises(Malformed, match="SOURCES_MIN"):
        world.start(sources_min=2)


async def test_whatever_goes_wrong_with_a_source_is_its_problem(world):
    """An error that is no answer at all is noted, and the other sources are read all the same."""
    world.start(ecb_url="http://127.0.0.1:rates")
    await world.fetch()
    told = {each.name: each.problem for each in await world.fx.list_sources()}

    assert "InvalidURL" in told["ecb"]
    assert ("", "") == (told["frankfurter"], told["openexchangerates"])


async def test_a_key_that_is_not_known_is_told(world, sources):
    """Open Exchange Rates refuses a wrong app_id: no rates, and the reason is shown."""
    world.start(openexchangerates_key="wrong")
    await world.fetch()
    told = {each.name: each for each in await world.fx.list_sources()}

    assert "status 401" in told["openexchangerates"].problem


async def test_two_processes_read_each_source_once(world, sources):
    """Of several processes one reads a source when it is due."""
    first = world.service
    world.start()
    world.clock.advance(world.settings.fetch_s)
    await sources.fault("ecb", is_away=True)
    await asyncio.gather(first.fetch_due(), world.service.fetch_due())
    tried = {each.name: each.tried_at for each in await world.fx.list_sources()}
    await sources.forgive()
    await world.service.fetch_due()

    assert {world.clock.now()} == set(tried.values())
    assert "status 503" in (await world.fx.list_sources())[0].problem


async def test_without_a_network_the_installed_rates_count(world):
    """The history that is installed is a source: young enough for whoever says so."""
    world.start(sources=("history",))
    await world.fetch()
    stale = (await world.rate()).status
    world.start(age_s_max=400 * 86_400)
    found = (await world.rate()).rate

    assert RateStatus.RATES_STALE == stale
    assert ["history"] == found.sources
    assert read_installed().rated_at == found.rated_at


async def test_a_source_that_does_not_exist_is_refused_at_the_start(world):
    """A name that is no source is told with those that are."""
    with pytest.raises(Malformed, match="ecb"):
        world.start(sources=("ecb", "piggybank"))


async def test_quotes_that_nobody_used_are_forgotten(world):
    """Old quotes go, but those that orders have used stay as evidence."""
    asked, kept = world.ask(700), world.ask(700)
    await world.fx.quote_amounts([asked, kept])
    await world.fx.use_quotes([QuoteUse(kept.id, new_id(world.clock.now()))])
    world.clock.advance(3 * 86_400)
    await world.service.forget()
    [gone, there] = await world.fx.read_quotes([asked.id, kept.id])

    assert gone is None
    assert kept.id == there.id


async def test_positions_show_both_currencies_and_what_is_left(world):
    """Dollars taken for yuan given: both sides stand there, and the result at today's middle."""
    usd, cny = Chart("USD"), Chart("CNY")
    merchant = new_id(world.clock.now())
    sides = [
        (usd.held(merchant), usd.fx("CNY"), 1_510),
        (cny.fx("USD"), cny.held(merchant), 10_000),
    ]
    await world.ledger.open_accounts([each for a, b, _ in sides for each in (a, b)])
    moved = [
        Transfer(id := new_id(world.clock.now()), a.id, b.id, minor, TransferCode.ADJUSTMENT, id)
        for a, b, minor in sides
    ]
    await world.ledger.post_transfers(moved)
    worth = (await world.rate("USD", "CNY")).rate.price(1_510).fair_minor
    [position] = await world.fx.list_positions()

    assert ("CNY", "USD", -10_000, 1_510) == (
        position.currency,
        position.other_currency,
        position.currency_minor,
        position.other_minor,
    )
    assert worth - 10_000 == position.result_minor
    assert position.result_minor > 0


async def test_empty_batches_are_answered(world):
    """Nothing asked, nothing answered."""
    assert [] == await world.fx.quote_amounts([])
    assert [] == await world.fx.use_quotes([])
    assert [] == await world.fx.read_rates([])
    assert [] == await world.fx.list_positions()


async def test_sources_of_the_sandbox_are_as_strict_as_their_originals(sources):
    """What an original refuses is refused, in its words."""
    ecb = "ecb/stats/eurofxref/eurofxref-daily.xml"
    oxr, frankfurter = "openexchangerates/api/latest.json", "frankfurter/v1/latest"
    told = [
        await sources.get(ecb, base="USD"),
        await sources.get("ecb/stats/eurofxref/eurofxref.xml"),
        await sources.get(oxr),
        await sources.get(oxr, app_id="stranger"),
        await sources.get(oxr, app_id="sandbox-app-id", base="EUR"),
        await sources.get(oxr, app_id="sandbox-app-id", colour="red"),
        await sources.get(frankfurter, base="XYZ"),
        await sources.get(frankfurter, symbols="USD,XYZ"),
        await sources.get(frankfurter, to="USD"),
    ]
    some = await sources.get(oxr, app_id="sandbox-app-id", symbols="CNY,XYZ")

    assert [400, 404, 401, 401, 403, 400, 404, 404, 422] == [each.status_code for each in told]
    assert "missing_app_id" == told[2].json()["message"]
    assert "invalid_app_id" == told[3].json()["message"]
    assert {"message": "not found"} == told[6].json()
    assert ["CNY"] == list(some.json()["rates"])
