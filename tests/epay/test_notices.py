"""Notices: a paid charge is told to its site until it is heard, across outages and restarts."""

import pytest
from tests.epay.conftest import NOWHERE, Far, open_house

from vendrail.api.epay import NoticeState
from vendrail.api.orders import SoldOrderQuery
from vendrail.app.audit import audit
from vendrail.epay.decide import LADDER_S
from vendrail.kernel.db import connect_once
from vendrail.sandbox.epay import sign_fields


async def charge(far, site, browser, number="N-1", **changes):
    """Have a site charge something; give the order."""
    answer = await browser.submit(far.fields(site, number, **changes))
    return await far.order_of(answer.headers["location"])


async def test_a_paid_charge_is_told_once_signed(far, site, browser):
    """Paid, the fee is taken and the site hears of it once, with fields that its key has signed."""
    order = await charge(far, site, browser)
    await far.settle()
    before = list(site.heard)
    await far.pay(order.id)
    for _ in range(3):
        await far.settle()
        far.clock.advance(7_200)
    [told] = site.heard
    own = {name: value for name, value in told.items() if name != "shop"}
    [balance] = await far.settlement.read_merchant_balances([(far.merchant, "CNY")])
    [notice] = await far.notices()
    report = await audit(far.house.platform.database_url)

    assert [] == before
    assert ("7", sign_fields(own, far.key)) == (told["shop"], told["sign"])
    assert {
        "pid": far.pid,
        "trade_no": order.serial,
        "out_trade_no": "N-1",
        "type": "alipay",
        "name": "VIP会员",
        "money": "19.90",
        "trade_status": "TRADE_SUCCESS",
        "param": "user 9",
        "sign_type": "MD5",
    } == {name: value for name, value in own.items() if name != "sign"}
    assert 1990 - 60 <= balance.available_minor <= 1990 - 59
    assert (NoticeState.TAKEN, 1) == (notice.state, notice.attempts)
    assert [] == [(each.name, each.findings) for each in report.outcomes if each.findings]


async def test_what_is_not_paid_is_not_told(far, site, browser):
    """An order that nobody paid, and one whose time is over, are told to nobody."""
    await charge(far, site, browser)
    far.clock.advance(3_600)
    await far.settle()

    assert [] == site.heard
    assert [] == await far.notices()


@pytest.mark.parametrize(
    "answer",
    [(200, b"fail"), (200, b""), (500, b"success"), (302, b"success"), (200, b"successful")],
)
async def test_only_success_is_heard(far, site, browser, answer):
    """Anything but `success` with 200 is told again, at the next step of the ladder."""
    site.answers = [answer]
    order = await charge(far, site, browser)
    await far.pay(order.id)
    await far.settle()
    [waiting] = await far.notices()
    await far.tell()
    early = len(site.heard)
    far.clock.advance(LADDER_S[0])
    await far.tell()
    [taken] = await far.notices()

    assert (NoticeState.WAITING, 1) == (waiting.state, early)
    assert waiting.problem
    assert (NoticeState.TAKEN, 2, 2) == (taken.state, taken.attempts, len(site.heard))
    assert site.heard[0] == site.heard[1]


@pytest.mark.parametrize("answer", [b"success", b"SUCCESS\r\n", b"\xef\xbb\xbfsuccess"])
async def test_success_with_blanks_is_heard(far, site, browser, answer):
    """What old scripts put around the word does not make it another."""
    site.answers = [(200, answer)]
    await far.pay((await charge(far, site, browser)).id)
    await far.settle()

    assert [NoticeState.TAKEN] == [each.state for each in await far.notices()]


async def test_an_outage_and_a_restart_lose_nothing_and_keep_the_order(
    far, site, browser, platform_url, vault, tmp_path
):
    """A site that was away hears of each charge once, in the order of payment, after a restart."""
    orders = [await charge(far, site, browser, f"N-{number}") for number in range(4)]
    site.answers = [(503, b"away")] * 4
    for order in reversed(orders):
        await far.pay(order.id)
        await far.settle()
    away = [told["out_trade_no"] for told in site.heard]
    await far.house.stop()
    far.clock.advance(LADDER_S[0])
    house = open_house(platform_url, far.clock, vault, tmp_path)
    again = Far(house, far.merchant, far.shop, far.channel)
    await again.tell()
    await again.tell()
    notices = await again.notices()
    far.house = house  # To be stopped at the end.

    assert ["N-3", "N-2", "N-1", "N-0"] == away
    assert sorted(away) == sorted(told["out_trade_no"] for told in site.heard[4:])
    assert [(NoticeState.TAKEN, 2)] * 4 == [(each.state, each.attempts) for each in notices]


async def test_charges_paid_together_are_told_in_order(far, site, browser):
    """Of one site's charges none is told for the first time before those that were paid earlier."""
    orders = [await charge(far, site, browser, f"N-{number}") for number in range(6)]
    for order in reversed(orders):
        await far.pay(order.id)
        await far.run()
    await far.tell()

    assert [f"N-{number}" for number in reversed(range(6))] == [
        told["out_trade_no"] for told in site.heard
    ]


async def test_a_teller_that_dies_is_replaced(far, site, browser):
    """What was being told when its process died is told again when its lease is over."""
    order = await charge(far, site, browser)
    await far.pay(order.id)
    await far.run()
    while await far.telling.consume():
        pass
    await far.telling.send_due()
    for flight in far.telling._flights:  # As when the process is killed.
        flight.cancel()
    await far.telling.drain()
    await far.tell()
    held = len(site.heard)
    far.clock.advance(60)
    await far.tell()

    assert (0, 1) == (held, len(site.heard))
    assert [NoticeState.TAKEN] == [each.state for each in await far.notices()]


async def test_a_site_that_never_hears_is_given_up_and_may_be_told_again(far, site, browser):
    """The ladder ends; then only a person's word begins it anew."""
    steps = len(LADDER_S) + 1
    site.answers = [(500, b"")] * steps
    await far.pay((await charge(far, site, browser)).id)
    await far.settle()
    for wait_s in LADDER_S:
        far.clock.advance(wait_s)
        await far.tell()
    [given_up] = await far.notices()
    far.clock.advance(10**6)
    await far.tell()
    rested = len(site.heard)
    begun = await far.epay.retry_epay_notices([given_up.order])
    await far.tell()
    after = await far.epay.retry_epay_notices([given_up.order])

    assert (NoticeState.GIVEN_UP, steps, steps) == (given_up.state, given_up.attempts, rested)
    assert ([True], [False]) == (begun, after)
    assert [NoticeState.TAKEN] == [each.state for each in await far.notices()]


async def test_a_name_that_leads_inside_is_not_called(
    far, site, browser, platform_url, vault, tmp_path
):
    """Where a name leads is looked at before each call: what lies inside is not called."""
    order = await charge(far, site, browser, notify_url="http://cards.example/notify")
    await far.pay(order.id)
    await far.run()
    owner = await connect_once(platform_url)
    inside = f"http://localhost:{site.url.rpartition(':')[2]}/notify"
    await owner.execute("update epay.charge set notify_url = $1", inside)
    await owner.close()
    house = open_house(platform_url, far.clock, vault, tmp_path, **NOWHERE)
    strict = Far(house, far.merchant, far.shop, far.channel)
    await strict.tell()
    [refused] = await far.notices()
    unheard = len(site.heard)
    await house.stop()
    far.clock.advance(LADDER_S[0])
    await far.tell()

    assert (0, "its address is a private one") == (unheard, refused.problem)
    assert NoticeState.WAITING is refused.state
    assert 1 == len(site.heard)  # The same address, where its network is allowed.


async def test_orders_of_the_shop_itself_are_told_to_no_site(far, site, browser):
    """A key that is sold here is of no site: nothing is told."""
    await far.offer("GAME")
    placed = await far.place("GAME")
    await far.pay(placed.order)
    await far.settle()
    [sold] = await far.orders.list_orders([SoldOrderQuery(far.merchant)])

    assert 1 == len(sold)
    assert [] == site.heard
    assert [] == await far.notices()
