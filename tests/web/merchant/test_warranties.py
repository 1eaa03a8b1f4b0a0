"""Warranties on pages: promised in the product's form, kept by the order, claimed by its buyer."""

import re

import pytest
from tests.web.merchant.test_complaints import Buyer
from tests.web.merchant.test_goods import goods
from tests.web.merchant.test_receipts import read

from vendrail.api.catalog.warranties import ProductWarranty
from vendrail.api.identity import Role
from vendrail.api.orders import OrderQuery
from vendrail.kernel.ids import to_serial

FIELDS = {
    "title": "Steam wallet",
    "restock_hours": "0",
    "warranty_term": "3",
    "warranty_unit": "days",
    "warranty_covers": "Codes that Steam <refuses>.",
    "warranty_keys": "1",
    "warranty_buyer_keys": "2",
    "warranty_out": "refund",
}


async def offered(town, browser, **more):
    """Offer a product and send its form with a warranty; give its address."""
    await town.north.offer("STEAM-50", keys=3)
    [found, *_] = await goods(town)
    path = f"/merchant/products/{to_serial(found.product.id)}"
    await browser.go(path)
    await browser.send(path, **FIELDS | more)
    town.clock.advance(2)
    return path


async def test_a_warranty_is_promised_shown_and_kept(town):
    """What its form says stands at the product, on the order and its receipt, and replaces."""
    browser = await town.join(Role.SELLER)
    path = await offered(town, browser)
    placed = await town.north.place("STEAM-50")
    await town.north.pay(placed.order)
    await town.north.run()
    serial = to_serial(placed.order)
    buyer = town.world.browser()
    product = await buyer.go(f"/products/{path[-26:]}")
    page = await buyer.go(f"/orders/{serial}?key={placed.secret}")
    receipt = read(await buyer.http.get(f"/orders/{serial}/receipt.pdf"))
    query = OrderQuery(placed.order, placed.secret, with_items=True)
    [before] = await town.north.orders.read_orders([query])
    claimant = Buyer(town, placed.order, placed.secret)
    await claimant.open()
    claimed = await claimant.send("complaints", kind="dead_key", text="It is refused.")
    [after] = await town.north.orders.read_orders([query])
    [found, *_] = await goods(town)

    assert ProductWarranty(72, FIELDS["warranty_covers"], 1, 2, True) == found.product.warranty
    form = browser.page.text
    assert ["3", "1", "2"] == [
        re.search(rf'name="{name}"[^>]* value="([^"]*)"', form)[1]
        for name in ("warranty_term", "warranty_keys", "warranty_buyer_keys")
    ]
    for shown in (product.text, page.text):
        assert "Codes that Steam &lt;refuses&gt;." in shown
        assert "1 key of an order is replaced at once" in shown
    assert "can be claimed for 3 days" in product.text
    assert "Warranty until" in page.text
    assert "Codes that Steam <refuses>." in receipt
    assert before.items != after.items
    assert before.items == [each.text for each in after.replaced]
    assert "It is under warranty: new keys." in claimed.text
    [told] = await town.acts(town.north, "product.changed")
    assert told.after["warranty"].startswith("72 h, 1/2 keys")


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"warranty_term": "0"}, "of whole hours or days"),
        ({"warranty_term": "367"}, "of whole hours or days"),
        ({"warranty_unit": "years"}, "of whole hours or days"),
        ({"warranty_covers": "x" * 501}, "in at most 500 letters"),
        ({"warranty_keys": "3"}, "at most 100 keys"),
        ({"warranty_keys": "101", "warranty_buyer_keys": "101"}, "at most 100 keys"),
        ({"warranty_keys": "1", "warranty_buyer_keys": "1001"}, "at most 100 keys"),
    ],
)
async def test_a_warranty_that_makes_no_sense_is_refused(town, wrong, words):
    """The form says what does not fit, keeps what was written, and nothing is changed."""
    browser = await town.join(Role.SELLER)
    await offered(town, browser, **wrong)
    [found, *_] = await goods(town)

    assert 422 == browser.page.status_code
    assert words in browser.page.text
    assert found.product.warranty is None


async def test_a_warranty_is_taken_away_by_an_empty_term_only(town):
    """A form that knows nothing of warranties leaves it; an empty term ends it."""
    browser = await town.join(Role.SELLER)
    path = await offered(town, browser)
    await browser.send(path, title="Another", restock_hours="0")
    [kept, *_] = await goods(town)
    await browser.send(path, title="Another", restock_hours="0", warranty_term="")
    [ended, *_] = await goods(town)

    assert 72 == kept.product.warranty.hours
    assert ended.product.warranty is None
