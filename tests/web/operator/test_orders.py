"""All orders in the operator's console: found, followed, asked about, given back."""

import re

from tests.web.console.conftest import make_app

from vendrail.api.catalog import KeyIntake, KeyLine
from vendrail.api.identity import NOT_DONE, ActQuery, Role
from vendrail.kernel.ids import new_id, to_serial


async def test_orders_are_found_by_any_number(world):
    """By the order's number, the payment's at the provider, or the contact; never with a key."""
    browser = await world.join("su@rail.example", Role.OPERATOR_SUPPORT)
    serial = to_serial(world.orders["watched"])
    [[capture]] = await world.market.payments.read_captures([world.orders["watched"]])
    for words in (serial, capture.provider_number, "watched@example.com"):
        await browser.go(f"/operator/orders?q={words}")
        assert f'href="/operator/orders/{serial}"' in browser.page.text
        assert 1 == browser.page.text.count('class="link-row')
    await browser.go("/operator/orders?q=nothing")
    assert "Nothing has that number" in browser.text
    await browser.go(f"/operator/orders/{to_serial(world.orders['sold'])}")

    assert "Money that arrived" in browser.text
    assert "S1-KEY" not in browser.page.text


async def test_orders_are_listed_by_pages(world):
    """Pages go on where the one before ended, without gap or repeat; filters stay."""
    lines = [KeyLine(number, f"MORE-{number:04}") for number in range(1, 401)]
    await world.market.catalog.add_keys([KeyIntake("S2", new_id(world.clock.now()), lines)])
    for _ in range(52):
        await world.market.place("S2")
    browser = await world.join("su@rail.example", Role.OPERATOR_SUPPORT)
    await browser.go("/operator/orders?state=expired")
    some = re.findall(r'href="/operator/orders/(\w{26})"', browser.page.text)
    await browser.go("/operator/orders")
    first = re.findall(r'href="/operator/orders/(\w{26})"', browser.page.text)
    older = re.search(r'href="([^"]+)" rel="next"', browser.page.text)[1].replace("&amp;", "&")
    await browser.go(older)
    second = re.findall(r'href="/operator/orders/(\w{26})"', browser.page.text)

    assert {to_serial(world.orders["expired"]), to_serial(world.orders["mispaid"])} == set(some)
    assert 50 == len(first)
    assert sorted({*first, *second}, reverse=True) == [*first, *second]


async def test_a_buyer_who_paid_is_believed_when_the_provider_says_so(world):
    """Asked, the provider says whether money came; if it did, the order is filled as always."""
    browser = await world.join("su@rail.example", Role.OPERATOR_SUPPORT)
    order = await world.market.place("S2")
    path = f"/operator/orders/{to_serial(order)}"
    await world.show_code(order)
    await browser.go(path)
    await browser.send(f"{path}/ask", reason="she sent a picture")
    assert 422 == browser.page.status_code
    assert "nobody has paid" in browser.text, browser.text
    await world.pay_at_provider(order)
    await browser.send(f"{path}/ask", reason="she sent a picture")
    await world.market.run()

    assert path == browser.path
    assert "delivered" == await world.market.state(order)
    [acts] = await world.identity.list_acts([ActQuery(None, 9, act="payment.")])
    assert ["not_paid"] == [each.after[NOT_DONE] for each in acts if NOT_DONE in each.after]
    assert ["payment.asked"] * 3 == await world.acts(act="payment.")


async def test_a_part_is_given_back(world):
    """Finance gives a part back with a reason, once however often it is sent; not too much."""
    browser = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    order = world.orders["sold"]
    path = f"/operator/orders/{to_serial(order)}"
    await browser.go(path)
    nonce = re.search(r'name="nonce" value="(\w+)"', browser.page.text)[1]
    for amount in ("0", "-1", "lots", "1.005"):
        await browser.send(f"{path}/refund", amount=amount, reason="half works", nonce=nonce)
        assert 422 == browser.page.status_code
    await browser.send(f"{path}/refund", amount="99", reason="half works", nonce=nonce)
    assert "more than is left" in browser.text
    for _ in range(2):
        await browser.send(f"{path}/refund", amount="5.00", reason="half works", nonce=nonce)
    await world.market.run()
    [refunds] = await world.market.orders.read_refunds([order])

    assert [500] == [each.amount_minor for each in refunds]
    [acts] = await world.identity.list_acts([ActQuery(None, 9, act="order.refunded")])
    assert ("1990", "1490") == (acts[-1].before["left_minor"], acts[-1].after["left_minor"])
    assert "fi@rail.example" == await world.person_of(refunds[0].id)


async def test_the_books_of_an_order_are_on_its_page(world):
    """What a sale moved, between which accounts, and the block that it is sealed in."""
    browser = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    path = f"/operator/orders/{to_serial(world.orders['sold'])}"
    await browser.go(path)
    young = browser.text
    for _ in range(4):
        world.market.clock.advance(200)
        await world.market.house.services["ledger"].seal()
    await browser.go(path)

    assert "In the books" in young
    assert "Not sealed yet" in young
    assert (True, False) == ("Block 1" in browser.text, "Not sealed yet" in browser.text)
    for words in ("provider:alipay → held:", ":available", "→ platform:fee"):
        assert words in browser.text, words


async def test_support_gives_no_money_back(world):
    """Support sees orders and asks providers, and has no form and no way to refund."""
    browser = await world.join("su@rail.example", Role.OPERATOR_SUPPORT)
    path = f"/operator/orders/{to_serial(world.orders['sold'])}"
    await browser.go(path)
    assert "/refund" not in browser.page.text
    sent = await browser.send(f"{path}/refund", raw=True, amount="1", reason="x", nonce="0" * 26)
    [refunds] = await world.market.orders.read_refunds([world.orders["sold"]])

    assert 403 == sent.status_code
    assert [] == refunds


async def test_a_large_refund_needs_a_second_person(world):
    """Above the limit nothing goes back until another has approved; then it goes once."""
    world.app = make_app(world.house, world.home, second_person_above_minor=1_000)
    first = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    other = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    order = world.orders["sold_too"]
    path = f"/operator/orders/{to_serial(order)}"
    await first.go(path)
    nonce = re.search(r'name="nonce" value="(\w+)"', first.page.text)[1]
    await first.send(f"{path}/refund", reason="does not work", nonce=nonce, amount="20.00")
    assert "That is more than is left of its payment." in first.text
    await first.send(f"{path}/refund", reason="does not work", nonce=nonce)
    assert "A second person must approve it" in first.text
    [before] = await world.market.orders.read_refunds([order])
    await other.go("/operator/approvals")
    approval = re.search(r'action="(/operator/approvals/\w{26})"', other.page.text)[1]
    await other.send(approval, decision="approve")
    await world.market.run()
    [after] = await world.market.orders.read_refunds([order])

    assert [] == before
    assert [1_990] == [each.amount_minor for each in after]
    assert "fi@rail.example, approved by ad@rail.example" == await world.person_of(after[0].id)
