"""Forbidden goods in both consoles: rules written, a product stopped, a person decides."""

import re

from vendrail.api.catalog import Catalog, MerchantId, ShopProductQuery
from vendrail.api.identity import Role
from vendrail.kernel.ids import to_serial

DESK = "/operator/goods"


async def the_product(town):
    """Give the market's product."""
    catalog = town.house.api(Catalog)
    query = ShopProductQuery(MerchantId(town.north.merchant))
    ((found, *_),) = await catalog.list_products([query])
    return found.product


async def test_a_product_is_taken_down_and_allowed_again(town):
    """Nobody can order it meanwhile; its merchant reads why; reasons are asked for, acts logged."""
    await town.north.offer("STEAM-50")
    head = await town.world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    owner = await town.join(Role.OWNER)
    await head.go(DESK)
    await head.send(DESK, sku="nothing", reason="why")
    missing = head.page.status_code
    await head.send(DESK, sku="STEAM-50")
    unreasoned = head.page.status_code
    await head.send(DESK, sku="STEAM-50", reason="stolen keys")
    refused = (await town.north.place("STEAM-50")).status
    product = await the_product(town)
    await owner.go(f"/merchant/products/{to_serial(product.id)}")
    told = owner.text
    town.clock.advance(1)  # Acts of one moment have no order.
    await head.go(f"{DESK}?state=taken_down")
    assert product.title in head.text
    shown = dict(re.findall(r'name="(seen|rules_version)" value="([^"]*)"', head.page.text))
    allow = {"decision": "allow", "reason": "invoice shown"}
    await head.send(f"{DESK}/{to_serial(product.id)}", seen="", rules_version="", **allow)
    unseen, unsaid = (await town.north.place("STEAM-50")).status, head.page.status_code
    assert "The list has changed meanwhile" in head.text
    town.clock.advance(1)
    await head.send(f"{DESK}/{to_serial(product.id)}", **shown, **allow)
    town.clock.advance(2)  # Offers are remembered for a second.
    placed = (await town.north.place("STEAM-50")).status
    acts = await town.world.acts(act="goods.")

    assert (422, 422, "not_on_sale", "placed") == (missing, unreasoned, refused, placed)
    assert "This product is not sold." in told
    assert "stolen keys" in told
    assert (422, "not_on_sale") == (unsaid, unseen)
    assert ["goods.taken_down", *["goods.allowed"] * 3] == acts  # One was not done, and says so.


async def test_rules_are_written_by_who_may_and_bound_shops(town):
    """A version has its author and reason; a long rule is none; support writes nothing."""
    await town.north.offer("STEAM-50")
    head = await town.world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    support = await town.world.join("su@rail.example", Role.OPERATOR_SUPPORT)
    await head.go(f"{DESK}/rules")
    await head.send(f"{DESK}/rules", block="x" * 61, reason="why")
    wrong = head.page.status_code
    await head.send(
        f"{DESK}/rules", block="casino\n赌博", review_category="Cards", reason="the law"
    )
    catalog = town.house.api(Catalog)
    [newest] = await catalog.list_goods_rules(5)
    await support.go(f"{DESK}/rules")
    sent = await support.send(f"{DESK}/rules", raw=True, block="y", reason="why")
    [[shop]] = await catalog.list_shops([MerchantId(town.north.merchant)])
    owner = await town.join(Role.OWNER)
    await owner.go("/merchant/shop")
    form = {"name": "Cas1no", "contact": "", "notice": ""}
    await owner.send(f"/merchant/shop/{to_serial(shop.id)}", **form)

    assert 422 == wrong == owner.page.status_code
    assert ["casino", "赌博", "Cards"] == [rule.text for rule in newest.rules]
    assert "ad@rail.example" == newest.written_by
    assert 403 == sent.status_code
    assert "a word that the platform does not allow" in owner.text
