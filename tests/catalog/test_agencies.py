"""Agencies: who may sell whose keys, at which price, and when no more."""

import pytest

from vendrail.api.catalog import (
    AgencyAct,
    AgencyMove,
    AgencyStatus,
    DeliveryKind,
    Floor,
    FloorQuery,
    FloorStatus,
    GoodsDecision,
    KeyIntake,
    KeyLine,
    ListingStatus,
    ListSupplied,
    LowStockQuery,
    MerchantId,
    ProductId,
    ProductQuery,
    ProductState,
    PutStatus,
    QuantityPrice,
    SalesStop,
    Shop,
    ShopId,
    ShopProductQuery,
    SuppliedVariantQuery,
    Variant,
)
from vendrail.api.catalog.warranties import ProductWarranty
from vendrail.catalog.agencies import move
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import named_id

AGENT = MerchantId(named_id("agent"))
SHOP = Shop(ShopId(named_id("agent's shop")), AGENT, "Mei", "mei", "Mei's keys")
DONE, UNCHANGED = AgencyStatus.DONE, AgencyStatus.UNCHANGED


async def agree(catalog, scene, floor_minor=3_000):
    """A supplier with three keys, and an agent who may sell them from a floor on."""
    variant = await scene.stock(catalog, 3)
    await catalog.put_shops([SHOP])
    supplier = scene.shop.merchant
    statuses = await catalog.move_agencies(
        [
            AgencyMove(AgencyAct.INVITE, supplier, slug="mei"),
            AgencyMove(AgencyAct.ACCEPT, AGENT, supplier),
        ]
    )
    assert [DONE, DONE] == statuses
    await catalog.put_floors([Floor(supplier, variant, {"CNY": floor_minor})])
    return variant


async def list_at(catalog, variant, minor, currency="CNY"):
    """List a variant in the agent's shop."""
    [status] = await catalog.put_listings(
        [ListSupplied(AGENT, SHOP.id, variant, {currency: minor})]
    )
    return status


async def offered(catalog, clock):
    """The agent's offer, as placing an order reads it now; None: there is none."""
    clock.advance(2)
    [found] = await catalog.list_products([ShopProductQuery(AGENT)])
    if not found:
        return None
    [offer] = await catalog.read_offers([found[0].product.variants[0].sku])
    return offer


async def test_two_merchants_agree(catalog, scene):
    """Invited by the address of a shop, accepted by the other, ended by either, offered anew."""
    await scene.stock(catalog, 1)
    await catalog.put_shops([SHOP])
    supplier = scene.shop.merchant
    by_supplier = [
        (AgencyAct.INVITE, "nobody"),
        (AgencyAct.INVITE, "lin"),
        (AgencyAct.ACCEPT, "lin"),
        (AgencyAct.INVITE, "mei"),
        (AgencyAct.INVITE, "mei"),
    ]
    asked = [AgencyMove(act, supplier, slug=slug) for act, slug in by_supplier]
    asked.append(AgencyMove(AgencyAct.ACCEPT, supplier, supplier, AGENT))
    asked += [
        AgencyMove(act, AGENT, supplier, AGENT)
        for act in (AgencyAct.INVITE, AgencyAct.ACCEPT, AgencyAct.DECLINE, AgencyAct.END)
    ]
    asked.append(AgencyMove(AgencyAct.INVITE, supplier, slug="mei"))
    asked.append(AgencyMove(AgencyAct.DECLINE, AGENT, supplier))
    statuses = await catalog.move_agencies(asked)
    [[agency], of_agent] = await catalog.list_agencies([supplier, AGENT])

    assert [
        "merchant_not_found",
        "same_merchant",
        "same_merchant",
        "done",
        "unchanged",
        "not_theirs",
        "not_theirs",
        "done",
        "not_invited",
        "done",
        "done",
        "done",
    ] == statuses
    assert [agency] == of_agent
    assert ("declined", "Lin", "Mei", "mei") == (
        agency.state,
        agency.supplier_name,
        agency.agent_name,
        agency.agent_slug,
    )


@pytest.mark.parametrize("act", list(AgencyAct))
def test_a_stranger_moves_nothing(act):
    """Whoever is neither of the two changes nothing, wherever the agency stands."""
    for state in (None, "invited", "accepted", "declined", "ended"):
        status, after = move(state, act, named_id("x"), named_id("a"), named_id("b"))
        assert (AgencyStatus.NOT_THEIRS, state) == (status, after)


async def test_a_listing_sells_the_suppliers_keys(catalog, scene, clock):
    """Its own price, the supplier's stock: what one shop takes the other has no more."""
    variant = await agree(catalog, scene)
    assert ListingStatus.LISTED is await list_at(catalog, variant, 4_000)
    offer = await offered(catalog, clock)
    [views] = await catalog.find_products([ProductQuery(shop_slug="mei")])
    await catalog.hold_keys([scene.hold(offer.stock, 2)])
    [after] = await catalog.find_products([ProductQuery(shop_slug="mei")])
    [own] = await catalog.find_products([ProductQuery(shop_slug="lin")])

    assert (True, variant, {"CNY": 3_000}) == (
        offer.is_on_sale,
        offer.stock,
        offer.supply.floor_minor,
    )
    assert (AGENT, scene.shop.merchant) == (offer.merchant, offer.supply.merchant)
    assert [3, 1, 1] == [next(iter(each[0].stock.values())) for each in (views, after, own)]
    assert ["held", "sold_out"] == await catalog.hold_keys(
        [scene.hold(variant, 1), scene.hold(offer.stock, 1)]
    )
    [low] = await catalog.list_low_stock([LowStockQuery(AGENT)])
    assert [] == low


async def test_nothing_is_listed_below_its_floor(catalog, scene, clock):
    """Less, another currency, or nothing: refused, whichever way the agent writes it."""
    variant = await agree(catalog, scene)
    refused = [
        await list_at(catalog, variant, 2_999),
        await list_at(catalog, variant, 9_000, "USD"),
        await list_at(catalog, variant, 0),
    ]
    assert ["price_below_floor", "price_below_floor", "field_malformed"] == refused
    assert await offered(catalog, clock) is None
    await list_at(catalog, variant, 3_000)
    [[stocked]] = await catalog.list_products([ShopProductQuery(AGENT)])
    own = stocked.product.variants[0]
    steps = [QuantityPrice(3, {"CNY": 2_900})]
    other = replace(own, id=named_id("other"), sku="other")
    attempts = [
        [replace(own, prices_minor={"CNY": 2_000})],
        [replace(own, quantity_prices=steps)],
        [own, other],
        [other],
    ]
    products = [replace(stocked.product, variants=each) for each in attempts]
    products.append(replace(stocked.product, delivery=DeliveryKind.TEXT))
    products.append(replace(stocked.product, warranty=ProductWarranty(24, "Dead keys.", 1, 1)))
    products.append(replace(stocked.product, title="My own words"))
    statuses = [(await catalog.put_products([each]))[0] for each in products]

    assert [
        PutStatus.PRICE_BELOW_FLOOR,
        PutStatus.PRICE_BELOW_FLOOR,
        PutStatus.LISTING_FIXED,
        PutStatus.LISTING_FIXED,
        PutStatus.LISTING_FIXED,
        PutStatus.LISTING_FIXED,
        PutStatus.CHANGED,
    ] == statuses
    assert ListingStatus.CHANGED is await list_at(catalog, variant, 3_500)
    offer = await offered(catalog, clock)
    [listed, supplied] = await catalog.count_stock([offer.sku, "game"])
    assert 0 < supplied.free == listed.free
    assert "My own words" == offer.title
    assert {"CNY": 3_500} == offer.prices_minor


async def test_what_has_a_warranty_is_listed_without_it(catalog, scene, clock):
    """The supplier's own buyers are promised keys; an agent lists the same, and promises none."""
    variant = await agree(catalog, scene)
    [[own]] = await catalog.list_products([ShopProductQuery(scene.shop.merchant)])
    promised = replace(own.product, warranty=ProductWarranty(24, "Dead keys.", 1, 1))
    assert ["changed"] == await catalog.put_products([promised])
    listed = await list_at(catalog, variant, 4_000)
    offer = await offered(catalog, clock)
    [mine] = await catalog.read_offers([own.product.variants[0].sku])

    assert "listed" == listed
    assert (True, None) == (offer.is_on_sale, offer.warranty)
    assert promised.warranty == mine.warranty


async def test_agents_take_in_no_keys(catalog, scene, clock):
    """A listing has no stock of its own, and no agents of its own."""
    variant = await agree(catalog, scene)
    await list_at(catalog, variant, 4_000)
    offer = await offered(catalog, clock)
    [taken] = await catalog.add_keys(
        [KeyIntake(offer.sku, named_id("mine"), [KeyLine(1, "my own key")])]
    )
    [floor] = await catalog.put_floors([Floor(AGENT, offer.variant, {"CNY": 3_900})])

    assert (False, 0) == (taken.sku_found, taken.added_count)
    assert FloorStatus.SUPPLIED is floor


async def test_floors_are_the_suppliers(catalog, scene):
    """Others' variants, kinds without unique keys and odd prices are refused."""
    variant = await agree(catalog, scene)
    await catalog.put_products([scene.product("note", delivery=DeliveryKind.TEXT)])
    supplier = scene.shop.merchant
    note = scene.product("note").variants[0].id
    statuses = await catalog.put_floors(
        [
            Floor(AGENT, variant, {"CNY": 1}),
            Floor(supplier, note, {"CNY": 1}),
            Floor(supplier, variant, {"CNY": 0}),
            Floor(supplier, variant, {"CNY": 3_000}),
            Floor(supplier, variant, {}),
            Floor(supplier, variant, {}),
        ]
    )

    assert [
        "variant_not_found",
        "not_unique",
        "field_malformed",
        "unchanged",
        "changed",
        "unchanged",
    ] == statuses
    assert [[]] == await catalog.list_supplied([SuppliedVariantQuery(AGENT)])
    assert ListingStatus.NOT_SUPPLIED is await list_at(catalog, variant, 9_000)


async def test_what_is_no_longer_supplied_is_not_for_sale(catalog, scene, clock):
    """Floor raised, product paused or taken down, shop closed, supplier suspended, ended."""
    variant = await agree(catalog, scene)
    await list_at(catalog, variant, 4_000)
    supplier, product = scene.shop.merchant, scene.product()
    taken_down = GoodsDecision(product.id, is_allowed=False, by="test", reason="no")
    changes = {
        "raised": (catalog.put_floors, Floor(supplier, variant, {"CNY": 4_001})),
        "gone": (catalog.put_floors, Floor(supplier, variant, {})),
        "back": (catalog.put_floors, Floor(supplier, variant, {"CNY": 4_000})),
        "paused": (catalog.put_products, replace(product, state=ProductState.PAUSED)),
        "sold": (catalog.put_products, product),
        "closed": (catalog.put_shops, replace(scene.shop, is_open=False)),
        "open": (catalog.put_shops, scene.shop),
        "suspended": (catalog.stop_sales, SalesStop(supplier, "stolen keys")),
        "free": (catalog.stop_sales, SalesStop(supplier, "")),
        "ended": (catalog.move_agencies, AgencyMove(AgencyAct.END, AGENT, supplier)),
        "invited": (catalog.move_agencies, AgencyMove(AgencyAct.INVITE, supplier, slug="mei")),
        "accepted": (catalog.move_agencies, AgencyMove(AgencyAct.ACCEPT, AGENT, supplier)),
        "taken down": (catalog.decide_goods, taken_down),
    }
    told = {}
    for name, (way, change) in changes.items():
        await way([change])
        offer = await offered(catalog, clock)
        [found] = await catalog.find_products([ProductQuery(shop_slug="mei")])
        assert offer.is_on_sale == bool(found), name
        told[name] = offer.is_on_sale

    off = {"raised", "gone", "paused", "closed", "suspended", "ended", "invited", "taken down"}
    assert {name: name not in off for name in changes} == told


async def test_both_sides_see_what_was_agreed(catalog, scene, clock):
    """Suppliers see their floors and how many shops list, agents what they may list and have."""
    variant = await agree(catalog, scene)
    [[before]] = await catalog.list_supplied([SuppliedVariantQuery(AGENT)])
    await list_at(catalog, variant, 4_000)
    [[after]] = await catalog.list_supplied([SuppliedVariantQuery(AGENT)])
    [[floor]] = await catalog.list_floors([FloorQuery(scene.shop.merchant)])
    await catalog.move_agencies([AgencyMove(AgencyAct.END, scene.shop.merchant, agent=AGENT)])
    [[gone]] = await catalog.list_supplied([SuppliedVariantQuery(AGENT)])

    assert (None, {"CNY": 3_000}, 3, "Lin") == (
        before.listing,
        before.floor_minor,
        before.free,
        before.supplier_name,
    )
    assert ({"CNY": 4_000}, True) == (after.listed_minor, after.is_on_sale)
    assert ("The game – Standard", {"CNY": 3_000}, 1) == (
        floor.title,
        floor.floor_minor,
        floor.listings,
    )
    assert ({}, False) == (gone.floor_minor, gone.is_on_sale)


async def list_priced(catalog, variant, **prices_minor):
    """List a variant at prices by currency."""
    listing = ListSupplied(AGENT, SHOP.id, variant, prices_minor)
    return (await catalog.put_listings([listing]))[0]


async def test_a_listing_sells_in_the_currencies_that_bear_their_floor(catalog, scene, clock):
    """Raised above the price in one of two, for one or for many: it is sold in the other alone."""
    variant = await agree(catalog, scene)
    supplier = scene.shop.merchant
    await catalog.put_floors([Floor(supplier, variant, {"CNY": 3_000, "USD": 400})])
    await list_priced(catalog, variant, CNY=4_000, USD=500)
    [[stocked]] = await catalog.list_products([ShopProductQuery(AGENT)])
    steps = [QuantityPrice(3, {"CNY": 3_500})]
    own = replace(stocked.product.variants[0], quantity_prices=steps)
    await catalog.put_products([replace(stocked.product, variants=[own])])
    told = []
    for floor in ({"CNY": 3_501, "USD": 500}, {"CNY": 3_500}, {"CNY": 3_501, "USD": 501}):
        await catalog.put_floors([Floor(supplier, variant, floor)])
        offer = await offered(catalog, clock)
        [found] = await catalog.find_products([ProductQuery(shop_slug="mei")])
        [[supplied]] = await catalog.list_supplied([SuppliedVariantQuery(AGENT)])
        assert supplied.is_on_sale == bool(found) == offer.is_on_sale
        assert {"CNY": 4_000, "USD": 500} == supplied.listed_minor
        assert offer.prices_minor == supplied.sold_minor
        assert all(offer.prices_minor == each.product.variants[0].prices_minor for each in found)
        assert all(supplied.listed_minor == each.written_minor for each in found)
        told.append((offer.is_on_sale, offer.prices_minor))

    assert [(True, {"USD": 500}), (True, {"CNY": 4_000}), (False, {})] == told


async def test_another_price_keeps_what_else_the_agent_has_written(catalog, scene, clock):
    """Prices for many stay, and what is paused stays so; what does not fit them is refused."""
    variant = await agree(catalog, scene)
    await catalog.put_floors([Floor(scene.shop.merchant, variant, {"CNY": 3_000, "USD": 400})])
    await list_priced(catalog, variant, CNY=4_000, USD=500)
    [[stocked]] = await catalog.list_products([ShopProductQuery(AGENT)])
    steps = [QuantityPrice(3, {"CNY": 3_500, "USD": 450}), QuantityPrice(4, {"USD": 440})]
    own = replace(stocked.product.variants[0], quantity_prices=steps)
    paused = replace(stocked.product, variants=[own], state=ProductState.PAUSED)
    await catalog.put_products([paused])
    statuses = [
        await list_priced(catalog, variant, CNY=3_500, USD=500),
        await list_priced(catalog, variant, CNY=4_100),
    ]
    [[after]] = await catalog.list_products([ShopProductQuery(AGENT)])
    [[supplied]] = await catalog.list_supplied([SuppliedVariantQuery(AGENT)])
    await catalog.put_products([replace(after.product, state=ProductState.REMOVED)])
    statuses.append(await list_priced(catalog, variant, CNY=4_200))

    assert ["steps_unfit", "changed", "changed"] == statuses
    assert (ProductState.PAUSED, True) == (after.product.state, supplied.is_paused)
    assert [QuantityPrice(3, {"CNY": 3_500})] == after.product.variants[0].quantity_prices
    assert (await offered(catalog, clock)).is_on_sale


async def test_what_has_a_warranty_is_listed_without(catalog, scene):
    """The supplier's warranty is given to its own buyers: the agent's product has none."""
    variant = await agree(catalog, scene)
    warranty = ProductWarranty(24, "Dead keys.", 1, 1)
    await catalog.put_products([replace(scene.product(), warranty=warranty)])
    status = await list_at(catalog, variant, 4_000)
    [[stocked]] = await catalog.list_products([ShopProductQuery(AGENT)])

    assert ("listed", None) == (status, stocked.product.warranty)


async def supply_many(catalog, scene, count):
    """Many products of one name, two variants each, all with a floor; give their variants."""
    await catalog.put_shops([scene.shop, SHOP])
    supplier = scene.shop.merchant
    await catalog.move_agencies(
        [
            AgencyMove(AgencyAct.INVITE, supplier, slug="mei"),
            AgencyMove(AgencyAct.ACCEPT, AGENT, supplier),
        ]
    )
    products = []
    for number in range(count):
        variants = [
            Variant(named_id(f"{number} {at}"), f"g{number}-{at}", at, {"CNY": 4_900}, position=0)
            for at in ("Standard", "DELUXE")
        ]
        product = scene.product(f"g{number}", title="The same name", variants=variants)
        products.append(replace(product, id=ProductId(scene.order())))
        scene.clock.advance(1)
    await catalog.put_products(products)
    variants = [each.id for product in products for each in product.variants]
    await catalog.put_floors([Floor(supplier, each, {"CNY": 3_000}) for each in variants])
    return variants


async def read_floors(catalog, merchant, size, **asked):
    """All pages of floors, one after the other; give their variants."""
    found, before = [], None
    while True:
        query = FloorQuery(merchant, before=before, floors_max=size, **asked)
        [page] = await catalog.list_floors([query])
        found += [each.variant for each in page]
        if len(page) < size:
            return found
        before = page[-1].variant


async def read_supplied(catalog, size, **asked):
    """All pages of what the agent may list, one after the other; give their sources."""
    found, after = [], None
    while True:
        query = SuppliedVariantQuery(AGENT, after=after, variants_max=size, **asked)
        [page] = await catalog.list_supplied([query])
        found += [each.source for each in page]
        if len(page) < size:
            return found
        after = page[-1].source


@pytest.mark.parametrize("size", [1, 7, 200])
async def test_every_row_is_on_one_page(catalog, scene, size):
    """However long a page is, and though all have one name and one position: none twice or lost."""
    variants = await supply_many(catalog, scene, 20)
    floors = await read_floors(catalog, scene.shop.merchant, size)
    supplied = await read_supplied(catalog, size)

    assert (40, 40) == (len(floors), len(supplied))
    assert set(variants) == set(floors) == set(supplied)


async def test_more_than_a_page_holds_is_cut_and_goes_on(catalog, scene):
    """Whoever asks for more than the most gets the most, and what is beyond by the next page."""
    variants = await supply_many(catalog, scene, 130)
    [first] = await catalog.list_floors([FloorQuery(scene.shop.merchant, floors_max=1_000)])
    [page] = await catalog.list_supplied([SuppliedVariantQuery(AGENT, variants_max=1_000)])
    floors = await read_floors(catalog, scene.shop.merchant, 200)
    supplied = await read_supplied(catalog, 200)

    assert (200, 200) == (len(first), len(page))
    assert set(variants) == set(floors) == set(supplied)
    assert len(variants) == len(floors) == len(supplied)


async def test_a_page_goes_on_after_what_is_shown_no_more(catalog, scene):
    """The last of a page is withdrawn, priced or listed meanwhile: the next is as it was."""
    await supply_many(catalog, scene, 4)
    supplier = scene.shop.merchant
    [floors] = await catalog.list_floors([FloorQuery(supplier)])
    [goods] = await catalog.list_supplied([SuppliedVariantQuery(AGENT)])
    last, source = floors[2].variant, goods[2].source
    await catalog.put_floors([Floor(supplier, each, {}) for each in (last, source)])
    [rest] = await catalog.list_floors([FloorQuery(supplier, has_floor=True, before=last)])
    [others] = await catalog.list_supplied([SuppliedVariantQuery(AGENT, after=source)])
    gone = {last, source}

    wanted = [each.variant for each in floors[3:] if each.variant not in gone]
    assert wanted == [each.variant for each in rest]
    wanted = [each.source for each in goods[3:] if each.source not in gone]
    assert wanted == [each.source for each in others]
    assert [[]] == await catalog.list_floors([FloorQuery(AGENT, before=last)])
    assert [[]] == await catalog.list_supplied([SuppliedVariantQuery(supplier, after=source)])


async def test_rows_are_found_by_words_and_by_where_they_stand(catalog, scene):
    """By words of a title, a SKU or the supplier, in either case; with a floor, listed, alone."""
    variants = await supply_many(catalog, scene, 3)
    supplier = scene.shop.merchant
    deluxe = [each for at, each in enumerate(variants) if at % 2]
    await catalog.put_floors([Floor(supplier, deluxe[0], {})])
    await list_at(catalog, deluxe[1], 4_000)

    async def floors(**asked):
        return await read_floors(catalog, supplier, 50, **asked)

    async def supplied(**asked):
        return await read_supplied(catalog, 50, **asked)

    assert deluxe[::-1] == await floors(words=" deluxe  SAME ")
    assert [deluxe[0]] == await floors(words="g0-deluxe") == await floors(has_floor=False)
    assert set(variants) - {deluxe[0]} == set(await floors(has_floor=True))
    assert [[], []] == [await floors(words="lin"), await floors(words="%")]
    assert [deluxe[1]] == await floors(variant=deluxe[1])
    assert set(deluxe[1:]) == set(await supplied(words="lin deluxe"))
    assert [deluxe[1]] == await supplied(is_listed=True) == await supplied(source=deluxe[1])
    assert 4 == len(await supplied(is_listed=False))
    assert [] == await supplied(source=deluxe[0])
    assert [] == await read_floors(catalog, AGENT, 50, variant=deluxe[1])
