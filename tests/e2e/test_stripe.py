"""Keys are bought by card and by code over Stripe in a real browser, and the money goes back."""

import asyncio
import subprocess
import sys
import time

import pytest
from tests.demo.conftest import clean_environment
from tests.e2e.buyer import KEY
from tests.e2e.scanner import scan

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
]

PRODUCT = "Celadon Shield"
WORDS = {
    "en-US": {
        "pay": "Pay",
        "yes": "Complete",
        "authorize": "Authorize test payment",
        "refunded": "Refunded",
    },
    "zh-CN": {
        "pay": "支付",
        "yes": "通过",
        "authorize": "授权测试付款",
        "refunded": "已退款",
    },
}


async def open_product(buyer) -> None:
    """Open a product of Singapore's, and see and pay its price in the currency it has there."""
    await buyer.open_product(PRODUCT)
    way = await buyer.page.locator('a[href^="/currency/SGD"]').get_attribute("href")
    await buyer.page.goto(buyer.site + way)


async def type_card(buyer, number: str) -> None:
    """Type a card on Stripe's page, and pay."""
    for name, text in (("number", number), ("expiry", "12/30"), ("cvc", "123")):
        await buyer.page.locator(f"label input[name={name}]").fill(text)
    await buyer.page.locator("form.fields button").click()


async def give_back(demo, serial: str, amount: str) -> None:
    """Give money back at the command line."""
    words = [serial, "--amount", amount, "--reason", "dead key", "--yes"]
    told = await asyncio.to_thread(
        subprocess.run,
        [
            sys.executable,
            "-m",
            "vendrail.app",
            "--home",
            str(demo.home),
            "orders",
            "refund",
            *words,
        ],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == told.returncode, told.stdout + told.stderr


async def see(page, text: str) -> None:
    """Look at a page again until something is on it."""
    due = time.monotonic() + 20
    while not await page.get_by_text(text).count():
        assert time.monotonic() < due, await page.inner_text("main")
        await page.wait_for_timeout(250)
        await page.reload()


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
async def test_a_key_is_bought_by_card_and_its_money_goes_back(visit, demo, language):
    """A card is declined, the next asks its bank, the key is there; then all of it goes back."""
    browser = await visit(language)
    buyer = await browser.enter()
    await open_product(buyer)
    serial = await buyer.place("by card")
    await type_card(buyer, "4000 0000 0000 9995")
    await buyer.page.get_by_role("alert").wait_for()
    checkout = buyer.page.url
    await type_card(buyer, "4000 0027 6000 3184")
    await buyer.page.wait_for_url("**/stripe/3ds/**")
    await buyer.page.get_by_role("button", name=WORDS[language]["yes"]).click()
    key = await buyer.read_key()
    address = buyer.page.url
    await give_back(demo, serial, "12.90")
    page = await browser.context.new_page()
    await page.goto(checkout)
    await see(page, WORDS[language]["refunded"])

    assert KEY.fullmatch(key)
    assert address.startswith(f"{buyer.site}/orders/{serial}")
    assert "key=" not in address
    # A declined page is answered with 402, as Stripe's own is: the browser notes that, and no more.
    assert all("402" in each for each in browser.complaints)


async def test_a_code_of_paynow_brings_the_key_to_the_waiting_page(visit):
    """A phone scans the code and pays; the page that waits shows the key by itself."""
    desk = await visit("en-US", viewport={"width": 1440, "height": 900})
    waiting, phone = await desk.enter(), await (await visit("en-US")).enter()
    await open_product(waiting)
    await waiting.place("by paynow")
    code = waiting.page.get_by_role("img", name=waiting.words["code"])
    address = await scan(code, phone.page)
    assert "/stripe/qr/" in address
    await phone.page.goto(address)
    await phone.tap(WORDS["en-US"]["authorize"])
    key = await waiting.read_key()

    assert KEY.fullmatch(key)
    assert [] == desk.complaints
