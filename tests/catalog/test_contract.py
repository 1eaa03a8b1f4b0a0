"""What the catalog promises, asked of the service and of a remote client to it."""

import asyncio

from vendrail.api.catalog import (
    AllocationId,
    AllocationResult,
    AllocationStatus,
    DeliveryKind,
    HoldPolicy,
    HoldStatus,
    KeyIntake,
    KeyLine,
    KeyReject,
    KeyState,
    PutStatus,
    StockCount,
    UndoStatus,
    VariantId,
)
from vendrail.kernel.ids import named_id

ENDLESS = {"delivery": DeliveryKind.TEXT}
AT_PAYMENT = {"hold_policy": HoldPolicy.AT_PAYMENT}


async def count(catalog, sku="game"):
    return (await catalog.count_stock([sku]))[0]


async def test_a_key_goes_from_intake_to_buyer(catalog, scene):
    """A key is held, allocated, sold and read, and is counted where it stands at each step."""
    variant = await scene.stock(catalog, 3)
    hold = scene.hold(variant, 2)
    new = scene.allocation(variant, 2, hold.order)

    assert StockCount("game", 3, 0, 0, 0, 0) == await count(catalog)
    assert [HoldStatus.HELD] == await catalog.hold_keys([hold])
    assert StockCount("game", 1, 2, 0, 0, 0) == await count(catalog)
    [result] = await catalog.allocate_keys([new])
    assert AllocationStatus.ALLOCATED == result.status
    assert 2 == len(result.keys)
    assert StockCount("game", 1, 0, 2, 0, 0) == await count(catalog)
    assert [True] == await catalog.sell_allocations([new.id])
    assert StockCount("game", 1, 0, 0, 2, 0) == await count(catalog)
    [delivery] = await catalog.read_deliveries([new.id])
    assert hold.order == delivery.order
    assert ["game-first-000001", "game-first-000002"] == delivery.items
    assert [2] == await catalog.void_allocations([new.id])
    assert StockCount("game", 1, 0, 0, 0, 2) == await count(catalog)


async def test_holds_of_one_batch_see_each_other(catalog, scene):
    """Of several holds in one batch the first ones are served, in order."""
    variant = await scene.stock(catalog, 3)
    holds = [scene.hold(variant, quantity) for quantity in (2, 2, 1)]

    assert ["held", "sold_out", "held"] == await catalog.hold_keys(holds)
    assert ["exists", "sold_out", "exists"] == await catalog.hold_keys(holds)


async def test_a_hold_is_not_needed_or_not_possible(catalog, scene):
    """What is endless or allocated at payment needs no hold; what is unknown has none."""
    late = await scene.stock(catalog, 1, "late", **AT_PAYMENT)
    text = await scene.stock(catalog, 0, "text", **ENDLESS)
    await catalog.put_contents([("text", "Read me")])
    holds = [scene.hold(late), scene.hold(text), scene.hold(named_id("nothing"))]

    assert ["not_needed", "not_needed", "variant_not_found"] == await catalog.hold_keys(holds)


async def test_released_and_expired_holds_give_back(catalog, service, scene, clock):
    """A hold that is released or whose time is over is stock again; the second release says no."""
    variant = await scene.stock(catalog, 2)
    first, second = scene.hold(variant), scene.hold(variant, until_s=60)
    await catalog.hold_keys([first, second])

    assert [True, False] == await catalog.release_holds([first.order, scene.order()])
    assert [False] == await catalog.release_holds([first.order])
    assert 0 == await service.end_expired_holds()
    clock.advance(61)
    assert 1 == await service.end_expired_holds()
    assert StockCount("game", 2, 0, 0, 0, 0) == await count(catalog)


async def test_expired_holds_are_taken_back_before_sold_out(catalog, scene, clock):
    """A variant that looks sold out is not, where an expired hold still keeps a key."""
    variant = await scene.stock(catalog, 1)
    await catalog.hold_keys([scene.hold(variant, until_s=60)])
    assert ["sold_out"] == await catalog.hold_keys([scene.hold(variant)])

    clock.advance(61)

    assert ["held"] == await catalog.hold_keys([scene.hold(variant, until_s=60)])
    clock.advance(61)
    [late] = await catalog.allocate_keys([scene.allocation(variant)])
    assert AllocationStatus.ALLOCATED == late.status


async def test_the_first_outcome_is_kept(catalog, scene):
    """Asking again gives the same keys, and a refusal stays a refusal when stock has returned."""
    variant = await scene.stock(catalog, 1)
    won, lost = scene.allocation(variant), scene.allocation(variant)
    first = await catalog.allocate_keys([won, lost, won])
    await catalog.add_keys([scene.intake(5, batch="second")])

    again = await catalog.allocate_keys([lost, won])

    assert ["allocated", "sold_out", "allocated"] == [result.status for result in first]
    assert first[0] == first[2]
    assert [first[1], first[0]] == again
    [retried] = await catalog.allocate_keys([scene.allocation(variant, 1, lost.order, "restock")])
    assert AllocationStatus.ALLOCATED == retried.status


async def test_all_of_the_quantity_or_none(catalog, scene):
    """An order of three takes none of two; the next, of two, takes both."""
    variant = await scene.stock(catalog, 2)
    results = await catalog.allocate_keys([scene.allocation(variant, n) for n in (3, 2, 1)])

    assert ["sold_out", "allocated", "sold_out"] == [result.status for result in results]
    assert StockCount("game", 0, 0, 2, 0, 0) == await count(catalog)


async def test_a_late_payment_takes_nothing_held_for_others(catalog, scene):
    """Without a hold only free keys are taken; the holder gets what was set aside."""
    variant = await scene.stock(catalog, 2)
    hold = scene.hold(variant, 2)
    await catalog.hold_keys([hold])
    late, paid = scene.allocation(variant), scene.allocation(variant, 2, hold.order)

    results = await catalog.allocate_keys([late, paid])

    assert ["sold_out", "allocated"] == [result.status for result in results]


async def test_a_hold_that_does_not_fit_is_given_back(catalog, scene):
    """A hold of another quantity or variant ends when its order is allocated, and leaks nothing."""
    game, film = await scene.stock(catalog, 4), await scene.stock(catalog, 2, "film")
    large, small, other = scene.hold(game, 3), scene.hold(game, 1), scene.hold(film, 2)
    await catalog.hold_keys([large, small, other])

    results = await catalog.allocate_keys(
        [
            scene.allocation(game, 1, large.order),
            scene.allocation(game, 2, small.order),
            scene.allocation(game, 1, other.order),
        ]
    )

    assert ["allocated"] * 3 == [result.status for result in results]
    assert StockCount("game", 0, 0, 4, 0, 0) == await count(catalog)
    assert StockCount("film", 2, 0, 0, 0, 0) == await count(catalog, "film")


async def test_an_unknown_variant_is_refused_for_ever(catalog, scene):
    """An allocation of nothing that is known is refused, and stays so."""
    new = scene.allocation(named_id("nothing"))

    assert [
        AllocationResult(AllocationStatus.VARIANT_NOT_FOUND)
    ] * 2 == await catalog.allocate_keys([new, new])
    assert ["tombstone_left"] == await catalog.free_allocations([new.id])


async def test_undo_frees_the_keys_and_leaves_a_tombstone(catalog, scene):
    """An undone allocation's keys are sold to the next; a late command is cancelled."""
    variant = await scene.stock(catalog, 2)
    undone, never = scene.allocation(variant, 2), scene.allocation(variant, 1)
    [before] = await catalog.allocate_keys([undone])

    assert ["freed", "tombstone_left"] == await catalog.free_allocations([undone.id, never.id])
    assert ["freed", "tombstone_left"] == await catalog.free_allocations([undone.id, never.id])
    late = await catalog.allocate_keys([undone, never])
    assert [AllocationStatus.CANCELLED] * 2 == [result.status for result in late]
    assert [None, None] == await catalog.read_deliveries([undone.id, never.id])
    [after] = await catalog.allocate_keys([scene.allocation(variant, 2)])
    assert before.keys == after.keys
    assert StockCount("game", 0, 0, 2, 0, 0) == await count(catalog)


async def test_a_sold_key_is_never_free_again(catalog, scene):
    """What was sold can be voided, never undone; voiding again says the same."""
    variant = await scene.stock(catalog, 1)
    new = scene.allocation(variant)
    await catalog.allocate_keys([new])
    await catalog.sell_allocations([new.id])

    assert [UndoStatus.SOLD] == await catalog.free_allocations([new.id])
    assert [1] == await catalog.void_allocations([new.id])
    assert [1, 0] == await catalog.void_allocations([new.id, AllocationId(named_id("none"))])
    assert [UndoStatus.SOLD] == await catalog.free_allocations([new.id])
    assert [True, False] == await catalog.sell_allocations([new.id, AllocationId(named_id("none"))])
    assert StockCount("game", 0, 0, 0, 0, 1) == await count(catalog)


async def test_what_is_read_is_sold(catalog, scene):
    """Reading a delivery marks it sold, so that no undo can make a seen key free."""
    variant = await scene.stock(catalog, 1)
    new = scene.allocation(variant)
    await catalog.allocate_keys([new])

    [delivery] = await catalog.read_deliveries([new.id])

    assert ["game-first-000001"] == delivery.items
    assert [UndoStatus.SOLD] == await catalog.free_allocations([new.id])
    assert StockCount("game", 0, 0, 0, 1, 0) == await count(catalog)


async def test_endless_goods_deliver_their_content(catalog, scene):
    """A reusable key, text or file is delivered once for each unit, and only when it was given."""
    text = await scene.stock(catalog, 0, "text", **ENDLESS)
    [empty] = await catalog.allocate_keys([scene.allocation(text)])
    statuses = [
        (await catalog.put_contents([content]))[0]
        for content in [("text", "A"), ("text", "A"), ("text", "B"), ("none", "A"), ("text", " ")]
    ]
    new = scene.allocation(text, 2)
    undone = scene.allocation(text, 3)

    assert AllocationStatus.SOLD_OUT == empty.status
    assert ["created", "unchanged", "changed", "field_malformed", "field_malformed"] == statuses
    results = await catalog.allocate_keys([new, undone])
    assert [AllocationResult(AllocationStatus.ALLOCATED)] * 2 == results
    assert ["freed"] == await catalog.free_allocations([undone.id])
    [delivery] = await catalog.read_deliveries([new.id])
    assert ["B", "B"] == delivery.items
    assert StockCount("text", 0, 0, 0, 2, 0) == await count(catalog, "text")


async def test_a_file_stays_below_its_folder(catalog, scene):
    """The path of a FILE cannot lead out of the folder of files."""
    await scene.stock(catalog, 0, "file", delivery=DeliveryKind.FILE)
    paths = ["../secrets/master.json", "/etc/passwd", "a/../../b", "https://x/y", "books/one.zip"]

    statuses = [(await catalog.put_contents([("file", path)]))[0] for path in paths]

    assert [PutStatus.FIELD_MALFORMED] * 4 + [PutStatus.CREATED] == statuses


async def test_intake_rejects_and_says_why(catalog, scene):
    """Empty, over-long, unreadable and repeated lines are rejected by number; the rest is taken."""
    await scene.stock(catalog, 0)
    texts = ["A-1", "  ", "A-1", "x" * 5_000, "bad\x00key", "﻿A-2 ", "lost \ufffd", "两行\n密码"]
    lines = [KeyLine(number, text) for number, text in enumerate(texts, 1)]
    intakes = [KeyIntake("game", named_id("b"), lines), KeyIntake("none", named_id("b"), lines)]

    [found, missing] = await catalog.add_keys(intakes)

    assert not missing.sku_found
    assert 3 == found.added_count
    assert [
        KeyReject(2, "empty"),
        KeyReject(3, "duplicate"),
        KeyReject(4, "too_long"),
        KeyReject(5, "not_text"),
        KeyReject(7, "not_text"),
    ] == found.rejects
    assert StockCount("game", 3, 0, 0, 0, 0) == await count(catalog)


async def test_an_intake_repeated_says_the_same(catalog, scene):
    """The same batch again adds nothing and reports the same; another batch finds duplicates."""
    await scene.stock(catalog, 0)
    intake = scene.intake(3)
    first = await catalog.add_keys([intake])

    again = await catalog.add_keys([intake])
    other = await catalog.add_keys([KeyIntake("game", named_id("other"), intake.lines)])

    assert first == again
    assert 3 == first[0].added_count
    assert 0 == other[0].added_count
    assert [KeyReject(n, "duplicate") for n in (1, 2, 3)] == other[0].rejects
    assert StockCount("game", 3, 0, 0, 0, 0) == await count(catalog)


async def test_variants_of_a_product_share_no_key(catalog, scene):
    """A key is taken once in a product, whichever variant, but another product may have it too."""
    product = scene.product()
    twin = scene.product().variants[0]
    twin = type(twin)(VariantId(named_id("twin")), "twin", "Twin", {"CNY": 1})
    await catalog.put_shops([scene.shop])
    await catalog.put_products([scene.product(variants=[*product.variants, twin])])
    await scene.stock(catalog, 0, "film")
    lines = [KeyLine(1, "A-1")]

    results = await catalog.add_keys(
        [KeyIntake(sku, named_id(sku), lines) for sku in ("game", "twin", "film")]
    )

    assert [1, 0, 1] == [result.added_count for result in results]


async def test_keys_come_out_as_they_went_in(catalog, scene):
    """Export gives the keys of one state page by page, in the order of the file."""
    variant = await scene.stock(catalog, 7)
    new = scene.allocation(variant, 2)
    await catalog.allocate_keys([new])
    await catalog.sell_allocations([new.id])

    first = await catalog.export_keys("game", KeyState.FREE, None, 3)
    rest = await catalog.export_keys("game", KeyState.FREE, first[-1][0], 100)
    sold = await catalog.export_keys("game", KeyState.SOLD, None, 100)

    expected = [line.text for line in scene.intake(7).lines]
    assert expected[2:] == [text for _, text in first + rest]
    assert expected[:2] == [text for _, text in sold]
    assert [] == await catalog.export_keys("game", KeyState.ALLOCATED, None, 100)
    assert [] == await catalog.export_keys("none", KeyState.FREE, None, 100)


async def test_rivals_who_mark_the_same_keys_sold_count_each_once(catalog, scene):
    """Two who read the same deliveries both hear that all are sold; the stock moves once."""
    variant = await scene.stock(catalog, 100)
    new = [scene.allocation(variant, 1) for _ in range(100)]
    await catalog.allocate_keys(new)
    ids = [each.id for each in new]

    rivals = await asyncio.gather(*(catalog.sell_allocations(ids) for _ in range(4)))

    assert [[True] * 100] * 4 == rivals
    assert StockCount("game", 0, 0, 0, 100, 0) == await count(catalog)


async def test_empty_batches_are_answered(catalog):
    """Every operation takes an empty batch."""
    for operation in (
        catalog.put_shops,
        catalog.put_products,
        catalog.read_shops,
        catalog.find_products,
        catalog.read_products,
        catalog.read_offers,
        catalog.put_contents,
        catalog.read_paths,
        catalog.hold_keys,
        catalog.release_holds,
        catalog.allocate_keys,
        catalog.free_allocations,
        catalog.sell_allocations,
        catalog.void_allocations,
        catalog.replace_keys,
        catalog.read_deliveries,
        catalog.add_keys,
        catalog.count_stock,
    ):
        assert [] == await operation([])
