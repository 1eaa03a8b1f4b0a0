"""Receipts of orders as PDF: for buyers and merchants, in every language, without a key."""

import io
import re

from pypdf import PdfReader

from vendrail.api.identity import Role
from vendrail.api.orders import OrderQuery, RefundOrder
from vendrail.api.promotions import Coupon, CouponId, Promotions
from vendrail.kernel.ids import new_id, to_serial
from vendrail.kernel.locales import TAGS
from vendrail.orders import store

SAID = {
    "zh-Hans": ("收据", "支付方式", "支付宝"),
    "zh-Hant": ("收據", "付款方式", "支付寶"),
    "en": ("Receipt", "Paid by", "Alipay"),
    "ja": ("領収書", "お支払い方法", "Alipay"),
    "ko": ("영수증", "결제 수단", "알리페이"),
    "es": ("Recibo", "Pagado con", "Alipay"),
}


def read(answer) -> str:
    """Give all that is written on a paper, without the places where words may break."""
    pages = PdfReader(io.BytesIO(answer.content)).pages
    text = " ".join(page.extract_text() for page in pages)
    return text.replace("\u200b", "").replace("\xa0", " ").replace("\n", " ")


async def buy(town, **more):
    """Let somebody buy two keys of the merchant; give the placement and the order."""
    await town.north.offer("GAME", keys=4)
    placed = await town.north.place("GAME", 2, **more)
    await town.north.pay(placed.order, quantity=2)
    await town.north.run()
    query = OrderQuery(placed.order, placed.secret, with_items=True)
    [view] = await town.north.orders.read_orders([query])
    return placed, view


async def test_a_receipt_says_in_each_language_what_was_paid_and_holds_no_secret(town):
    """Number, seller, title, amount and way to pay are on it; neither keys nor the link are."""
    placed, view = await buy(town)
    link = f"/orders/{view.serial}/receipt.pdf"
    for tag in TAGS:
        buyer = town.world.browser()
        buyer.http.headers["Accept-Language"] = tag
        moved = await buyer.http.get(f"{link}?key={placed.secret}")
        given = await buyer.http.get(moved.headers["location"])
        said = read(given)

        assert (303, link) == (moved.status_code, moved.headers["location"])
        assert (200, "application/pdf") == (given.status_code, given.headers["content-type"])
        assert "no-store" == given.headers["cache-control"]
        for words in (*SAID[tag], view.serial, "North", view.title):
            assert words in said
        assert re.search(r"39[.,]80", said)
        for secret in (*view.items, placed.secret, "@"):
            assert secret not in said


async def test_a_receipt_of_what_went_back_says_so_to_merchant_and_buyer(town):
    """After a refund of a part the merchant's receipt shows it, and what is left of the payment."""
    placed, view = await buy(town)
    refund = RefundOrder(new_id(town.clock.now()), placed.order, 980, "half", "lin")
    await town.north.orders.refund_orders([refund])
    async with town.house.databases["orders"].transaction() as tx:
        await store.settle_refunds(tx, [refund.id], "paid", town.clock.now())
    browser = await town.join(Role.SUPPORT)
    said = read(await browser.http.get(f"/merchant/orders/{view.serial}/receipt.pdf"))

    assert "Refunded -¥9.80" in said.replace("CN¥", "¥")
    assert "Paid after refunds ¥30.00" in said.replace("CN¥", "¥")


async def test_no_receipt_before_a_payment_nor_for_strangers(town):
    """An unpaid order has none, and neither another browser nor another merchant opens one."""
    _, view = await buy(town)
    unpaid = await town.north.place("GAME", 1)
    stranger, south = town.world.browser(), await town.join(Role.SUPPORT, town.south)
    paths = [
        f"/orders/{to_serial(unpaid.order)}/receipt.pdf?key={unpaid.secret}",
        f"/orders/{view.serial}/receipt.pdf?key=wrong",
        f"/orders/{view.serial}/receipt.pdf",
    ]
    answers = [await stranger.http.get(path, follow_redirects=True) for path in paths]
    answers.append(await south.http.get(f"/merchant/orders/{view.serial}/receipt.pdf"))

    assert [404] * 4 == [each.status_code for each in answers]


async def test_words_of_a_title_are_never_markup(town):
    """Whatever a title holds is printed as it is: it reads no file and runs nothing."""
    title = '#read("paper.typ") $x$ *b* \\ <img> ] #[ «单» "'
    await town.north.offer("GAME", keys=4, title=title)
    placed = await town.north.place("GAME", 2)
    await town.north.pay(placed.order, quantity=2)
    await town.north.run()
    browser = await town.join(Role.SUPPORT)
    serial = to_serial(placed.order)
    said = read(await browser.http.get(f"/merchant/orders/{serial}/receipt.pdf"))

    assert title.replace(" ", "") in said.replace(" ", "")


async def test_a_receipt_shows_the_price_and_what_a_coupon_took_off(town):
    """Price, coupon and what was paid stand one below the other."""
    coupon = Coupon(
        CouponId(new_id(town.clock.now())),
        town.north.merchant,
        "Five",
        "CNY",
        amount_minor=500,
        word="FIVE",
    )
    await town.house.api(Promotions).put_coupons([coupon])
    await town.north.offer("GAME", keys=4)
    placed = await town.north.place("GAME", 2, coupon="FIVE")
    await town.north.pay(placed.order, amount_minor=3_480)
    await town.north.run()
    buyer = town.world.browser()
    link = f"/orders/{to_serial(placed.order)}/receipt.pdf"
    moved = await buyer.http.get(f"{link}?key={placed.secret}")
    said = read(await buyer.http.get(moved.headers["location"]))

    assert re.search(r"39\.80.*Coupon.*5\.00.*Total.*34\.80", said)
