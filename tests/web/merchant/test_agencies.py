"""Agents on their pages: invited, accepted, priced, listed, sold, told in statements, ended."""

import csv
import io
import re

from vendrail.api.catalog import (
    Catalog,
    Floor,
    ListSupplied,
    MerchantId,
    ProductState,
    ShopId,
    ShopProductQuery,
)
from vendrail.api.identity import Identity, Role
from vendrail.api.notify import Notify
from vendrail.api.orders import Orders, RefundOrder
from vendrail.api.settlement import supply_of
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id, to_serial

ROOT = "/merchant/agents"


async def agree(town, supplier, agent):
    """Invite by the address of a shop, as people paste it, and accept."""
    await supplier.go(ROOT)
    await supplier.send(f"{ROOT}/invite", slug="https://rail.example/shops/South")
    await agent.go(ROOT)
    invited = agent.text
    await agent.send(f"{ROOT}/{to_serial(town.north.merchant)}/supplier", act="accept")
    return invited


async def listed(town):
    """The agent's one product."""
    query = ShopProductQuery(MerchantId(town.south.merchant))
    ((found, *_),) = await town.south.catalog.list_products([query])
    return found


async def test_an_agent_is_invited_lists_and_sells(town, read_field):
    """All of it by the pages of both; each act is in the log, each part in its statement."""
    await town.north.offer("GAME", keys=5)
    supplier = await town.join(Role.OWNER)
    agent = await town.join(Role.OWNER, town.south)
    invited = await agree(town, supplier, agent)
    await supplier.go(f"{ROOT}/floors")
    variant = read_field(supplier, "variant")
    await supplier.send(f"{ROOT}/floors", variant=variant, floor_CNY="15.00")
    await agent.go(f"{ROOT}/goods")
    offered = agent.text
    source, shop = read_field(agent, "source"), read_field(agent, "shop")
    said = []
    for price in ("14.99", "15.20", "a lot"):
        await agent.send(f"{ROOT}/goods", source=source, shop=shop, price_CNY=price)
        said.append(agent.text)
    await agent.go(f"{ROOT}/goods")
    await agent.send(f"{ROOT}/goods", source=source, shop=shop, price_CNY="19.90")
    town.clock.advance(2)
    order = await town.sell(town.south, (await listed(town)).product.variants[0].sku, 1)
    await supplier.go(ROOT)
    sales = supplier.text
    saved = (await supplier.http.get(f"{ROOT}/sales.csv")).text.splitlines()[1:]
    await supplier.go(f"/merchant/orders/{to_serial(supply_of(order))}")
    sale, path = supplier.text, supplier.path
    statements = []
    town.clock.advance(120)  # What moved a moment ago is in no statement yet.
    for browser in (supplier, agent):
        answer = await browser.http.get("/merchant/statements/statement.csv")
        rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
        statements += [row["explanation"] for row in rows if row["code"] == "sale"]
    await supplier.go("/merchant/balance")
    balance = supplier.text
    await agent.go(f"/merchant/orders/{to_serial(order)}")
    split = agent.text
    acts = [[each.act for each in await town.acts(market)] for market in (town.north, town.south)]

    assert "North" in invited
    assert "Accept Decline" in invited
    assert "floor price: CN¥15.00 · sold there for CN¥19.90 · 5 keys left" in offered
    assert "The supplier asks for more" in said[0]
    assert "the fee of 0.48 CNY is more than what is left" in said[1]
    assert "Write prices in digits" in said[2]
    assert "South 1 order 1 CN¥15.00" in sales
    assert [True] == [",15.00,CNY,delivered," in each for each in saved]
    assert f"{ROOT}/{to_serial(supply_of(order))}" == path
    assert "Sold through South" in sale
    assert "Your part CN¥15.00" in sale
    assert "buyer" not in re.sub("the buyer", "", sale)  # Nothing of whom it was sold to.
    assert "Sold through South" == statements[0]
    assert statements[1].startswith(
        "Price 19.90 CNY, of which 15.00 CNY is the supplier’s: North · "
    )
    assert "Sold through South" in balance
    assert "The supplier's part CN¥15.00" in split
    assert {"agency.invited", "floor.changed"} <= set(acts[0])
    assert 1 == acts[1].count("agency.accepted")
    assert 3 == acts[1].count("listing.changed")  # Refused, said to be not done, and done.


async def test_either_side_ends_it(town, read_field):
    """Declined, invited again, accepted, ended by the agent: then nothing is for sale any more."""
    await town.north.offer("GAME", keys=5)
    supplier = await town.join(Role.OWNER)
    agent = await town.join(Role.OWNER, town.south)
    mine, theirs = (to_serial(each.merchant) for each in (town.north, town.south))
    await supplier.go(ROOT)
    await supplier.send(f"{ROOT}/invite", slug="south")
    await agent.go(ROOT)
    await agent.send(f"{ROOT}/{mine}/supplier", act="decline")
    await supplier.go(ROOT)
    declined = supplier.text
    await supplier.send(f"{ROOT}/{theirs}/agent", act="invite")
    await agent.go(ROOT)
    await agent.send(f"{ROOT}/{mine}/supplier", act="accept")
    await supplier.go(f"{ROOT}/floors")
    variant = read_field(supplier, "variant")
    await supplier.send(f"{ROOT}/floors", variant=variant, floor_CNY="15")
    await agent.go(f"{ROOT}/goods")
    chosen = {name: read_field(agent, name) for name in ("source", "shop")}
    await agent.send(f"{ROOT}/goods", **chosen, price_CNY="19.90")
    await agent.go(f"{ROOT}/goods")
    on_sale = agent.text
    stock = f"/merchant/products/{to_serial((await listed(town)).product.id)}/stock"
    await agent.go(stock)
    supplied = agent.text
    await agent.go(ROOT)
    await agent.send(f"{ROOT}/{mine}/supplier", act="end")
    town.clock.advance(2)
    placed = await town.south.place((await listed(town)).product.variants[0].sku)
    await agent.go(f"{ROOT}/goods")

    assert "South south" in declined
    assert "Declined Invite again" in declined
    assert "On sale" in on_sale
    assert "Another merchant supplies these keys: you are the agent." in supplied
    assert "Take in" not in supplied
    assert "not_on_sale" == placed.status
    assert "Not for sale" in agent.text
    assert "no longer supplied" in agent.text


async def told(town, market, telling):
    """What letters of a merchant's owner say by now: the subjects, and the last one's text."""
    await telling.tell_due()
    letters = await town.world.letters(f"owner@{market.record.slug}.example")
    body = letters[-1].get_body(("plain",)).get_content() if letters else ""
    return [each["subject"] for each in letters], body


async def test_both_are_told_by_letter(town, read_field):
    """Invited, accepted, floor raised above the price, paused, refunded, ended: each once."""
    await town.north.offer("GAME", keys=5)
    supplier = await town.join(Role.OWNER)
    agent = await town.join(Role.OWNER, town.south)
    people, post = town.house.api(Identity), town.house.api(Notify)
    catalog = town.house.services["catalog"]
    telling = catalog.telling(people, post)
    await supplier.go(ROOT)
    await supplier.send(f"{ROOT}/invite", slug="south")
    invited, _ = await told(town, town.south, telling)
    await agent.go(ROOT)
    await agent.send(f"{ROOT}/{to_serial(town.north.merchant)}/supplier", act="accept")
    accepted, _ = await told(town, town.north, telling)
    owner, variant = MerchantId(town.north.merchant), town.north.skus["GAME"]
    await catalog.put_floors([Floor(owner, variant, {"CNY": 1_500})])
    shop = ShopId(town.south.record.id)
    listing = ListSupplied(MerchantId(town.south.merchant), shop, variant, {"CNY": 1_990})
    await catalog.put_listings([listing])
    town.clock.advance(2)
    order = await town.sell(town.south, (await listed(town)).product.variants[0].sku, 1)
    for minor in (2_000, 1_600, 2_000):
        await catalog.put_floors([Floor(owner, variant, {"CNY": minor})])
    raised, body = await told(town, town.south, telling)
    await catalog.put_floors([Floor(owner, variant, {"CNY": 1_500})])
    again, _ = await told(town, town.south, telling)
    [[own]] = await catalog.list_products([ShopProductQuery(owner)])
    await catalog.put_products([replace(own.product, state=ProductState.PAUSED)])
    paused, goods = await told(town, town.south, telling)
    id = new_id(town.clock.now())
    await town.house.api(Orders).refund_orders([RefundOrder(id, order, 995, "wish", "x")])
    await town.south.run()
    async with town.house.databases["settlement"].transaction() as tx:
        await tx.execute("update settlement.refund set state = 'paid'")
    settling = town.house.services["settlement"].supply_telling(people, post)
    refunded, amount = await told(town, town.north, settling)
    await agent.go(ROOT)
    await agent.send(f"{ROOT}/{to_serial(town.north.merchant)}/supplier", act="end")
    ended, _ = await told(town, town.north, telling)
    assert not await telling.tell_due()
    assert not await settling.tell_due()

    assert ["North invites you to sell its goods"] == invited[-1:]
    assert ["South sells your goods now"] == accepted[-1:]
    assert "North asks for more than your price" == raised[-1]
    assert "- Product GAME" in body
    assert raised == again
    assert "North does not supply all of it any more" == paused[-1]
    assert "/merchant/agents/goods" in goods
    assert "Refunded by an agent: CN¥7.50 of your part" == refunded[-1]
    assert f"/merchant/agents/{to_serial(supply_of(order))}" in amount
    assert "South has ended the agency" == ended[-1]


async def test_a_recalled_batch_leads_to_the_sales_of_agents(town, read_field):
    """The supplier finds who has its keys: orders of its own, and its part of agents'."""
    await town.north.offer("GAME", keys=5)
    supplier = await town.join(Role.OWNER)
    agent = await town.join(Role.OWNER, town.south)
    await agree(town, supplier, agent)
    catalog, variant = town.house.api(Catalog), town.north.skus["GAME"]
    owner = MerchantId(town.north.merchant)
    await catalog.put_floors([Floor(owner, variant, {"CNY": 1_500})])
    shop = ShopId(town.south.record.id)
    listing = ListSupplied(MerchantId(town.south.merchant), shop, variant, {"CNY": 1_990})
    await catalog.put_listings([listing])
    town.clock.advance(2)
    sold = await town.sell(town.south, (await listed(town)).product.variants[0].sku, 1)
    town.north.numbers += 500  # Another buyer, another number of the provider's.
    own = await town.sell(town.north, "GAME", 1)
    [[product]] = await catalog.list_products([ShopProductQuery(owner)])
    path = f"/merchant/products/{to_serial(product.product.id)}/stock"
    await supplier.go(path)
    batch = read_field(supplier, "batch")
    await supplier.send(f"{path}/void", sku="GAME", batch=batch, reason="stolen")
    leads = re.findall(r'href="(/merchant/(?:orders|agents)/\w{26})"', supplier.page.text)
    for lead in leads:
        await supplier.go(lead)
        assert 200 == supplier.page.status_code

    assert {
        f"/merchant/orders/{to_serial(own)}",
        f"/merchant/agents/{to_serial(supply_of(sold))}",
    } == set(leads)


async def test_what_is_refused_says_why(town):
    """Strange addresses, the own shop, and what the other side alone may do change nothing."""
    supplier = await town.join(Role.OWNER)
    said = []
    for slug in ("nobody", "north", " / "):
        await supplier.go(ROOT)
        await supplier.send(f"{ROOT}/invite", slug=slug)
        said.append(supplier.text)
    await supplier.go(ROOT)
    await supplier.send(f"{ROOT}/invite", slug="south")
    await supplier.go(ROOT)
    await supplier.send(f"{ROOT}/{to_serial(town.south.merchant)}/agent", act="accept")
    said.append(supplier.text)
    acts = await town.acts(town.north, "agency.")

    assert "No shop has this address" in said[0]
    assert "That shop is your own" in said[1]
    assert "No shop has this address" in said[2]
    assert "Only the other side can do that." in said[3]
    assert 3 == sum("not_done" in act.after for act in acts)


async def test_sellers_see_no_money_and_others_cannot_write(town):
    """Who may not see balances sees no sums; who may not write products finds no forms."""
    await town.north.offer("GAME", keys=1)
    support = await town.join(Role.SUPPORT)
    paths = ("", "/floors", "/goods")
    pages = [(await support.http.get(f"{ROOT}{path}")).status_code for path in paths]
    await support.go("/merchant")
    answer = await support.send(f"{ROOT}/invite", raw=True, slug="south")

    assert set(pages) <= {200, 403}
    assert 403 == answer.status_code
