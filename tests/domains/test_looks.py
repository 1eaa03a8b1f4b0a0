"""A shop's own domain in a real browser: at every width and in both themes, up to the order."""

import re

import pytest
from playwright.async_api import async_playwright
from tests.domains.conftest import Zone
from tests.domains.nameserver import open_server
from tests.domains.test_routing import Street
from tests.e2e.walk import AXE, GRAVE
from tests.orders.conftest import Market
from tests.web.test_browser import CHROMIUM, COVERED, CUT, FLAGS, IS_FITTING, free_port, served

from vendrail.api.catalog import Catalog
from vendrail.api.payments import Payments
from vendrail.api.settlement import FeeTerms, Settlement
from vendrail.app.bench.pipeline import bench_channel
from vendrail.app.wiring import House
from vendrail.kernel.codec import replace
from vendrail.kernel.config import PlatformSettings

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

HOST = "keys.example"


@pytest.fixture
async def site(platform_url, clock, vault, tmp_path):
    """A shop on its own domain behind the whole application, on a free port; gives that."""
    server = await open_server()
    address = f"http://127.0.0.1:{(port := free_port())}"
    platform = PlatformSettings(home=tmp_path, database_url=platform_url, public_url=address)
    house = House(platform, {"VENDRAIL_DOMAINS_RESOLVERS": server.address}, clock, vault)
    zone, channel = Zone(house, server), bench_channel()
    await house.api(Payments).put_channels([channel])
    shop = replace(await zone.open("north"), name="Northern Keys", theme="plum")
    shop = replace(shop, notice="**Welcome** to the north.", contact="help@keys.example")
    await house.api(Catalog).put_shops([shop])
    await house.api(Settlement).put_fee_terms([FeeTerms(shop.merchant, "CNY", 250)])
    market = Market(house, shop.merchant, shop.id, channel.id)
    for number in range(5):
        await market.offer(f"GAME-{number}", keys=4, title=f"A game of the north, part {number}")
    clock.advance(10)
    await zone.proven(shop, HOST)
    street = Street(zone, market, market)
    async with served(street.app, port):
        yield street, f"http://{HOST}:{port}"
    await house.stop()
    server.transport.close()


@pytest.mark.parametrize("language, scheme", [("zh-CN", "light"), ("en-US", "dark")])
async def test_every_page_of_the_domain_fits(site, language, scheme):
    """Shop, product, order, help and what is not there fit from 360 px up, and say nothing odd."""
    street, address = site
    product = await street.product(street.north, "GAME-1")
    said, leads = [], set()
    flags = [*FLAGS, f"--host-resolver-rules=MAP {HOST} 127.0.0.1"]
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        context = await chromium.new_context(
            locale=language, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce"
        )
        page = await context.new_page()
        page.on("pageerror", lambda error: said.append(str(error)))
        await page.goto(address + product)
        await page.locator("#contact").fill("a@buyer.example")
        await page.locator('form[data-buy] button.btn-primary[type="submit"]').last.click()
        await page.wait_for_url(re.compile(r"/orders/"))
        order = page.url.removeprefix(address)
        for path in ("/", product, order.partition("?")[0], "/lookup", "/help", "/nothing"):
            await page.goto(address + path)
            for width in (360, 768, 1440):
                await page.set_viewport_size({"width": width, "height": 900})
                assert await page.evaluate(IS_FITTING), f"{path} overflows at {width}"
                assert [] == await page.evaluate(CUT), f"{path} at {width}"
            assert [] == await page.evaluate(COVERED), path
            leads |= set(
                await page.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.href)")
            )
            await page.add_script_tag(path=str(AXE))
            assert [] == await page.evaluate(GRAVE), f"{path} in {scheme}"
        cookies = await context.cookies()
        await chromium.close()

    assert order.startswith("/orders/")
    assert [] == said
    assert {HOST} == {each["domain"] for each in cookies}
    assert not [
        each for each in leads if re.search(r"/(console|merchant|account|api|shops)\b", each)
    ]
