"""Callback in → key readable, one order at a time on an idle server: the latency a buyer feels."""

import asyncio
import time
from collections.abc import Mapping

from vendrail.app.bench.ground import durability, open_ground, percentile, prove
from vendrail.app.bench.http import Tally, open_channel, pay_all, place_all, served
from vendrail.app.bench.lanes import Progress
from vendrail.kernel.config import PlatformSettings


async def bench_callback(
    platform: PlatformSettings,
    environment: Mapping[str, str],
    progress: Progress,
    *,
    orders: int = 500,
    variants: int = 20,
    with_reference: bool = False,
) -> dict[str, object]:
    """Run the callback bench; give its result as one object."""
    _ = with_reference  # A latency has no rate to be compared with.
    async with open_ground(platform, environment) as ground:
        channel, notifier = await open_channel(ground)
        warm = 50
        market = await ground.seed(variants=variants, runs=(warm, orders))
        async with served(ground, environment) as port:
            main = Tally()
            seconds = 0.0
            for size, tally in ((warm, Tally()), (orders, main)):
                await place_all(port, market, size, 8, tally)
                callbacks = await asyncio.to_thread(notifier.sign, channel, tally.placed)
                await asyncio.sleep(1.0)
                began = time.perf_counter()
                await pay_all(port, channel, callbacks, 1, tally)
                progress("delivered", len(tally.keys), size)
                seconds = time.perf_counter() - began
        await prove(ground)
        shown = await durability(ground)
    return {
        "bench": "callback",
        "orders": orders,
        "orders_per_s": round(orders / seconds, 1),
        "p50_ms": round(percentile(main.deliver_ms, 0.50), 1),
        "p95_ms": round(percentile(main.deliver_ms, 0.95), 1),
        "p99_ms": round(percentile(main.deliver_ms, 0.99), 1),
        "errors": main.errors + orders - len(main.keys),
        **shown,
    }
