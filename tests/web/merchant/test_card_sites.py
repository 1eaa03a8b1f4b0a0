"""Card sites: number, key and switches in a browser, over real services."""

import re

from tests.web.merchant.conftest import Town

from vendrail.api.epay import EpayChange, EpayRequest, EpayStatus, NoticeState
from vendrail.api.identity import Role
from vendrail.kernel.db import connect_once
from vendrail.kernel.ids import new_id, to_serial
from vendrail.sandbox.epay import sign_fields

PATH = "/merchant/card-sites"


def shown(browser) -> str:
    """Give the key that the page shows; empty: none."""
    found = re.search(r'<code id="secret">([^<]+)</code>', browser.page.text)
    return found[1] if found else ""


def standing(browser) -> str:
    """Give which key the form was made for."""
    return re.search(r'name="standing" value="([^"]*)"', browser.page.text)[1]


def asked(pid: int, key: str, number: str = "N-1") -> EpayRequest:
    """Give what a site asks for."""
    fields = {
        "pid": str(pid),
        "type": "alipay",
        "out_trade_no": number,
        "notify_url": "https://cards.example/notify",
        "return_url": "https://cards.example/back",
        "name": "VIP",
        "money": "1.00",
    }
    return EpayRequest({**fields, "sign": sign_fields(fields, key), "sign_type": "MD5"})


async def take(town: Town, key: str, number: str = "N-1"):
    """Ask as the north's site does; give how it ended, and the order."""
    [account] = await town.epay.read_epay_accounts([town.north.merchant])
    [placed] = await town.epay.take_epay_requests([asked(account.pid, key, number)])
    return placed


async def test_a_key_is_shown_once_and_signs(town):
    """The key is on one answer and on no page after it, and what it signs is taken."""
    owner = await town.join(Role.OWNER)
    await owner.go(PATH)
    await owner.send(f"{PATH}/key", standing=standing(owner))
    key, sent = shown(owner), owner.page
    later = await owner.http.get(PATH)
    placed = await take(town, key)
    [act] = await town.acts(town.north, "card_site.keyed")

    assert "no-store" == sent.headers["cache-control"]
    assert re.fullmatch(r"[0-9a-f]{32}", key)
    assert key not in later.text
    assert "1001" in later.text
    assert EpayStatus.TAKEN is placed.status
    assert ("card_site.keyed", "owner@north.example") == (act.act, act.by.name)
    assert key not in str(act)


async def test_the_same_form_twice_makes_one_key(town):
    """A form that is sent again makes no other key, and shows none."""
    owner = await town.join(Role.OWNER)
    await owner.go(PATH)
    form = standing(owner)
    await owner.send(f"{PATH}/key", standing=form)
    first = shown(owner)
    await owner.send(f"{PATH}/key", standing=form)
    again = shown(owner)
    town.clock.advance(1)
    await owner.go(PATH)
    await owner.send(f"{PATH}/key", standing=standing(owner))

    assert "" == again
    assert EpayStatus.SIGN_WRONG is (await take(town, first)).status
    assert EpayStatus.TAKEN is (await take(town, shown(owner))).status


async def test_switches_hold_at_the_door(town):
    """Closed, the door takes nothing new; the switches stay as they were set, each in the log."""
    owner = await town.join(Role.OWNER)
    await owner.go(PATH)
    await owner.send(f"{PATH}/key", standing="")
    key = shown(owner)
    await owner.send(PATH, can_refund="yes")
    closed = await take(town, key)
    [account] = await town.epay.read_epay_accounts([town.north.merchant])
    town.clock.advance(1)  # Acts of one moment have no order.
    await owner.send(PATH, can_refund="yes", is_open="yes")
    acts = await town.acts(town.north, "card_site.switched")

    assert EpayStatus.CLOSED is closed.status
    assert (False, True) == (account.is_open, account.can_refund)
    assert EpayStatus.TAKEN is (await take(town, key)).status
    assert [{"open": "no", "refunds": "yes"}, {"open": "yes"}] == [each.after for each in acts]


async def test_a_suspension_is_said(town):
    """A merchant whom the operator suspended reads so, and cannot lift it."""
    owner = await town.join(Role.OWNER)
    await owner.go(PATH)
    await owner.send(f"{PATH}/key", standing="")
    key = shown(owner)
    await town.epay.change_epay_accounts([EpayChange(town.north.merchant, is_suspended=True)])
    await owner.send(PATH, is_open="yes", is_suspended="no")
    await owner.go(PATH)

    assert "has suspended your card sites" in owner.text
    assert EpayStatus.SUSPENDED is (await take(town, key)).status


async def test_what_was_not_heard_can_be_told_again(town, platform_url):
    """A notice that was given up is listed with its problem, and told again; another's is not."""
    owner = await town.join(Role.OWNER)
    other = await town.join(Role.OWNER, town.south)
    await owner.go(PATH)
    await owner.send(f"{PATH}/key", standing="")
    placed = await take(town, shown(owner))
    await town.north.pay(placed.order, amount_minor=100)
    await town.north.run()
    telling = town.house.services["epay"].telling
    while await telling.consume():
        pass
    database = await connect_once(platform_url)
    await database.execute("update epay.notice set state = 'given_up', problem = 'HTTP 500'")
    await database.close()
    await owner.go(PATH)
    listed = owner.text
    serial = to_serial(placed.order)
    refused = await other.send(f"{PATH}/notices/{serial}", raw=True)
    nothing = to_serial(new_id(town.clock.now()))
    missing = await owner.send(f"{PATH}/notices/{nothing}", raw=True)
    await owner.send(f"{PATH}/notices/{serial}")
    [notice] = await town.epay.list_epay_notices(town.north.merchant, None, 10)

    assert "HTTP 500" in listed
    assert "Given up" in listed
    assert (404, 404) == (refused.status_code, missing.status_code)
    assert (NoticeState.WAITING, 1) == (notice.state, notice.attempts)


async def test_only_owners_hold_the_key(town):
    """Who may make no API keys sees no page, and sends no form."""
    for role in (Role.SELLER, Role.FINANCE, Role.SUPPORT):
        person = await town.join(role)
        seen = await person.http.get(PATH)
        sent = await person.send(f"{PATH}/key", raw=True, standing="")

        assert (403, 403) == (seen.status_code, sent.status_code)
    assert [None] == await town.epay.read_epay_accounts([town.north.merchant])
