"""Callback in → key readable, one order at a time on an idle server: the latency a buyer feels."""

import asyncio
import time
from collections.abc import Mapping

from vendrail.api.payments import ChannelStatus, Payments
from vendrail.app.bench.ground import durability, open_ground, percentile, prove
from vendrail.app.bench.http import Notifier, Tally, pay_all, place_all, served
from vendrail.app.bench.lanes import Progress
from vendrail.app.bench.pipeline import bench_channel
from vendrail.kernel.codec import replace
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.errors import Broken


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
        notifier = Notifier()
        made = bench_channel()
        channel = replace(
            made, settings={**made.settings, "alipay_public_key": notifier.public_pem}
        )
        payments: Payments = ground.house.api(Payments)
        (status,) = await payments.put_channels([channel])
        if status is not ChannelStatus.CREATED:
            raise Broken(f"The bench's channel was not taken: {status}.")
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
