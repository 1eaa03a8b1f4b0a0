"""A buyer's wallet in a real browser: filled, spent whole and in part, and refunded into."""

import asyncio
import re
import time

import httpx
import pytest
from tests.e2e.buyer import KEY
from tests.e2e.test_currencies import take_office
from tests.e2e.test_market import command, demo, see, write
from tests.e2e.test_one_click import sign_in

__all__ = ["demo"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="session"),
]

DESK = {"viewport": {"width": 1440, "height": 900}}
CONTACT = "saver@example.com"
GAME = "Fogharbour"  # 68.00; after one of them 32.00 is left of the hundred.
WALLET = "/account/wallet"


async def read_balance(page, site: str) -> str:
    """Read what is in the wallet."""
    await page.goto(f"{site}{WALLET}")
    return await page.locator("[aria-labelledby=balance-title] .amount").inner_text()


async def see_balance(page, site: str, wanted: str) -> None:
    """Look at the wallet until so much is in it."""
    due = time.monotonic() + 30
    while wanted != (told := await read_balance(page, site)):
        assert time.monotonic() < due, told
        await page.wait_for_timeout(250)


async def read_statement(page, site: str) -> list[tuple[str, int, int]]:
    """Read every movement: what it was, how much in minor units, and what was there then."""
    await page.goto(f"{site}{WALLET}")
    told = []
    for each in await page.locator("[aria-labelledby=statement-title] li").all():
        name, amount, _, then = await each.locator("> span").all_inner_texts()
        told.append((name, _minor(amount), _minor(then)))
    return told


def _minor(text: str) -> int:
    digits = int("".join(re.findall(r"\d", text)))
    return -digits if re.search(r"[-\u2212]", text) else digits  # A hyphen, or a minus sign.


async def top_up(buyer, amount: str) -> str:
    """Put money into the wallet at the emulated Alipay; give the top-up's number."""
    page = buyer.page
    await page.goto(f"{buyer.site}{WALLET}")
    await write(page, amount=amount)
    await buyer.choose("by page")
    await buyer.tap("Top up")
    await page.wait_for_url("**/alipay/cashier/**")
    await buyer.confirm()
    await page.wait_for_url("**/orders/**")
    return re.search(r"/orders/([0-9A-Z]{26})", page.url)[1]


async def place(buyer) -> str:
    """Order one, and come back from the provider without having paid; give its number."""
    await buyer.open_product(GAME)
    serial = await buyer.place("by page", CONTACT)
    await buyer.page.goto(f"{buyer.site}/orders/{serial}")
    return serial


async def refund(page, site: str, serial: str, *, into_wallet: bool) -> str:
    """Give all of an order back at the operator's desk; give what its page says of refunds."""
    await page.goto(f"{site}/operator/orders/{serial}")
    if into_wallet:
        await page.get_by_label("Into the buyer's wallet").check()
    await write(page, reason=f"All of {serial[-6:]}")
    await page.get_by_role("button", name="Refund").click()
    refunds = page.locator("section", has_text="Refunds").first
    await see(page, refunds.get_by_text("Arrived").first)
    return await refunds.inner_text()


def read_given(demo) -> dict[str, int]:
    """Ask the emulated Alipay what it gave back: by the numbers of orders that it was paid for."""
    token = (demo.home / "sandbox/control-token").read_text().strip()
    headers = {"authorization": f"Bearer {token}"}
    address = f"{demo.sandbox_url}/sandbox/"
    with httpx.Client(base_url=address, headers=headers, trust_env=False) as http:
        app = http.get("apps").json()["apps"][0]["app_id"]
        told = http.get("alipay/notifications").json()["notifications"]
        numbers = {each["out_trade_no"] for each in told}
        found = [http.get(f"alipay/trades/{n}", params={"app_id": app}).json() for n in numbers]
    return {
        each["out_trade_no"][:-2]: sum(part["amount_minor"] for part in each["refunds"])
        for each in found
        if each["paid_at"]
    }


async def test_a_wallet_is_filled_spent_and_refunded_into(visit, demo):
    """What came in, what paid orders whole and in part, and what came back: it all adds up."""
    browser = await visit("en-US")
    buyer = await browser.enter()
    page = buyer.page
    await page.goto(f"{demo.url}/account/sign-in")
    await sign_in(demo, buyer, CONTACT)
    buyer.site = demo.url
    filled = await top_up(buyer, "100.00")
    await see_balance(page, demo.url, "CN¥100.00")

    # The whole price out of the wallet.
    whole = await place(buyer)
    await page.get_by_role("link", name="Pay from your wallet").click()
    await page.get_by_role("button", name="Confirm and pay CN¥68.00").click()
    keys = {await buyer.read_key()}
    await see_balance(page, demo.url, "CN¥32.00")

    # What is left of it, and the rest at Alipay.
    parted = await place(buyer)
    await page.get_by_role("link", name="Use CN¥32.00 of your wallet").click()
    await page.get_by_role("button", name="Reserve CN¥32.00").click()
    await page.get_by_text("CN¥32.00 of your wallet is reserved").wait_for()
    await buyer.choose("by page")
    await page.locator("form[action$='/payments'] button").click()
    await page.wait_for_url("**/alipay/cashier/**")
    cashier = await page.inner_text("main")
    await buyer.confirm()
    keys.add(await buyer.read_key())
    await see_balance(page, demo.url, "CN¥0.00")

    # One more, all of it at Alipay.
    await buyer.open_product(GAME)
    third = await buyer.place("by page", CONTACT)
    await buyer.confirm()
    keys.add(await buyer.read_key())

    assert "36.00" in cashier
    assert "68.00" not in cashier
    assert 3 == len(keys)
    assert all(KEY.fullmatch(key) for key in keys)

    # The operator gives all three back, the first and the third into the wallet.
    office = (await (await visit("en-US", **DESK)).enter()).page
    await take_office(office, re.search(r"http://\S+/join/[\w-]+", demo.told)[0])
    await refund(office, demo.url, whole, into_wallet=True)
    await see_balance(page, demo.url, "CN¥68.00")
    both = await refund(office, demo.url, parted, into_wallet=False)
    await see_balance(page, demo.url, "CN¥100.00")
    await refund(office, demo.url, third, into_wallet=True)
    await see_balance(page, demo.url, "CN¥168.00")
    statement = await read_statement(page, demo.url)
    audit = await asyncio.to_thread(command, demo, "audit")
    given = await asyncio.to_thread(read_given, demo)

    assert "36.00" in both
    assert [
        ("Refunded", 6800, 16800),
        ("Refunded", 3200, 10000),
        ("Refunded", 6800, 6800),
        ("Paid for an order", -3200, 0),
        ("Paid for an order", -6800, 3200),
        ("Topped up", 10000, 10000),
    ] == statement
    assert {filled: 0, parted: 3600, third: 0} == given
    assert {} == audit["findings"]
    assert [] == browser.complaints
