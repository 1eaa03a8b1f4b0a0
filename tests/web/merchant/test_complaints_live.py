"""A complaint in three real browsers at once: what one does, the others see without reloading."""

import pytest
from playwright.async_api import async_playwright, expect
from tests.e2e.walk import AXE, GRAVE
from tests.web.test_browser import CHROMIUM, FLAGS, IS_FITTING, free_port, served

from vendrail.api.identity import Role
from vendrail.api.orders import OrderQuery, Orders
from vendrail.kernel.http import Edge
from vendrail.kernel.ids import to_serial

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

PATIENT_MS = 30_000


class Screens:
    """Browsers of the people who meet about an order."""

    def __init__(self, chromium, site) -> None:
        self.chromium, self.site, self.complaints = chromium, site, []

    async def open(self, jar=(), **how):
        """Open a browser, signed in where a jar is given."""
        context = await self.chromium.new_context(
            bypass_csp=True, reduced_motion="reduce", **{"locale": "en-US", **how}
        )
        context.set_default_timeout(PATIENT_MS)
        cookies = [{"name": each.name, "value": each.value, "url": self.site} for each in jar]
        await context.add_cookies(cookies)
        page = await context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    async def look(self, page) -> None:
        """See that a page fits at every width, and that nobody is kept from reading it."""
        for width in (360, 1440):
            await page.set_viewport_size({"width": width, "height": 900})
            assert await page.evaluate(IS_FITTING), f"{page.url} overflows at {width}"
        await page.add_script_tag(path=str(AXE))
        assert [] == await page.evaluate(GRAVE), page.url


async def test_a_dead_key_is_claimed_talked_about_and_replaced(town):
    """Buyer, merchant and operator each in a browser: words and steps come by themselves."""
    await town.north.offer("GAME", keys=9)
    order = await town.sell(town.north, "GAME", 2)
    [addressee] = await town.house.api(Orders).read_addressees([order])
    owner = await town.join(Role.OWNER)
    head = await town.world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    serial, site = to_serial(order), f"http://127.0.0.1:{(port := free_port())}"
    async with served(Edge(town.world.app), port), async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        expect.set_options(timeout=PATIENT_MS)
        screens = Screens(chromium, site)
        buyer = await screens.open()
        await buyer.goto(f"{site}/orders/{serial}?key={addressee.secret}")
        await buyer.click("text=Get help")
        await screens.look(buyer)
        await buyer.fill("#complaint-text", "The second one says it was used already.")
        await buyer.check("input[value=other]")
        await expect(buyer.locator("input[name=key_2]")).not_to_be_visible()
        await buyer.check("input[value=dead_key]")
        await buyer.check("input[name=key_2]")
        await buyer.set_input_files(
            "#evidence", {"name": "log.txt", "mimeType": "text/plain", "buffer": b"refused"}
        )
        await buyer.click("button:has-text('Complain')")
        await expect(buyer.locator("#case-title")).to_have_text("The key does not work")
        shop = await screens.open(owner.http.cookies.jar, locale="zh-CN")
        await shop.goto(f"{site}/merchant/complaints")
        await screens.look(shop)
        await shop.click(f"a[href='/merchant/complaints/{serial}']")
        await screens.look(shop)
        platform = await screens.open(head.http.cookies.jar, color_scheme="dark")
        await platform.goto(f"{site}/operator/complaints?show=standing")
        await screens.look(platform)
        await platform.goto(f"{site}/operator/complaints/{serial}")
        await screens.look(platform)
        await shop.fill("#message", "Is it the second one only?")
        await shop.click("form[action*='/messages'] button[type=submit]")
        for page in (buyer, platform):
            await expect(page.locator("#talk")).to_contain_text("Is it the second one only?")
        await buyer.fill("#message", "Yes, <b>only</b> that.")
        await buyer.click("form[action$='/messages'] button[type=submit]")
        await expect(shop.locator("#talk")).to_contain_text("Yes, <b>only</b> that.")
        await shop.check("input[value=replace]")
        await shop.click("form[action$='/answer'] button[type=submit]")
        await expect(buyer.locator("#talk")).to_contain_text("The merchant grants it: new keys.")
        await expect(buyer.locator("#talk")).to_contain_text("Done: new keys.")
        await expect(buyer.locator("#talk")).not_to_contain_text("Time limit")
        await shop.goto(f"{site}/merchant/orders/{serial}")
        await screens.look(shop)
        await expect(shop.locator("#replaced")).not_to_contain_text("complaint")
        await buyer.goto(f"{site}/orders/{serial}")
        await expect(buyer.locator("body")).to_contain_text("1 key was replaced by a new one")
        await chromium.close()
    query = OrderQuery(order, None, with_items=True)
    [view] = await town.house.api(Orders).read_orders([query])

    assert [] == screens.complaints
    assert [2] == [each.position for each in view.replaced]


async def test_a_file_that_is_too_large_loses_nothing_that_was_typed(town):
    """A photograph that is too large is refused before it is sent; without scripts, by a page."""
    await town.north.offer("GAME", keys=1)
    order = await town.sell(town.north, "GAME", 1)
    [addressee] = await town.house.api(Orders).read_addressees([order])
    serial, site = to_serial(order), f"http://127.0.0.1:{(port := free_port())}"
    photograph = {"name": "a.png", "mimeType": "image/png", "buffer": b"\x89PNG" + bytes(3_000_000)}
    async with served(Edge(town.world.app), port), async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        expect.set_options(timeout=PATIENT_MS)
        screens = Screens(chromium, site)
        pages = []
        for has_scripts in (True, False):
            page = await screens.open(java_script_enabled=has_scripts)
            await page.goto(f"{site}/orders/{serial}?key={addressee.secret}")
            await page.goto(f"{site}/orders/{serial}/help")
            await page.fill("#complaint-text", "It says it was used already.")
            await page.set_input_files("#evidence", photograph)
            await page.click("button:has-text('Complain')")
            pages.append(page)
        said = await pages[0].locator("#evidence").evaluate("field => field.validationMessage")
        kept = await pages[0].input_value("#complaint-text")
        title = await pages[1].locator("h1").inner_text()
        await chromium.close()

    assert "A picture, PDF or text file of at most 2 MB." == said
    assert "It says it was used already." == kept
    assert "That did not work" == title
