"""A card is typed in Stripe's own form on the pay page: nothing of it comes near us."""

import asyncio
import json
import re
import subprocess
import sys
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import pytest_asyncio
from tests.demo.conftest import clean_environment
from tests.e2e.buyer import CONTACT, KEY
from tests.e2e.test_stripe import WORDS, give_back, open_product

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
]

GOOD = "4242 4242 4242 4242"
POOR = "4000 0000 0000 9995"
ASKING = "4000 0027 6000 3184"
SAID = {
    "en-US": "The card does not have enough money. Nothing was charged; try another card.",
    "zh-CN": "卡内余额不足。没有扣款，请换一张卡。",
    "es-ES": "La tarjeta no tiene fondos suficientes. No se ha cobrado nada; pruebe con otra.",
}
LABELS = {
    "en-US": ("Card number", "Expiry (MM/YY)", "Security code"),
    "zh-CN": ("卡号", "有效期（月/年）", "安全码"),
    "es-ES": ("Número de tarjeta", "Caducidad (MM/AA)", "Código de seguridad"),
}


def run(demo, *words: str) -> None:
    """Say something at the command line."""
    command = [sys.executable, "-m", "vendrail.app", "--home", str(demo.home), *words]
    told = subprocess.run(
        command, env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert 0 == told.returncode, told.stdout + told.stderr


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def form(demo, tmp_path_factory):
    """The demo's account shows Stripe's form; afterwards it leads to Stripe's page again."""
    token = (demo.home / "sandbox/control-token").read_text().strip()
    answer = httpx.post(
        f"{demo.sandbox_url}/sandbox/accounts",
        headers={"authorization": f"Bearer {token}"},
        json=demo.sandbox_url,
    )
    (ready,) = (each for each in answer.json()["accounts"] if each["kind"] == "stripe")
    file = tmp_path_factory.mktemp("channel") / "stripe.toml"

    def write(where: str) -> None:
        settings = ready["settings"] | {"card_form": where}
        lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
        head = 'kind = "stripe"\ntitle = "Stripe"\ncurrencies = ["SGD"]\n\n[settings]\n'
        file.write_text(head + "\n".join(lines) + "\n")
        run(demo, "channels", "add", "stripe", str(file), "--reason", "cards")

    await asyncio.to_thread(write, "element")
    yield
    await asyncio.to_thread(write, "checkout")


class Payer:
    """Who pays by card on the pay page."""

    def __init__(self, buyer) -> None:
        self.buyer = buyer
        self.page = buyer.page

    async def place(self) -> str:
        """Order, and come to the pay page with the form; give the order's number."""
        await open_product(self.buyer)
        await self.buyer.write("contact", CONTACT)
        await self.buyer.choose("by card")
        await self.buyer.tap("buy")
        await self.page.wait_for_url("**/pay/**")
        found = re.search(r"/pay/([0-9A-Z]{26})/", self.page.url)
        assert found, self.page.url
        return found[1]

    @property
    def frame(self):
        """The provider's frame."""
        return self.page.frame_locator('iframe[title="Secure payment input frame"]')

    @property
    def button(self):
        """What pays."""
        return self.page.locator("[data-card-pay]")

    async def type(self, number: str, labels: tuple[str, str, str], cvc: str = "739") -> None:
        """Type a card, and pay."""
        for label, text in zip(labels, (number, "12/30", cvc), strict=True):
            await self.frame.get_by_label(label).fill(text)
        await self.button.click()


async def test_a_declined_card_is_said_in_place_and_the_next_one_pays(visit, demo):
    """A poor card and then a good one in one attempt, in Spanish: the key, and the money back."""
    browser = await visit("es-ES")
    payer = Payer(await browser.enter())
    serial = await payer.place()
    await payer.type(POOR, LABELS["es-ES"])
    problem = payer.page.get_by_role("alert").filter(has_text=SAID["es-ES"])
    await problem.wait_for()
    await payer.page.reload()
    await payer.type(GOOD, LABELS["es-ES"])
    key = await payer.buyer.read_key()
    address = payer.page.url
    await give_back(demo, serial, "12.90")

    assert KEY.fullmatch(key)
    assert address.startswith(f"{payer.buyer.site}/orders/{serial}")
    assert all("402" in each for each in browser.complaints), browser.complaints


async def test_nothing_of_a_card_comes_to_us(visit, demo):
    """Number and check code go to the provider alone: no request, no file of ours holds them."""
    browser = await visit("en-US")
    payer = Payer(await browser.enter())
    sent = []

    def note(request) -> None:
        sent.append((request.url, request.post_data or ""))

    browser.context.on("request", note)
    await payer.place()
    await payer.type(GOOD, LABELS["en-US"], cvc="7391")
    await payer.buyer.read_key()
    number = GOOD.replace(" ", "")
    holders = {urlsplit(url).netloc for url, data in sent if number in url + data}
    ours = [pair for pair in sent if pair[0].startswith(demo.url)]
    values = [
        value
        for url, data in ours
        for text in (urlsplit(url).query, data)
        for _, value in parse_qsl(text)
    ]

    def written(text: bytes) -> list[str]:
        paths = [path for path in demo.home.rglob("*") if path.is_file()]
        return [str(path) for path in paths if text in path.read_bytes()]

    assert {urlsplit(demo.sandbox_url).netloc} == holders
    assert "7391" not in values
    assert CONTACT in values  # What does come to us is seen by this.
    assert [] == await asyncio.to_thread(written, number.encode())
    assert [] != await asyncio.to_thread(written, b"Celadon Shield")


async def test_a_bank_that_asks_is_answered_over_the_page(visit):
    """3-D Secure: who fails it reads why and tries again; who passes it has the key."""
    browser = await visit("zh-CN", viewport={"width": 1440, "height": 900})
    payer = Payer(await browser.enter())
    await payer.place()
    bank = payer.page.frame_locator('iframe[title="3D Secure"]')
    await payer.type(ASKING, LABELS["zh-CN"])
    await bank.get_by_role("button", name="失败").click()
    await payer.page.get_by_role("alert").filter(has_text="银行没有确认是您本人").wait_for()
    await payer.button.click()
    await bank.get_by_role("button", name=WORDS["zh-CN"]["yes"]).click()

    assert KEY.fullmatch(await payer.buyer.read_key())


async def test_a_wallet_of_the_browser_pays_by_keys_alone(visit):
    """Google Pay is chosen and confirmed by the keyboard."""
    payer = Payer(await (await visit("en-US")).enter())
    await payer.place()
    await payer.frame.get_by_label("Card", exact=True).focus()
    await payer.page.keyboard.press("ArrowDown")
    await payer.page.keyboard.press("ArrowDown")
    await payer.frame.locator("input[value=google_pay]:checked").wait_for()
    await payer.page.keyboard.press("Tab")
    assert await payer.button.evaluate("each => each === document.activeElement")
    await payer.page.keyboard.press("Enter")

    assert KEY.fullmatch(await payer.buyer.read_key())


async def test_who_pays_in_two_tabs_pays_once(visit, demo):
    """The same attempt confirmed twice, and a button pressed twice: one payment, one key."""
    browser = await visit("en-US")
    first = Payer(await browser.enter())
    serial = await first.place()
    second = Payer(await browser.enter())
    await second.page.goto(first.page.url)
    await second.frame.get_by_label("Card number").fill(GOOD)
    await second.frame.get_by_label("Expiry (MM/YY)").fill("12/30")
    await second.frame.get_by_label("Security code").fill("739")
    for label, text in zip(LABELS["en-US"], (GOOD, "12/30", "739"), strict=True):
        await first.frame.get_by_label(label).fill(text)
    await first.button.evaluate("each => { each.click(); each.click(); }")
    await second.button.click()
    keys = {await first.buyer.read_key(), await second.buyer.read_key()}
    charged = await charges_of(demo, serial)

    assert 1 == len(keys)
    assert 1 == len(charged)


async def test_without_scripts_the_provider_s_page_takes_over(visit):
    """Who has no JavaScript goes on to the hosted page, pays there, and has the key."""
    browser = await visit("en-US", java_script_enabled=False)
    payer = Payer(await browser.enter())
    await payer.place()
    form = payer.page.url
    await payer.page.get_by_role("link", name="Continue to the payment page").click()
    await payer.page.wait_for_url("**/stripe/c/pay/**")
    hosted = payer.page.url
    await payer.page.goto(form)
    again = payer.page.url
    await payer.page.get_by_label("Card number").fill(GOOD)
    await payer.page.get_by_label("Expiry (MM/YY)").fill("12/30")
    await payer.page.get_by_label("Security code").fill("123")
    await payer.page.locator("form.fields button").click()

    assert KEY.fullmatch(await payer.buyer.read_key())
    assert hosted == again  # The form was given up: only one of the two can be paid.


async def charges_of(demo, serial: str) -> list[dict]:
    """Ask the provider what it took for an order."""
    token = (demo.home / "sandbox/control-token").read_text().strip()
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=demo.sandbox_url, headers=headers) as client:
        opened = await client.post("/sandbox/accounts", json=demo.sandbox_url)
        (ready,) = (each for each in opened.json()["accounts"] if each["kind"] == "stripe")
        key = {"authorization": f"Bearer {ready['settings']['secret_key']}"}
        listed = await client.get("/stripe/v1/payment_intents?limit=100", headers=key)
    return [
        each
        for each in listed.json()["data"]
        if each["metadata"].get("out_trade_no", "").startswith(serial) and each["amount_received"]
    ]
