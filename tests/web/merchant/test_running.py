"""Balance, shop settings and staff of a merchant, as a browser uses them, over real services."""

import re

import pytest

from vendrail.api.catalog import MerchantId, ShopProductQuery
from vendrail.api.identity import PeopleQuery, Role
from vendrail.api.notify import Notify
from vendrail.api.orders import RefundOrder
from vendrail.api.settlement import CaptureBooking, Sale
from vendrail.kernel.ids import new_id, to_serial


async def shops(town, market):
    """Read a merchant's shops."""
    return (await market.catalog.list_shops([MerchantId(market.merchant)]))[0]


async def people(town):
    """Read who works for the merchant: address and role."""
    [found] = await town.world.identity.list_people([PeopleQuery(town.north.merchant)])
    roles = {
        each.email: membership.role
        for each in found
        for membership in each.memberships
        if membership.merchant == town.north.merchant
    }
    return roles, {each.email: each.id for each in found}


async def test_money_in_a_currency_without_terms_is_seen(town):
    """What was sold in dollars stands in the balance, though there are terms in yuan only."""
    browser = await town.join(Role.OWNER)
    now, merchant = town.clock.now(), town.north.merchant
    before = await browser.http.get("/merchant/balance?currency=USD")
    order = new_id(now)
    booking = CaptureBooking(new_id(now), order, "stripe", merchant, 999, "USD")
    [sale] = await town.north.settlement.split_sales(
        [Sale(order, merchant, 999, "USD", now, booking)]
    )
    after = await browser.http.get("/merchant/balance?currency=USD")

    assert f"${sale.share_minor / 100:.2f}" not in before.text
    assert f"${sale.share_minor / 100:.2f}" in after.text


async def test_the_balance_is_the_ledgers_and_names_its_orders(town):
    """Available is what the ledger says; each sale and refund is a movement of its order."""
    await town.north.offer("GAME", keys=9)
    order = await town.sell(town.north, "GAME")
    await town.sell(town.north, "GAME")
    refund = RefundOrder(new_id(town.clock.now()), order, 500, "asked", "lin")
    await town.north.orders.refund_orders([refund])
    await town.north.run()
    [balance] = await town.north.settlement.read_merchant_balances([(town.north.merchant, "CNY")])
    browser = await town.join(Role.FINANCE)
    await browser.go("/merchant/balance")

    assert f"Available CN¥{balance.available_minor / 100:.2f}" in browser.text
    assert (2, 1) == (browser.text.count("+CN¥"), browser.text.count("-CN¥"))
    assert to_serial(order) in browser.page.text
    assert "Nothing has moved" in (await browser.http.get("/merchant/balance?of=debt")).text
    for query in ("?of=reserve", "?currency=XXX", "?before=nothing"):
        assert 200 == (await browser.http.get(f"/merchant/balance{query}")).status_code


async def test_each_movement_has_its_proof(town, read_links):
    """Soon after it happened a movement's proof can be had as a file; nobody else's ever."""
    await town.north.offer("GAME")
    await town.sell(town.north, "GAME")
    await town.south.offer("OTHER")
    await town.sell(town.south, "OTHER")
    browser, stranger = await town.join(Role.FINANCE), await town.join(Role.FINANCE, town.south)
    await browser.go("/merchant/balance")
    young = read_links(browser, "/merchant/balance/")
    for _ in range(4):
        town.clock.advance(200)
        await town.house.services["ledger"].seal()
    await browser.go("/merchant/balance")
    [proof] = read_links(browser, "/merchant/balance/")
    answer = await browser.http.get(proof)
    others = await stranger.http.get(proof)

    assert [] == young
    assert "attachment" in answer.headers["content-disposition"]
    assert "sale" == answer.json()["says"].split("|")[13]
    assert 404 == others.status_code
    assert 404 == (await browser.http.get("/merchant/balance/nothing/proof")).status_code


async def test_older_movements_are_a_page_away(town, read_links):
    """Fifty movements on a page, the others behind the link, each once."""
    await town.north.offer("GAME", keys=60)
    placed = [await town.north.place("GAME") for _ in range(52)]
    for each in placed:
        await town.north.pay(each.order)
    await town.north.run()
    browser = await town.join(Role.FINANCE)
    await browser.go("/merchant/balance")
    first = read_links(browser, "/merchant/orders/")
    [older] = [each for each in read_links(browser, "/merchant/balance?") if "before=" in each]
    await browser.go(older)
    second = read_links(browser, "/merchant/orders/")

    assert (50, 2) == (len(first), len(second))
    assert {f"/merchant/orders/{to_serial(each.order)}" for each in placed} == {*first, *second}


async def test_the_shop_says_what_its_owner_wrote(town):
    """Name, notice and contact change at once, a closed shop is not found; all of it is logged."""
    browser = await town.join(Role.OWNER)
    [shop] = await shops(town, town.north)
    path = f"/merchant/shop/{to_serial(shop.id)}"
    fields = {"name": "North Games", "contact": "help@north.example", "notice": "**Hello**"}
    await browser.go("/merchant/shop")
    await browser.send(path, is_open="yes", **fields)
    assert "Saved." in browser.text
    shown = await town.world.browser().go("/shops/north")
    await browser.send(path, is_open="no", **fields)
    [closed] = await shops(town, town.north)  # Pages learn of it within their short memory.
    acts = await town.acts(town.north, "shop.")

    assert "North Games" in shown.text
    assert "<strong>Hello</strong>" in shown.text
    assert (False, "north", "North Games") == (closed.is_open, closed.slug, closed.name)
    assert {"name": "North", "contact": "", "notice": ""} in [act.before for act in acts]
    assert {"open": "no"} in [act.after for act in acts]


async def test_a_shop_without_a_name_is_refused(town):
    """What does not fit is said, what was written stays, and the shop is as it was."""
    browser = await town.join(Role.OWNER)
    [shop] = await shops(town, town.north)
    await browser.go("/merchant/shop")
    await browser.send(
        f"/merchant/shop/{to_serial(shop.id)}", name="", contact="kept", is_open="yes"
    )

    assert 422 == browser.page.status_code
    assert 'value="kept"' in browser.page.text
    assert [shop] == await shops(town, town.north)


async def test_an_invited_merchant_opens_its_shop(town):
    """Who has no shop opens one, once, under an address that nobody has, and it is logged."""
    merchant = new_id(town.clock.now())
    owner = await town.world.join("o@west.example", Role.OWNER, merchant=merchant, name="West Keys")
    await owner.go("/merchant")
    assert ">Open the shop</a>" in owner.page.text
    assert 'href="/merchant/products/new"' not in owner.page.text
    await owner.go("/merchant/products/new")
    assert "Open your shop first" in owner.text
    await owner.go("/merchant/shop")
    for address, told in (("西", "is made of the letters"), ("north", "Another shop has")):
        await owner.send("/merchant/shop", name="West", address=address, contact="kept")
        assert 422 == owner.page.status_code
        assert told in owner.text
        assert 'value="kept"' in owner.page.text
    await owner.send("/merchant/shop", name="West", address="West", contact="help@west.example")
    assert "Saved." in owner.text
    await owner.send("/merchant/shop", name="Second", address="second")
    await owner.go("/merchant")
    assert "Three steps to the first sale" in owner.text
    assert 'href="/merchant/products/new"' in owner.page.text
    assert "Nothing is on sale yet." in owner.text
    [[shop]] = await town.north.catalog.list_shops([MerchantId(merchant)])
    acts = await town.world.acts(act="shop.opened")
    await owner.go("/merchant/products/new")

    assert ("west", "West", "West Keys") == (shop.slug, shop.name, shop.merchant_name)
    assert shop.is_open
    assert ["shop.opened"] == acts
    assert "The first variant" in owner.text


async def test_only_an_owner_opens_the_shop(town):
    """A seller reads who does, and is refused."""
    merchant = new_id(town.clock.now())
    seller = await town.world.join("s@west.example", Role.SELLER, merchant=merchant)
    await seller.go("/merchant/products/new")
    assert "An owner opens it" in seller.text
    await seller.go("/console/account")
    sent = await seller.send("/merchant/shop", raw=True, name="West", address="west")

    assert 403 == sent.status_code
    assert [[]] == await town.north.catalog.list_shops([MerchantId(merchant)])


async def test_an_invited_seller_joins_and_is_listed(town, read_field):
    """The owner sees the link once; whoever follows it works here, and is on the list."""
    owner = await town.join(Role.OWNER)
    await owner.go("/merchant/staff")
    fields = {"nonce": read_field(owner, "nonce"), "email": "bo@north.example", "role": "seller"}
    await owner.send("/merchant/staff/invite", **fields)
    link = re.search(r'<code id="link">http://localhost(/join/[^<]+)</code>', owner.page.text)[1]
    assert "bo@north.example" in owner.text
    await owner.send("/merchant/staff/invite", **fields)
    assert 'id="link"' not in owner.page.text
    browser = town.world.browser()
    await browser.go(link)
    password = "a quiet lake at dawn"
    await browser.send(link, password=password, again=password, name="Bo")
    roles, _ = await people(town)

    assert "/merchant" == browser.path
    assert Role.SELLER is roles["bo@north.example"]
    assert 403 == (await browser.go("/merchant/staff")).status_code


async def test_roles_change_and_people_go(town):
    """A new role counts at once; who is let go is out; the only owner stays."""
    owner, seller = await town.join(Role.OWNER), await town.join(Role.SELLER)
    _, ids = await people(town)
    member = f"/merchant/staff/members/{to_serial(ids['seller@north.example'])}"
    await owner.go("/merchant/staff")
    await owner.send(member, role="support")
    roles, _ = await people(town)
    assert Role.SUPPORT is roles["seller@north.example"]
    assert "/console/sign-in" == (await seller.go("/merchant")).url.path
    await owner.send(
        f"/merchant/staff/members/{to_serial(ids['owner@north.example'])}", role="none"
    )
    assert (422, True) == (owner.page.status_code, "only owner" in owner.text)
    await owner.send(member, role="none")
    roles, _ = await people(town)
    acts = [act.act for act in await town.acts(town.north, "member.")]

    assert {"owner@north.example"} == roles.keys()
    assert {"member.changed", "member.removed"} <= set(acts)


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"email": "nobody", "role": "seller"}, "whole e-mail"),
        ({"email": "bo@north.example", "role": "operator_admin"}, "Choose a role"),
        ({"email": "owner@north.example", "role": "seller"}, "work here already"),
    ],
)
async def test_a_wrong_invitation_invites_nobody(town, read_field, fields, said):
    """What does not fit is said, and no link is made."""
    owner = await town.join(Role.OWNER)
    await owner.go("/merchant/staff")
    await owner.send("/merchant/staff/invite", nonce=read_field(owner, "nonce"), **fields)
    [open_links] = await town.world.identity.list_invitations([PeopleQuery(town.north.merchant)])

    assert (422, []) == (owner.page.status_code, open_links)
    assert said in owner.text


async def test_an_invitation_is_withdrawn(town, read_field):
    """A link that was withdrawn opens nothing."""
    owner = await town.join(Role.OWNER)
    await owner.go("/merchant/staff")
    fields = {"nonce": read_field(owner, "nonce"), "email": "bo@north.example", "role": "seller"}
    await owner.send("/merchant/staff/invite", **fields)
    link = re.search(r"http://localhost(/join/[^<]+)</code>", owner.page.text)[1]
    [[open_link]] = await town.world.identity.list_invitations([PeopleQuery(town.north.merchant)])
    await owner.send(f"/merchant/staff/invitations/{to_serial(open_link.id)}")

    assert "bo@north.example" not in owner.text
    assert 404 == (await town.world.browser().go(link)).status_code


async def test_staff_letters_and_bounds_are_the_shops(town):
    """Low stock of the shop, keys in letters, and which letters staff get; all of it is logged."""
    browser = await town.join(Role.OWNER)
    [shop] = await shops(town, town.north)
    path = f"/merchant/shop/{to_serial(shop.id)}"
    fields = {"name": "North", "contact": "", "notice": "", "is_open": "yes"}
    await browser.go("/merchant/shop")
    await browser.send(path, low_stock_max="25", keys_in_letters="yes", **fields)
    [changed] = await shops(town, town.north)
    await browser.send(path, low_stock_max="many", **fields)
    refused = browser.page.status_code
    await browser.send("/merchant/letters")
    [[choice]] = await town.house.api(Notify).read_choices([town.north.merchant])
    await browser.send("/merchant/letters", stock_low="yes")
    [[again]] = await town.house.api(Notify).read_choices([town.north.merchant])
    acts = {act.act: act.after for act in await town.acts(town.north)}

    assert (25, True, 422) == (changed.low_stock_max, changed.has_keys_in_letters, refused)
    assert [changed] == await shops(town, town.north)
    assert (False, True) == (choice.is_wanted, again.is_wanted)
    assert {"low_stock_max": "25", "keys_in_letters": "yes"} == acts["shop.changed"]
    assert "letters.chosen" in acts


async def test_a_variant_says_when_it_is_low(town):
    """Its form keeps the bound, its stock's page and the overview go by it; empty is the shop's."""
    await town.north.offer("GAME", keys=30)
    [[found]] = await town.north.catalog.list_products([ShopProductQuery(town.north.merchant)])
    [variant] = found.product.variants
    path = f"/merchant/products/{to_serial(found.product.id)}"
    browser = await town.join(Role.OWNER)
    fields = {
        "variant": to_serial(variant.id),
        "sku": "GAME",
        "title": "One",
        "price_CNY": "19.90",
        "quantity_min": "1",
        "quantity_max": "10",
        "position": "0",
    }
    await browser.go(path)
    await browser.send(f"{path}/variants", low_stock_max="40", **fields)
    await browser.go(f"{path}/stock")
    low = browser.text
    overview = (await browser.http.get("/merchant")).text
    await browser.go(path)
    await browser.send(f"{path}/variants", low_stock_max="", **fields)
    [[after]] = await town.north.catalog.list_products([ShopProductQuery(town.north.merchant)])

    assert "Low: 40 or fewer" in low
    assert "GAME" in overview.split("Running out", 1)[-1]
    assert after.product.variants[0].low_stock_max is None
