"""What must hold when many want the same thing at once, on a real PostgreSQL."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from vendrail.api.catalog import AllocationStatus, UndoStatus
from vendrail.catalog.service import CatalogService
from vendrail.catalog.settings import CatalogSettings
from vendrail.kernel.outbox import Wakeups


async def start_rival(dsn, variant, folder, count):
    """Start another process that wants so many of the variant's keys when it is told."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("rival.py")),
        dsn,
        str(variant),
        str(folder),
        str(count),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def test_x1_no_key_is_sold_twice(service, scene, database_url, tmp_path):
    """Two processes and fifty tasks want 300 keys 450 times: each key leaves once, none stays."""
    variant = await scene.stock(service, 300)
    rivals = [await start_rival(database_url, variant, tmp_path, 150) for _ in range(2)]

    async def buy(quantity):
        return [
            (await service.allocate_keys([scene.allocation(variant, quantity)]))[0]
            for _ in range(3 // quantity)
        ]

    for rival in rivals:
        rival.stdin.write(b"go\n")
    own = [one for some in await asyncio.gather(*(buy(1) for _ in range(50))) for one in some]
    theirs = [json.loads((await rival.communicate())[0]) for rival in rivals]

    keys = [str(key) for result in own for key in result.keys]
    refused = sum(result.status is AllocationStatus.SOLD_OUT for result in own)
    for their_keys, their_refused in theirs:
        keys += their_keys
        refused += their_refused
    assert [0, 0] == [rival.returncode for rival in rivals]
    assert all(their_keys for their_keys, _ in theirs)
    assert 300 == len(keys) == len(set(keys))
    assert 150 == refused


async def test_x1_the_unique_index_is_a_guard_of_its_own(service, scene, db):
    """A key that is back in the pool by mistake is refused by PostgreSQL; nothing is written."""
    variant = await scene.stock(service, 2)
    first = scene.allocation(variant)
    [result] = await service.allocate_keys([first])
    async with db.reading() as tx:
        await tx.execute("insert into catalog.free_key values ($1, $2)", variant, result.keys[0])
        await tx.execute("update catalog.stock set free = free + 1, first_key = $1", result.keys[0])
    second = scene.allocation(variant)

    with pytest.raises(Exception, match="allocation_key"):
        await service.allocate_keys([second])

    assert [UndoStatus.TOMBSTONE_LEFT] == await service.free_allocations([second.id])


async def test_one_id_many_times_has_one_outcome(make_service, db, vault, clock, scene):
    """Fifty calls with one id from two services give one outcome and take one key."""
    services = [
        make_service(),
        CatalogService(
            db=db, vault=vault, clock=clock, wakeups=Wakeups(), settings=CatalogSettings()
        ),
    ]
    variant = await scene.stock(services[0], 60)
    hold = scene.hold(variant)
    new = scene.allocation(variant, 1, hold.order)

    holds = await asyncio.gather(*(services[n % 2].hold_keys([hold]) for n in range(50)))
    results = await asyncio.gather(*(services[n % 2].allocate_keys([new]) for n in range(50)))

    assert 1 == [status for (status,) in holds].count("held")
    assert 1 == len({result.keys[0] for (result,) in results})
    [count] = await services[0].count_stock(["game"])
    assert (59, 0, 1) == (count.free, count.held, count.allocated)


async def test_undo_and_allocate_race_to_one_end(service, scene):
    """Whoever comes first, an undone allocation holds no key in the end, and never will."""
    variant = await scene.stock(service, 25)
    news = [scene.allocation(variant) for _ in range(25)]

    undone, results = await asyncio.gather(
        asyncio.gather(*(service.free_allocations([new.id]) for new in news)),
        asyncio.gather(*(service.allocate_keys([new]) for new in news)),
    )

    for [undo], [result] in zip(undone, results, strict=True):
        assert (undo, result.status) in {
            (UndoStatus.FREED, AllocationStatus.ALLOCATED),
            (UndoStatus.TOMBSTONE_LEFT, AllocationStatus.CANCELLED),
        }
    late = await service.allocate_keys(news)
    assert {AllocationStatus.CANCELLED} == {result.status for result in late}
    [count] = await service.count_stock(["game"])
    assert (25, 0) == (count.free, count.allocated)


async def test_batches_in_every_order_of_variants_do_not_stop_each_other(service, scene):
    """Batches that touch many variants in different orders all come through."""
    variants = [await scene.stock(service, 60, f"sku-{n}") for n in range(6)]

    async def buy(turn):
        order = variants[turn % 6 :] + variants[: turn % 6]
        if turn % 2:
            order.reverse()
        holds = [scene.hold(variant) for variant in order]
        await service.hold_keys(holds)
        late = [scene.allocation(variant) for variant in reversed(order)]
        held = [scene.allocation(hold.variant, 1, hold.order) for hold in holds]
        return await service.allocate_keys(late + held)

    results = await asyncio.gather(*(buy(turn) for turn in range(50)))

    for sku in (f"sku-{n}" for n in range(6)):
        [count] = await service.count_stock([sku])
        assert (0, 0, 60) == (count.free, count.held, count.allocated)
    assert 360 == sum(len(result.keys) for batch in results for result in batch)


class _GivesUpError(Exception):
    """A rival that rolls back."""


async def test_keys_of_a_rival_that_gives_up_are_sold(service, scene, db):
    """Where fewer are found than wanted, rivals are waited for; what they leave is sold."""
    variant = await scene.stock(service, 3)
    is_holding, gives_up = asyncio.Event(), asyncio.Event()

    async def rival():
        async with db.transaction() as tx:
            await tx.execute("delete from catalog.free_key")
            is_holding.set()
            await gives_up.wait()
            raise _GivesUpError

    taking = asyncio.create_task(rival())
    await is_holding.wait()
    waiting = asyncio.create_task(service.allocate_keys([scene.allocation(variant, 3)]))
    await asyncio.sleep(0.3)
    was_waiting = not waiting.done()
    gives_up.set()
    with pytest.raises(_GivesUpError):
        await taking
    [result] = await waiting

    assert was_waiting
    assert AllocationStatus.ALLOCATED == result.status
    assert 3 == len(set(result.keys))


async def test_keys_before_the_hint_are_found(service, scene, db):
    """The hint where picking starts is only a hint: what lies before it is sold too."""
    variant = await scene.stock(service, 5)
    async with db.reading() as tx:
        await tx.execute(
            "update catalog.stock set first_key = (select max(key::text)::uuid"
            " from catalog.free_key)"
        )

    [result] = await service.allocate_keys([scene.allocation(variant, 4)])
    [rest] = await service.allocate_keys([scene.allocation(variant, 1)])

    assert 5 == len({*result.keys, *rest.keys})


async def test_a_pool_shorter_than_its_counters_gives_nothing_away(service, scene, db):
    """Where keys are missing, the order is sold out whole and the keys found stay in the pool."""
    variant = await scene.stock(service, 3)
    async with db.reading() as tx:
        await tx.execute(
            "delete from catalog.free_key where key = (select min(key::text)::uuid"
            " from catalog.free_key)"
        )

    [short] = await service.allocate_keys([scene.allocation(variant, 3)])
    [served] = await service.allocate_keys([scene.allocation(variant, 2)])

    assert (AllocationStatus.SOLD_OUT, []) == (short.status, short.keys)
    assert (AllocationStatus.ALLOCATED, 2) == (served.status, len(served.keys))


async def test_caps_are_exact_under_a_crowd(make_service, scene):
    """Fifty tasks of one buyer at two services get as many holds as the cap allows, and no more."""
    services = [make_service(holds_watched_percent=0, holds_per_buyer_max=7) for _ in range(2)]
    variant = await scene.stock(services[0], 60)

    statuses = await asyncio.gather(
        *(services[n % 2].hold_keys([scene.hold(variant, buyer="b")]) for n in range(50))
    )

    assert 7 == [status for (status,) in statuses].count("held")
    assert 43 == [status for (status,) in statuses].count("buyer_cap_reached")
