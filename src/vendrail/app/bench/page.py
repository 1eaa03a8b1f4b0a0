"""The order page under many readers: kept connections, each asking again as soon as it is answered.

Half of the orders wait for their payment and half are delivered, so that both faces of the page are
drawn. A reader comes back with the cookies of its first visit, as browsers do. Every answer is
checked to be the page of its own order.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from vendrail.app.bench.ground import durability, open_ground, percentile, prove
from vendrail.app.bench.http import Placed, Tally, open_channel, pay_all, place_all, served
from vendrail.app.bench.lanes import Progress
from vendrail.app.bench.load import Connection, request, spread
from vendrail.kernel.config import PlatformSettings

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
        channel, notifier = await open_channel(ground)
        market = await ground.seed(variants=variants, runs=(orders,))
        async with served(ground, environment, workers=workers) as port:
            tally = Tally()
            await place_all(port, market, orders, 16, tally)
            paid = Tally(placed=tally.placed[: len(tally.placed) // 2])
            callbacks = await asyncio.to_thread(notifier.sign, channel, paid.placed)
            await pay_all(port, channel, callbacks, 16, paid)
            readers = [Reader(order) for order in tally.placed]
            await _read_pages(port, readers, _WARM, connections)
            seconds, took_ms = await _read_pages(port, readers, pages, connections)
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
        "errors": sum(reader.errors for reader in readers) + tally.errors + paid.errors,
        **shown,
    }


@dataclass
class Reader:
    """Who looks at one order's page again and again."""

    order: Placed
    cookies: str = ""
    errors: int = 0

    async def read(self, connection: Connection) -> None:
        """Read the page once."""
        kept = f"vr_order={self.order.secret}; {self.cookies}"
        asked = request("GET", f"/orders/{self.order.id}", {"cookie": kept})
        reply = await connection.send(asked)
        self.errors += reply.status != 200 or self.order.id.encode() not in reply.body
        self.cookies = self.cookies or reply.cookies


async def _read_pages(
    port: int, readers: list[Reader], pages: int, connections: int
) -> tuple[float, list[float]]:
    """Read so many pages; give the seconds, and each one's milliseconds."""
    took_ms: list[float] = []

    async def read(connection: Connection, number: int) -> None:
        began = time.perf_counter()
        await readers[number % len(readers)].read(connection)
        took_ms.append((time.perf_counter() - began) * 1_000)

    began = time.perf_counter()
    await spread(port, pages, connections, read)
    return time.perf_counter() - began, took_ms
