"""Money of the world in a real browser: seen in one currency, priced in another, paid, returned."""

import asyncio
import re

import pyotp
import pytest
from tests.e2e.buyer import CONTACT, KEY
from tests.e2e.test_market import command, demo, go, join, see, write

__all__ = ["demo"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="session"),
]

DESK = {"viewport": {"width": 1440, "height": 900}}
GOODS = "Origami PDF"  # Priced in dollars: 8.49 a year.
PRICE_MINOR = 849


async def choose_currency(page, code: str) -> None:
    """Choose the currency that prices are shown in."""
    await page.locator("summary", has_text="Currency").click()
    await page.get_by_role("link", name=code).click()


async def take_office(page, link: str) -> None:
    """Join as an operator, and set the second factor up."""
    await join(page, link, "Ann")
    await page.wait_for_url("**/console/factor")
    await page.get_by_text("It cannot scan?").click()
    secret = (await page.locator("#secret").inner_text()).replace(" ", "")
    await page.locator("#code").fill(pyotp.TOTP(secret).now())
    await page.get_by_role("button", name="Turn it on").click()
    await page.get_by_role("link", name="I have kept them").click()


async def wait_for_rates(page) -> None:
    """Look at the product until the rates have been read."""
    await see(page, page.locator("#rate"))


async def test_b6_dollars_are_paid_as_yuan_and_come_back_as_yuan(visit, demo):
    """What costs dollars is paid in yuan at a fixed rate; half, then all of the yuan come back."""
    buyer = await (await visit("en-US", **DESK)).enter()
    page = buyer.page
    await buyer.open_product(GOODS)
    await wait_for_rates(page)
    total = await page.locator("[data-total]").inner_text()
    told = await page.locator("#rate").inner_text()
    await buyer.write("contact", CONTACT)
    await buyer.tap("buy")
    await page.wait_for_url("**/alipay/cashier/**")
    cashier = await page.inner_text("main")
    await buyer.confirm()
    key = await buyer.read_key()
    [serial] = re.findall(r"/orders/([0-9A-Z]{26})", page.url)
    summary = await page.locator("aside").inner_text()

    assert KEY.fullmatch(key)
    assert total.startswith("CN¥")
    assert total.removeprefix("CN¥") in cashier
    assert "1 USD = 6.65288 CNY" in told
    assert "$8.49" in summary
    assert total in summary

    desk = await (await visit("en-US", **DESK)).enter()
    office = desk.page
    link = re.search(r"http://\S+/join/[\w-]+", demo.told)[0]
    await take_office(office, link)
    await go(office, "Foreign exchange")
    await office.get_by_text("CNY · USD").wait_for()
    exposure = await office.locator("section", has_text="Exposure").inner_text()
    await office.goto(f"{demo.url}/operator/orders/{serial}")
    for amount, reason in (("4.00", "The wrong one"), ("", "All of it")):
        await write(office, amount=amount, reason=reason)
        await office.get_by_role("button", name="Refund").click()
        await see(office, office.locator("tr", has_text=reason).get_by_text("Arrived"))
    refunds = await office.locator("section", has_text="Refunds").first.inner_text()
    await see(page, page.get_by_role("heading", name="Refunded"))
    ended = await page.inner_text("main")
    back = [each.replace(",", "") for each in re.findall(r"CN¥([\d.,]+) went back", ended)]
    audit = await asyncio.to_thread(command, demo, "audit")
    await go(office, "Foreign exchange")
    await office.get_by_role("heading", name="Exposure").wait_for()
    closed = await office.locator("section", has_text="Exposure").inner_text()

    assert "−$8.49" in exposure or "-$8.49" in exposure
    assert total in exposure
    assert "$4.00" in refunds
    assert total.removeprefix("CN¥") == back[0]
    assert {} == audit["findings"]
    assert "No exposure" in closed or "$0.00" in closed


async def test_prices_are_seen_in_the_currency_that_is_chosen(visit):
    """By hand: dollars for yuan and back, yen without places; the choice stays in the browser."""
    buyer = await (await visit("en-US", **DESK)).enter()
    page = buyer.page
    await buyer.open_product("Fogharbour")
    yuan = await page.locator("label.choice .amount").first.inner_text()
    await choose_currency(page, "USD")
    await see(page, page.locator("#rate"))
    dollars = await page.locator("label.choice").first.inner_text()
    await choose_currency(page, "JPY")
    yen = await page.locator("label.choice").first.inner_text()
    await page.goto(buyer.site)
    listed = await page.locator("#products").inner_text()
    await choose_currency(page, "CNY")
    back = await page.locator("#products").inner_text()

    assert "CN¥68.00" == yuan
    assert re.search(r"≈ \$10\.\d\d", dollars)
    assert re.search(r"≈ ¥1,\d{3}$", yen, re.MULTILINE)
    assert re.search(r"≈ ¥\d", listed)
    assert "CN¥68.00" in back
    assert "≈" not in back
