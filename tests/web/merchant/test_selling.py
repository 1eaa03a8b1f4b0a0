"""Overview and orders of a merchant, as a browser shows them, over real services."""

import re
from datetime import timedelta

import pytest

from vendrail.api.identity import NOT_DONE, Role
from vendrail.api.orders import OrderQuery, OrderState
from vendrail.kernel.ids import new_id, to_serial

PRICE = "CN¥19.90"


async def test_the_overview_tells_how_today_goes(town):
    """Sold, placed, available and what runs out; as numbers, as a table, and for the chart."""
    await town.north.offer("GAME", keys=9)
    for _ in range(2):
        await town.sell(town.north, "GAME")
    await town.north.place("GAME")
    browser = await town.join(Role.OWNER)
    await browser.go("/merchant")
    told = (await browser.http.get("/merchant/overview/sales?span=today")).json()

    assert "Sold today CN¥39.80" in browser.text
    assert "Orders today 2 3 placed" in browser.text
    assert "Available CN¥38.60" in browser.text
    assert "6 left" in browser.text
    assert (24, 24, "CNY") == (len(told["labels"]), len(told["sales"]), told["currency"])
    assert ("39.80", 2) == (told["sales"][16], told["orders"][16])  # 16:00 in Shanghai.
    assert {"0.00", "39.80"} == set(told["sales"])


async def test_today_is_compared_with_yesterday_by_now(town):
    """Half as much as yesterday until this hour is said as that, whatever came later that day."""
    await town.north.offer("GAME", keys=9)
    for hours in (0, 0, 6):
        town.clock.advance(hours * 3_600)
        await town.sell(town.north, "GAME")
    town.clock.advance(18 * 3_600 + 60)
    await town.sell(town.north, "GAME")
    browser = await town.join(Role.OWNER)
    await browser.go("/merchant?span=month")

    assert "50% less than yesterday by now" in browser.text
    assert "Sold in 30 days CN¥79.60" in browser.text
    assert 30 == len(
        (await browser.http.get("/merchant/overview/sales?span=month")).json()["sales"]
    )


async def test_a_sellers_overview_has_no_balance(town):
    """Who may not see the money is shown none of it."""
    await town.north.offer("GAME")
    await town.sell(town.north, "GAME")
    browser = await town.join(Role.SELLER)
    await browser.go("/merchant")

    assert "Sold today" in browser.text
    assert "Available" not in browser.text


async def test_orders_are_listed_and_filtered(town):
    """Newest first with contact, state and amount; by state, product and day; nothing of others."""
    await town.north.offer("GAME", keys=9)
    await town.north.offer("BOOK", keys=9)
    await town.south.offer("ELSE", keys=9)
    sold = await town.sell(town.north, "GAME", contact="lin@example.com")
    placed = (await town.north.place("BOOK")).order
    theirs = await town.sell(town.south, "ELSE")
    browser = await town.join(Role.SUPPORT)

    def shown() -> list:
        orders = {"sold": sold, "placed": placed, "theirs": theirs}
        return [name for name, id in orders.items() if to_serial(id) in browser.page.text]

    await browser.go("/merchant/orders")
    assert ["sold", "placed"] == shown()
    assert "lin@example.com" in browser.text
    assert PRICE in browser.text
    tomorrow = (town.clock.now() + timedelta(days=1)).date()
    for query, expected in (
        ("state=delivered", ["sold"]),
        ("state=placed", ["placed"]),
        ("state=nonsense", ["sold", "placed"]),
        (f"from={tomorrow}", []),
        (f"to={tomorrow}", ["sold", "placed"]),
        ("from=yesterday&to=99999-01-01", ["sold", "placed"]),
        ("q=lin@example.com", ["sold"]),
        (f"q={to_serial(sold)}", ["sold"]),
        (f"q={to_serial(theirs)}", []),
        (f"product={to_serial(new_id(town.clock.now()))}", []),
    ):
        await browser.go(f"/merchant/orders?{query}")
        found = [] if "Nothing has that number" in browser.text else shown()
        assert expected == found, query


async def test_older_orders_are_a_page_away(town, read_links):
    """Fifty on a page; the link leads to the others, and there it ends."""
    await town.north.offer("GAME", keys=60)
    for _ in range(52):
        await town.north.place("GAME")
    browser = await town.join(Role.SUPPORT)
    await browser.go("/merchant/orders")
    first = set(read_links(browser, "/merchant/orders/"))
    [older] = [each for each in read_links(browser, "/merchant/orders?") if "before=" in each]
    await browser.go(older)
    second = set(read_links(browser, "/merchant/orders/"))

    assert (50, 2, set()) == (len(first), len(second), first & second)
    assert not [each for each in read_links(browser, "/merchant/orders?") if "before=" in each]


async def test_a_part_and_then_the_rest_goes_back(town, address_of, read_field):
    """A refund needs a reason and a fresh form; sent twice it is one; each is in the log."""
    await town.north.offer("GAME")
    order = await town.sell(town.north, "GAME")
    browser = await town.join(Role.FINANCE)
    path = address_of(order)
    await browser.go(path)
    nonce = read_field(browser, "nonce")
    part = {"part": "part", "amount": "5.00", "nonce": nonce}
    await browser.send(f"{path}/refund", **part)
    assert (422, True) == (browser.page.status_code, "Say why" in browser.text)
    for _ in range(2):
        await browser.send(f"{path}/refund", reason="half of it failed", **part)
        assert path == browser.path
    town.clock.advance(1)  # What happens in one moment has no order.
    nonce = read_field(browser, "nonce")
    await browser.send(f"{path}/refund", part="all", nonce=nonce, reason="and the rest")
    [refunds] = await town.north.orders.read_refunds([order])
    [view] = await town.north.orders.read_orders([OrderQuery(order, None)])
    acts = await town.acts(town.north, "order.")

    assert [500, 1_490] == [each.amount_minor for each in refunds]
    assert OrderState.REFUNDING is view.state
    assert ["half of it failed", "and the rest"] == [each.reason for each in refunds]
    assert {"order.refunded"} == {each.act for each in acts}
    assert [f"order:{to_serial(order)}"] * 3 == [each.subject for each in acts]
    assert {"asked": "5.00", "currency": "CNY"} == acts[0].after
    assert "finance@north.example" == acts[0].by.name
    assert "Give money back" not in browser.text


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"part": "part", "amount": "19.91"}, "more than is left"),
        ({"part": "part", "amount": "-1"}, "in digits"),
        ({"part": "part", "amount": "0"}, "in digits"),
        ({"part": "part", "amount": "1.001"}, "in digits"),
        ({"part": "part", "amount": "all of it"}, "in digits"),
        ({"part": "part", "amount": ""}, "in digits"),
    ],
)
async def test_a_wrong_amount_moves_nothing(town, address_of, read_field, fields, said):
    """What cannot be given back is said beside the form, what was written stays, nothing moves."""
    await town.north.offer("GAME")
    order = await town.sell(town.north, "GAME")
    browser = await town.join(Role.FINANCE)
    await browser.go(address_of(order))
    nonce = read_field(browser, "nonce")
    await browser.send(f"{address_of(order)}/refund", nonce=nonce, reason="why", **fields)
    [refunds] = await town.north.orders.read_refunds([order])

    assert (422, []) == (browser.page.status_code, refunds)
    form = browser.page.text.partition('id="refund"')[2]
    assert said in form.partition("</form>")[0].partition('role="alert"')[2]
    assert 'value="why"' in form


async def test_the_log_tells_what_was_not_done(town, address_of, read_field):
    """An act is logged before it is done; one that is refused is followed by why it was not."""
    await town.north.offer("GAME")
    order = await town.sell(town.north, "GAME")
    browser = await town.join(Role.FINANCE)
    await browser.go(address_of(order))
    sent = {"nonce": read_field(browser, "nonce"), "part": "part", "amount": "19.91"}
    await browser.send(f"{address_of(order)}/refund", reason="all of it and more", **sent)
    acts = await town.acts(town.north, "order.")

    assert [{"asked": "19.91", "currency": "CNY"}, {"not_done": "more_than_captured"}] == [
        each.after for each in sorted(acts, key=lambda act: NOT_DONE in act.after)
    ]
    assert [(f"order:{to_serial(order)}", "order.refunded")] * 2 == [
        (each.subject, each.act) for each in acts
    ]


async def test_refunds_are_for_who_may(town, address_of):
    """A seller sees the order and no form to refund it; sending one all the same is refused."""
    await town.north.offer("GAME")
    order = await town.sell(town.north, "GAME")
    browser = await town.join(Role.SELLER)
    await browser.go(address_of(order))
    assert "Where the money is" in browser.text
    assert "Give money back" not in browser.text
    nonce = to_serial(new_id(town.clock.now()))
    await browser.send(f"{address_of(order)}/refund", part="all", nonce=nonce, reason="mine")
    [refunds] = await town.north.orders.read_refunds([order])

    assert (403, []) == (browser.page.status_code, refunds)


async def test_a_refund_wants_a_fresh_proof(town, address_of, read_field):
    """Half an hour after signing in, giving money back asks for the password again."""
    await town.north.offer("GAME")
    order = await town.sell(town.north, "GAME")
    browser = await town.join(Role.FINANCE)
    town.clock.advance(31 * 60)
    await browser.go(address_of(order))
    nonce = read_field(browser, "nonce")
    await browser.send(f"{address_of(order)}/refund", part="all", nonce=nonce, reason="why")
    [refunds] = await town.north.orders.read_refunds([order])

    assert ("/console/confirm", []) == (browser.path, refunds)


async def test_the_shops_currencies_stay_out_of_the_console(town):
    """In how many currencies visitors may look at prices changes nothing of a merchant's pages."""
    await town.north.offer("GAME")
    browser = await town.join(Role.OWNER)
    await browser.go("/merchant/products/new")
    assert ["price_CNY"] == re.findall(r'name="(price_\w+)"', browser.page.text)

    for page in ("/merchant", "/merchant/balance", "/merchant/statements", "/merchant/payouts"):
        await browser.go(page)
        assert "currency=USD" not in browser.page.text
