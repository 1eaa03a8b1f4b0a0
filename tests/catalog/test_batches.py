"""Stock by batch: where the keys of a file are, what is withdrawn, what runs out."""

import asyncio

from vendrail.api.catalog import (
    AllocationStatus,
    BatchQuery,
    DeliveryKind,
    KeyBatch,
    KeyIntake,
    KeyState,
    KeyVoid,
    KeyVoidResult,
    LowStock,
    LowStockQuery,
    MerchantId,
    ProductState,
    ShopProductQuery,
    StockCount,
    Variant,
    VariantId,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import named_id, new_id

ELSEWHERE = MerchantId(named_id("another merchant"))


async def batches(catalog, sku="game", **wanted):
    """Read the batches of a variant."""
    (page,) = await catalog.list_batches([BatchQuery(sku, **wanted)])
    return page


async def void(catalog, batch=None, sku="game"):
    """Withdraw the free keys of a batch, or of all."""
    (result,) = await catalog.void_keys([KeyVoid(sku, batch)])
    return result


async def test_batches_tell_where_their_keys_are(catalog, scene):
    """Each file's keys are counted apart: unsold, allocated, sold, void, newest file first."""
    variant = await scene.stock(catalog, 0)
    first, second = (new_id(scene.clock.now()) for _ in range(2))
    first, second = sorted((first, second))
    for batch, count in ((first, 3), (second, 2)):
        lines = scene.intake(count, batch=str(batch)).lines
        await catalog.add_keys([KeyIntake("game", batch, lines)])
    sold, picked = scene.allocation(variant), scene.allocation(variant)
    await catalog.allocate_keys([sold, picked])
    await catalog.sell_allocations([sold.id])
    now = scene.clock.now()

    assert [
        KeyBatch(second, now, 2, unsold=2, allocated=0, sold=0, void=0),
        KeyBatch(first, now, 3, unsold=1, allocated=1, sold=1, void=0),
    ] == await batches(catalog)
    assert [second] == [batch.id for batch in await batches(catalog, batches_max=1)]
    assert [first] == [batch.id for batch in await batches(catalog, before=second)]
    assert [] == await batches(catalog, sku="nothing")


async def test_undoing_a_batch_voids_what_is_free_and_names_who_has_the_rest(catalog, scene):
    """The batch's free keys are void for ever, sold ones stay sold, other batches are untouched."""
    variant = await scene.stock(catalog, 4)
    await catalog.add_keys([scene.intake(2, batch="second")])
    sold = scene.allocation(variant)
    await catalog.allocate_keys([sold])
    await catalog.sell_allocations([sold.id])
    first = scene.intake(0).batch

    assert KeyVoidResult(3, 0, [sold.order]) == await void(catalog, first)
    assert KeyVoidResult(0, 0, [sold.order]) == await void(catalog, first)
    assert [StockCount("game", 2, 0, 0, 1, 3)] == await catalog.count_stock(["game"])
    keys = [text for _, text in await catalog.export_keys("game", KeyState.VOID, None, 10)]
    assert [f"game-first-{n:06}" for n in (2, 3, 4)] == keys
    free = [text for _, text in await catalog.export_keys("game", KeyState.FREE, None, 10)]
    assert ["game-second-000001", "game-second-000002"] == free


async def test_what_is_void_is_never_sold_and_never_taken_in_again(catalog, scene):
    """After an undo the buyer hears sold out, and the same file is refused as duplicates."""
    variant = await scene.stock(catalog, 3)
    await void(catalog)
    (result,) = await catalog.allocate_keys([scene.allocation(variant)])
    once = scene.intake(3)
    (again,) = await catalog.add_keys([KeyIntake("game", named_id("again"), once.lines)])

    assert AllocationStatus.SOLD_OUT is result.status
    assert (0, {"duplicate"}) == (again.added_count, {each.reason for each in again.rejects})


async def test_what_an_unpaid_order_holds_is_left(catalog, scene):
    """Voiding leaves as many keys as are held: who is about to pay gets what they were promised."""
    variant = await scene.stock(catalog, 5)
    hold = scene.hold(variant, 2)
    await catalog.hold_keys([hold])

    assert KeyVoidResult(3, 2) == await void(catalog)
    (result,) = await catalog.allocate_keys([scene.allocation(variant, 2, hold.order)])
    assert AllocationStatus.ALLOCATED is result.status
    assert [StockCount("game", 0, 0, 2, 0, 3)] == await catalog.count_stock(["game"])


async def test_no_such_batch_is_nothing(catalog, scene):
    """An unknown SKU or batch, or a batch of another variant, is told apart from an empty one."""
    await scene.stock(catalog, 2)
    await catalog.put_products([scene.product("tool")])

    assert [None, None, None] == await catalog.void_keys(
        [
            KeyVoid("nothing"),
            KeyVoid("game", named_id("no batch")),
            KeyVoid("tool", scene.intake(0).batch),
        ]
    )
    assert [StockCount("game", 2, 0, 0, 0, 0)] == await catalog.count_stock(["game"])


async def test_voiding_beside_buyers_loses_and_doubles_nothing(service, scene):
    """While 40 buyers take keys, a batch is undone: each key is sold once or void, never both."""
    variant = await scene.stock(service, 60)
    batch = scene.intake(0).batch
    buyers = [scene.allocation(variant) for _ in range(40)]
    results = await asyncio.gather(
        *(service.allocate_keys([each]) for each in buyers[:20]),
        service.void_keys([KeyVoid("game", batch)]),
        *(service.allocate_keys([each]) for each in buyers[20:]),
    )
    (voided,) = results.pop(20)
    await void(service)
    outcomes = [each for (each,) in results]
    keys = [key for each in outcomes for key in each.keys]
    (stock,) = await service.count_stock(["game"])

    assert len(set(keys)) == len(keys)
    assert voided.voided_count + len(keys) == 60 == stock.void + stock.allocated
    assert (0, 0, len(keys)) == (stock.free, stock.held, stock.allocated)


async def test_the_merchants_shelves_show_counters(catalog, scene):
    """A merchant lists its own shops and products in any state but removed, with all counters."""
    variant = await scene.stock(catalog, 3)
    draft = scene.product("tool", state=ProductState.DRAFT, delivery=DeliveryKind.TEXT)
    gone = scene.product("gone", state=ProductState.REMOVED)
    await catalog.put_products([draft, gone])
    await catalog.put_contents([("tool", "Read me.")])
    await catalog.hold_keys([scene.hold(variant)])
    merchant = scene.shop.merchant
    pages = await catalog.list_products(
        [
            ShopProductQuery(merchant),
            ShopProductQuery(merchant, words="GAME standard"),
            ShopProductQuery(merchant, state=ProductState.DRAFT),
            ShopProductQuery(ELSEWHERE),
        ]
    )
    by_slug = {each.product.slug: each for each in pages[0]}

    assert {"game", "tool"} == by_slug.keys()
    assert [["game"], ["tool"], []] == [[e.product.slug for e in page] for page in pages[1:]]
    assert [StockCount("game", 2, 1, 0, 0, 0)] == by_slug["game"].counts
    assert ([], ["tool"]) == (by_slug["game"].contents, by_slug["tool"].contents)
    assert [[scene.shop], []] == await catalog.list_shops([merchant, ELSEWHERE])


async def test_pages_of_products_follow_each_other(catalog, scene):
    """Each product is on exactly one page."""
    await catalog.put_shops([scene.shop])
    await catalog.put_products([scene.product(f"p{n}") for n in range(5)])
    merchant, seen, before = scene.shop.merchant, [], None
    while True:
        query = ShopProductQuery(merchant, before=before, products_max=2)
        (page,) = await catalog.list_products([query])
        seen += [each.product.id for each in page]
        if len(page) < 2:
            break
        before = page[-1].product.id

    assert sorted(seen, reverse=True) == seen
    assert 5 == len(set(seen)) == len(seen)


async def test_a_withdrawn_variant_is_still_named(catalog, scene):
    """Orders of a variant that is no longer sold are found by it: the product names them all."""
    old = await scene.stock(catalog, 1)
    new = Variant(VariantId(named_id("new")), "game-2", "New", {"CNY": 100})
    await catalog.put_products([scene.product(variants=[new])])
    ((page,),) = await catalog.list_products([ShopProductQuery(scene.shop.merchant)])

    assert {old, new.id} == set(page.variants_ever)
    assert ["game-2"] == [count.sku for count in page.counts]


async def test_what_runs_out_is_listed_fewest_first(catalog, scene):
    """Variants on sale with few free keys; what has no end, is paused or another's is not."""
    await scene.stock(catalog, 3)
    await scene.stock(catalog, 1, "rare")
    await scene.stock(catalog, 20, "much")
    await scene.stock(catalog, 0, "paused", state=ProductState.PAUSED)
    await scene.stock(catalog, 0, "text", delivery=DeliveryKind.TEXT)
    mine, few, theirs = await catalog.list_low_stock(
        [
            LowStockQuery(scene.shop.merchant),
            LowStockQuery(scene.shop.merchant, free_max=2),
            LowStockQuery(ELSEWHERE),
        ]
    )

    assert ["rare", "game"] == [each.sku for each in mine]
    assert LowStock("rare", "The rare – Standard", named_id("product rare"), 1, 0, 2) == few[0]
    assert (1, []) == (len(few), theirs)


async def test_what_is_low_a_variant_says_or_its_shop(catalog, scene):
    """A variant's own bound counts before its shop's, and that before the asker's; 0 is never."""
    own = {"ten": 10, "never": 0, "shops": None}
    for sku, bound in own.items():
        await scene.stock(catalog, 4 if sku == "shops" else 5, sku)
        [view] = await catalog.read_products([named_id(f"product {sku}")])
        [variant] = view.product.variants
        changed = replace(view.product, variants=[replace(variant, low_stock_max=bound)])
        await catalog.put_products([changed])
    await catalog.put_shops([replace(scene.shop, low_stock_max=4)])
    merchant = scene.shop.merchant
    now, soon = await catalog.list_low_stock(
        [LowStockQuery(merchant, free_max=1), LowStockQuery(merchant, free_max=1, factor=2)]
    )
    await catalog.put_shops([replace(scene.shop, low_stock_max=2)])
    [less, wider] = await catalog.list_low_stock(
        [LowStockQuery(merchant, free_max=99), LowStockQuery(merchant, free_max=99, factor=2)]
    )
    wrong = replace(scene.shop, low_stock_max=-1)

    assert [("shops", 4), ("ten", 10)] == [(each.sku, each.bound) for each in now]
    assert now == soon
    assert ["ten"] == [each.sku for each in less]
    assert ["shops", "ten"] == [each.sku for each in wider]
    assert ["field_malformed"] == await catalog.put_shops([wrong])
