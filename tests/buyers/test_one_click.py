"""One click, over real services and the emulated Stripe: from the product's page to the key."""

import asyncio
import re
from urllib.parse import urlsplit

import pytest
from tests.buyers.shop import Shop
from tests.payments.conftest import MovableClock, alipay_home, alipay_server
from tests.payments.stripe_bench import Stripe, settings_of

from vendrail.api.payments import AttemptState, ChannelAccount
from vendrail.api.risk import ListEntry, ListKind
from vendrail.kernel.ids import from_serial, new_id
from vendrail.payments.attempts import out_trade_no

__all__ = ["alipay_home", "alipay_server"]

VISA, ASKING, EMPTY = "4242424242424242", "4000002760003184", "4000000000000341"


@pytest.fixture
def clock() -> MovableClock:
    """The machine's clock: the provider has it too."""
    return MovableClock()


class Cards(Shop):
    """A shop that takes cards over Stripe."""

    def __init__(self, market, stripe) -> None:
        super().__init__(market)
        self.stripe = stripe
        self.account = stripe.register()

    async def open(self) -> None:
        """Let the shop take cards."""
        id = new_id(self.market.clock.now())
        settings = settings_of(self.account, self.stripe.url)
        channel = ChannelAccount(id, "stripe", "stripe", "Card", ["CNY"], settings)
        assert ["created"] == await self.market.payments.put_channels([channel])

    async def settle(self, serial: str) -> None:
        """Ask the provider, and let the order be filled."""
        [views] = await self.market.payments.read_attempts([from_serial(serial)])
        await self.market.payments.query_attempts([each.attempt.id for each in views])
        await self.market.run()

    async def intents(self, serial: str) -> list[dict]:
        """Give what the provider was asked to take for an order, by all its attempts."""
        order = from_serial(serial)
        [views] = await self.market.payments.read_attempts([order])
        known = [
            self.stripe.known(self.account["account"], out_trade_no(order, each.attempt.number))
            for each in views
        ]
        return [intent for each in known for intent in each["payment_intents"]]

    async def states(self, serial: str) -> list[AttemptState]:
        """Say where the order's attempts stand."""
        [views] = await self.market.payments.read_attempts([from_serial(serial)])
        return [each.state for each in views]


@pytest.fixture
async def cards(market, alipay_server, alipay_home):
    """The shop, with a product on sale."""
    await market.offer("GAME", keys=20)
    stripe = Stripe(alipay_server.url, alipay_home)
    stripe.clear()
    made = Cards(market, stripe)
    await made.open()
    yield made
    await made.close()
    stripe.clear()
    stripe.close()


async def look(browser) -> dict[str, str]:
    """Open the product's page; give what its form holds."""
    await browser.go("/")
    await browser.go(re.search(r'"(/products/\w{26})"', browser.page.text)[1])
    names = ("nonce", "product", "currency", "contact")
    return {"sku": "GAME", "quantity": "1"} | {name: browser.field(name) for name in names}


def buttons(browser) -> list[str]:
    """Give the saved ways that a page offers to pay with."""
    return re.findall(r'name="saved" value="(\w{26})"', browser.page.text)


async def buy_by_card(cards, browser, card=VISA) -> str:
    """Buy with a card that is to be remembered; give the order's serial."""
    fields = await look(browser)
    await browser.send("/orders", method="card", remember="yes", **fields)
    serial = browser.path.split("/")[2]
    door = re.search(rf"/pay/{serial}/\w{{26}}", browser.page.text)[0]
    page = await browser.http.get(door, follow_redirects=False)
    typed = {"way": "card", "number": card, "expiry": "12/30", "cvc": "123"}
    way = await asyncio.to_thread(cards.stripe.tap, page.headers["location"], **typed)
    if "/3ds/" in way:
        await asyncio.to_thread(cards.stripe.tap, way, verdict="yes")
    await cards.settle(serial)
    await browser.go("/account")
    return serial


def told(browser) -> dict[str, str]:
    """Give the price that the page of the confirmation tells."""
    return {name: browser.field(name) for name in ("total_minor", "total_currency")}


async def one_click(browser, saved="") -> str:
    """Press the button of the saved way, and confirm; give the order's serial."""
    fields = await look(browser)
    [way] = buttons(browser)
    await browser.send("/orders/confirm", saved=saved or way, **fields)
    names = ("nonce", "product", "sku", "quantity", "contact", "currency", "saved")
    confirmed = {name: browser.field(name) for name in names}
    await browser.send("/orders", **confirmed, **told(browser))
    return browser.path.split("/")[2]


async def test_b3_one_click_and_a_look_buy_the_key(cards):
    """A remembered card is on the product's page; press it, confirm, and the key is there."""
    browser = cards.browser()
    await browser.sign_in()
    await buy_by_card(cards, browser)
    shown = browser.text
    serial = await one_click(browser)
    await cards.market.run()
    await browser.go(f"/orders/{serial}")

    assert "visa •••• 4242" in shown
    assert "Until 2030-12" in shown
    assert "Here is your key" in browser.text
    assert 1 == len(await cards.intents(serial))


async def test_who_does_not_agree_is_not_remembered(cards):
    """Without the box, and for a guest even with it, the provider remembers nothing."""
    browser, guest = cards.browser(), cards.browser("10.0.0.9")
    await browser.sign_in()
    for each, fields in ((browser, {}), (guest, {"remember": "yes"})):
        form = await look(each)
        form["contact"] = "x@example.com"
        await each.send("/orders", method="card", **form, **fields)
        door = re.search(r"/pay/\w{26}/\w{26}", each.page.text)[0]
        page = await each.http.get(door, follow_redirects=False)
        typed = {"way": "card", "number": VISA, "expiry": "12/30", "cvc": "123"}
        await asyncio.to_thread(cards.stripe.tap, page.headers["location"], **typed)
    await browser.go("/account")

    assert "None yet." in browser.text
    assert "Remember my card" not in (await guest.go("/")).text
    await look(guest)
    assert "Remember my card" not in guest.page.text


async def test_a_double_click_pays_one_order_once(cards):
    """The confirmation sent three times at once is one order and one payment."""
    browser = cards.browser()
    await browser.sign_in()
    await buy_by_card(cards, browser)
    fields = await look(browser)
    [way] = buttons(browser)
    await browser.send("/orders/confirm", saved=way, **fields)
    fields = {"form_token": browser.field("form_token"), "saved": way, **fields, **told(browser)}
    sent = await asyncio.gather(*(browser.http.post("/orders", data=fields) for _ in range(3)))
    serials = {urlsplit(each.headers["location"]).path.split("/")[2] for each in sent}
    await cards.market.run()

    assert 1 == len(serials)
    assert 1 == len(await cards.intents(serials.pop()))


async def test_nobody_pays_with_the_card_of_somebody_else(cards):
    """The name of another buyer's way pays nothing, from the product's page or the order's."""
    ann, eve = cards.browser(), cards.browser("10.0.0.9")
    await ann.sign_in()
    await buy_by_card(cards, ann)
    await look(ann)
    [way] = buttons(ann)
    await eve.sign_in("eve@example.com")
    fields = await look(eve)
    assert [] == buttons(eve)
    await eve.send("/orders/confirm", saved=way, **fields)
    unconfirmed = eve.path
    await eve.send("/orders", saved=way, **fields)
    serial = eve.path.split("/")[2]
    await eve.send(f"/orders/{serial}/saved", saved=way)
    await eve.go("/account")
    await eve.send("/account/saved", saved=way)
    await look(ann)

    assert unconfirmed.startswith("/products/")
    assert [] == await cards.states(serial)
    assert [way] == buttons(ann)


async def test_a_form_of_another_site_charges_nobody(cards):
    """Without the page's own token neither confirming, buying, paying nor removing does a thing."""
    browser = cards.browser()
    await browser.sign_in()
    serial = await buy_by_card(cards, browser)
    fields = await look(browser)
    [way] = buttons(browser)
    headers = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    for path in ("/orders/confirm", "/orders", f"/orders/{serial}/saved", "/account/saved"):
        form = {"form_token": "x" * 36, "saved": way, **fields}
        answer = await browser.http.post(path, data=form, headers=headers)

        assert 403 == answer.status_code, path


async def test_a_bank_that_wants_the_buyer_is_shown_them(cards):
    """The click leads to the bank's page and back to the same order, which is then filled."""
    browser = cards.browser()
    await browser.sign_in()
    await buy_by_card(cards, browser, ASKING)
    fields = await look(browser)
    [way] = buttons(browser)
    await browser.send("/orders/confirm", saved=way, **fields)
    form = {"form_token": browser.field("form_token"), "saved": way, **fields, **told(browser)}
    placed = await browser.http.post("/orders", data=form)
    going = await browser.http.get(placed.headers["location"])
    onto = re.search(r'http-equiv="refresh" content="0;url=(/pay/[^"]+)"', going.text)[1]
    door = await browser.http.get(onto)
    back = await asyncio.to_thread(cards.stripe.tap, door.headers["location"], verdict="yes")
    serial = urlsplit(back).path.split("/")[2]
    await cards.settle(serial)
    await browser.go(f"/orders/{serial}")

    assert onto.startswith(f"/pay/{serial}/")
    assert "/3ds/" in door.headers["location"]
    assert "Here is your key" in browser.text
    assert [AttemptState.CAPTURED] == await cards.states(serial)


async def test_a_declined_card_leaves_the_other_ways(cards):
    """Nothing is taken; the same order's page says so and offers the other ways to pay."""
    browser = cards.browser()
    await browser.sign_in()
    await buy_by_card(cards, browser, EMPTY)
    serial = await one_click(browser)

    assert [AttemptState.FAILED] == await cards.states(serial)
    assert "The last try did not go through" in browser.text
    assert "Choose how to pay" in browser.text
    await browser.send(f"/orders/{serial}/payments", method="alipay")
    assert [AttemptState.FAILED, AttemptState.OPEN] == await cards.states(serial)


async def test_risk_wants_a_fresh_proof_first(cards):
    """A doubtful order is not charged before its buyer shows a code again; then it is, once."""
    market = cards.market
    browser = cards.browser()
    await browser.sign_in()
    await buy_by_card(cards, browser)
    await market.risk.put_list_entries([ListEntry("contact:ann@example.com", ListKind.REVIEWED)])
    market.clock.advance(1_000)
    fields = await look(browser)
    [way] = buttons(browser)
    await browser.send("/orders/confirm", saved=way, **fields)
    await browser.send("/orders", saved=way, **fields, **told(browser))
    asked, text = browser.path, browser.text
    onto = browser.field("next")
    serial = onto.split("/")[2]
    before = await cards.intents(serial)
    await browser.send("/account/sign-in", next=onto)
    code = await cards.code("ann@example.com")
    await browser.send("/account/code", code=code, next=onto)
    there = browser.path
    [again] = buttons(browser)
    await browser.send(f"/orders/{serial}/saved", saved=again)

    assert "/account/sign-in" == asked
    assert "Confirm that it is you" in text
    assert [] == before
    assert f"/orders/{serial}" == there
    assert [AttemptState.CAPTURED] == await cards.states(serial)
    assert 1 == len(await cards.intents(serial))


async def test_a_removed_card_is_gone_at_once(cards):
    """Removing it on the account's page takes it from every page, and it pays nothing more."""
    browser = cards.browser()
    await browser.sign_in()
    await buy_by_card(cards, browser)
    [way] = buttons(browser)
    await browser.send("/account/saved", saved=way)
    left = buttons(browser)
    fields = await look(browser)
    await browser.send("/orders", saved=way, **fields)
    serial = browser.path.split("/")[2]

    assert [] == left
    assert [] == await cards.states(serial)
    assert "Choose how to pay" in browser.text


async def test_deleting_the_account_has_cards_forgotten(cards):
    """Nothing of a buyer's card is left, here or at the provider."""
    browser = cards.browser()
    await browser.sign_in()
    await buy_by_card(cards, browser)
    await browser.send("/account/delete", sure="yes")
    payments = cards.market.house.services["payments"]
    await payments.look_saved()
    await payments.forget_ways()
    async with payments._store.reading() as tx:
        left = await tx.fetch(
            "select (select count(*) from payments.saved)"
            " + (select count(*) from payments.customer) as rows"
        )

    assert "/" == browser.path
    assert 0 == left[0]["rows"]
