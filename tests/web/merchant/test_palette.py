"""Going to any page by a word or a number: with keys alone, and without scripts as a page."""

import pytest
from playwright.async_api import async_playwright
from tests.web.console.test_filters import save
from tests.web.merchant.test_looks import served_town
from tests.web.test_browser import CHROMIUM, FLAGS

from vendrail.api.identity import Role
from vendrail.kernel.ids import to_serial

__all__ = ["served_town"]  # A fixture.


async def test_without_scripts_it_is_a_page_of_what_one_may_see(town, read_links):
    """Words find pages of one's own console by their names; a number is offered to the search."""
    support = await town.join(Role.SUPPORT)
    await support.go("/merchant/go?q=DISP")
    disputes = set(read_links(support, "/merchant/disputes"))
    offered = read_links(support, "/merchant/search?q=")
    hidden = await support.http.get("/merchant/go?q=api")
    strange = await support.http.get("/operator/go")
    head = await town.world.join("ann@rail.example", Role.OPERATOR_ADMIN)
    await head.go("/operator/go?q=payout")

    assert {"/merchant/disputes"} == disputes
    assert ["/merchant/search?q=DISP"] == offered
    assert 'href="/merchant/api-keys"' not in hidden.text
    assert 404 == strange.status_code
    assert "/operator/payout-terms" in read_links(head, "/operator/payout-terms")


@pytest.mark.browser
@pytest.mark.timeout(240)
async def test_keys_alone_lead_to_a_page_and_to_a_number(served_town):
    """Ctrl and K, some letters, Enter: the page; a saved filter; what a number names."""
    town, site = served_town
    await town.north.offer("GAME", keys=3)
    serial = to_serial(await town.sell(town.north, "GAME"))
    owner = await town.join(Role.OWNER)
    await save(owner, "/merchant/orders?state=refunded", "Came back")
    jar, said = owner.http.cookies.jar, []
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await chromium.new_context(locale="en-US")
        await context.add_cookies(
            [{"name": each.name, "value": each.value, "url": site} for each in jar]
        )
        page = await context.new_page()
        page.on("console", lambda told: said.append(told.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        await page.goto(f"{site}/merchant/orders")
        await page.keyboard.press("Control+k")
        await page.keyboard.type("po")
        await page.keyboard.press("ArrowDown")
        first = await page.locator("#palette [data-chosen]").inner_text()
        await page.keyboard.press("Escape")
        is_open = await page.locator("#palette").is_visible()
        await page.keyboard.press("Control+k")
        await page.keyboard.type("products")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{site}/merchant/products")
        await page.keyboard.press("Control+k")
        await page.locator("#palette-saved-1").wait_for()
        await page.keyboard.type("came")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{site}/merchant/orders?state=refunded")
        await page.keyboard.press("Control+k")
        await page.keyboard.type(serial)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{site}/merchant/search?q={serial}")
        found = await page.locator("main").inner_text()
        await chromium.close()

    assert ("Deposit", False) == (first.strip(), is_open)
    assert "Product GAME" in found
    assert [] == said
