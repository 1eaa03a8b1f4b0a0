"""Suspended merchants: nothing of theirs is found or on sale, whatever their shops say."""

from vendrail.api.catalog import ProductQuery, SalesStop
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import named_id


async def test_a_suspended_merchants_goods_are_not_on_sale(catalog, scene):
    """Search, shops, offers and product pages leave them out or say so, from that moment on."""
    await scene.stock(catalog, 3)
    product = scene.product().id
    before = [
        bool((await catalog.find_products([ProductQuery()]))[0]),
        (await catalog.read_offers(["game"]))[0].is_on_sale,
        (await catalog.read_products([product]))[0].is_on_sale,
        len(await catalog.read_shops([])),
        (await catalog.read_shops(["lin"]))[0].is_open,
    ]

    assert [True] == await catalog.stop_sales([SalesStop(scene.shop.merchant, " stolen keys ")])
    assert [True, True, True, 1, True] == before
    assert [[]] == await catalog.find_products([ProductQuery()])
    assert not (await catalog.read_offers(["game"]))[0].is_on_sale
    assert not (await catalog.read_products([product]))[0].is_on_sale
    assert [] == await catalog.read_shops([])
    assert not (await catalog.read_shops(["lin"]))[0].is_open


async def test_a_suspended_merchant_cannot_open_again(catalog, scene):
    """Writing the shop, or another one, changes nothing; its own switch is not touched either."""
    await scene.stock(catalog, 3)
    await catalog.stop_sales([SalesStop(scene.shop.merchant, "stolen keys")])
    await catalog.put_shops([replace(scene.shop, notice="Open!")])
    second = replace(scene.shop, id=named_id("second"), slug="second")
    await catalog.put_shops([second])
    [own] = await catalog.list_shops([scene.shop.merchant])

    assert [True, True] == [shop.is_open for shop in own]
    assert [] == await catalog.read_shops([])
    assert not (await catalog.read_offers(["game"]))[0].is_on_sale


async def test_a_suspension_ends_and_is_told_apart(catalog, scene, clock):
    """The first moment is kept whatever the reason becomes; an empty reason lets sales go on."""
    await scene.stock(catalog, 3)
    merchant, since = scene.shop.merchant, clock.now()
    statuses = [await catalog.stop_sales([SalesStop(merchant, "stolen keys")])]
    clock.advance(60)
    statuses.append(await catalog.stop_sales([SalesStop(merchant, "stolen keys")]))
    statuses.append(await catalog.stop_sales([SalesStop(merchant, "stolen cards")]))
    [listed] = await catalog.list_suspensions()
    read = await catalog.read_suspensions([merchant, named_id("other")])
    statuses.append(await catalog.stop_sales([SalesStop(merchant, " ")]))
    statuses.append(await catalog.stop_sales([SalesStop(merchant, "")]))

    assert [[True], [False], [True], [True], [False]] == statuses
    assert (merchant, "stolen cards", since) == (listed.merchant, listed.reason, listed.since)
    assert [listed, None] == read
    assert [] == await catalog.list_suspensions()
    assert (await catalog.read_offers(["game"]))[0].is_on_sale
