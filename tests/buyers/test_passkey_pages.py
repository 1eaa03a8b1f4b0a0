"""Passkeys in a real browser with a device of its own: made, used, proven by, removed."""

import contextlib

import httpx
import pytest
from playwright.async_api import async_playwright
from tests.buyers.shop import Shop
from tests.e2e.buyer import Buyer
from tests.e2e.walk import Walk
from tests.orders.conftest import open_market
from tests.web.test_browser import CHROMIUM, FLAGS, free_port, served

from vendrail.api.buyers import BuyerSessionQuery
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.http import Edge

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
USE, ADD, NAME = (
    "form[data-passkey=prove] button",
    "form[data-passkey=make] button",
    "#passkey-name",
)


class Visit:
    """A browser with a device that keeps passkeys."""

    def __init__(self, shop, site, context, page, client, device) -> None:
        self.shop = shop
        self.site = site
        self.context = context
        self.page = page
        self._client = client
        self._device = device
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._note)

    def _note(self, said) -> None:
        if said.type == "error" and "status of 4" not in said.text:
            self.complaints.append(said.text)

    async def passkeys(self):
        """Give what the device keeps."""
        asked = {"authenticatorId": self._device}
        return (await self._client.send("WebAuthn.getCredentials", asked))["credentials"]

    async def turn_back(self) -> None:
        """Put the device's counter back, as a copy of it would have it."""
        [kept] = await self.passkeys()
        for name, asked in (
            ("removeCredential", {"credentialId": kept["credentialId"]}),
            ("addCredential", {"credential": {**kept, "signCount": 0}}),
        ):
            await self._client.send(f"WebAuthn.{name}", {"authenticatorId": self._device, **asked})

    async def sign_in(self, email="ann@example.com") -> None:
        """Sign in, or confirm who is in, by the code in the letter."""
        page = self.page
        await page.goto(f"{self.site}/account/sign-in")
        if await page.locator("#email").count():
            await page.fill("#email", email)
        await page.click("form[action='/account/sign-in'] button")
        await page.fill("#code", await self.shop.code(email))
        await page.click("form[action='/account/code'] button")
        await page.wait_for_url(f"{self.site}/account")

    async def make(self, name="My laptop") -> None:
        """Make a passkey on the account's page."""
        await self.page.goto(f"{self.site}/account")
        await self.page.fill(NAME, name)
        await self.page.click(ADD)
        await self.page.locator("#passkeys li", has_text=name).wait_for()

    async def use(self, onto="") -> None:
        """Press the button on the page to sign in."""
        await self.page.goto(f"{self.site}/account/sign-in?next={onto}")
        await self.page.click(USE)

    async def sign_out(self) -> None:
        """Sign out."""
        await self.page.goto(f"{self.site}/account")
        await self.page.click("form[action='/account/sign-out'] button")
        await self.page.wait_for_url(f"{self.site}/")

    async def session(self):
        """Give who is in."""
        for each in await self.context.cookies():
            if each["name"] == "vendrail-buyer":
                return (await self.shop.buyers.read_sessions([BuyerSessionQuery(each["value"])]))[0]
        return None


@pytest.fixture
async def visit(platform_url, clock, vault, tmp_path):
    """A shop by name on this machine, and a browser in it."""
    site = f"http://localhost:{(port := free_port())}"
    platform = PlatformSettings(home=tmp_path, database_url=platform_url, public_url=site)
    async with contextlib.AsyncExitStack() as stack:
        market = await stack.enter_async_context(open_market(platform, clock, vault))
        await market.offer("GAME", keys=2)
        shop = Shop(market, site)
        await stack.enter_async_context(served(Edge(shop.app), port))
        playwright = await stack.enter_async_context(async_playwright())
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await chromium.new_context(locale="en-US", viewport={"width": 360, "height": 740})
        page = await context.new_page()
        page.set_default_timeout(30_000)
        client = await context.new_cdp_session(page)
        await client.send("WebAuthn.enable")
        made = await client.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
        yield Visit(shop, site, context, page, client, made["authenticatorId"])
        await shop.close()


async def test_a_passkey_is_made_used_and_removed(visit):
    """Made in the account, it signs in with no address typed; once removed it does no more."""
    page = visit.page
    await visit.sign_in()
    await visit.make()
    buyer = (await visit.session()).buyer
    kept = await visit.passkeys()
    await visit.sign_out()
    gone = await visit.session()
    await visit.use("/help")
    await page.wait_for_url(f"{visit.site}/help")
    back = await visit.session()
    await page.goto(f"{visit.site}/account")
    await page.click("#passkeys form[action$='/remove'] button")
    await page.locator("#passkeys li").wait_for(state="detached")
    await visit.sign_out()
    await visit.use()
    await page.locator("#problem").wait_for()

    assert [True] == [each["isResidentCredential"] for each in kept]
    assert ["localhost"] == [each["rpId"] for each in kept]
    assert (None, buyer) == (gone, back.buyer)
    assert "That passkey did not work" in await page.inner_text("#problem")
    assert await visit.session() is None
    assert [] == visit.complaints


async def test_pages_with_passkeys_are_whole(visit):
    """Where passkeys are added, listed and asked for nothing is too wide or hard to read."""
    walk = Walk(Buyer(visit.page, visit.site, "en-US"), "en-US")
    await visit.sign_in()
    await walk.look("none yet")
    await visit.make("Averylongnamewithoutanyspaces" * 2)
    await walk.look("one with a long name")
    await visit.sign_out()
    await walk.go("/account/sign-in", "asked for")
    await visit.turn_back()
    await visit.use()
    await visit.page.locator("#problem").wait_for()
    await walk.look("refused")

    assert ([], [], []) == (walk.seen.overflowing, walk.seen.foreign, walk.seen.grave)
    assert 4 == len(walk.seen.stops)


async def test_a_passkey_confirms_who_is_in(visit):
    """What is grave asks for a proof after a quarter hour: the passkey is one, with no letter."""
    await visit.sign_in()
    await visit.make()
    before = await visit.session()
    told = await visit.shop.letters("ann@example.com")  # The code, and the new passkey.
    visit.shop.market.clock.advance(901)
    moment = visit.shop.market.clock.now()
    await visit.page.goto(f"{visit.site}/account")
    can_add = await visit.page.locator(ADD).count()
    await visit.page.click("#passkeys a[href*='sign-in']")
    await visit.page.click(USE)
    await visit.page.wait_for_url(f"{visit.site}/account")
    after = await visit.session()

    assert 0 == can_add
    assert 1 == await visit.page.locator(ADD).count()
    assert told == await visit.shop.letters("ann@example.com")
    assert (before.id, moment) == (after.id, after.confirmed_at)


async def test_a_device_makes_one_passkey_for_an_account(visit):
    """The second time the device says that it has one: the page says so, and goes on working."""
    await visit.sign_in()
    await visit.make()
    await visit.page.fill(NAME, "Again")
    await visit.page.click(ADD)
    problem = visit.page.locator("form[data-passkey=make] [data-passkey-problem]")
    await problem.wait_for()

    assert 1 == await visit.page.locator("#passkeys li").count()
    assert 1 == len(await visit.passkeys())
    assert await visit.page.locator(ADD).is_enabled()


async def test_a_copy_of_a_device_does_not_sign_in(visit):
    """A device whose counter went back is told what every wrong passkey is told."""
    await visit.sign_in()
    await visit.make()
    await visit.sign_out()
    await visit.use()
    await visit.page.wait_for_url(f"{visit.site}/account")
    await visit.sign_out()
    await visit.turn_back()
    await visit.use()
    await visit.page.locator("#problem").wait_for()

    assert "That passkey did not work" in await visit.page.inner_text("#problem")
    assert await visit.session() is None


async def test_without_a_passkey_the_code_stays(visit):
    """Whose device has none reads so, and asks for a code on the same page."""
    await visit.use()
    await visit.page.locator("[data-passkey-problem]").wait_for()
    await visit.sign_in()

    assert "ann@example.com" == (await visit.session()).buyer.email


async def test_without_javascript_nothing_of_passkeys_is_in_the_way(visit):
    """Their forms stay hidden, and the code signs in as it did."""
    browser = visit.shop.browser()
    await browser.go("/account/sign-in")
    form = browser.page.text.split("data-passkey=", 1)[1].split(">", 1)[0]

    assert " hidden" in form
    assert "script-src 'self';" in browser.page.headers["content-security-policy"]


async def test_a_form_of_another_site_touches_no_passkey(visit):
    """Without the page's own token nothing is asked, added, removed or shown."""
    headers = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    fields = {"form_token": "x" * 36, "credential": "{}", "name": "x", "purpose": "prove"}
    async with httpx.AsyncClient(base_url=visit.site, headers=headers) as http:
        paths = ("passkeys/options", "passkeys", "passkeys/remove", "passkey")
        answers = [await http.post(f"/account/{path}", data=fields) for path in paths]

    assert [403] * 4 == [each.status_code for each in answers]
