"""What one click confirms: the price that was told, and no stock held for who pays nothing."""

import pytest
from tests.buyers.shop import Shop
from tests.buyers.test_one_click import EMPTY, buttons, buy_by_card, cards, clock, look, told
from tests.payments.conftest import alipay_home, alipay_server

from vendrail.api.catalog import Product, ProductId, Variant
from vendrail.kernel.ids import from_serial
from vendrail.kernel.limits.gate import Judgement

__all__ = ["alipay_home", "alipay_server", "cards", "clock"]


async def price(cards, product: str, minor: int) -> None:
    """Let the merchant change the price."""
    market = cards.market
    variants = [Variant(market.skus["GAME"], "GAME", "One", {"CNY": minor})]
    changed = Product(ProductId(from_serial(product)), market.shop, "game", "GAME", variants)
    await market.catalog.put_products([changed])


@pytest.mark.parametrize("case", ["dearer", "untold", "other_currency", "cheaper"])
async def test_nobody_is_charged_more_than_they_were_told(cards, case):
    """Dearer than the page said, or said by none: nothing is charged, and the order's page asks."""
    browser = cards.browser()
    await browser.sign_in()
    await buy_by_card(cards, browser)
    fields = await look(browser)
    [way] = buttons(browser)
    await browser.send("/orders/confirm", saved=way, **fields)
    total = told(browser)
    if case == "untold":
        total = {}
    elif case == "other_currency":
        total["total_currency"] = "JPY"
    else:
        await price(cards, fields["product"], 199_000 if case == "dearer" else 990)
    await browser.send("/orders", saved=way, **fields, **total)
    serial, path, text = browser.path.split("/")[2], browser.path, browser.text
    charged = [each["amount"] for each in await cards.intents(serial)]

    assert f"/orders/{serial}" == path
    assert ([990] if case == "cheaper" else []) == charged
    assert (case != "cheaper") == ("Look at it again" in text)
    if case == "dearer":
        assert "Pay CN¥1,990.00" in text


class Guard:
    """A gate that wants a proof of everybody, once it is closed."""

    is_closed = False

    async def judge(self, key: str, payload: str) -> Judgement:
        """Say what is wanted."""
        return Judgement(is_wanted=self.is_closed, is_proven=False)


@pytest.mark.parametrize("is_closed", [True, False])
async def test_a_card_that_pays_nothing_holds_no_stock_without_a_proof(cards, is_closed):
    """Declined where a proof of work is due, the order is cancelled at once; else it waits."""
    guard = Guard()
    shop = Shop(cards.market, make_gate=lambda strained: guard)
    browser = shop.browser()
    await browser.sign_in()
    await buy_by_card(cards, browser, EMPTY)
    fields = await look(browser)
    [way] = buttons(browser)
    await browser.send("/orders/confirm", saved=way, **fields)
    guard.is_closed = is_closed
    await browser.send("/orders", saved=way, **fields, **told(browser))
    serial = browser.path.split("/")[2]
    await cards.market.run()
    await browser.go(f"/orders/{serial}")
    text = browser.text
    await shop.close()

    assert is_closed == ("Choose how to pay" not in text)
    assert is_closed == ("This order is cancelled" in text)
