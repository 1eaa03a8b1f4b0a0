"""A buyer who cannot decide: five ways to pay are opened, two of those left behind are paid."""

import time

import pytest
from tests.e2e.buyer import KEY
from tests.e2e.scanner import scan

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
]


async def test_x9_five_ways_opened_two_of_them_paid(visit):
    """X9, B2: whichever is paid first brings one key; the second payment goes back whole, once."""
    browser = await visit("en-US")
    first, order = await browser.enter(), await browser.enter()
    phones = [await browser.enter(), await browser.enter()]
    await first.open_product()
    serial = await first.place("by page")
    address = f"{order.site}/orders/{serial}"
    for way, phone in zip(("by code", "by wechat code"), phones, strict=True):
        await order.page.goto(address)
        await order.choose(way)
        await order.tap("use")
        code = order.page.get_by_role("img", name=order.words["code"])
        await code.wait_for()
        await phone.page.goto(await scan(code, phone.page))
    for way, place in (("USDT", "**/epusdt/pay/**"), ("QQ钱包", "**/epay2/pay/**")):
        await order.page.goto(address)
        await order.choose(way)
        await order.tap("use")
        await order.page.wait_for_url(place)
    cashier = first.page.url
    await phones[1].confirm()
    await order.page.goto(address)
    key = await order.read_key()
    await first.confirm()
    assert key == await first.read_key()
    due = time.monotonic() + 20
    await first.page.goto(cashier)
    while not await first.page.get_by_text("已全额退款").count():
        assert time.monotonic() < due, await first.page.inner_text("main")
        await first.page.wait_for_timeout(250)
        await first.page.reload()
    await phones[1].page.reload()
    await order.page.reload()

    assert KEY.fullmatch(key)
    assert (key, 1) == (await order.read_key(), await order.keys.count())
    assert 0 == await phones[1].page.get_by_text("退款").count()
