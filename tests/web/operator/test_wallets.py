"""Wallets in the consoles: switched on with bounds, what is owed shown, refunds sent into them."""

import re

import pytest
from tests.orders.conftest import market
from tests.orders.test_wallets import Purse
from tests.web.console.conftest import World

from vendrail.api.identity import ActQuery, Role
from vendrail.api.orders import OrderState
from vendrail.api.wallets import WalletTerms
from vendrail.kernel.ids import to_serial

__all__ = ["market"]

TERMS = WalletTerms("CNY", True, 100, 50_000, 60_000)


@pytest.fixture
async def desks(market):
    """The consoles of a market."""
    house = market.house
    world = World(lambda: house, house.platform.home)
    yield world
    await world.close()


async def test_wallets_are_switched_on_with_bounds(market, desks):
    """The form sets them, wrong amounts change nothing, and the log tells before and after."""
    purse = Purse(market)
    browser = await desks.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await browser.go("/operator/wallets")
    listed = browser.text
    path = "/operator/wallets/CNY"
    amounts = {"top_up_minor_min": "1", "top_up_minor_max": "500", "balance_minor_max": "600"}
    await browser.go(path)
    await browser.send(path, is_on="yes", reason="opening", **{**amounts, "balance_minor_max": "9"})
    wrong, before = browser.page.status_code, await purse.wallets.list_wallet_terms()
    await browser.go(path)
    await browser.send(path, is_on="yes", **amounts)
    silent = browser.page.status_code
    await browser.go(path)
    await browser.send(path, is_on="yes", reason="opening", **amounts)
    saved, terms = browser.text, await purse.wallets.list_wallet_terms()
    [acts] = await desks.identity.list_acts([ActQuery(None, 200)])
    # What was refused is in the log as well, maybe of the same moment.
    found = [each for each in acts if each.act == "wallets.terms_changed"]
    act = next(each for each in found if each.after.get("balance_minor_max") == "60000")

    assert "Off" in listed
    assert (422, [], 422) == (wrong, before, silent)
    assert "Saved. It counts from now on." in saved
    assert [TERMS] == terms
    assert ("False", "True", "opening") == (act.before["is_on"], act.after["is_on"], act.reason)


async def test_what_is_owed_to_buyers_is_shown(market, desks):
    """The sum of all wallets stands beside their terms."""
    purse = Purse(market)
    await purse.wallets.put_wallet_terms([TERMS])
    await purse.top_up(5_000)
    browser = await desks.join("fi@rail.example", Role.OPERATOR_FINANCE)
    await browser.go("/operator/wallets")
    listed = browser.text
    await browser.go("/operator/wallets/CNY")

    assert "CN¥50.00" in listed
    assert "in 1 wallet" in browser.text


async def test_money_is_sent_into_the_buyers_wallet(market, desks):
    """With the box ticked the refund is in the wallet at once; a guest's order has no box."""
    purse = Purse(market)
    await purse.wallets.put_wallet_terms([TERMS])
    await market.offer("GAME", keys=5)
    mine, guest = await purse.place(method="alipay"), await market.place("GAME")
    for placed in (mine, guest):
        await market.pay(placed.order)
    await purse.run()
    browser = await desks.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await browser.go(f"/operator/orders/{to_serial(guest.order)}")
    of_guest = browser.page.text
    path = f"/operator/orders/{to_serial(mine.order)}"
    await browser.go(path)
    of_mine = browser.page.text
    nonce = re.search(r'name="nonce" value="([^"]+)"', of_mine)[1]
    await browser.send(f"{path}/refund", nonce=nonce, amount="", reason="wish", to_wallet="yes")
    await purse.run()
    await browser.go(path)

    assert 'name="to_wallet"' not in of_guest
    assert 'name="to_wallet"' in of_mine
    assert (1_990, 0) == await purse.read()
    assert OrderState.REFUNDED is await purse.state(mine)
    assert "Refunded into the wallet" in browser.text
    assert [] == await purse.broken()
