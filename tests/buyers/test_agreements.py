"""Agreements over real services and the emulated Alipay: agreed once, then one click and a look."""

import asyncio
import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import async_playwright
from tests.buyers.shop import Shop
from tests.buyers.test_one_click import buttons, clock, look, one_click
from tests.buyers.test_wallet_looks import Looks
from tests.e2e.scanner import scan
from tests.payments.conftest import alipay_home, alipay_server, channel_of, make_key
from tests.web.test_browser import CHROMIUM, FLAGS, free_port, served

from vendrail.kernel.codec import decode
from vendrail.kernel.http import Edge
from vendrail.kernel.ids import from_serial
from vendrail.payments.attempts import out_trade_no

__all__ = ["alipay_home", "alipay_server", "clock"]

PHONE = {"user-agent": "Mozilla/5.0 (iPhone) Mobile Safari"}


class Agreed(Shop):
    """A shop whose Alipay account was granted agreements."""

    def __init__(self, market, alipay, **more) -> None:
        super().__init__(market, **more)
        self.alipay = alipay
        private, public = make_key()
        body = {"public_key_pem": public, "has_withholding": True, "name": "Star shop"}
        self.merchant = alipay.post("/sandbox/apps", body)
        self.channel = channel_of((self.merchant, private), alipay.url, "alipay-agreed")
        self.channel.settings["agreement_scene"] = "INDUSTRY|DIGITAL_MEDIA"

    async def sign(self, url: str) -> str:
        """Let the buyer agree on the provider's page; give our number of it."""
        if url.startswith("alipays://"):
            url = parse_qs(urlsplit(url).query)["url"][0]
        content = parse_qs(urlsplit(url).query)["biz_content"][0]
        number = decode(content.encode(), dict[str, object])["external_agreement_no"]
        await asyncio.to_thread(self.alipay.open, url)
        await asyncio.to_thread(self.act, number, status="NORMAL")
        self.market.clock.advance(6)
        return str(number)

    def act(self, number: str, **how) -> dict:
        """Let the buyer do something with an agreement."""
        body = {"app_id": self.merchant["app_id"], "external_agreement_no": number, **how}
        return self.alipay.post("/sandbox/alipay/agreements", body)

    async def charged(self, serial: str) -> list[int]:
        """Give what the provider took for an order, by all its attempts."""
        order = from_serial(serial)
        [views] = await self.market.payments.read_attempts([order])
        known = [
            self.alipay.trade(self.merchant["app_id"], out_trade_no(order, each.attempt.number))
            for each in views
        ]
        return [each["total_minor"] for each in known if each.get("paid_at")]


@pytest.fixture
async def agreed(market, alipay_server):
    """The shop, with a product on sale."""
    await market.offer("GAME", keys=20)
    alipay_server.clear()
    made = Agreed(market, alipay_server)
    assert ["created"] == await market.payments.put_channels([made.channel])
    yield made
    await made.close()
    alipay_server.clear()


async def agree(agreed, browser) -> str:
    """Sign in on a phone, and agree from the account's page; give our number of it."""
    browser.http.headers.update(PHONE)
    await browser.sign_in()
    await browser.go("/account")
    href = re.search(r'href="(/account/agreements/alipay[^"]*)"', browser.page.text)[1]
    await browser.go(unescape(href))
    url = unescape(re.search(r'href="(alipays://[^"]+)"', browser.page.text)[1])
    number = await agreed.sign(url)
    await browser.go("/account")
    return number


async def test_b3_agreed_once_one_click_and_a_look_buy_the_key(agreed):
    """Nothing is a way before it was signed; then it is on the product's page, and pays."""
    browser = agreed.browser()
    browser.http.headers.update(PHONE)
    await browser.sign_in()
    fields = await look(browser)
    href = unescape(re.search(r'href="(/account/agreements/[^"]+)"', browser.page.text)[1])
    await browser.go(href)
    url = unescape(re.search(r'href="(alipays://[^"]+)"', browser.page.text)[1])
    news = unescape(re.search(r'hx-get="([^"]+)"', browser.page.text)[1])
    silent = await browser.http.get(news)
    await browser.go(f"{href}&asked=1")
    unsigned = browser.text
    await agreed.sign(url)
    told = await browser.http.get(news)
    await browser.go(f"{href}&asked=1")
    onto = browser.path
    serial = await one_click(browser)
    await agreed.market.run()
    await browser.go(f"/orders/{serial}")

    assert "does not say that you have agreed yet" in unsigned
    assert (204, 200) == (silent.status_code, told.status_code)
    assert f"/products/{fields['product']}" == onto == told.headers["hx-redirect"]
    assert "Here is your key" in browser.text
    assert [1_990] == await agreed.charged(serial)


async def test_an_agreement_is_shown_and_ended_on_the_account(agreed):
    """It is there under its account's name, removed it is on no page, and unsigned there."""
    browser = agreed.browser()
    number = await agree(agreed, browser)
    shown, signed = browser.text, agreed.act(number)
    await browser.send("/account/saved", saved=browser.field("saved"))
    await agreed.market.house.services["payments"].forget_ways()
    await look(browser)

    assert "an***@example.com" == signed["logon_id"]
    assert "Alipay san***@vendrail.test" in shown
    assert "Agree once with Alipay" in browser.text
    assert [] == buttons(browser)
    with pytest.raises(AssertionError, match="is UNSIGN"):
        agreed.act(number, status="NORMAL")


async def test_a_refusal_leads_back_to_the_orders_page(agreed):
    """Nothing is charged, the page says so, and the order is paid another way."""
    browser = agreed.browser()
    number = await agree(agreed, browser)
    agreed.act(number, is_watched=True)
    serial = await one_click(browser)
    text, path = browser.text, browser.path
    await browser.send(f"/orders/{serial}/payments", method="alipay")

    assert f"/orders/{serial}" == path
    assert "The last try did not go through, and nothing was charged" in text
    assert [] == await agreed.charged(serial)
    assert "Continue to Alipay" in browser.text


async def test_nobody_agrees_for_somebody_else(agreed):
    """A guest is asked who they are, and one buyer's way is no button of another's."""
    guest, ann, eve = (agreed.browser(f"10.0.0.{n}") for n in (1, 2, 3))
    await agree(agreed, ann)
    await guest.go("/account/agreements/alipay")
    at = guest.path
    await eve.sign_in("eve@example.com")
    await look(eve)
    news = await eve.http.get("/account/agreements/alipay/news")

    assert "/account/sign-in" == at
    assert [] == buttons(eve)
    assert 204 == news.status_code


async def test_where_nothing_was_granted_the_page_leads_away(agreed):
    """An unknown way, and a foreign address to go to, open nothing."""
    browser = agreed.browser()
    await browser.sign_in()
    unknown = await browser.http.get(
        "/account/agreements/card?next=//evil.example/", follow_redirects=False
    )

    assert 303 == unknown.status_code
    assert "evil" not in unknown.headers["location"]


@pytest.mark.browser
@pytest.mark.timeout(240)
@pytest.mark.parametrize("language, scheme", [("zh-CN", "light"), ("en-US", "dark")])
async def test_a_buyer_agrees_by_clicks(agreed, language, scheme):
    """From the account to the code, which is scanned; the page notices, and then one click buys."""
    site = f"http://127.0.0.1:{(port := free_port())}"
    browser = agreed.browser()
    await browser.sign_in()
    async with served(Edge(agreed.app), port), async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await chromium.new_context(
            locale=language,
            color_scheme=scheme,
            bypass_csp=True,
            reduced_motion="reduce",
            device_scale_factor=3,  # A phone's eye is as sharp, and the code is a long one.
        )
        await context.add_cookies(
            [
                {"name": each.name, "value": each.value, "url": site}
                for each in browser.http.cookies.jar
                if each.name != "language"
            ]
        )
        page, lens = await context.new_page(), await context.new_page()
        looks = Looks(page, scheme)
        await page.goto(f"{site}/account")
        await looks.look("account without a way")
        await page.click('a[href="/account/agreements/alipay"]')
        code = page.locator('main [role="img"]')
        await code.wait_for()
        await looks.look("code")
        await page.click("a[href$='asked=1']")
        await looks.look("not agreed yet")
        await agreed.sign(await scan(code, lens))
        await page.wait_for_url(f"{site}/account", timeout=30_000)
        await looks.look("account with a way")
        await page.goto(site)
        await page.click('a[href^="/products/"]')
        await page.click('button[name="saved"]')
        await looks.look("confirmation")
        await page.click('form[action="/orders"] button[type="submit"]')
        await page.wait_for_url("**/orders/*")
        await agreed.market.run()
        await page.goto(page.url)
        await looks.look("bought")
        serial = urlsplit(page.url).path.rpartition("/")[2]
        await chromium.close()

    assert [] == looks.complaints
    assert [1_990] == await agreed.charged(serial)
