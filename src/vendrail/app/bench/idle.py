"""What a platform costs that nobody uses: processor time of server and database, nothing asked.

One server with all services, its database and its loops, a small market in it.
"""

import asyncio
from collections.abc import Mapping

from vendrail.app.bench.ground import count, durability, open_ground
from vendrail.app.bench.http import served
from vendrail.app.bench.lanes import Progress
from vendrail.kernel.config import PlatformSettings

_SETTLE_S = 10  # What a start leaves to do is done by then.


async def bench_idle(
    platform: PlatformSettings,
    environment: Mapping[str, str],
    progress: Progress,
    *,
    seconds: int = 30,
    workers: int = 1,
    with_reference: bool = False,
) -> dict[str, object]:
    """Run the idle bench; give its result as one object: percent of one core."""
    _ = with_reference  # Nothing is done whose rate could be compared.
    async with open_ground(platform, environment) as ground:
        await ground.seed(variants=2, runs=(8,), merchants=1)
        async with served(ground, environment, workers=workers):
            await asyncio.sleep(_SETTLE_S)
            before = await count(ground)
            for second in range(seconds):
                await asyncio.sleep(1.0)
                progress("idle", second + 1, seconds)
            after = await count(ground)
        shown = await durability(ground)
    database_s = after.database_cpu_s - before.database_cpu_s
    return {
        "bench": "idle",
        "seconds": seconds,
        "workers": workers,
        "cpu_percent": round((after.cpu_s - before.cpu_s) / seconds * 100, 2),
        "database_cpu_percent": round(database_s / seconds * 100, 2),
        "commits_per_s": round((after.commits - before.commits) / seconds, 2),
        **shown,
    }
