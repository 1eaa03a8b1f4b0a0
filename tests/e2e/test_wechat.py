"""WeChat Pay in a real browser: a code on a desk, a page on a phone, inside WeChat and Alipay."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from tests.demo.conftest import clean_environment
from tests.e2e.buyer import CONTACT, KEY
from tests.e2e.scanner import scan

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
]

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
INSIDE = f"{PHONE} MicroMessenger/8.0.60"
INSIDE_ALIPAY = f"{PHONE} AlipayClient/10.7.80"

# What WeChat puts into pages that it opens: it hands what is to be paid to its own wallet.
BRIDGE = """window.WeixinJSBridge = {
  invoke: (name, fields, done) => window.wallet(name, JSON.stringify(fields)).then(
    (said) => done({ err_msg: `get_brand_wcpay_request:${said}` })
  ),
};"""


async def command(demo, *words: str) -> str:
    """Do something at the command line, as an operator; give what is printed."""
    told = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "vendrail.app", "--home", str(demo.home), *words],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == told.returncode, told.stdout + told.stderr
    return told.stdout


@pytest_asyncio.fixture(loop_scope="session")
async def alone(demo) -> AsyncIterator[None]:
    """Only Alipay and WeChat Pay are offered while the test runs."""
    known = json.loads(await command(demo, "channels", "list", "--json"))
    names = [each["name"] for each in known if each["is_active"]]
    others = [name for name in names if name not in {"alipay", "wechat"}]
    for name in others:
        await command(demo, "channels", "disable", name, "--reason", "a test of another")
    yield
    for name in others:
        await command(demo, "channels", "enable", name, "--reason", "the test is over")


async def test_a_code_is_scanned_paid_and_given_back(visit, demo):
    """A key is sold over the code on the screen, and all of the money goes back."""
    desk = await visit("en-US", viewport={"width": 1440, "height": 900})
    waiting = await desk.enter()
    phone = await (await visit("zh-CN")).enter()
    await waiting.open_product()
    serial = await waiting.place("by wechat code")
    address = await scan(waiting.page.get_by_role("img", name=waiting.words["code"]), phone.page)
    await phone.page.goto(address)
    await phone.confirm()
    key = await waiting.read_key()
    await command(demo, "orders", "refund", serial, "--reason", "a dead key", "--yes")
    due = time.monotonic() + 20
    while not await phone.page.get_by_text("已全额退款").count():
        assert time.monotonic() < due, await phone.page.inner_text("main")
        await phone.page.wait_for_timeout(250)
        await phone.page.reload()

    assert "/wechat/pay/" in address
    assert KEY.fullmatch(key)
    assert [] == desk.complaints


@pytest.mark.usefixtures("alone")
async def test_a_page_opens_on_a_phone_and_comes_back(visit):
    """On a phone WeChat's page opens, and leads back to the key."""
    browser = await visit("zh-CN", user_agent=PHONE, is_mobile=True, has_touch=True)
    buyer = await browser.enter()
    await buyer.open_product()
    await buyer.write("contact", CONTACT)
    await buyer.choose("by wechat")
    await buyer.tap("buy")
    await buyer.page.wait_for_url("**/wechat/pay/**")
    await buyer.confirm()

    assert KEY.fullmatch(await buyer.read_key())
    assert buyer.page.url.startswith(f"{buyer.site}/orders/")
    assert [] == browser.complaints


@pytest.mark.usefixtures("alone")
async def test_inside_wechat_the_wallet_opens_over_the_page(visit, demo):
    """Inside WeChat one way is offered: its wallet takes what we signed, and the key shows."""
    browser = await visit("zh-CN", user_agent=INSIDE, is_mobile=True, has_touch=True)
    handed: list[tuple[str, dict]] = []

    async def wallet(name: str, fields: str) -> str:
        handed.append((name, json.loads(fields)))
        async with httpx.AsyncClient(base_url=demo.sandbox_url, trust_env=False) as person:
            said = (await person.post("/wechat/bridge", content=fields)).json()
            if "pay_url" not in said:
                return "fail"
            await person.post(f"{said['pay_url']}/pay")
        return "ok"

    await browser.context.expose_function("wallet", wallet)
    await browser.context.add_init_script(BRIDGE)
    buyer = await browser.enter()
    await buyer.open_product()
    offered = await buyer.page.locator("input[name=method]").evaluate_all(
        "all => all.map(each => each.value)"
    )
    await buyer.write("contact", CONTACT)
    await buyer.tap("buy")
    key = await buyer.read_key()

    assert ["wechat"] == offered
    assert KEY.fullmatch(key)
    assert ["getBrandWCPayRequest"] == [name for name, _ in handed]
    assert buyer.page.url.startswith(f"{buyer.site}/orders/")
    assert [] == browser.complaints


async def test_inside_alipay_its_own_page_is_offered(visit):
    """Inside Alipay nothing of WeChat's is offered, and no code; Alipay's page sells the key."""
    browser = await visit("zh-CN", user_agent=INSIDE_ALIPAY, is_mobile=True, has_touch=True)
    buyer = await browser.enter()
    await buyer.open_product()
    offered = await buyer.page.locator("input[name=method]").evaluate_all(
        "all => all.map(each => each.value)"
    )
    await buyer.place("by page")
    await buyer.confirm()

    assert "alipay" in offered
    assert not {"alipay_qr", "wechat", "wechat_qr"} & set(offered)
    assert KEY.fullmatch(await buyer.read_key())
    assert [] == browser.complaints
