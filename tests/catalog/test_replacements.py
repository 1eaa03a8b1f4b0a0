"""Keys that take the place of others: each once, of the same variant, whoever asks how often."""

import asyncio

import pytest

from vendrail.api.catalog import (
    AllocationId,
    DeliveryKind,
    KeyReplacement,
    KeyState,
    ReplacedKey,
    StockCount,
)
from vendrail.kernel.ids import named_id, new_id


async def count(catalog, sku="game"):
    """Count where the keys of a variant are."""
    return (await catalog.count_stock([sku]))[0]


async def sell(catalog, scene, variant, quantity=1):
    """Sell keys to an order; give the allocation."""
    new = scene.allocation(variant, quantity)
    await catalog.allocate_keys([new])
    await catalog.sell_allocations([new.id])
    return new.id


def ask(scene, allocation, *positions, seen=0):
    """Ask for other keys."""
    id = new_id(scene.clock.now())
    return KeyReplacement(id, allocation, list(positions or (1,)), "dud", seen)


async def test_a_replaced_key_is_void_and_another_is_there(catalog, scene, clock):
    """The buyer gets the next free key in its place; the old one is told, and void for ever."""
    variant = await scene.stock(catalog, 4)
    id = await sell(catalog, scene, variant, 2)
    asked = ask(scene, id, 2)

    assert ["replaced"] == await catalog.replace_keys([asked])
    [delivery] = await catalog.read_deliveries([id])
    assert ["game-first-000001", "game-first-000003"] == delivery.items
    assert [ReplacedKey(2, "game-first-000002", clock.now())] == delivery.replaced
    assert StockCount("game", 1, 0, 0, 2, 1) == await count(catalog)
    assert ["exists"] == await catalog.replace_keys([asked])
    assert StockCount("game", 1, 0, 0, 2, 1) == await count(catalog)
    void = await catalog.export_keys("game", KeyState.VOID, None, 9)
    assert ["game-first-000002"] == [text for _, text in void]


async def test_a_replacement_is_replaced_in_turn(catalog, scene):
    """A new key that does not work either makes room for a third, in the same place."""
    variant = await scene.stock(catalog, 3)
    id = await sell(catalog, scene, variant)

    assert ["replaced"] == await catalog.replace_keys([ask(scene, id)])
    scene.clock.advance(1)
    assert ["replaced"] == await catalog.replace_keys([ask(scene, id, seen=1)])
    [delivery] = await catalog.read_deliveries([id])
    assert ["game-first-000003"] == delivery.items
    texts = ["game-first-000001", "game-first-000002"]
    assert texts == [each.text for each in delivery.replaced]
    assert StockCount("game", 0, 0, 0, 1, 2) == await count(catalog)


async def test_an_empty_stock_changes_nothing(catalog, scene):
    """All that one request names is replaced or none; when stock is back it can be asked again."""
    variant = await scene.stock(catalog, 3)
    id = await sell(catalog, scene, variant, 2)
    asked = ask(scene, id, 1, 2)
    [before] = await catalog.read_deliveries([id])

    assert ["sold_out"] == await catalog.replace_keys([asked])
    assert [before] == await catalog.read_deliveries([id])
    assert StockCount("game", 1, 0, 0, 2, 0) == await count(catalog)
    await catalog.add_keys([scene.intake(1, "game", "second")])
    assert ["replaced"] == await catalog.replace_keys([asked])
    assert StockCount("game", 0, 0, 0, 2, 2) == await count(catalog)


async def test_what_is_set_aside_is_not_taken(catalog, scene):
    """Keys that unpaid orders hold are theirs: a replacement is told that there is none."""
    variant = await scene.stock(catalog, 2)
    id = await sell(catalog, scene, variant)
    await catalog.hold_keys([scene.hold(variant)])

    assert ["sold_out"] == await catalog.replace_keys([ask(scene, id)])
    assert StockCount("game", 0, 1, 0, 1, 0) == await count(catalog)


async def test_a_refund_voids_what_took_the_place_too(catalog, scene):
    """When all is given back no key of the order stays sold, and none is replaced any more."""
    variant = await scene.stock(catalog, 5)
    id = await sell(catalog, scene, variant, 2)
    await catalog.replace_keys([ask(scene, id, 1)])

    assert [2] == await catalog.void_allocations([id])
    assert [2] == await catalog.void_allocations([id])
    assert StockCount("game", 2, 0, 0, 0, 3) == await count(catalog)
    assert ["not_sold"] == await catalog.replace_keys([ask(scene, id, 1, seen=1)])


async def test_why_keys_are_not_replaced(catalog, scene):
    """What is not there, not sold, the same for all, named wrongly or changed since is refused."""
    variant = await scene.stock(catalog, 5)
    unsold = scene.allocation(variant)
    await catalog.allocate_keys([unsold])
    id = await sell(catalog, scene, variant, 2)
    same = await scene.stock(catalog, 0, "text", delivery=DeliveryKind.TEXT)
    await catalog.put_contents([("text", "for all")])
    endless = await sell(catalog, scene, same)
    done = ask(scene, id, 1)
    await catalog.replace_keys([done])
    other = KeyReplacement(done.id, id, [2], "dud", 1)

    answers = await catalog.replace_keys(
        [
            ask(scene, AllocationId(named_id("none"))),
            ask(scene, unsold.id),
            ask(scene, endless),
            ask(scene, id, 1, 1, seen=1),
            ask(scene, id, 0, seen=1),
            ask(scene, id, 3, seen=1),
            KeyReplacement(new_id(scene.clock.now()), id, [], "dud", 1),
            ask(scene, id, 2),
            other,
        ]
    )
    assert [
        "allocation_not_found",
        "not_sold",
        "not_unique",
        *["positions_malformed"] * 4,
        "changed_since",
        "exists_different",
    ] == answers
    assert StockCount("game", 1, 0, 1, 2, 1) == await count(catalog)


async def test_no_key_is_given_twice_whoever_replaces_and_buys(make_service, scene):
    """Sixty replacements and sixty purchases at once, over two services: each key goes once."""
    services = [make_service(), make_service()]
    variant = await scene.stock(services[0], 150)
    sold = [await sell(services[0], scene, variant) for _ in range(60)]

    async def replace(n):
        return (await services[n % 2].replace_keys([ask(scene, sold[n])]))[0]

    async def buy(n):
        [result] = await services[n % 2].allocate_keys([scene.allocation(variant)])
        return result.keys

    answers = await asyncio.gather(
        *(work for n in range(60) for work in (replace(n), buy(n))),
    )
    replaced = answers[::2].count("replaced")
    bought = [key for keys in answers[1::2] for key in keys]
    keys = [text for _, text in await services[0].export_keys("game", KeyState.SOLD, None, 200)]
    items = [each.items[0] for each in await services[0].read_deliveries(sold)]

    assert 90 == replaced + len(bought)
    assert {"replaced", "sold_out"} >= set(answers[::2])
    assert 60 == len(set(items)) == len(keys)
    assert sorted(items) == sorted(keys)
    assert StockCount("game", 0, 0, len(bought), 60, replaced) == await count(services[0])


@pytest.mark.parametrize("is_same", [True, False])
async def test_one_bad_key_is_replaced_once(make_service, scene, is_same):
    """Fifty tasks about one key, under one id or each under its own, take one key of the stock."""
    services = [make_service(), make_service()]
    variant = await scene.stock(services[0], 60)
    id = await sell(services[0], scene, variant)
    one = ask(scene, id)
    asked = [one if is_same else ask(scene, id) for _ in range(50)]

    answers = await asyncio.gather(
        *(services[n % 2].replace_keys([each]) for n, each in enumerate(asked))
    )
    late = "exists" if is_same else "changed_since"
    assert sorted(["replaced", *[late] * 49]) == sorted(status for (status,) in answers)
    assert StockCount("game", 58, 0, 0, 1, 1) == await count(services[0])


async def test_a_refund_and_a_replacement_race_to_one_end(make_service, scene):
    """Whoever comes first, after a refund of all no key of the order is sold."""
    services = [make_service(), make_service()]
    variant = await scene.stock(services[0], 100)
    sold = [await sell(services[0], scene, variant) for _ in range(25)]

    await asyncio.gather(
        *(services[0].replace_keys([ask(scene, id)]) for id in sold),
        *(services[1].void_allocations([id]) for id in sold),
    )
    stock = await count(services[0])
    assert (0, 0) == (stock.sold, stock.allocated)
    assert 100 == stock.free + stock.void
