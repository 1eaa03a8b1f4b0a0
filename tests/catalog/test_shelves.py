"""Shops and products: what may be written, what is found, what buyers see."""

import pytest

from vendrail.api.catalog import (
    DeliveryKind,
    HoldPolicy,
    MerchantId,
    Product,
    ProductId,
    ProductQuery,
    ProductState,
    PutStatus,
    QuantityPrice,
    Shop,
    ShopId,
    VariantId,
)
from vendrail.catalog import shelves
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import derive, named_id, new_id


async def test_shops_are_written_whole(catalog, scene):
    """A shop is created, unchanged, changed; its slug is its own on the whole platform."""
    other = replace(scene.shop, id=ShopId(named_id("other")))
    renamed = replace(scene.shop, name="Lin's keys and more", slug="lin-2")

    assert ["created", "unchanged", "slug_taken"] == await catalog.put_shops(
        [scene.shop, scene.shop, other]
    )
    assert ["changed", "created"] == await catalog.put_shops([renamed, other])
    assert [other, None, renamed] == await catalog.read_shops(["lin", "none", "lin-2"])


async def test_without_slugs_all_open_shops_are_read(catalog, scene):
    """Reading no slug in particular gives the shops that are open."""
    closed = replace(scene.shop, id=ShopId(named_id("closed")), slug="closed", is_open=False)
    await catalog.put_shops([scene.shop, closed])

    assert [scene.shop] == await catalog.read_shops([])


async def test_products_are_written_whole(catalog, scene):
    """A product is created, unchanged, changed; what it stands on is checked first."""
    product = scene.product()
    await catalog.put_shops([scene.shop])
    elsewhere = replace(product, id=ProductId(named_id("x")), shop=ShopId(named_id("nowhere")))
    same_slug = replace(scene.product("film"), slug="game")
    same_sku = replace(scene.product("film"), variants=product.variants)
    stolen = replace(product.variants[0], sku="new-sku")
    moved = replace(scene.product("film"), variants=[stolen])
    changed = replace(product, title="The game, again", state=ProductState.PAUSED)

    statuses = await catalog.put_products(
        [product, product, elsewhere, same_slug, same_sku, moved, changed]
    )

    assert [
        "created",
        "unchanged",
        "shop_not_found",
        "slug_taken",
        "sku_taken",
        "field_malformed",
        "changed",
    ] == statuses
    [view] = await catalog.read_products([product.id])
    assert changed == view.product
    assert ["unchanged"] == await catalog.put_products([changed])


@pytest.mark.parametrize(
    "changes",
    [
        {"slug": ""},
        {"slug": "Game"},
        {"slug": "-game"},
        {"slug": "a" * 65},
        {"title": ""},
        {"title": " game"},
        {"title": "two\nlines"},
        {"title": "nul\x00"},
        {"title": "free \u202eelas"},
        {"description": "nul\x00"},
        {"picture": "../secret.png"},
        {"picture": "/etc/passwd"},
        {"picture": "javascript:alert(1)"},
        {"picture": "https://elsewhere/x.png"},
        {"restock_wait_s": -1},
        {"restock_wait_s": 10**9},
        {"variants": []},
    ],
)
def test_malformed_products_are_refused(changes, scene):
    """A field that could not be shown, or leads elsewhere, refuses the product."""
    book = shelves.ShopBook(shops={scene.shop.id: scene.shop})

    assert PutStatus.FIELD_MALFORMED == shelves.put_product(
        book, replace(scene.product(), **changes)
    )
    assert {} == book.written_products


@pytest.mark.parametrize(
    "changes",
    [
        {"sku": ""},
        {"sku": "a b"},
        {"sku": "a/b"},
        {"sku": "a" * 65},
        {"prices_minor": {}},
        {"prices_minor": {"CNY": 0}},
        {"prices_minor": {"CNY": -1}},
        {"prices_minor": {"CNY": 10**16}},
        {"prices_minor": {"XXX": 1}},
        {"quantity_min": 0},
        {"quantity_min": 11},
        {"quantity_max": 1_001},
        {"position": -1},
        {"quantity_prices": [QuantityPrice(1, {"CNY": 1})]},
        {"quantity_prices": [QuantityPrice(11, {"CNY": 1})]},
        {"quantity_prices": [QuantityPrice(2, {"CNY": 4_900})]},
        {"quantity_prices": [QuantityPrice(2, {"CNY": 0})]},
        {"quantity_prices": [QuantityPrice(2, {"JPY": 1})]},
        {"quantity_prices": [QuantityPrice(2, {})]},
        {"quantity_prices": [QuantityPrice(3, {"CNY": 2}), QuantityPrice(2, {"CNY": 1})]},
        {"quantity_prices": [QuantityPrice(2, {"CNY": 1}), QuantityPrice(3, {"CNY": 2})]},
        {"title": "tab\there"},
    ],
)
def test_malformed_variants_are_refused(changes, scene):
    """A price that is none, an unknown currency, a step that is not cheaper refuse the product."""
    book = shelves.ShopBook(shops={scene.shop.id: scene.shop})
    product = scene.product()
    variants = [replace(product.variants[0], **changes)]

    assert PutStatus.FIELD_MALFORMED == shelves.put_product(
        book, replace(product, variants=variants)
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"slug": "Lin"},
        {"slug": "lin_"},
        {"name": ""},
        {"name": "a" * 101},
        {"merchant_name": "\x1b[31m"},
        {"theme": "../x"},
        {"notice": "\x00"},
        {"contact": " a"},
    ],
)
def test_malformed_shops_are_refused(changes, scene):
    """A shop's fields are lines and slugs that can be shown."""
    book = shelves.ShopBook()

    assert PutStatus.FIELD_MALFORMED == shelves.put_shop(book, replace(scene.shop, **changes))


async def test_a_withdrawn_variant_keeps_its_keys(catalog, scene):
    """A variant left out cannot be bought; put back, it has its keys; its SKU was free."""
    await scene.stock(catalog, 2)
    product = scene.product()
    other = replace(product.variants[0], id=VariantId(named_id("other")), sku="other")
    heir = replace(other, sku="game")

    await catalog.put_products([replace(product, variants=[other])])
    assert [None] == await catalog.read_offers(["game"])
    assert [None] == await catalog.count_stock(["game"])
    assert ["changed"] == await catalog.put_products([replace(product, variants=[heir])])
    [offer] = await catalog.read_offers(["game"])
    assert heir.id == offer.variant
    back = replace(product, variants=[product.variants[0], other])
    assert ["changed"] == await catalog.put_products([back])
    [count] = await catalog.count_stock(["game"])
    assert 2 == count.free


async def test_an_offer_says_all_that_placing_needs(catalog, scene):
    """An offer names variant, product, shop, merchant, prices, limits; unknown SKUs have none."""
    variant = await scene.stock(
        catalog, 0, restock_wait_s=60, hold_policy=HoldPolicy.AT_PAYMENT, picture="game.png"
    )

    [offer, none] = await catalog.read_offers(["game", "none"])

    assert none is None
    assert (variant, "game", "The game – Standard") == (offer.variant, offer.sku, offer.title)
    assert (scene.shop.id, "lin") == (offer.shop, offer.shop_slug)
    assert scene.shop.merchant == offer.merchant
    assert ({"CNY": 4_900}, 1, 10) == (offer.prices_minor, offer.quantity_min, offer.quantity_max)
    assert (DeliveryKind.UNIQUE_KEY, HoldPolicy.AT_PAYMENT) == (offer.delivery, offer.hold_policy)
    assert (60, True, "game.png") == (offer.restock_wait_s, offer.is_on_sale, offer.picture)


async def test_offers_are_at_most_a_second_old(make_service, scene, clock):
    """Another process's change is seen within a second; one's own at once."""
    here, there = make_service(), make_service()
    await scene.stock(here, 0)
    assert (await here.read_offers(["game"]))[0].is_on_sale
    assert (await there.read_offers(["game", "none"]))[0].is_on_sale

    await here.put_products([scene.product(state=ProductState.PAUSED)])

    assert not (await here.read_offers(["game"]))[0].is_on_sale
    assert (await there.read_offers(["game"]))[0].is_on_sale
    clock.advance(1)
    assert not (await there.read_offers(["game", "none"]))[0].is_on_sale
    await here.put_shops([replace(scene.shop, is_open=False)])
    assert not (await here.read_offers(["game"]))[0].is_on_sale


async def test_unknown_skus_fill_no_memory(service):
    """However many unknown SKUs are asked for, only so many are remembered."""
    for start in range(0, 60_000, 15_000):
        await service.read_offers([f"none-{n}" for n in range(start, start + 15_000)])

    assert len(service._offers) <= 20_000


@pytest.fixture
async def filled(catalog, scene, clock):
    """Two shops with products made one after the other."""
    second = Shop(ShopId(named_id("2")), MerchantId(named_id("m2")), "Mei", "mei", "Mei's")
    await catalog.put_shops([scene.shop, second])
    made = []
    for number in range(6):
        clock.advance(1)
        product = scene.product(f"sku-{number}", category="游戏" if number % 2 else "Film 100%")
        shop = second.id if number > 3 else scene.shop.id
        product = replace(product, id=ProductId(new_id(clock.now())), shop=shop)
        made.append(replace(product, title=f"Café {number} Deluxe"))
    await catalog.put_products(made)
    return made


async def found(catalog, **query):
    """Give the titles' numbers that a query finds."""
    [views] = await catalog.find_products([ProductQuery(**query)])
    return [int(view.product.title.split()[1]) for view in views]


async def test_products_are_found_newest_first(catalog, filled):
    """By shop, category, words or all; page by page without a gap."""
    assert [5, 4, 3, 2, 1, 0] == await found(catalog)
    assert [5, 4] == await found(catalog, shop_slug="mei")
    assert [5, 3, 1] == await found(catalog, category="游戏")
    assert [2] == await found(catalog, words="  SKU-2  deluxe ")
    assert [5, 3, 1] == await found(catalog, words="游戏 café")
    assert [5, 4] == await found(catalog, products_max=2)
    assert [3, 2] == await found(catalog, products_max=2, after=filled[4].id)
    assert [] == await found(catalog, shop_slug="none")
    queries = [ProductQuery(words="sku-1"), ProductQuery(words="nothing"), ProductQuery()]
    assert [1, 0, 6] == [len(views) for views in await catalog.find_products(queries)]


async def test_x15_what_is_typed_is_never_sql(catalog, filled):
    """Wildcards, quotes and statements are only words, in searches, SKUs and slugs."""
    for words in ["%", "_", "sku-_", "' or 1=1 --", "'; drop table catalog.product; --", "\\"]:
        expected = [4, 2, 0] if words == "%" else []
        assert expected == await found(catalog, words=words)
    nasty = "x' or '1'='1"
    assert [None] == await catalog.read_offers([nasty])
    assert [None] == await catalog.read_shops([nasty])
    assert [] == await found(catalog, shop_slug=nasty)
    assert [] == await found(catalog, category=nasty)
    assert [None] == await catalog.count_stock([nasty])
    assert 6 == len(await found(catalog))


async def test_drafts_and_closed_shops_are_not_found(catalog, scene, filled):
    """Only what is on sale in an open shop is found; a removed product is not even read."""
    changed = [
        replace(filled[0], state=ProductState.DRAFT),
        replace(filled[1], state=ProductState.REMOVED),
    ]
    await catalog.put_products(changed)
    assert [5, 4, 3, 2] == await found(catalog)
    [draft, removed, none] = await catalog.read_products(
        [filled[0].id, filled[1].id, ProductId(named_id("none"))]
    )
    assert (changed[0], None, None) == (draft.product, removed, none)

    await catalog.put_shops([replace(scene.shop, is_open=False)])

    assert [5, 4] == await found(catalog)


async def test_a_view_shows_what_is_left(catalog, scene):
    """Keys left are counted without those held; content is without end once it was given."""
    variant = await scene.stock(catalog, 3)
    await scene.stock(catalog, 0, "text", delivery=DeliveryKind.TEXT)
    await catalog.hold_keys([scene.hold(variant)])
    paid = scene.allocation(variant)
    await catalog.allocate_keys([paid])
    await catalog.sell_allocations([paid.id])
    products = [scene.product("game").id, scene.product("text").id]

    [game, text] = await catalog.read_products(products)

    assert ({"game": 1}, 1) == (game.stock, game.sold_count)
    assert {"text": 0} == text.stock
    await catalog.put_contents([("text", "hello")])
    [text] = await catalog.read_products(products[1:])
    assert {"text": None} == text.stock
    assert scene.shop == text.shop


async def test_variants_are_shown_in_their_order(catalog, scene):
    """Variants come by position, whatever the order in which they were written."""
    await catalog.put_shops([scene.shop])
    first = scene.product().variants[0]
    variants = [
        replace(first, id=VariantId(derive(first.id, sku)), sku=sku, position=position)
        for sku, position in [("c", 3), ("a", 1), ("b", 2)]
    ]
    product = scene.product(variants=variants)
    await catalog.put_products([product])

    [view] = await catalog.read_products([product.id])

    assert ["a", "b", "c"] == [variant.sku for variant in view.product.variants]
    assert ["unchanged"] == await catalog.put_products([product])


def test_products_of_a_batch_see_each_other(scene):
    """Within a batch a slug given up by one product may be taken by the next, and no other."""
    book = shelves.ShopBook(shops={scene.shop.id: scene.shop})
    one, two = scene.product("one"), scene.product("two")
    products: list[Product] = [
        one,
        replace(two, slug="one"),
        replace(one, slug="else"),
        replace(two, slug="one"),
    ]

    statuses = [shelves.put_product(book, product) for product in products]

    assert ["created", "slug_taken", "changed", "created"] == statuses
