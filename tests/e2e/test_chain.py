"""A key is bought with tokens of a real chain, and given back by a plan that is signed offline."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chain.node import CHAIN_ID, MNEMONIC, Chain, peer, xpub_of
from tests.demo.conftest import RunningDemo, free_port
from tests.e2e.buyer import CONTACT
from tests.e2e.scanner import scan
from tests.e2e.test_market import (
    DESK,
    command,
    go,
    invite_merchant,
    join,
    put_on_sale,
    see,
    take_office,
    write,
)
from tests.e2e.walk import AT_REST, AXE, GRAVE

from vendrail.payments.channels.evm_addresses import checked

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="session"),
]

GAME = "The Tide Clock"
KEYS = [f"TIDE-{number:04d}" for number in range(20)]
WAY = "USDT · Anvil"
DOLLAR = 10**6
PAYER_KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"  # Account 1.
TREASURY_PATH = "m/44'/60'/0'/0/9"


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    """A real chain."""
    chain = Chain()
    yield chain
    chain.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """A marketplace that sells in dollars."""
    home = tmp_path_factory.mktemp("chain") / "home"
    demo = RunningDemo(
        home,
        free_port(),
        VENDRAIL_WEB_PROOF_NUMBERS_MAX="0",
        VENDRAIL_WEB_DEFAULT_CURRENCY="USD",
    )
    try:
        demo.wait_open()
        yield demo
        demo.stop()
    finally:
        demo.kill()


def add_channel(demo: RunningDemo, chain: Chain, token: str, folder: Path) -> None:
    """Give the marketplace its account on the chain."""
    path = folder / "evm.toml"
    path.write_text(
        f"""
kind = "evm"
title = "USDT"
currencies = ["USD"]
[settings]
url = "{chain.url}"
chain_id = "{CHAIN_ID}"
network = "Anvil"
xpub = "{xpub_of(77)}"
tokens = "USDT {checked(token)} 6"
finality = "4"
treasury = "{checked(chain.accounts[9])}"
pace_s = "0.5"
allows_http = "yes"
"""
    )
    told = command(demo, "channels", "add", "usdt", str(path), "--reason", "crypto")
    assert "created" == told["status"]


async def make_shop(operator, merchant, demo) -> None:
    """Invite a merchant, open the shop, and put a product with keys on sale for ten dollars."""
    words = ("create-operator", "--email", "ann@rail.example")
    invited = await asyncio.to_thread(command, demo, *words)
    await take_office(operator.page, invited["link"])
    page = merchant.page
    await join(page, await invite_merchant(operator.page), "Olga")
    await go(page, "Shop")
    await write(page, name="Tidewater Games", address="tidewater", contact="help@tide.example")
    await page.get_by_role("button", name="Open the shop").click()
    await page.get_by_text("Saved.").wait_for()
    await go(page, "Products")
    await page.get_by_role("link", name="New product").click()
    await write(page, title=GAME, sku="TIDE-1", price_USD="10.00")
    await page.get_by_role("button", name="Make a draft").click()
    await page.get_by_role("heading", name=GAME).wait_for()
    await page.get_by_role("link", name="Stock").click()
    file = {"name": "keys.txt", "mimeType": "text/plain", "buffer": "\n".join(KEYS).encode()}
    await page.locator("#file").set_input_files(file)
    await page.get_by_role("button", name="Take in").click()
    await page.get_by_role("status").wait_for()
    await put_on_sale(page)


async def grave(page) -> list[str]:
    """Look for what keeps somebody from reading a page: by axe, and by its width."""
    await page.evaluate(AT_REST)
    await page.evaluate(AXE.read_text("utf-8"))
    found = await page.evaluate(GRAVE)
    is_wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
    return [*found, *(["wider than its screen"] if is_wide else [])]


def sign(transactions: list[dict]) -> list[str]:
    """Sign a plan as its owner does, with a wallet that knows nothing of our code."""
    return peer(
        do="sign", mnemonic=MNEMONIC, treasury_path=TREASURY_PATH, transactions=transactions
    )


async def test_a_key_is_sold_and_given_back_on_a_chain(visit, demo, chain, tmp_path):
    """Paid in two parts, the key comes when both are final; the refund is signed and arrives."""
    token = chain.deploy("USDT", 6)
    payer = chain.accounts[1]
    chain.pay(token, payer, 10 * DOLLAR)
    chain.pay(token, chain.accounts[9], 100 * DOLLAR)
    await asyncio.to_thread(add_channel, demo, chain, token, tmp_path)
    visits = [await visit("en-US", **DESK), await visit("en-US", **DESK), await visit("en-US")]
    operator, merchant, buyer = [await each.enter() for each in visits]
    await make_shop(operator, merchant, demo)

    # The buyer chooses the chain, and sees where to send how much.
    page = buyer.page
    await buyer.open_product(GAME)
    await buyer.write("contact", CONTACT)
    await buyer.choose(WAY)
    await buyer.tap("buy")
    await page.locator("#deposit-address").wait_for()
    serial = page.url.rpartition("/orders/")[2][:26]
    address = await page.locator("#deposit-address").inner_text()
    assert "10.00" == await page.locator("#deposit-amount").inner_text()
    spare = await visits[2].context.new_page()
    uri = await scan(page.get_by_role("img", name=buyer.words["code"]), spare)
    assert f"/transfer?address={address}&uint256={10 * DOLLAR}" in uri

    # A part comes first: the page asks for the rest.
    await asyncio.to_thread(chain.pay, token, address, 4 * DOLLAR, payer)
    await page.get_by_text("4.00 of 10.00 USDT has come.").wait_for()
    assert "6.00" == await page.locator("#deposit-amount").inner_text()
    assert [] == await grave(page)
    await asyncio.to_thread(chain.pay, token, address, 6 * DOLLAR, payer)
    await page.get_by_text("10.00 USDT has come. It counts once it is final.").wait_for()
    await page.get_by_text("1 of 4 blocks").wait_for()
    assert [] == await grave(page)
    assert 0 == await buyer.keys.count()
    await asyncio.to_thread(chain.mine, 3)
    key = await buyer.read_key()
    assert key in KEYS

    # The merchant gives it back: the refund waits for who signs.
    await go(merchant.page, "Orders")
    await merchant.page.locator(f"a[href='/merchant/orders/{serial}']").click()
    await write(merchant.page, reason="It did not work")
    await merchant.page.get_by_role("button", name="Refund").click()
    plan = tmp_path / "plan.json"
    due = time.monotonic() + 30
    while True:
        plan.unlink(missing_ok=True)
        words = ("chains", "plan", "usdt", "refunds", str(plan), "--reason", "of today")
        told = await asyncio.to_thread(command, demo, *words)
        if told["transactions"]:
            break
        assert time.monotonic() < due, "no refund is planned"
        await asyncio.sleep(0.5)
    signed = tmp_path / "signed.json"
    signed.write_text(json.dumps(await asyncio.to_thread(sign, json.loads(plan.read_text()))))
    words = ("chains", "publish", "usdt", str(signed), "--reason", "of today")
    (sent,) = await asyncio.to_thread(command, demo, *words)
    assert "taken" == sent["status"]
    await asyncio.to_thread(chain.mine, 4)
    await see(page, page.get_by_role("heading", name="Refunded"))
    assert 10 * DOLLAR == chain.balance(token, payer)

    # What was paid in lies at its address until it is swept.
    held = await asyncio.to_thread(command, demo, "chains", "holdings", "usdt")
    assert {"10.00"} == {each["amounts"]["USDT"] for each in held if each["address"] == address}
    audited = await asyncio.to_thread(command, demo, "audit")
    assert audited["ok"], audited
    assert [] == [each for one in visits for each in one.complaints]
