"""Each way to pay of the demo sells a key in a real browser, and gives back where it can."""

import asyncio
import subprocess
import sys
import time

import pytest
from tests.demo.conftest import clean_environment
from tests.e2e.buyer import CASHIERS, KEY
from tests.e2e.test_stripe import see

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
]


async def _refund(demo, serial: str) -> subprocess.CompletedProcess[str]:
    """Give ten yuan back at the command line."""
    command = [sys.executable, "-m", "vendrail.app", "--home", str(demo.home), "orders", "refund"]
    words = [serial, "--amount", "10.00", "--reason", "a kindness", "--yes"]
    return await asyncio.to_thread(
        subprocess.run,
        [*command, *words],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("way", ["by wechat", "by qq"], ids=["md5", "rsa"])
async def test_both_versions_of_a_protocol_sell_and_give_back(visit, demo, way):
    """Who pays over Epay, by its first version or by RSA, reads the key; a part goes back."""
    browser = await visit("en-US")
    buyer = await browser.enter()
    await buyer.open_product()
    serial = await buyer.place(way)
    await buyer.confirm()
    key = await buyer.read_key()
    told = await _refund(demo, serial)
    assert 0 == told.returncode, told.stdout + told.stderr
    await see(buyer.page, "CN¥10.00 went back the way it came.")

    assert KEY.fullmatch(key)
    assert key == await buyer.read_key()
    assert [] == browser.complaints


async def test_coins_sell_a_key(visit, demo):
    """Who pays in USDT reads the key; a refund, which no server sends, waits for a person."""
    browser = await visit("en-US")
    buyer = await browser.enter()
    await buyer.open_product()
    serial = await buyer.place("USDT")
    assert "USDT" in await buyer.page.inner_text("main")
    await buyer.confirm()
    key = await buyer.read_key()
    await _refund(demo, serial)
    await see(buyer.page, "The provider refused; a person takes care of it.")

    assert KEY.fullmatch(key)
    assert buyer.page.url.startswith(f"{buyer.site}/orders/{serial}")
    assert [] == browser.complaints


async def test_the_way_that_was_paid_last_is_first_next_time(visit):
    """What was paid with is on top then, and chosen; a way that was only begun is not."""
    browser = await visit("en-US")
    buyer = await browser.enter()

    async def first() -> str:
        """Say which way is on top of a product's page, and chosen."""
        await buyer.open_product()
        top = buyer.page.locator("input[name=method]").first
        assert await top.is_checked()
        return await top.get_attribute("value") or ""

    fresh = await first()  # By what routing has learned of other buyers.
    way, other = ("USDT", "by qq") if fresh == "qqpay" else ("by qq", "USDT")
    await buyer.place(way)
    await buyer.confirm()
    await buyer.read_key()
    paid = await first()
    await buyer.place(other)
    begun = await first()

    assert fresh != paid
    assert paid == begun
    assert [] == browser.complaints


async def test_five_ways_begun_and_two_of_them_paid_deliver_once_and_refund_once(visit):
    """A buyer who changes the mind four times and pays two abandoned ways has one key, one bill."""
    browser = await visit("zh-CN")
    first = await browser.enter()
    await first.open_product()
    serial = await first.place("by page")
    cashier = first.page.url
    tabs = {}
    for way in ("by wechat", "by qq", "USDT", "by code"):
        tab = tabs[way] = await browser.enter()
        await tab.page.goto(f"{tab.site}/orders/{serial}")
        await tab.choose(way)
        await tab.tap("use")
        if way in CASHIERS:
            await tab.page.wait_for_url(CASHIERS[way])
        else:
            await tab.page.get_by_role("img", name=tab.words["code"]).wait_for()
    await tabs["by qq"].confirm()
    key = await tabs["by qq"].read_key()
    await first.confirm()
    await first.page.goto(cashier)
    due = time.monotonic() + 30
    while not await first.page.get_by_text("已全额退款").count():
        assert time.monotonic() < due, await first.page.inner_text("main")
        await first.page.wait_for_timeout(250)
        await first.page.reload()
    waiting = tabs["by code"]
    await waiting.page.reload()

    assert key == await waiting.read_key()
    assert 1 == await waiting.keys.count()
