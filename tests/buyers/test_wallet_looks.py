"""The pages of wallets in a real browser: bought with by clicks, at every width, in both themes."""

import re

import pytest
from playwright.async_api import Page, async_playwright
from tests.buyers.shop import Shop
from tests.buyers.test_wallets import TERMS, Till
from tests.e2e.walk import AXE, GRAVE
from tests.web.test_browser import CHROMIUM, FLAGS, IS_FITTING, free_port, served

from vendrail.api.orders import OrderId
from vendrail.api.wallets import Wallets
from vendrail.kernel.http import Edge
from vendrail.kernel.ids import from_serial

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


class Looks:
    """Looks at pages: nothing scrolls sideways, nothing is hard to read."""

    def __init__(self, page: Page, scheme: str) -> None:
        self.page = page
        self.scheme = scheme
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    async def look(self, name: str) -> None:
        """Look at the page that is open, at every width."""
        for width in (360, 768, 1440):
            await self.page.set_viewport_size({"width": width, "height": 900})
            assert await self.page.evaluate(IS_FITTING), f"{name} overflows at {width}"
        await self.page.add_script_tag(path=str(AXE))
        assert [] == await self.page.evaluate(GRAVE), f"{name} in {self.scheme}"


@pytest.mark.parametrize("language, scheme", [("zh-CN", "light"), ("en-US", "dark")])
async def test_a_wallet_is_topped_up_and_spent_by_clicks(market, language, scheme):
    """Topped up, a part reserved, the rest paid; then a whole order by one confirmation."""
    await market.offer("GAME", keys=20)
    await market.house.api(Wallets).put_wallet_terms([TERMS])
    site = f"http://127.0.0.1:{(port := free_port())}"
    shop = Shop(market, wallets=market.house.api(Wallets))
    till = Till(shop, shop.browser())
    await till.browser.sign_in()
    async with served(Edge(shop.app), port), async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await chromium.new_context(
            locale=language, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce"
        )
        await context.add_cookies(
            [
                {"name": each.name, "value": each.value, "url": site}
                for each in till.browser.http.cookies.jar
                if each.name != "language"
            ]
        )
        # The bench's provider is not there: nobody leaves for it, in the middle of a look either.
        await context.route("**/pay/**", lambda route: route.fulfill(status=204))
        page = await context.new_page()
        looks = Looks(page, scheme)
        await page.goto(f"{site}/account/wallet")
        await looks.look("empty")
        await page.fill("#amount", "5.00")
        await page.check("input[name=method][value=alipay_qr]")
        await page.click("form[action$=top-ups] button[type=submit]")
        await page.wait_for_url("**/orders/*")
        order = re.search(r"/orders/(\w{26})", page.url)[1]
        await looks.look("top-up")
        await market.pay(OrderId(from_serial(order)), amount_minor=500)
        await till.run()
        await page.goto(f"{site}/orders/{order}")
        await looks.look("topped up")

        placed, path = await _place(till)
        await page.goto(f"{site}{path}?key={placed.secret}")
        await looks.look("offered")
        await page.click(f'a[href="{path}/wallet"]')
        await looks.look("part asked")
        await page.click(f'form[action="{path}/wallet"] button')
        await page.wait_for_url(f"**{path}")
        await looks.look("part reserved")
        await page.check("input[name=method][value=alipay_qr]")
        await page.click('form[action$="/payments"] button[type=submit]')
        await page.wait_for_url(f"**{path}?pay=*")
        [views] = await market.payments.read_attempts([placed.order])
        await market.pay(placed.order, views[-1].attempt.number, amount_minor=1_490)
        await till.run()
        await page.goto(f"{site}{path}")
        await looks.look("paid in two parts")

        await till.top_up("50.00")
        whole, path = await _place(till)
        await page.goto(f"{site}{path}?key={whole.secret}")
        await page.click(f'a[href="{path}/wallet"]')
        await looks.look("whole asked")
        await page.click(f'form[action="{path}/wallet"] button')
        await page.wait_for_url(f"**{path}*")
        await till.run()
        await page.goto(f"{site}{path}")
        await looks.look("paid whole")
        await page.goto(f"{site}/account/wallet")
        await looks.look("statement")
        await page.goto(f"{site}/account")
        await looks.look("account")
        await chromium.close()
    await shop.close()

    assert [] == looks.complaints
    assert (5_000 - 1_990, 0) == await till.balance()
    assert [] == await till.broken()


async def _place(till: Till):
    session = (await till.shop.buyers.read_sessions([till.query()]))[0]
    placed = await till.market.place("GAME", method="", buyer=session.buyer.id)
    return placed, f"/orders/{(await till.market.read(placed)).serial}"
