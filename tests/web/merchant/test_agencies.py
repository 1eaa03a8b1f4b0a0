"""Agents on their pages: invited, accepted, priced, listed, sold, told in statements, ended."""

import csv
import io
import re

from vendrail.api.catalog import MerchantId, ShopProductQuery
from vendrail.api.identity import Role
from vendrail.api.settlement import supply_of
from vendrail.kernel.ids import to_serial

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
