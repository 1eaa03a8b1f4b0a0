"""X22: the proof of work in a real browser, and where a browser cannot do it."""

import re

import pytest
from litestar import Litestar
from playwright.async_api import async_playwright
from tests.web.test_browser import CHROMIUM, FLAGS, IS_FITTING, free_port, served

from vendrail.kernel.http import Edge
from vendrail.kernel.ids import to_serial
from vendrail.kernel.limits.gate import Gate
from vendrail.kernel.limits.proofs import Proofs
from vendrail.web.app import build_routes
from vendrail.web.settings import WebSettings

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture
async def product(standins, market, clock, vault, wakeups, make_database, tmp_path):
    """The address of a product that is under pressure."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    proofs = Proofs(await make_database("limits"), vault, clock, numbers_max=20_000)
    web = build_routes(
        standins.StandInCatalog(market),
        standins.StandInOrders(market),
        standins.StandInPayments(market),
        vault=vault,
        clock=clock,
        wakeups=wakeups,
        settings=WebSettings(home=tmp_path, public_url=address),
        make_gate=lambda is_strained: Gate(proofs, clock, free_per_minute=0),
    )
    market.is_pressed = True
    app = Edge(Litestar(list(web.handlers), openapi_config=None, logging_config=None))
    async with served(app, port):
        yield f"{address}/products/{to_serial(market.products[0].product.id)}"


@pytest.fixture
async def chromium():
    """Debian's Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


async def order(page, product):
    """Fill the form in and send it."""
    await page.goto(product)
    await page.locator("#contact").fill("real@example.com")
    await page.locator("input[value=alipay_qr]").check()
    await page.locator("form[data-buy] button[type=submit]").first.click()


async def test_x22_a_browser_does_the_work_by_itself(product, chromium, market):
    """Under pressure the form comes back, the browser works, and the order goes on by itself."""
    page = await chromium.new_page()
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await order(page, product)
    await page.wait_for_url("**/orders/**")

    assert ["STEAM-50"] == [view.sku for view in market.orders.values()]
    assert [] == complaints


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_x22_who_cannot_do_it_is_told_what_to_do(product, chromium, market, scheme):
    """Without JavaScript the page says how long to wait; when it is calm, the button works."""
    context = await chromium.new_context(
        java_script_enabled=False, locale="en-US", color_scheme=scheme
    )
    page = await context.new_page()
    await order(page, product)
    told = page.get_by_text("wait until fewer orders are unpaid")
    await told.wait_for()
    for width in (320, 1440):
        await page.set_viewport_size({"width": width, "height": 900})
        assert await page.evaluate(IS_FITTING)
    market.is_pressed = False
    await page.locator("form[data-buy] button[type=submit]").first.click()
    await page.wait_for_url("**/orders/**")

    assert ["STEAM-50"] == [view.sku for view in market.orders.values()]
    await context.close()


async def test_x22_a_browser_that_fails_says_so(product, chromium, market):
    """Where the work cannot be done, the page does not pretend that it is going on."""
    context = await chromium.new_context(locale="en-US")
    page = await context.new_page()
    await page.route(re.compile(r"/assets/proof\."), lambda route: route.abort())
    await order(page, product)
    await page.get_by_text("Your browser could not do it").wait_for()

    assert not await page.get_by_text("goes on by itself").is_visible()
    assert {} == market.orders
    await context.close()
