"""The page where a person connects Telegram, chooses ways and ends it; in a browser too."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import async_playwright
from tests.e2e.walk import AXE, GRAVE
from tests.notify.phones import phone, sandbox
from tests.web.console import conftest as consoles
from tests.web.test_browser import CHROMIUM, COVERED, CUT, FLAGS, IS_FITTING, free_port, served

from vendrail.api.identity import ActQuery, Identity, LinkUse, Origin, ResetRequest, Role
from vendrail.api.notify import LetterWay, Notify
from vendrail.app.wiring import House
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.http import Edge

__all__ = ["phone", "sandbox"]  # Fixtures.

PAGE = "/console/account/letters"
EMAIL = "bo@north.example"


@pytest.fixture
async def world(platform_url, clock, vault, tmp_path, phone):
    """The platform with its consoles, and a bot."""
    site = f"http://127.0.0.1:{free_port()}"
    before, consoles.SITE = consoles.SITE, site
    platform = PlatformSettings(home=tmp_path, database_url=platform_url, public_url=site)
    settings = {
        **consoles.QUICK,
        "VENDRAIL_NOTIFY_TELEGRAM_TOKEN": phone.token,
        "VENDRAIL_NOTIFY_TELEGRAM_URL": f"{phone.url}/telegram",
        "VENDRAIL_NOTIFY_TELEGRAM_LINKS": f"{phone.url}/telegram/t.me",
        "VENDRAIL_NOTIFY_TELEGRAM_POLL_S": "0",
    }

    def open_house() -> House:
        return House(platform, settings, clock, vault)

    world = consoles.World(open_house, tmp_path)
    world.phone, world.site = phone, site
    yield world
    await world.close()
    consoles.SITE = before


async def listen(world) -> None:
    """Let the bot hear its news."""
    await world.house.services["notify"].chats.listen()


def ticket_of(text: str) -> str:
    """Read the ticket in the link of a page."""
    [link] = set(re.findall(r'href="([^"]+t\.me/[^"]+)"', text))
    return parse_qs(urlsplit(link).query)["start"][0]


async def connect(world, browser) -> str:
    """Press Connect, and Start on the phone; give the page with the link."""
    await browser.go(PAGE)
    shown = (await browser.send(f"{PAGE}/telegram")).text
    world.clock.advance(1)  # What is of one moment has no order in the log.
    await world.phone.do(1, f"/start {ticket_of(shown)}")
    await listen(world)
    return shown


async def test_a_person_connects_chooses_and_disconnects(world):
    """The link is shown once; the page then says who is connected, and by which way what comes."""
    notify = world.house.api(Notify)
    browser = await world.join(EMAIL, Role.SELLER)
    await browser.go(PAGE)
    away = browser.text
    await listen(world)
    shown = await connect(world, browser)
    await browser.go(PAGE)
    linked, options = browser.text, browser.page.text
    await browser.send(
        PAGE, kind_stock_low="yes", way_stock_low="telegram", way_security="telegram",
        way_money="mail", way_operator_alert="mail",
    )  # fmt: skip
    saved = browser.text
    [wishes] = await notify.read_preferences([EMAIL])
    await browser.send(f"{PAGE}/telegram/end")
    ended = browser.text
    [chat] = await notify.read_chats([EMAIL])

    assert "does not answer" in away
    assert "<svg" in shown
    assert ticket_of(shown) not in options
    assert "Connected with Ann since" in linked
    assert 'name="way_dispute_staff"' in options
    assert 'name="way_operator_alert"' not in options
    assert "Saved." in saved
    assert {"stock_low": LetterWay.TELEGRAM, "money": LetterWay.MAIL} == wishes.ways
    assert "Telegram is disconnected." in ended
    assert "Connect Telegram" in ended
    assert "open" == chat.state
    assert {"chat.asked", "chat.ended"} <= set(await world.acts())


def text(letter) -> str:
    """Give what a letter says."""
    return letter.get_body(("plain",)).get_content()


async def hand_on(world) -> None:
    """Let what happened at Telegram go into the log."""
    acting = world.house.services["notify"].acting(world.house.api(Identity))
    while await acting.hand_on():
        pass


async def test_what_happens_at_telegram_is_in_the_log(world):
    """Linked, and ended in the chat: under the merchant who the person works for, once each."""
    browser = await world.join(EMAIL, Role.SELLER)
    await listen(world)
    world.clock.advance(1)
    await connect(world, browser)
    await hand_on(world)
    world.clock.advance(1)
    await world.phone.do(1, "/stop")
    await listen(world)
    await hand_on(world)
    await hand_on(world)
    [acts] = await world.house.api(Identity).list_acts([ActQuery(world.merchant, 50, act="chat.")])

    assert ["chat.ended", "chat.linked"] == [each.act for each in acts[:2]]
    assert {"chat.asked"} == {each.act for each in acts[2:]}
    assert [{"by": "stop", "chat": "Ann"}, {"chat": "Ann"}] == [each.after for each in acts[:2]]
    assert {f"person:{EMAIL}"} == {each.subject for each in acts}
    assert ["telegram", "telegram"] == [each.by.name for each in acts[:2]]


async def test_a_reset_password_ends_the_chat(world):
    """Whoever takes an account back, or is signed out everywhere, has no chat any more."""
    identity, notify = world.house.api(Identity), world.house.api(Notify)
    browser = await world.join(EMAIL, Role.SELLER)
    await listen(world)
    await connect(world, browser)
    [before] = await notify.read_chats([EMAIL])
    await identity.request_resets([ResetRequest(EMAIL, "en", Origin())])
    await world.house.services["identity"].drain()
    letters = [each for each in await world.letters(EMAIL) if "/join/" in text(each)]
    token = re.search(r"/join/(\S+)", text(letters[-1]))[1]
    [used] = await identity.use_links([LinkUse(token, "another quiet lake")])
    [after] = await notify.read_chats([EMAIL])
    await browser.sign_in(EMAIL, "another quiet lake")
    await connect(world, browser)
    [again] = await notify.read_chats([EMAIL])
    [person] = await identity.find_people([EMAIL])
    await identity.end_all_sessions([person.id])
    [ended] = await notify.read_chats([EMAIL])
    subjects = [each["subject"] for each in await world.letters(EMAIL)]

    assert "accepted" == used.status
    assert ["linked", "open"] * 2 == [each.state for each in (before, after, again, ended)]
    assert {"password.reset", "chat.ended"} <= set(await world.acts())
    assert 2 == sum("no more" in each for each in subjects)


async def test_connecting_wants_a_fresh_proof(world):
    """Whoever finds a browser that was left open cannot have the letters sent to themselves."""
    browser = await world.join(EMAIL, Role.SELLER)
    await listen(world)
    await browser.go(PAGE)
    world.clock.advance(31 * 60)
    await browser.send(f"{PAGE}/telegram")
    asked = browser.path

    assert "/console/confirm" == asked


async def test_without_a_bot_nothing_is_said_of_it(world):
    """A platform that has no bot shows the page as it was."""
    world.house.services["notify"].chats._bot = None
    browser = await world.join(EMAIL, Role.SELLER)
    await browser.go(PAGE)

    assert "Telegram" not in browser.text


@pytest.mark.browser
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "language, scheme", [("zh-CN", "light"), ("en-US", "dark"), ("es-ES", "light")]
)
async def test_the_page_fits_and_axe_has_no_grave_complaint(world, language, scheme):
    """From 360 px up nothing scrolls sideways, in each of its states."""
    browser = await world.join(EMAIL, Role.SELLER)
    await listen(world)
    async with served(Edge(world.app), urlsplit(world.site).port), async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await chromium.new_context(
            locale=language, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce"
        )
        jar = browser.http.cookies.jar
        await context.add_cookies(
            [{"name": each.name, "value": each.value, "url": world.site} for each in jar]
        )
        page = await context.new_page()

        async def look(state: str) -> None:
            for width in (360, 768, 1440):
                await page.set_viewport_size({"width": width, "height": 900})
                assert await page.evaluate(IS_FITTING), f"{state} overflows at {width}"
                assert [] == await page.evaluate(CUT), f"{state} at {width}"
            assert [] == await page.evaluate(COVERED), state
            await page.add_script_tag(path=str(AXE))
            assert [] == await page.evaluate(GRAVE), f"{state} in {scheme}"

        await page.goto(world.site + PAGE)
        await look("open")
        await page.locator("form[action$='/telegram'] button").click()
        await page.locator("[role=img] svg").wait_for()
        await look("ticket")
        await world.phone.do(1, f"/start {ticket_of(await page.content())}")
        await listen(world)
        await page.goto(world.site + PAGE)
        await look("linked")
        await chromium.close()
