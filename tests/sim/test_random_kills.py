"""Two servers are killed at random under load; every order that was answered ends right."""

import asyncio
import os
import random

import pytest
import uvloop
from simkit.auditor import examine
from simkit.crowd import Crowd
from simkit.servers import Server
from simkit.shift import Shift
from simkit.world import wait_for_rest

_RATE_PER_S = 500
_KILLS = 20
_KILLS_WHOLE = 200
_KILLS_TOLD = os.environ.get("VENDRAIL_SIM_KILLS", "")
_PACE = 4  # Time passes faster, so that orders expire while servers die.
_PACE_AFTER = 12
_PATIENCE_S = 60.0
_EXPIRY_S = 2_000


async def pace(shift: Shift, factor: int) -> None:
    """Let time pass faster."""
    while True:
        await asyncio.sleep(0.25)
        shift.add_s(0.25 * (factor - 1))


async def kill_at_random(crowd: Crowd, dice: random.Random, kills: int) -> None:
    """Kill a random server at random moments, and start it again a little later."""
    servers = crowd.servers
    restarts = set()

    async def restart(server: Server) -> None:
        await asyncio.sleep(dice.uniform(0.0, 0.5))
        await server.start()

    for _ in range(kills):
        crowd.complain()
        waits = {asyncio.create_task(server.up.wait()) for server in servers}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(dice.uniform(0.2, 2.2))
        # Now and then it is one that has just begun to start.
        server = dice.choice([server for server in servers if server.pid])
        server.kill()
        restarts.add(asyncio.create_task(restart(server)))
    await asyncio.gather(*restarts)


async def live_through(world, folder, dice: random.Random, kills: int) -> list[str]:
    """Trade while servers die; give what there is to tell, after the auditor has agreed."""
    await world.seed(variants=20, keys=kills * 80 + 1_500)
    shift = Shift(folder / "clock")
    more = {
        "SIM_CLOCK_FILE": str(shift.file),
        "VENDRAIL_ORDERS_LEASE_S": "20",
        "VENDRAIL_ORDERS_PAY_WINDOW_S": "60",
    }
    async with world.cloned() as dsn:
        servers = [world.server(dsn, **more) for _ in range(2)]
        await asyncio.gather(*(server.start() for server in servers))
        crowd = Crowd(world, servers, dice)
        clock = asyncio.create_task(pace(shift, _PACE))
        is_over = asyncio.Event()
        loop = asyncio.get_running_loop()
        began = loop.time()
        arriving = asyncio.create_task(crowd.arrive(_RATE_PER_S, is_over))
        try:
            await kill_at_random(crowd, dice, kills)
            is_over.set()
            await arriving
            seconds = loop.time() - began
            clock.cancel()
            clock = asyncio.create_task(pace(shift, _PACE_AFTER))
            await crowd.finish(_PATIENCE_S)
            clock.cancel()
            shift.add_s(_EXPIRY_S)
            await asyncio.sleep(3.0)  # Longer than any loop sleeps.
            await wait_for_rest(dsn, _PATIENCE_S)
            rested = loop.time() - began
            ends = await examine(crowd, dsn)
        finally:
            arriving.cancel()
            clock.cancel()
            await crowd.close()
            for server in servers:
                server.kill()
    offered = crowd.asked / seconds

    assert kills == sum(server.kills for server in servers) - len(servers)
    assert offered >= _RATE_PER_S * 0.95
    return [
        f"{kills} kills in {seconds:.0f} s, at rest after {rested:.0f} s; {offered:.0f} orders/s",
        f"  {len(crowd.scripts)} orders placed; asked again: {dict(crowd.doors.repeats)}",
        *(f"  {end:24} {count}" for end, count in sorted(ends.items())),
    ]


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_kills_at_random_lose_nothing(world, tmp_path, seed, is_whole, tell):
    """Two servers killed at random under load: every answered order ends as its script allows."""
    kills = int(_KILLS_TOLD or (_KILLS_WHOLE if is_whole else _KILLS))
    told = uvloop.run(live_through(world, tmp_path, random.Random(seed), kills))

    tell(f"seed {seed}: {told[0]}", *told[1:])
