"""X6: stock held by unpaid orders until the shop cannot sell."""

import asyncio
import sys
from pathlib import Path

from vendrail.kernel.codec import decode

STOCK = 100
REFUSED = {"buyer_cap_reached", "address_cap_reached", "device_cap_reached"}


async def test_x06_one_attacker_is_capped_where_stock_gets_short(service, scene, clock):
    """Of 500 orders from one address, beyond the first share of the stock only so many hold."""
    variant = await scene.stock(service, STOCK)
    attack = [scene.hold(variant, buyer=f"b{n}", address="a", device=f"d{n}") for n in range(500)]

    statuses = await service.hold_keys(attack)

    assert 25 + 20 == statuses.count("held")  # A quarter of the stock, and the address's cap.
    assert {"held", "address_cap_reached"} == set(statuses)
    real = [scene.hold(variant, buyer=f"real{n}", address=f"r{n}") for n in range(5)]
    assert ["held"] * 5 == await service.hold_keys(real)


async def test_x06_many_disguises_hold_no_more_than_their_share(service, scene, clock):
    """Of 500 orders of 500 buyers half the stock is held; the rest goes to whoever pays."""
    variant = await scene.stock(service, STOCK)
    attack = [scene.hold(variant, buyer=f"b{n}", address=f"a{n}") for n in range(500)]

    statuses = await service.hold_keys(attack)

    assert (50, 450) == (statuses.count("held"), statuses.count("share_reached"))
    real = [scene.hold(variant, buyer=f"real{n}", address=f"r{n}") for n in range(50)]
    assert ["share_reached"] * 50 == await service.hold_keys(real)
    paid = await service.allocate_keys([scene.allocation(variant, 1, r.order) for r in real])
    assert 50 == len({key for result in paid for key in result.keys})
    [late] = await service.allocate_keys([scene.allocation(variant)])
    assert "sold_out" == late.status


async def test_x06_what_is_held_comes_back_when_its_time_is_over(service, scene, clock):
    """When the attacker's holds expire, stock is set aside again, without waiting for a loop."""
    variant = await scene.stock(service, STOCK)
    await service.hold_keys([scene.hold(variant, buyer=f"b{n}", until_s=60) for n in range(500)])
    [refused] = await service.hold_keys([scene.hold(variant, buyer="real")])
    clock.advance(61)
    [held] = await service.hold_keys([scene.hold(variant, buyer="real")])

    assert ("share_reached", "held") == (refused, held)
    [count] = await service.count_stock(["game"])
    assert (99, 1) == (count.free, count.held)


async def test_x06_a_small_stock_may_be_held_whole_by_many(service, scene):
    """Of ten keys each buyer may hold one: who orders first gets it, as ever."""
    variant = await scene.stock(service, 10)
    statuses = await service.hold_keys([scene.hold(variant, buyer=f"b{n}") for n in range(11)])

    assert [*["held"] * 10, "sold_out"] == statuses


async def test_x06_pressure_shows_in_the_offer(service, scene, clock):
    """An offer tells that its stock is watched, and no longer once the holds are over."""
    variant = await scene.stock(service, STOCK)

    async def is_pressed():
        clock.advance(1.1)  # Offers are remembered for a second.
        [offer] = await service.read_offers(["game"])
        return offer.is_pressed

    before = await is_pressed()
    await service.hold_keys([scene.hold(variant, until_s=60) for _ in range(26)])
    during = await is_pressed()
    clock.advance(61)
    await service.end_expired_holds()

    assert (False, True, False) == (before, during, await is_pressed())


async def test_x06_two_processes_hold_no_more_than_one(service, scene, database_url, tmp_path):
    """An attacker at two processes at once gets one cap and one share, not two of each."""
    variant = await scene.stock(service, STOCK)
    rival = Path(__file__).with_name("holding_rival.py")
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, rival, database_url, str(variant), str(tmp_path), "250", name,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        for name in ("one", "two")
    ]  # fmt: skip
    outcomes = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    statuses = [status for out, _ in outcomes for status in decode(out, list[str])]

    assert 500 == len(statuses)
    assert STOCK // 4 + 20 == statuses.count("held")
    assert set(statuses) - {"held"} <= REFUSED
    [count] = await service.count_stock(["game"])
    assert (STOCK - 45, 45) == (count.free, count.held)
