"""One market day in a real browser: operator, merchant and buyer, each at their own screen."""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pyotp
import pytest
from playwright.async_api import Locator, Page
from tests.demo.conftest import RunningDemo, clean_environment, free_port
from tests.e2e.scanner import scan

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="session"),
]

DESK = {"viewport": {"width": 1440, "height": 900}}
PASSWORD = "a quiet lake at dawn"
GAME = "The Tide Clock"
KEYS = [f"TIDE-{number:04d}-{number * 7919 % 10_000:04d}" for number in range(1_000)]
AGAIN = 3
SLOW_BYTES_PER_S = 20_000
PATIENCE_S = 30


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """A marketplace of its own: what is sold here shows on no page that others look at."""
    home = tmp_path_factory.mktemp("market") / "home"
    demo = RunningDemo(home, free_port(), VENDRAIL_WEB_PROOF_NUMBERS_MAX="0")
    try:
        demo.wait_open()
        yield demo
        demo.stop()
    finally:
        demo.kill()


def command(demo: RunningDemo, *words: str) -> Any:
    """Run a command on the demo's home; give its object."""
    told = subprocess.run(
        [sys.executable, "-m", "vendrail.app", "--home", str(demo.home), *words, "--json"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stdout, told.stderr
    return json.loads(told.stdout.splitlines()[-1])


class Provider:
    """The emulated provider, by the door that only who owns its folder may use."""

    def __init__(self, demo: RunningDemo, http: httpx.Client) -> None:
        self._demo, self._http = demo, http
        self._app = self._http.get("apps").json()["apps"][0]["app_id"]

    def take_money(self, number: str, amount: str) -> None:
        """Take money that names an order nobody knows, and tell the platform."""
        trade = {"out_trade_no": number, "total_amount": amount}
        wanted = {"app_id": self._app, "trades": [trade]}
        signed = self._http.post("alipay/sign-notifications", json=wanted).json()
        channels = command(self._demo, "channels", "list")
        [channel] = [each for each in channels if each["kind"] == "alipay"]
        answer = httpx.post(
            f"{self._demo.url}/callbacks/{channel['id']}",
            content=signed["notifications"][0]["body"],
            headers={"content-type": "application/x-www-form-urlencoded"},
            trust_env=False,
        )
        assert "success" == answer.text

    def refuse_refund(self, number: str) -> None:
        """Refuse the next refund of a payment."""
        fault = {
            "kind": "business_error",
            "count": 1,
            "match": {"out_trade_no": number, "method": "alipay.trade.refund"},
            "params": {"sub_code": "ACQ.TRADE_NOT_ALLOW_REFUND"},
        }
        assert self._http.post("faults", json=fault).is_success


@pytest.fixture
def provider(demo: RunningDemo) -> Iterator[Provider]:
    """The demo's provider."""
    token = (demo.home / "sandbox/control-token").read_text().strip()
    headers = {"authorization": f"Bearer {token}"}
    address = f"{demo.sandbox_url}/sandbox/"
    with httpx.Client(base_url=address, headers=headers, trust_env=False) as http:
        yield Provider(demo, http)


async def see(page: Page, wanted: Locator) -> None:
    """Look at a page again until something shows on it, as a person does."""
    due = time.monotonic() + PATIENCE_S
    while not await wanted.count():
        assert time.monotonic() < due, await page.inner_text("main")
        await page.wait_for_timeout(250)
        await page.reload()


async def go(page: Page, name: str) -> None:
    """Go to a page of the console by its row."""
    main = page.get_by_role("navigation", name="Main")
    await main.get_by_role("link", name=name, exact=True).click()


async def write(page: Page, **fields: str) -> None:
    """Fill in fields by their ids."""
    for name, text in fields.items():
        await page.locator(f"#{name}").fill(text)


async def join(page: Page, link: str, name: str) -> None:
    """Follow an invitation."""
    await page.goto(link)
    await write(page, name=name, password=PASSWORD, again=PASSWORD)
    await page.get_by_role("button", name="Join").click()


async def take_office(page: Page, link: str) -> None:
    """Join as an operator, set the second factor up, and sign in anew with it."""
    await join(page, link, "Ann")
    await page.wait_for_url("**/console/factor")
    await page.get_by_text("It cannot scan?").click()
    secret = (await page.locator("#secret").inner_text()).replace(" ", "")
    await page.locator("#code").fill(pyotp.TOTP(secret).now())
    await page.get_by_role("button", name="Turn it on").click()
    await page.get_by_role("link", name="I have kept them").click()
    await page.get_by_role("button", name="Sign out").click()
    await page.wait_for_url("**/console/sign-in")
    await write(page, email="ann@rail.example", password=PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/console/code")
    # A code is good once: the one of now was used above, the next is taken as well.
    await page.locator("#code").fill(pyotp.TOTP(secret).generate_otp(int(time.time()) // 30 + 1))
    await page.get_by_role("button", name="Continue").click()
    await page.wait_for_url("**/operator")


async def invite_merchant(page: Page) -> str:
    """Invite a merchant; give the link that is shown once."""
    await go(page, "Merchants")
    await write(page, name="Tidewater", email="owner@tide.example")
    await page.get_by_role("button", name="Invite").click()
    return await page.locator("#link").inner_text()


async def open_shop(page: Page) -> None:
    """Open the shop, and make the first product."""
    await go(page, "Shop")
    await write(page, name="Tidewater Games", address="tidewater", contact="help@tide.example")
    await page.get_by_role("button", name="Open the shop").click()
    await page.get_by_text("Saved.").wait_for()
    await go(page, "Products")
    await page.get_by_role("link", name="New product").click()
    await write(page, title=GAME, sku="TIDE-1", price_CNY="25.00")
    await page.get_by_role("button", name="Make a draft").click()
    await page.get_by_role("heading", name=GAME).wait_for()


async def take_keys_in(page: Page) -> str:
    """Upload the keys, some of them twice, over a slow line; give what the report says."""
    await page.get_by_role("link", name="Stock").click()
    line = await page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1}
    await line.send("Network.enable")
    await line.send(
        "Network.emulateNetworkConditions", {**slow, "uploadThroughput": SLOW_BYTES_PER_S}
    )
    text = "\n".join([*KEYS, *KEYS[:AGAIN]]).encode()
    file = {"name": "keys.txt", "mimeType": "text/plain", "buffer": text}
    await page.locator("#file").set_input_files(file)
    await page.get_by_role("button", name="Take in").click()
    await page.get_by_role("progressbar", name="Progress").wait_for()
    report = page.get_by_role("status")
    await report.wait_for()
    await line.detach()
    await page.get_by_text("Which lines").click()
    return await report.inner_text()


async def put_on_sale(page: Page) -> None:
    """Put the product on sale."""
    await page.get_by_role("link", name=GAME).click()
    await page.get_by_role("button", name="Put on sale").click()
    await page.get_by_role("button", name="Pause").wait_for()


async def give_half_back(page: Page, serial: str) -> None:
    """Find the order and give half of its price back."""
    await go(page, "Orders")
    await page.locator("#q").fill(serial)
    await page.get_by_role("button", name="Search").click()
    await page.locator(f"a[href='/merchant/orders/{serial}']").click()
    await page.get_by_label("A part", exact=True).check()
    await write(page, amount="12.50", reason="The second half never came")
    await page.get_by_role("button", name="Refund").click()
    await see(page, page.get_by_text("Arrived"))


async def match_money(page: Page, serial: str) -> None:
    """Say for which order money was that fits nothing."""
    await go(page, "Unmatched")
    await see(page, page.get_by_text("The order is unknown"))
    await page.locator("main table a").first.click()
    await page.locator(f"input[value='{serial}']").check()
    await page.locator("#reason").fill("The buyer sent a picture of the payment")
    await page.get_by_role("button", name="Fill the order with it").first.click()
    await page.get_by_text("The order goes on by itself").wait_for()


async def let_it_look_again(page: Page, order: str) -> None:
    """Find what is stuck, read why, and let it look again."""
    await go(page, "Stuck orders")
    await see(page, page.get_by_text("The provider refused to give the money back"))
    await page.locator("main table a").first.click()
    await page.locator("#serial").get_by_text(order).wait_for()
    await page.locator("#reason").fill("The provider has thawed the payment")
    await page.get_by_role("button", name="Let it look again now").click()
    await page.get_by_text("It looks again now").wait_for()
    await see(page, page.get_by_text("Nothing waits"))


async def test_a_market_day_from_invitation_to_a_clean_audit(visit, demo, provider):
    """Keys sold, half given back, money matched, a stuck order retried: and the books hold."""
    visits = [await visit("en-US", **DESK), await visit("en-US", **DESK), await visit("en-US")]
    operator, merchant, buyer = [await each.enter() for each in visits]

    # The operator takes office and lets a merchant in; the merchant opens shop.
    words = ("create-operator", "--email", "ann@rail.example")
    invited = await asyncio.to_thread(command, demo, *words)
    await take_office(operator.page, invited["link"])
    await join(merchant.page, await invite_merchant(operator.page), "Olga")
    await open_shop(merchant.page)
    report = await take_keys_in(merchant.page)
    assert "1,000 of 1,003 lines are keys now." in report
    assert "known already 3" in report
    assert "1001, 1002, 1003" in report
    await put_on_sale(merchant.page)

    # A buyer buys one at each provider.
    bought = {}
    for way in ("by wechat", "by page"):
        await buyer.open_product(GAME)
        serial = await buyer.place(way)
        await buyer.confirm()
        bought[serial] = await buyer.read_key()
    assert 2 == len(set(bought.values()) & set(KEYS))

    # The merchant gives half of one back, and the buyer sees it.
    first, _ = bought
    await give_half_back(merchant.page, first)
    await buyer.page.goto(f"{buyer.site}/orders/{first}")
    await buyer.page.get_by_text("CN¥12.50").first.wait_for()

    # Money comes under a number that nobody knows; the operator says for which order it is.
    await buyer.open_product(GAME)
    third = await buyer.place("by code")
    await asyncio.to_thread(provider.take_money, "BYHAND1", "25.00")
    await match_money(operator.page, third)
    assert await buyer.read_key() in KEYS

    # An order is paid twice, and the provider will not take the second payment back at first.
    await buyer.open_product(GAME)
    fourth = await buyer.place("by page")
    order = await visits[2].enter()
    await order.page.goto(f"{buyer.site}/orders/{fourth}")
    await order.choose("by code")
    await order.tap("use")
    code = order.page.get_by_role("img", name=order.words["code"])
    phone = await visits[2].enter()
    await phone.page.goto(await scan(code, phone.page))
    number = re.search(rf"{fourth}\d\d", await phone.page.content())[0]
    await asyncio.to_thread(provider.refuse_refund, number)
    await buyer.confirm()
    assert await buyer.read_key() in KEYS
    await phone.confirm()
    await let_it_look_again(operator.page, fourth)
    await see(phone.page, phone.page.get_by_text("已全额退款"))

    # Everything adds up, and nobody's browser complained.
    audit = await asyncio.to_thread(command, demo, "audit")
    assert audit["ok"], audit
    assert {} == audit["findings"]
    assert 0 < min(audit["counts"].values()), audit["counts"]
    assert [] == [each for visit in visits for each in visit.complaints]
