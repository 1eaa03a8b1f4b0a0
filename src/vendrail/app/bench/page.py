"""The order page under many readers: kept connections, each asking again as soon as it is answered.

Half of the orders wait for their payment and half are delivered, so that both faces of the page are
drawn. Every answer is checked to be the page of its own order.
"""

import asyncio
import time
from collections.abc import Mapping

from vendrail.api.payments import ChannelStatus, Payments
from vendrail.app.bench.ground import durability, open_ground, percentile, prove
from vendrail.app.bench.http import Notifier, Tally, pay_all, place_all, served
from vendrail.app.bench.lanes import Progress
from vendrail.app.bench.load import Connection, request, spread
from vendrail.app.bench.pipeline import bench_channel
from vendrail.kernel.codec import replace
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.errors import Broken

_WARM = 1_024


async def bench_page(
    platform: PlatformSettings,
    environment: Mapping[str, str],
    progress: Progress,
    *,
    orders: int = 512,
    connections: int = 256,
    pages: int = 20_000,
    workers: int = 2,
    variants: int = 20,
    with_reference: bool = False,
) -> dict[str, object]:
    """Run the page bench; give its result as one object."""
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
        market = await ground.seed(variants=variants, runs=(orders,))
        async with served(ground, environment, workers=workers) as port:
            tally = Tally()
            await place_all(port, market, orders, 16, tally)
            paid = Tally(placed=tally.placed[: len(tally.placed) // 2])
            callbacks = await asyncio.to_thread(notifier.sign, channel, paid.placed)
            await pay_all(port, channel, callbacks, 16, paid)
            await _read_pages(port, tally, _WARM, connections, [])
            took_ms: list[float] = []
            seconds, errors = await _read_pages(port, tally, pages, connections, took_ms)
            progress("read", pages, pages)
        await prove(ground)
        shown = await durability(ground)
    return {
        "bench": "page",
        "orders": orders,
        "connections": connections,
        "workers": workers,
        "pages": pages,
        "pages_per_s": round(pages / seconds, 1),
        "p50_ms": round(percentile(took_ms, 0.50), 1),
        "p95_ms": round(percentile(took_ms, 0.95), 1),
        "p99_ms": round(percentile(took_ms, 0.99), 1),
        "errors": errors + tally.errors + paid.errors,
        **shown,
    }


async def _read_pages(
    port: int, tally: Tally, pages: int, connections: int, took_ms: list[float]
) -> tuple[float, int]:
    asked = [
        request("GET", f"/orders/{order.id}", {"cookie": f"vr_order={order.secret}"})
        for order in tally.placed
    ]
    marks = [order.id.encode() for order in tally.placed]
    errors = 0

    async def read(connection: Connection, number: int) -> None:
        nonlocal errors
        at = number % len(asked)
        began = time.perf_counter()
        reply = await connection.send(asked[at])
        took_ms.append((time.perf_counter() - began) * 1_000)
        errors += reply.status != 200 or marks[at] not in reply.body

    began = time.perf_counter()
    await spread(port, pages, connections, read)
    return time.perf_counter() - began, errors
