"""Whose card is remembered: the buyer's who agreed and typed it themselves, nobody else's."""

import asyncio
import re

import httpx
import pytest
from tests.buyers.test_one_click import VISA, cards, clock, look
from tests.payments.conftest import alipay_home, alipay_server
from tests.payments.stripe_bench import settings_of
from tests.payments.test_stripe_form import Browser as Frame

from vendrail.api.payments import ChannelAccount
from vendrail.kernel.ids import derive, from_serial, to_serial

__all__ = ["alipay_home", "alipay_server", "cards", "clock"]

TYPED = {"way": "card", "number": VISA, "expiry": "12/30", "cvc": "123"}


async def show_form(cards) -> None:
    """Have cards typed in Stripe's form on our page from now on."""
    account = cards.account
    more = {
        "card_form": "element",
        "publishable_key": account["publishable_key"],
        "script_url": f"{cards.stripe.url}/stripe/js/v3/",
    }
    [channel] = [c for c in await cards.market.payments.list_channels() if c.name == "stripe"]
    settings = settings_of(account, cards.stripe.url, **more)
    changed = ChannelAccount(channel.id, "stripe", "stripe", "Card", ["CNY"], settings)
    assert ["changed"] == await cards.market.payments.put_channels([changed])


async def order(browser, contact: str, **fields: str) -> tuple[str, str]:
    """Order, to be paid by card; give the order's serial and the door's path."""
    form = await look(browser)
    form["contact"] = contact
    await browser.send("/orders", method="card", **form, **fields)
    serial = browser.path.split("/")[2]
    return serial, re.search(rf"/pay/{serial}/\w{{26}}", browser.page.text)[0]


async def open_bare(browser, path: str, cookie: str) -> int:
    """Open a path with cookies set by hand; give the status."""
    transport = browser.http._transport
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return (await client.get(path, headers={"cookie": cookie})).status_code


@pytest.mark.parametrize("where", ["page", "form"])
async def test_pay_this_for_me_saves_nobody_s_card(cards, where):
    """Eve agrees and opens the door; a guest whom she sends the link keeps their card."""
    if where == "form":
        await show_form(cards)
    eve, guest = cards.browser(), cards.browser("10.0.0.9")
    await eve.sign_in("eve@example.com")
    serial, door = await order(eve, "eve@example.com", remember="yes")
    await eve.http.get(door, follow_redirects=False)
    page = await guest.http.get(door, follow_redirects=False)
    if where == "form":
        frame = Frame(cards.stripe, cards.account["publishable_key"])
        secret = re.search(r'data-secret="([^"]+)"', page.text)[1]
        await asyncio.to_thread(frame.confirm, secret)
    else:
        await asyncio.to_thread(cards.stripe.tap, page.headers["location"], **TYPED)
    await cards.settle(serial)
    await eve.go("/account")
    shown = eve.text
    await eve.go(f"/orders/{serial}")

    assert "None yet." in shown
    assert "Here is your key" in eve.text


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_stranger_adds_themselves_to_nobody_s_payment(cards, is_first):
    """Eve knows an order's number: her session and cookies at its door make no card hers."""
    await show_form(cards)
    eve, ann = cards.browser("10.0.0.66"), cards.browser("10.0.0.9")
    await eve.sign_in("eve@example.com")
    serial, door = await order(ann, "ann@example.com")
    guessed = f"/pay/{serial}/{to_serial(derive(from_serial(serial), 'attempt:1'))}"
    cookie = f"vr_remember=yes; vendrail-buyer={eve.cookie()}"
    if is_first:
        await open_bare(eve, guessed, cookie)
    page = await ann.go(door)
    secret = re.search(r'data-secret="([^"]+)"', page.text)[1]
    if not is_first:
        await open_bare(eve, guessed, cookie)
    frame = Frame(cards.stripe, cards.account["publishable_key"])
    paid = await asyncio.to_thread(frame.confirm, secret)
    await cards.settle(serial)
    await eve.go("/account")

    assert door == guessed
    assert "succeeded" == paid["status"]
    assert "None yet." in eve.text


async def test_a_stranger_takes_no_form_away_from_its_buyer(cards):
    """Asking for the hosted page of somebody else's order leaves the form before them alive."""
    await show_form(cards)
    eve, ann = cards.browser("10.0.0.66"), cards.browser("10.0.0.9")
    _, door = await order(ann, "ann@example.com")
    page = await ann.go(door)
    secret = re.search(r'data-secret="([^"]+)"', page.text)[1]
    theirs = await eve.go(f"{door}?page=hosted")
    frame = Frame(cards.stripe, cards.account["publishable_key"])
    paid = await asyncio.to_thread(frame.confirm, secret)

    assert 'href="?page=hosted"' in page.text
    assert 200 == theirs.status_code
    assert 'href="?page=hosted"' not in theirs.text
    assert "succeeded" == paid["status"]


async def test_who_holds_the_order_goes_on_to_the_page(cards):
    """The buyer who placed it gives the form up for the provider's page."""
    await show_form(cards)
    ann = cards.browser()
    _, door = await order(ann, "ann@example.com")
    await ann.go(door)
    moved = await ann.http.get(f"{door}?page=hosted", follow_redirects=False)

    assert 303 == moved.status_code
    assert "/stripe/c/pay/" in moved.headers["location"]


async def test_agreeing_on_the_order_s_page_is_kept_for_its_own_buyer(cards):
    """Ticked on the page of an order of theirs, another way is opened, and the card is theirs."""
    ann = cards.browser()
    await ann.sign_in()
    serial, door = await order(ann, "ann@example.com")
    await ann.go(f"/orders/{serial}")
    await ann.send(f"/orders/{serial}/payments", method="card", remember="yes")
    agreed = re.search(rf"/pay/{serial}/\w{{26}}", ann.page.text)[0]
    page = await ann.http.get(agreed, follow_redirects=False)
    await asyncio.to_thread(cards.stripe.tap, page.headers["location"], **TYPED)
    await cards.settle(serial)
    await ann.go("/account")

    assert door != agreed
    assert "visa •••• 4242" in ann.text
