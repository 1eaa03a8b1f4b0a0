"""Whatever is done in whatever order, the counters tell what the tables hold."""

import random

import pytest

from vendrail.api.catalog import DeliveryKind, KeyReplacement
from vendrail.kernel.ids import new_id

_COUNTERS = """
select s.*, (select count(*) from catalog.free_key f where f.variant = s.variant) as pooled,
 (select coalesce(sum(quantity), 0) from catalog.hold h where h.variant = s.variant) as holding,
 (select coalesce(sum(quantity), 0) from catalog.allocation a
   where a.variant = s.variant and state = 'allocated') as rows_allocated,
 (select coalesce(sum(quantity), 0) from catalog.allocation a
   where a.variant = s.variant and state = 'sold') as rows_sold,
 (select coalesce(sum(quantity), 0) from catalog.allocation a
   where a.variant = s.variant and state = 'void') as rows_void,
 (select count(*) from catalog.key k where k.variant = s.variant) as taken_in
from catalog.stock s
"""


async def check(db, endless):
    """Compare the counters of each variant with the rows they count."""
    async with db.reading() as tx:
        for row in await tx.fetch(_COUNTERS):
            assert row["allocated"] == row["rows_allocated"]
            assert row["sold"] == row["rows_sold"]
            assert row["void"] == row["rows_void"]
            assert row["held"] == row["holding"]
            assert row["free"] + row["held"] == row["pooled"]
            if row["variant"] != endless:
                parts = ("free", "held", "allocated", "sold", "void")
                assert row["taken_in"] == sum(row[part] for part in parts)


@pytest.mark.parametrize("seed", [7, 8, 9])
async def test_counters_tell_what_the_tables_hold(service, scene, db, clock, seed):
    """A seeded walk of many batches of all operations never parts counters from rows."""
    dice = random.Random(seed)
    variants = [await scene.stock(service, 10, sku) for sku in ("a", "b")]
    endless = await scene.stock(service, 0, "text", delivery=DeliveryKind.REUSABLE_KEY)
    await service.put_contents([("text", "once and again")])
    variants.append(endless)
    orders, ids = [scene.order()], [scene.allocation(variants[0]).id]

    def some(things):
        return [dice.choice(things) for _ in range(dice.randint(1, 4))]

    replaced = 0
    for step in range(220):
        match dice.randint(0, 9):
            case 0 | 1:
                holds = [
                    scene.hold(dice.choice(variants), dice.randint(1, 3), dice.choice([5, 500]))
                    for _ in range(dice.randint(1, 4))
                ]
                orders += [hold.order for hold in holds]
                await service.hold_keys(holds + holds[:1])
            case 2:
                await service.release_holds(some(orders))
            case 3 | 4:
                news = [
                    scene.allocation(dice.choice(variants), dice.randint(1, 3), order, f"{step}")
                    for order in {*some(orders), scene.order()}
                ]
                ids += [new.id for new in news]
                first = await service.allocate_keys(news + news[:1])
                assert first == await service.allocate_keys(news + news[:1])
            case 5:
                await service.free_allocations(some(ids))
            case 6:
                await service.sell_allocations(some(ids))
            case 7:
                await service.void_allocations(some(ids))
            case 8:
                await service.add_keys([scene.intake(2, sku, f"{step}") for sku in ("a", "b")])
                asked = [
                    KeyReplacement(new_id(clock.now()), id, [dice.randint(1, 2)], "dud", seen)
                    for id in some(ids)
                    for seen in range(3)
                ]
                for one, status in zip(asked, await service.replace_keys(asked), strict=True):
                    again = await service.replace_keys([one])
                    assert (status == "replaced") == (again == ["exists"])
                    replaced += status == "replaced"
            case _:
                clock.advance(dice.choice([1, 10]))
                await service.end_expired_holds()
                batch = f"{seed} {step}"
                await service.add_keys([scene.intake(dice.randint(0, 4), "a", batch)])
        await check(db, endless)
    assert 0 < replaced
