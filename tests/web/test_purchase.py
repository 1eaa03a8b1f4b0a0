"""Buying without JavaScript: from the home page to the key, over forms and links alone."""

import re
from html import unescape

import pytest

from vendrail.api.orders import OrderState
from vendrail.kernel.errors import Overloaded
from vendrail.kernel.ids import from_serial


def fields(page: str, action: str) -> dict[str, str]:
    """Read the hidden fields of a form."""
    form = page.split(f'action="{action}"', 1)[1].split("</form>", 1)[0]
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))


async def open_form(browser, slug: str = "steam", market=None) -> tuple[str, dict[str, str]]:
    """Go from the home page to a product; give its page and the buy form's hidden fields."""
    home = await browser.get("/")
    titles = {"steam": "Steam", "office": "Office"}
    links = re.findall(r'href="(/products/\w{26})">([^<]*)', home.text)
    link = next(link for link, title in links if titles[slug] in title)
    page = await browser.get(link)
    return page.text, fields(page.text, "/orders")


async def buy(browser, **changes):
    """Fill the form in and send it."""
    _, hidden = await open_form(browser)
    form = {"sku": "STEAM-50", "quantity": "2", "contact": "a@example.com", "method": "alipay"}
    return await browser.post("/orders", data=hidden | form | changes)


async def test_three_steps_from_product_to_key(browser, market):
    """One form, one tap at the provider, and the key is on the page; no script was run."""
    placed = await buy(browser)  # 1: fill in and click.
    assert 303 == placed.status_code
    order_page = await browser.get(placed.headers["location"])
    onward = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', order_page.text)
    assert onward, "The browser is sent on to the provider by itself."
    door = await browser.get(onward[1])
    assert (303, "https://provider.example.com/gateway?n=1&x=1") == (
        door.status_code,
        door.headers["location"],
    )
    id = from_serial(placed.headers["location"].split("/")[2].split("?")[0])
    market.deliver(id, "KEY-AAAA", "KEY-BBBB")  # 2: tap pay at the provider.
    back = await browser.get(placed.headers["location"].split("?")[0])  # 3: read the key.

    assert 200 == back.status_code
    assert "KEY-AAAA" in back.text
    assert "KEY-BBBB" in back.text
    assert "Here are your 2 keys" in back.text
    assert "http-equiv" not in back.text


async def test_waiting_page_looks_again_by_itself_without_script(browser):
    """While an order waits, the page asks again by itself even where there is no script."""
    placed = await buy(browser)
    page = await browser.get(placed.headers["location"].split("?")[0])

    assert '<noscript><meta http-equiv="refresh" content="4"></noscript>' in page.text


async def test_same_form_sent_twice_is_one_order(browser, market):
    """A double click or a reload places one order; a changed form places another."""
    _, hidden = await open_form(browser)
    form = hidden | {"sku": "STEAM-50", "quantity": "1", "contact": "a@b.cn", "method": "alipay"}
    first = await browser.post("/orders", data=form)
    again = await browser.post("/orders", data=form)
    other = await browser.post("/orders", data=form | {"quantity": "2"})

    assert first.headers["location"] == again.headers["location"]
    assert first.headers["location"] != other.headers["location"]
    assert 2 == len(market.orders)


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"contact": "nobody"}, "Enter an e-mail address that we can reach you at."),
        ({"quantity": "11"}, "That quantity cannot be ordered."),
        ({"quantity": "2e1"}, "That quantity cannot be ordered."),
        ({"quantity": ""}, "That quantity cannot be ordered."),
        ({"method": "gold"}, "Choose one of these ways to pay."),
        ({"sku": "OFFICE"}, "Not enough is left just now."),
        ({"sku": "NOPE"}, "This choice is gone."),
    ],
)
async def test_refusal_shows_the_form_again(browser, market, changes, says):
    """A refused order says why beside the form, and keeps what was filled in."""
    answer = await buy(browser, **changes)

    assert 422 == answer.status_code
    assert says in answer.text
    assert f'value="{changes.get("contact", "a@example.com")}"' in answer.text
    assert {} == market.orders


async def test_an_order_that_waited_too_long_may_come_again(browser, market):
    """An order whose id is no longer of this moment is told to come again, and nothing is lost."""
    market.is_late = True
    late = await buy(browser)

    assert (503, "1") == (late.status_code, late.headers["retry-after"])
    assert {} == market.orders


async def test_way_to_pay_can_be_changed_at_any_time(browser, market):
    """Another way to pay opens on the same order, the first one staying open; a QR is drawn."""
    placed = await buy(browser)
    address = placed.headers["location"].split("?")[0]
    page = await browser.get(address)
    changed = await browser.post(
        f"{address}/payments",
        data=fields(page.text, f"{address}/payments") | {"method": "alipay_qr"},
    )
    shown = await browser.get(changed.headers["location"])

    assert (303, 2) == (changed.status_code, len(market.attempts))
    assert "Scan to pay" in shown.text
    assert "<svg" in shown.text.split("QR code to pay")[1]
    assert 'name="method" value="alipay"' in shown.text
    refused = await browser.post(
        f"{address}/payments", data=fields(page.text, f"{address}/payments") | {"method": "gold"}
    )
    assert (422, True) == (refused.status_code, "Choose one of these ways" in refused.text)


async def test_a_payment_that_failed_says_so_by_itself(browser, market):
    """The page that shows its way to pay is given anew, once, and offers the ways again."""
    placed = await buy(browser, method="alipay_qr")
    address = placed.headers["location"].split("?")[0]
    page = await browser.get(address)
    ask = unescape(re.search(r'hx-get="([^"]+)"', page.text)[1])
    quiet = await browser.get(ask)
    market.failed |= set(market.attempts)
    told = await browser.get(ask)
    again = await browser.get(unescape(re.search(r'hx-get="([^"]+)"', told.text)[1]))

    assert [204, 200, 204] == [each.status_code for each in (quiet, told, again)]
    assert "The last try did not go through" in told.text
    assert "The last try did not go through" not in page.text
    assert "Scan to pay" not in told.text
    assert 'name="method" value="alipay"' in told.text


async def test_order_can_be_cancelled(browser, market):
    """An unpaid order is cancelled by its own form."""
    placed = await buy(browser)
    address = placed.headers["location"].split("?")[0]
    page = await browser.get(address)
    done = await browser.post(f"{address}/cancel", data=fields(page.text, f"{address}/cancel"))
    after = await browser.get(address)

    assert 303 == done.status_code
    assert "This order is cancelled" in after.text
    assert [OrderState.CANCELLED] == [view.state for view in market.orders.values()]


async def test_keys_can_be_saved(browser, market):
    """The keys of a delivered order come as a text file too, never stored on the way."""
    placed = await buy(browser)
    address = placed.headers["location"].split("?")[0]
    assert 404 == (await browser.get(f"{address}/keys.txt")).status_code
    market.deliver(from_serial(address.split("/")[2]), "K-1", "K-2")
    saved = await browser.get(f"{address}/keys.txt")

    assert b"K-1\nK-2\n" == saved.content
    assert "attachment" in saved.headers["content-disposition"]
    assert "no-store" == saved.headers["cache-control"]


@pytest.mark.parametrize(
    "state, waiting, says",
    [
        (OrderState.PAID, "", "Your key is on its way."),
        (OrderState.PAID, "review", "A person looks at this payment"),
        (OrderState.PAID, "restock", "being restocked"),
        (OrderState.EXPIRED, "", "This order has expired"),
        (OrderState.REFUNDING, "", "on its way back"),
        (OrderState.REFUNDED, "", "Refunded"),
    ],
)
async def test_every_state_has_words(browser, market, state, waiting, says):
    """Each state of an order says where the money is and what comes next."""
    placed = await buy(browser)
    address = placed.headers["location"].split("?")[0]
    market.step(from_serial(address.split("/")[2]), state, waiting=waiting)
    page = await browser.get(address)

    assert 200 == page.status_code
    assert says in page.text


async def test_full_queues_show_a_page_that_says_when(browser, market):
    """When placing is overloaded, the buyer gets 503, a time to wait and no charge."""
    market.problem = Overloaded("full", retry_after_s=2)
    answer = await buy(browser)

    assert (503, "2") == (answer.status_code, answer.headers["retry-after"])
    assert "Nothing was charged" in answer.text


async def test_recent_orders_are_remembered_without_their_secrets(browser):
    """The browser finds its orders under “My orders”; that cookie holds numbers only."""
    placed = await buy(browser)
    serial = placed.headers["location"].split("/")[2].split("?")[0]
    page = await browser.get("/lookup")

    assert f'href="/orders/{serial}"' in page.text
    recent = next(c for c in placed.headers.get_list("set-cookie") if c.startswith("vr_recent"))
    assert "secret" not in recent


async def test_recent_orders_say_when_they_were_placed(browser):
    """My orders shows each order's moment; a made-up number in the cookie breaks nothing."""
    await buy(browser)
    own = await browser.get("/lookup")
    browser.cookies.clear()
    browser.cookies.set("vr_recent", "7" + "Z" * 25, domain="localhost.local")
    forged = await browser.get("/lookup")

    assert "Nov 23, 2026, 4:00:00" in own.text
    assert 200 == forged.status_code
    assert "Order ZZZZZZ" in forged.text
