"""A buyer's letters: kinds and quiet hours in the account, and the link that needs no account."""

import re
from urllib.parse import urlsplit

import pytest
from playwright.async_api import async_playwright
from tests.buyers.shop import Shop
from tests.buyers.test_wallet_looks import Looks
from tests.web.test_browser import CHROMIUM, FLAGS, free_port, served

from vendrail.api.notify import Message, Notify
from vendrail.kernel.codec import replace
from vendrail.kernel.http import Edge
from vendrail.kernel.ids import new_id
from vendrail.notify.settings import News

PAGE = "/account/letters"
ANN, BEN = "ann@example.com", "ben@example.com"
VALUES = {"link": "https://x/o", "title": "A game", "serial": "06A", "count": "1"}


async def write(shop, email=ANN) -> list[str]:
    """Tell somebody of an unread message; give the links that end such letters, of all letters."""
    house = shop.market.house
    notify = house.services["notify"]
    notify.settings = replace(notify.settings, news=News.ON)
    letter = Message(new_id(house.clock.now()), email, "message_unread", "en", VALUES)
    assert ["taken"] == await house.api(Notify).send_messages([letter])
    texts = await shop.letters(email)
    found = [re.search(r"^(http\S+/letters/off/\S+)\s*$", text, re.MULTILINE) for text in texts]
    return [urlsplit(each[1]).path for each in found if each]


async def wishes(shop, email=ANN):
    """Give what somebody wants."""
    [found] = await shop.market.house.api(Notify).read_preferences([email])
    return found


async def test_a_buyer_chooses_kinds_and_quiet_hours(shop):
    """Who is in chooses; a guest is led to sign in; forged forms and nonsense do nothing."""
    browser, guest = shop.browser(), shop.browser()
    await guest.go(PAGE)
    await browser.sign_in(onto=PAGE)
    led_to = browser.path
    night = {"is_quiet": "yes", "from": "22:30", "until": "07:00", "zone": "Asia/Tokyo"}
    await browser.send(PAGE, kind_complaint_buyer="yes", **night)
    saved, chosen = browser.text, await wishes(shop)
    await browser.send(PAGE, kind_complaint_buyer="yes", **(night | {"until": "soon"}))
    wrong, after = browser.page.status_code, await wishes(shop)
    kept = browser.page.text
    await browser.send(PAGE, kind_complaint_buyer="yes", **(night | {"zone": "Mars/Base"}))
    nowhere = browser.page.status_code
    await browser.send(PAGE, form_token="x")
    forged = browser.page.status_code

    assert ("/account/sign-in", PAGE) == (guest.path, led_to)
    assert "Saved." in saved
    assert (["message_unread"], 22 * 60 + 30, 7 * 60, "Asia/Tokyo") == (
        chosen.unwanted, chosen.quiet_from, chosen.quiet_until, chosen.zone,
    )  # fmt: skip
    assert (422, 422, 403) == (wrong, nowhere, forged)
    assert 'value="soon"' in kept
    assert chosen == after == await wishes(shop)


async def test_a_letters_link_ends_its_kind_by_one_click(shop):
    """Looking changes nothing; a mail program's one click, without a cookie, ends the kind."""
    [link] = await write(shop)
    await write(shop, BEN)
    browser = shop.browser()
    await browser.go(link)
    looked, before = browser.text, await wishes(shop)
    clicked = await browser.http.post(link, data={"List-Unsubscribe": "One-Click"})
    again = await browser.http.post(link, data={"List-Unsubscribe": "One-Click"})
    after, other = await wishes(shop), await wishes(shop, BEN)
    unsent = await write(shop)
    strange = [
        (await browser.http.request(method, f"/letters/off/{text}")).status_code
        for method in ("GET", "POST")
        for text in ("x", link.rpartition("/")[2][:-1] + "x")
    ]

    assert "No more of these letters?" in looked
    assert [] == before.unwanted
    assert (200, 200) == (clicked.status_code, again.status_code)
    assert "These letters have ended" in again.text
    assert (["message_unread"], []) == (after.unwanted, other.unwanted)
    assert 1 == len(unsent)
    assert {404} == set(strange)


async def test_who_switches_a_kind_on_again_is_not_undone_by_an_old_letter(shop):
    """After a choice in the account the link of a letter from before is too old."""
    [link] = await write(shop)
    browser = shop.browser()
    await browser.http.post(link)
    shop.market.clock.advance(60)
    await browser.sign_in(onto=PAGE)
    await browser.send(PAGE, kind_complaint_buyer="yes", kind_message_unread="yes")
    shop.market.clock.advance(60)
    late = await browser.http.post(link)
    old, new = await write(shop)
    fresh = await browser.http.post(new)

    assert 410 == late.status_code
    assert "This link is too old" in late.text
    assert old == link
    assert 200 == fresh.status_code
    assert ["message_unread"] == (await wishes(shop)).unwanted


@pytest.mark.browser
@pytest.mark.timeout(240)
@pytest.mark.parametrize("language, scheme", [("zh-CN", "light"), ("es-ES", "dark")])
async def test_the_pages_of_letters_fit_and_can_be_read(market, language, scheme):
    """From 360 px up nothing scrolls sideways, and axe has no grave complaint."""
    site = f"http://127.0.0.1:{(port := free_port())}"
    shop = Shop(market)
    [link] = await write(shop)
    browser = shop.browser()
    await browser.sign_in("a.rather.long.name.of.somebody@mail.of.a.long.name.example.com")
    async with served(Edge(shop.app), port), async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await chromium.new_context(
            locale=language, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce"
        )
        await context.add_cookies(
            [
                {"name": each.name, "value": each.value, "url": site}
                for each in browser.http.cookies.jar
                if each.name != "language"
            ]
        )
        page = await context.new_page()
        looks = Looks(page, scheme)
        for name in (PAGE, link, f"{PAGE}?done=yes"):
            await page.goto(site + name)
            await looks.look(name)
        await page.goto(site + link)
        await page.click("main form button[type=submit]")
        await page.locator("main .note-success").wait_for()
        await looks.look("ended")
        await chromium.close()
    await shop.close()

    assert [] == looks.complaints
    assert ["message_unread"] == (await wishes(shop)).unwanted
