"""Caps on what unpaid orders may set aside, and the loop that gives it back."""

import asyncio

from vendrail.catalog.jobs import jobs


async def test_caps_count_live_holds(make_service, scene, clock):
    """A buyer, address or device that holds as much as it may is refused until a hold ends."""
    service = make_service(
        holds_watched_percent=0,
        holds_per_buyer_max=1,
        holds_per_address_max=2,
        holds_per_device_max=1,
    )
    variant = await scene.stock(service, 20)
    first = scene.hold(variant, until_s=60, buyer="b1", address="a", device="d1")
    batch = [
        first,
        scene.hold(variant, buyer="b1", address="x", device="x"),
        scene.hold(variant, buyer="b2", address="a", device="d1"),
        scene.hold(variant, buyer="b2", address="a", device="d2"),
        scene.hold(variant, buyer="b3", address="a", device="d3"),
        scene.hold(variant),
        scene.hold(variant),
    ]

    statuses = await service.hold_keys(batch)

    assert [
        "held",
        "buyer_cap_reached",
        "device_cap_reached",
        "held",
        "address_cap_reached",
        "held",
        "held",
    ] == statuses
    again = scene.hold(variant, buyer="b1", address="b", device="d1")
    assert ["buyer_cap_reached"] == await service.hold_keys([again])
    clock.advance(61)
    assert ["held"] == await service.hold_keys([again])
    await service.release_holds([again.order])
    assert ["held"] == await service.hold_keys([scene.hold(variant, buyer="b1")])


async def test_unwatched_nobody_is_written_down(service, scene, db):
    """While little of a stock is held, hashes are not stored, and their indexes stay empty."""
    variant = await scene.stock(service, 20)
    holds = [scene.hold(variant, buyer="b", address="a", device="d") for _ in range(5)]

    assert ["held"] * 5 == await service.hold_keys(holds)

    async with db.reading() as tx:
        assert 0 == await tx.fetch_value("select count(buyer) from catalog.hold")


async def test_the_loop_returns_expired_holds(service, scene, clock):
    """The background loop gives expired holds back to the stock by itself."""
    variant = await scene.stock(service, 2)
    await service.hold_keys([scene.hold(variant, 2, until_s=60)])
    clock.advance(61)
    job, *_ = jobs(service, None, None)  # Nobody is told.

    running = asyncio.create_task(job.run())
    for _ in range(100):
        [count] = await service.count_stock(["game"])
        if count.free == 2:
            break
        await asyncio.sleep(0.05)
    running.cancel()

    assert "catalog.holds" == job.name
    assert (2, 0) == (count.free, count.held)


async def test_many_expired_holds_end_in_bounded_steps(make_service, scene, clock):
    """However many holds have expired, one step ends only so many, and the next goes on."""
    service = make_service(expired_holds_max=3)
    variant = await scene.stock(service, 8)
    await service.hold_keys([scene.hold(variant, until_s=10) for _ in range(8)])
    clock.advance(11)

    assert [3, 3, 2, 0] == [await service.end_expired_holds() for _ in range(4)]
