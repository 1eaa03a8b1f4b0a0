"""Wallets as buyers meet them: topped up, spent, reserved, told; only by who is signed in."""

import re

import pytest
from tests.buyers.shop import Shop

from vendrail.api.buyers import BuyerSessionQuery
from vendrail.api.orders import OrderId, OrderQuery, OrderState
from vendrail.api.wallets import WalletKey, Wallets, WalletTerms
from vendrail.app.audit import audit
from vendrail.kernel.ids import from_serial

PRICE_MINOR = 1_990
TERMS = WalletTerms("CNY", True, 100, 50_000, 60_000, 20_000)


class Till:
    """A buyer's browser, and what happens behind it."""

    def __init__(self, shop, browser) -> None:
        self.shop = shop
        self.market = shop.market
        self.wallets: Wallets = self.market.house.api(Wallets)
        self.browser = browser

    async def run(self) -> None:
        """Let the background work come to rest."""
        await self.market.run()
        await self.market.runner.free_wallet_parts()

    @property
    def order(self) -> OrderId:
        """The order whose page is open."""
        return OrderId(from_serial(re.search(r"/orders/(\w{26})", self.browser.path)[1]))

    async def top_up(self, amount: str = "50.00") -> None:
        """Top up over Alipay, paid at once."""
        await self.browser.go("/account/wallet")
        await self.browser.send(
            "/account/wallet/top-ups",
            nonce=self.browser.field("nonce"),
            currency="CNY",
            amount=amount,
            method="alipay",
        )
        assert 200 == self.browser.page.status_code, self.browser.text
        await self.market.pay(self.order, amount_minor=round(float(amount) * 100))
        await self.run()

    async def place(self) -> str:
        """Place an order, its way to pay still to be chosen; give the path of its page."""
        session = (await self.shop.buyers.read_sessions([self.query()]))[0]
        placed = await self.market.place("GAME", method="", buyer=session.buyer.id)
        path = f"/orders/{(await self.market.read(placed)).serial}"
        await self.browser.go(f"{path}?key={placed.secret}")
        return path

    async def balance(self) -> tuple[int, int]:
        """Give what is in the wallet, and what of it is reserved."""
        session = (await self.shop.buyers.read_sessions([self.query()]))[0]
        [wallet] = await self.wallets.read_wallets([WalletKey(session.buyer.id, "CNY")])
        return wallet.balance_minor, wallet.held_minor

    def query(self) -> BuyerSessionQuery:
        """Ask who is signed in."""
        return BuyerSessionQuery(self.browser.cookie())

    async def broken(self):
        """Say which promises the books break."""
        report = await audit(self.market.house.platform.database_url)
        return [(each.name, each.findings) for each in report.outcomes if each.findings]


@pytest.fixture
async def till(market):
    """A signed-in buyer of a shop whose wallets are on."""
    await market.offer("GAME", keys=20)
    await market.house.api(Wallets).put_wallet_terms([TERMS])
    shop = Shop(market, wallets=market.house.api(Wallets))
    made = Till(shop, shop.browser())
    await made.browser.sign_in()
    yield made
    await shop.close()


async def test_a_buyer_tops_up_and_reads_every_movement(till):
    """The top-up is an order like any; then the wallet shows it, and the account the balance."""
    browser = till.browser
    await till.top_up()
    await browser.go(browser.path)
    paid = browser.text
    await browser.go("/account")
    account = browser.text
    await browser.go("/account/wallet")

    assert "CN¥50.00 is in your wallet" in paid
    assert "My wallet Chinese Yuan CN¥50.00" in account
    assert "Your wallet still holds money" in account
    assert "In the wallet CN¥50.00" in browser.text
    assert "Topped up +CN¥50.00" in browser.text
    assert "then CN¥50.00" in browser.text
    assert [] == await till.broken()


async def test_an_order_is_paid_with_one_confirmation(till):
    """The order's page offers the wallet, the next asks, and the key is there."""
    browser = till.browser
    await till.top_up()
    path = await till.place()
    offered = browser.text
    await browser.go(f"{path}/wallet")
    asked = browser.text
    await browser.send(f"{path}/wallet", amount=browser.field("amount"))
    await till.run()
    await browser.go(path)

    assert "Pay from your wallet CN¥50.00 in the wallet" in offered
    assert "Confirm and pay CN¥19.90" in asked
    assert "Left in the wallet CN¥30.10" in asked
    assert "Here is your key" in browser.text
    assert "It was paid from your wallet." in browser.text
    assert (3_010, 0) == await till.balance()
    assert [] == await till.broken()


async def test_a_part_is_reserved_and_the_rest_asked_for(till):
    """With less in the wallet a part is reserved; both together fill the order."""
    browser = till.browser
    await till.top_up("5.00")
    path = await till.place()
    offered = browser.text
    await browser.go(f"{path}/wallet")
    await browser.send(f"{path}/wallet", amount=browser.field("amount"))
    reserved, held = browser.text, await till.balance()
    await browser.send(f"{path}/payments", method="alipay")
    order = till.order
    [views] = await till.market.payments.read_attempts([order])
    await till.market.pay(order, views[-1].attempt.number, amount_minor=1_490)
    await till.run()
    await browser.go(path)

    assert "Use CN¥5.00 of your wallet" in offered
    assert "Pay CN¥14.90" in reserved
    assert "CN¥5.00 of your wallet is reserved" in reserved
    assert (500, 500) == held
    assert "Here is your key" in browser.text
    assert "From the wallet CN¥5.00" in browser.text
    assert (0, 0) == await till.balance()
    assert [] == await till.broken()


async def test_a_reserved_part_is_taken_back(till):
    """One click gives it back, and the whole price is asked for again."""
    browser = till.browser
    await till.top_up("5.00")
    path = await till.place()
    await browser.go(f"{path}/wallet")
    await browser.send(f"{path}/wallet", amount="5.00")
    await browser.send(f"{path}/wallet/free")

    assert "Pay CN¥19.90" in browser.text
    assert (500, 0) == await till.balance()


async def test_nobody_else_spends_a_wallet(till):
    """Without a session, or as somebody else, the same order is not paid out of it."""
    await till.top_up()
    path = await till.place()
    key = till.browser.http.cookies
    guest, other = till.shop.browser(), till.shop.browser("10.0.0.9")
    await other.sign_in("eve@example.com")
    for each in (guest, other):
        for cookie in key.jar:
            if cookie.path == path:
                each.http.cookies.jar.set_cookie(cookie)
        await each.go(path)
        assert "Pay from your wallet" not in each.text
        await each.send(f"{path}/wallet", amount="19.90")
        assert "Here is your key" not in each.text
    await till.run()

    assert (5_000, 0) == await till.balance()


async def test_so_much_is_paid_only_after_a_fresh_proof(till):
    """Above the limit of the terms a code is asked for once more; then it is paid."""
    browser = till.browser
    await till.top_up("300.00")
    await till.market.offer("DEAR", keys=2, price_minor=25_000)
    till.market.clock.advance(1_000)
    session = (await till.shop.buyers.read_sessions([till.query()]))[0]
    placed = await till.market.place("DEAR", method="", buyer=session.buyer.id)
    path = f"/orders/{(await till.market.read(placed)).serial}"
    await browser.go(f"{path}?key={placed.secret}")
    await browser.go(f"{path}/wallet")
    asked = browser.text
    await browser.go(path)
    await browser.send(f"{path}/wallet", amount="250.00")
    led_to = browser.path
    before = await till.balance()
    await browser.sign_in(onto=f"{path}/wallet")
    await browser.send(f"{path}/wallet", amount=browser.field("amount"))
    await till.run()

    assert "Confirm that it is you first" in asked
    assert "/account/sign-in" == led_to
    assert (30_000, 0) == before
    assert OrderState.DELIVERED is (await till.market.read(placed)).state
    assert (5_000, 0) == await till.balance()


async def test_what_is_wrong_with_a_top_up_is_said(till):
    """Too little, too much, no number, no way to pay: the page says which, and keeps the amount."""
    browser = till.browser
    said = []
    for amount, method in (("0.50", "alipay"), ("501", "alipay"), ("many", "alipay"), ("9", "x")):
        await browser.go("/account/wallet")
        await browser.send(
            "/account/wallet/top-ups",
            nonce=browser.field("nonce"),
            currency="CNY",
            amount=amount,
            method=method,
        )
        said.append(
            (browser.page.status_code, re.search(r'role="alert">([^<]+)', browser.page.text)[1])
        )

    assert [
        (422, "That is less than can be topped up at once."),
        (422, "That is more than can be topped up at once."),
        (422, "That did not work. Please try again."),
        (422, "Choose one of these ways to pay."),
    ] == said


async def test_an_account_that_holds_money_is_not_deleted(till):
    """Whatever the form says: nobody loses money with an account."""
    browser = till.browser
    await till.top_up()
    await browser.go("/account")
    await browser.send("/account/delete", sure="yes")
    await browser.go("/account/wallet")

    assert "In the wallet CN¥50.00" in browser.text


async def test_where_no_wallet_is_on_there_is_none(till):
    """Off and empty, no page speaks of wallets, and its own page is not there."""
    await till.wallets.put_wallet_terms([WalletTerms("CNY")])
    shop = Shop(till.market, wallets=till.wallets)
    browser = shop.browser()
    await browser.sign_in("new@example.com")
    await browser.go("/account")
    account = browser.text
    await browser.go("/account/wallet")
    await shop.close()

    assert "My wallet" not in account
    assert 404 == browser.page.status_code


@pytest.mark.parametrize("is_settled", [True, False])
async def test_money_for_the_wallet_of_a_deleted_account_goes_back(till, is_settled):
    """An unpaid top-up ends with its account; what is paid for it all the same is given back."""
    browser, market = till.browser, till.market
    [session] = await till.shop.buyers.read_sessions([till.query()])
    await browser.go("/account/wallet")
    await browser.send(
        "/account/wallet/top-ups",
        nonce=browser.field("nonce"),
        currency="CNY",
        amount="50.00",
        method="alipay",
    )
    order = till.order
    await browser.go("/account")
    await browser.send("/account/delete", sure="yes")
    gone = (await till.shop.buyers.read_sessions([till.query()]))[0]
    if is_settled:
        await till.run()
        [ended] = await market.orders.read_orders([OrderQuery(order, None)])
        assert OrderState.CANCELLED is ended.state
    await market.pay(order, amount_minor=5_000)
    await till.run()
    [view] = await market.orders.read_orders([OrderQuery(order, None)])
    [wallet] = await till.wallets.read_wallets([WalletKey(session.buyer.id, "CNY")])

    assert gone is None
    assert 0 == wallet.balance_minor
    assert OrderState.REFUNDING is view.state  # The provider has been asked, and not yet said.
    assert [] == await till.broken()
