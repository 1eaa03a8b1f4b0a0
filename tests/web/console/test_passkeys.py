"""Passkeys at the doors of the consoles: the pages by hand, then in a browser with a device."""

import re

import httpx
import pytest
from playwright.async_api import async_playwright
from tests.buyers.authenticator import Device
from tests.buyers.test_passkey_pages import DEVICE
from tests.e2e.buyer import Buyer
from tests.e2e.walk import Walk
from tests.web.console import conftest as consoles
from tests.web.console.conftest import PASSWORD, QUICK, World
from tests.web.test_browser import CHROMIUM, FLAGS, free_port, served

from vendrail.api.identity import Role
from vendrail.app.wiring import House
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.http import Edge

EMAIL = "ann@rail.example"
ADD, USE = "form[data-passkey=make] button", "form[data-passkey] button"


class Hand:
    """A browser whose device is asked by hand, as the pages' script would ask it."""

    def __init__(self, browser) -> None:
        self.browser = browser
        self.device = Device("localhost", "http://localhost")

    async def ask(self, purpose: str) -> str:
        """Ask for what the browser's dialogue is opened with."""
        asked = await self.browser.send("/console/passkey/options", raw=True, purpose=purpose)
        assert 200 == asked.status_code
        return asked.text

    async def make(self, name: str = "Laptop"):
        """Add a passkey on its page."""
        await self.browser.go("/console/passkey")
        made = self.device.make(await self.ask("make"))
        return await self.browser.send("/console/passkey", credential=made, name=name)

    async def show(self, door: str, purpose: str = "prove", onto: str = ""):
        """Show the passkey at the door that is open."""
        shown = self.device.show(await self.ask(purpose))
        return await self.browser.send(f"{door}/passkey", credential=shown, next=onto)


async def _joining(world) -> Hand:
    """Open an operator's first session, in which nothing is open yet."""
    browser = world.browser()
    link = await world.invite(EMAIL, Role.OPERATOR_ADMIN)
    await browser.go(link)
    await browser.send(link, password=PASSWORD, again=PASSWORD, name="Ann")
    assert "/console/factor" == browser.path
    return Hand(browser)


async def test_a_passkey_takes_the_place_of_the_app(world):
    """Who must set a factor up chooses a passkey, keeps recovery codes, and is in."""
    hand = await _joining(world)
    assert "Use a passkey instead" in hand.browser.text
    page = await hand.make()
    codes = re.findall(r'<code class="font-mono">(\w{5}-\w{5})</code>', page.text)
    await hand.browser.go("/console")

    assert 10 == len(set(codes))
    assert "/operator" == hand.browser.path


async def test_every_door_opens_by_a_passkey(world):
    """Alone in place of a password, after the password, and where a fresh proof is due."""
    hand = await _joining(world)
    await hand.make()
    await hand.browser.go("/console/account")
    await hand.browser.send("/console/sign-out")
    await hand.show("/console/sign-in", "sign_in", "/operator/log")
    alone = hand.browser.path
    await hand.browser.go("/console/account")
    await hand.browser.send("/console/sign-out")
    await hand.browser.sign_in(EMAIL, onto="/operator/people")
    asked = hand.browser.path
    await hand.show("/console/code", "prove", "/operator/people")
    after_password = hand.browser.path
    world.clock.advance(31 * 60)
    await hand.browser.go("/console/account")
    await hand.browser.send("/console/account/codes")
    due = hand.browser.path
    await hand.show("/console/confirm", "prove", "/console/account")
    await hand.browser.send("/console/account/codes")

    assert ("/operator/log", "/console/code", "/operator/people") == (alone, asked, after_password)
    assert "/console/confirm" == due
    assert "Keep these recovery codes" in hand.browser.text


async def test_a_wrong_passkey_opens_no_door(world):
    """Each door says that it did not work, and offers its other way again."""
    hand = await _joining(world)
    await hand.make()
    await hand.browser.go("/console/account")
    await hand.browser.send("/console/sign-out")
    hand.device.origin = "http://evil.example"
    said = [(await hand.show("/console/sign-in", "sign_in")).status_code]
    await hand.browser.sign_in(EMAIL)
    said.append((await hand.show("/console/code")).status_code)
    assert "That passkey did not work" in hand.browser.text

    assert [422, 422] == said
    assert "recovery codes" in hand.browser.text
    assert "/console/code" == (await hand.browser.go("/operator")).url.path


async def test_a_passkey_is_removed_where_another_way_is_left(world):
    """The account lists passkeys; the only factor stays, what is not one's own is not there."""
    hand = await _joining(world)
    await hand.make("A")
    await hand.browser.go("/console/account")
    path = "/console/account/passkeys/remove"
    [only] = re.findall(r'name="passkey" value="(\w+)"', hand.browser.page.text)
    kept = await hand.browser.send(path, passkey=only)
    assert "your only second factor" in hand.browser.text
    await hand.browser.enrol()
    await hand.browser.go("/console/account")
    strange = await hand.browser.send(path, passkey="x" * 26)
    await hand.browser.go("/console/account")
    gone = await hand.browser.send(path, passkey=only)

    assert (422, 404, 200) == (kept.status_code, strange.status_code, gone.status_code)
    assert "The passkey is removed" in hand.browser.text
    assert 'name="passkey"' not in hand.browser.page.text
    assert {"passkey.added", "passkey.removed"} <= set(await world.acts())


async def test_a_new_passkey_wants_a_fresh_proof(world):
    """Ten minutes after the last proof its page leads to another one, and comes back."""
    hand = await _joining(world)
    await hand.make()
    world.clock.advance(601)
    await hand.browser.go("/console/passkey")
    due = hand.browser.path
    await hand.show("/console/confirm", "prove", "/console/passkey")
    hand.device = Device("localhost", "http://localhost")
    added = await hand.make("Phone")

    assert "/console/confirm" == due
    assert "/console/account" == added.url.path
    assert "it signs you in from now on" in hand.browser.text
    assert "Phone" in hand.browser.text


async def test_a_form_of_another_site_touches_no_passkey(world):
    """Without the page's own token nothing is asked, added, shown or removed."""
    hand = await _joining(world)
    await hand.make()
    headers = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    fields = {"form_token": "x" * 36, "credential": "{}", "name": "x", "purpose": "prove"}
    paths = (
        "passkey/options",
        "passkey",
        "sign-in/passkey",
        "code/passkey",
        "confirm/passkey",
        "account/passkeys/remove",
    )
    http = hand.browser.http
    answers = [await http.post(f"/console/{path}", data=fields, headers=headers) for path in paths]

    assert [403] * len(paths) == [each.status_code for each in answers]


@pytest.fixture
async def desk(platform_url, clock, vault, tmp_path):
    """The consoles by name on this machine, with a browser whose device keeps passkeys."""
    site = f"http://localhost:{(port := free_port())}"
    platform = PlatformSettings(home=tmp_path, database_url=platform_url, public_url=site)
    before, consoles.SITE = consoles.SITE, site
    world = World(lambda: House(platform, QUICK, clock, vault), tmp_path)
    async with served(Edge(world.app), port), async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await chromium.new_context(locale="en-US", viewport={"width": 360, "height": 740})
        page = await context.new_page()
        page.set_default_timeout(30_000)
        client = await context.new_cdp_session(page)
        await client.send("WebAuthn.enable")
        await client.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
        yield world, page, site
        await chromium.close()
    await world.close()
    consoles.SITE = before


async def _leave(page, site) -> None:
    """Sign out, in a window that is wide enough to show how."""
    await page.set_viewport_size({"width": 1440, "height": 900})
    await page.goto(f"{site}/console/account")
    await page.get_by_role("button", name="Sign out").first.click()
    await page.wait_for_url("**/console/sign-in")


@pytest.mark.browser
@pytest.mark.timeout(240)
async def test_a_device_signs_an_operator_in(desk):
    """In a real browser: made in place of the app, shown at every door, and all is whole to see."""
    world, page, site = desk
    looks = Walk(Buyer(page, site, "en-US"), "en-US")
    await page.goto(site + await world.invite(EMAIL, Role.OPERATOR_ADMIN))
    for name, text in {"name": "Ann", "password": PASSWORD, "again": PASSWORD}.items():
        await page.fill(f"#{name}", text)
    await page.click("form button.btn-primary")
    await page.wait_for_url("**/console/factor")
    await looks.look("factor")
    await page.get_by_role("link", name="Use a passkey instead").click()
    await page.wait_for_url("**/console/passkey")
    await looks.look("passkey")
    await page.fill("#name", "Averylongnamewithoutanyspaces" * 2)
    await page.click(ADD)
    await page.get_by_role("heading", name="Keep these recovery codes").wait_for()
    await page.goto(f"{site}/console/account")
    await looks.look("account")
    await _leave(page, site)
    await looks.look("sign_in")
    await page.click(USE)
    await page.wait_for_url("**/operator")
    await _leave(page, site)
    await page.fill("#email", EMAIL)
    await page.fill("#password", PASSWORD)
    await page.click("form[action='/console/sign-in'] button")
    await page.wait_for_url("**/console/code")
    await looks.look("code")
    await page.click(USE)
    await page.wait_for_url("**/operator")
    world.clock.advance(11 * 60)
    await page.goto(f"{site}/console/passkey")
    await page.wait_for_url("**/console/confirm**")
    await looks.look("confirm")
    await page.click(USE)
    await page.wait_for_url("**/console/passkey")
    await page.fill("#name", "Again")
    await page.click(ADD)
    await page.locator("form[data-passkey=make] [data-passkey-problem]").wait_for()

    seen = looks.seen
    assert ([], [], []) == (seen.overflowing, seen.foreign, seen.grave)
    assert 6 == len(seen.stops)


@pytest.mark.browser
@pytest.mark.timeout(240)
async def test_a_browser_without_passkeys_is_told_so(desk):
    """The page says plainly that it has none, and the app is one step away."""
    world, page, site = desk
    await page.add_init_script("delete window.PublicKeyCredential")
    await page.goto(site + await world.invite(EMAIL, Role.OPERATOR_ADMIN))
    for name, text in {"name": "Ann", "password": PASSWORD, "again": PASSWORD}.items():
        await page.fill(f"#{name}", text)
    await page.click("form button.btn-primary")
    await page.goto(f"{site}/console/passkey")
    note = page.locator("[data-passkey-none]")
    await note.wait_for()

    assert "This browser has no passkeys" in await note.inner_text()
    assert not await page.locator(ADD).is_visible()
    assert await page.get_by_role("link", name="Use an authenticator app instead").is_visible()
    async with httpx.AsyncClient() as http:
        headers = (await http.get(f"{site}/console/sign-in")).headers
    assert "script-src 'self';" in headers["content-security-policy"]
