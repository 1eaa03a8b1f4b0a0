"""Habits: what was paid with last comes first, kept by the browser and by nobody else."""

import re

import pytest
from tests.web.test_pages import place

from vendrail.kernel.ids import from_serial


async def offered(browser) -> list[str]:
    """List the ways to pay on a product's page, top down."""
    home = await browser.get("/")
    page = await browser.get(re.search(r'href="(/products/\w{26})"', home.text)[1])
    return re.findall(r'name="method" value="(\w+)"', page.text)


def order_of(address: str):
    """Give the order of an address."""
    return from_serial(address.rsplit("/", 1)[1])


def capture(market, address: str, method: str) -> None:
    """Let the money of a way arrive."""
    order = order_of(address)
    [one] = [x for x in market.attempts.values() if (x.order, x.method) == (order, method)]
    market.captured.add(one.id)


async def open_way(browser, address: str, method: str) -> None:
    """Choose another way to pay on an order's page."""
    page = await browser.get(address)
    token = re.search(r'name="form_token" value="([^"]+)"', page.text)[1]
    answer = await browser.post(f"{address}/payments", data={"form_token": token, "method": method})
    assert 303 == answer.status_code


async def test_what_was_paid_with_is_first_the_next_time(browser, market):
    """The order's page teaches it, without a question to anybody; tried is not yet paid."""
    before = await offered(browser)
    address = await place(browser, "alipay_qr")
    tried = await offered(browser)
    market.deliver(order_of(address), "AAAA-BBBB")
    await browser.get(address)

    assert ["alipay", "alipay_qr"] == before == tried
    assert ["alipay_qr", "alipay"] == await offered(browser)
    assert "alipay_qr" == browser.cookies["vr_habit"]
    assert "vr_tried" not in browser.cookies


async def test_it_is_learned_though_nobody_came_back(browser, market):
    """Paid on the phone, with the page shut: the next product's page asks once, and knows."""
    address = await place(browser, "alipay_qr")
    capture(market, address, "alipay_qr")

    assert ["alipay_qr", "alipay"] == await offered(browser)
    assert "vr_tried" not in browser.cookies


async def test_of_several_ways_the_one_that_was_paid_counts(browser, market):
    """The mind was changed, and the abandoned way was paid after all."""
    address = await place(browser, "alipay_qr")
    await open_way(browser, address, "alipay")
    capture(market, address, "alipay_qr")
    market.deliver(order_of(address), "AAAA-BBBB")
    await browser.get(address)

    assert "alipay_qr" == browser.cookies["vr_habit"]
    assert ["alipay_qr", "alipay"] == await offered(browser)


@pytest.mark.parametrize(
    "cookie", ["vr_tried=x.alipay", "vr_tried=.", 'vr_habit="><script>', "vr_habit=card"]
)
async def test_a_cookie_of_nonsense_changes_nothing(browser, cookie):
    """Whatever a browser claims, the page is the page."""
    name, _, value = cookie.partition("=")
    browser.cookies.set(name, value)

    assert ["alipay", "alipay_qr"] == await offered(browser)
