"""The core pipeline: placed → captured → booked → allocated → split → delivered, in batches.

The wiring is the platform's own, with sealed keys, outbox, risk and fees on. Lanes place orders and
record captures a batch at a time; the loops of the services do the rest. The clock runs from the
first order placed to the last key readable.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

from vendrail.api.catalog import Catalog
from vendrail.api.orders import (
    OrderDelivered,
    OrderEvent,
    OrderId,
    OrderQuery,
    Orders,
    PlaceOrder,
    PlaceStatus,
)
from vendrail.api.payments import (
    CaptureReport,
    CaptureSource,
    CaptureStatus,
    ChannelAccount,
    ChannelId,
    ChannelStatus,
    Payments,
)
from vendrail.app.bench.ground import (
    PRICE_MINOR,
    Counters,
    Ground,
    Market,
    count,
    durability,
    open_ground,
    percentile,
    pgbench_tps,
    prove,
    shard,
)
from vendrail.app.keys import make_key_pair
from vendrail.kernel.codec import decode
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import new_id
from vendrail.kernel.outbox import Cursor
from vendrail.payments.attempts import out_trade_no

_PATIENCE_S = 120.0
_SETTLE_S = 1.5  # Sessions report their statistics within a second.

Progress = Callable[[str, int, int], None]


def bench_channel() -> ChannelAccount:
    """A channel account of the bench: real settings, keys of its own."""
    private, _ = make_key_pair()
    _, provider_public = make_key_pair()
    return ChannelAccount(
        ChannelId(UUID(int=uuid4().int)),
        "alipay",
        "alipay",
        "支付宝",
        ["CNY"],
        {
            "app_id": "2021000000000000",
            "seller_id": "2088000000000000",
            "app_private_key": private,
            "alipay_public_key": provider_public,
            "gateway_url": "http://127.0.0.1:9/gateway.do",
        },
    )


class Lanes:
    """Places and pays orders, and sees them delivered."""

    def __init__(self, ground: Ground, market: Market, channel: ChannelId) -> None:
        house = ground.house
        self._house = house
        self._orders: Orders = house.api(Orders)
        self._payments: Payments = house.api(Payments)
        self._market = market
        self._channel = channel
        self._begun_at: dict[UUID, float] = {}
        self.latencies_ms: list[float] = []
        self.delivered: set[UUID] = set()
        self.errors = 0

    async def run(self, orders: int, batch: int, lanes: int, progress: Progress) -> float:
        """Send all orders through; give the seconds it took."""
        skus = self._market.skus
        batches = iter(range(0, orders, batch))
        begun = time.perf_counter()

        async def lane() -> None:
            for first in batches:
                await self._send(skus, first, min(batch, orders - first))

        watch = asyncio.create_task(self._watch(orders, progress))
        await asyncio.gather(*(lane() for _ in range(lanes)))
        ended = await watch
        return ended - begun

    async def _send(self, skus: list[str], first: int, size: int) -> None:
        now = self._house.clock.now()
        started = time.perf_counter()
        orders = []
        for number in range(first, first + size):
            sku = skus[number % len(skus)]
            orders.append(
                PlaceOrder(
                    OrderId(new_id(now, shard(self._market, sku))),
                    sku,
                    1,
                    "CNY",
                    f"buyer{number}@example.com",
                    "alipay",
                    f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
                    f"device-{number}",
                )
            )
        placements = await self._orders.place_orders(orders)
        placed = [p.order for p in placements if p.status is PlaceStatus.PLACED and p.order]
        self.errors += size - len(placed)
        for order in placed:
            self._begun_at[order] = started
        statuses = await self._payments.record_captures(
            [
                CaptureReport(
                    self._channel,
                    f"2026112322001{order.int % 10**15:015}",
                    out_trade_no(order, 1),
                    PRICE_MINOR,
                    "CNY",
                    now,
                    CaptureSource.QUERY,
                )
                for order in placed
            ]
        )
        self.errors += sum(status is not CaptureStatus.RECORDED for status in statuses)

    async def _watch(self, orders: int, progress: Progress) -> float:
        """Follow the events of delivery until all orders are through; give the moment."""
        wake = self._house.wakeups.subscribe("orders")
        cursor = Cursor()
        last = time.perf_counter()
        while len(self.delivered) + self.errors < orders:
            wake.clear()
            (page,) = await self._orders.read_events([cursor])
            cursor = page.cursor
            now = time.perf_counter()
            for payload in page.batches:
                for event in decode(payload, list[OrderEvent]):
                    if isinstance(event, OrderDelivered) and event.order in self._begun_at:
                        self.delivered.add(event.order)
                        self.latencies_ms.append((now - self._begun_at[event.order]) * 1_000)
            if page.batches:
                last = now
                progress("delivered", len(self.delivered), orders)
                continue
            if now - last > _PATIENCE_S:
                raise Broken(f"Only {len(self.delivered)} of {orders} orders were delivered.")
            try:
                await asyncio.wait_for(wake.wait(), timeout=0.05)
            except TimeoutError:
                continue
        return last


async def check(ground: Ground, lanes: Lanes, market: Market, progress: Progress) -> None:
    """After the clock: the books are clean, and every order has a key of its own."""
    orders: Orders = ground.house.api(Orders)
    ids = list(lanes.delivered)
    keys: list[str] = []
    for begin in range(0, len(ids), 1_000):
        queries = [
            OrderQuery(OrderId(id), None, with_items=True) for id in ids[begin : begin + 1_000]
        ]
        for view in await orders.read_orders(queries):
            keys += view.items if view else []
        progress("keys read", min(begin + 1_000, len(ids)), len(ids))
    if len(set(keys)) != len(ids) or len(keys) != len(ids):
        raise Broken(f"{len(ids)} orders, {len(keys)} keys, {len(set(keys))} distinct keys.")
    if market.key_count < len(ids):
        raise Broken("More keys were sold than were seeded.")
    await prove(ground)


@dataclass
class Measured:
    """One measured run of so many orders."""

    lanes: Lanes
    orders: int
    seconds: float
    before: Counters
    ended: Counters  # When the clock stopped.
    after: Counters  # When all sessions had told their statistics.

    @property
    def rate(self) -> float:
        """Orders a second."""
        return self.orders / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Processor time of one order, Python's and the database's together."""
        return (self.ended.cpu_s - self.before.cpu_s) / self.orders * 1_000


async def measure(
    ground: Ground,
    market: Market,
    channel: ChannelId,
    orders: int,
    batch: int,
    lanes: int,
    progress: Progress,
) -> Measured:
    """Send so many orders through and count."""
    await asyncio.sleep(_SETTLE_S)
    before = await count(ground)
    main = Lanes(ground, market, channel)
    seconds = await main.run(orders, batch, lanes, progress)
    ended = await count(ground)
    await asyncio.sleep(_SETTLE_S)
    return Measured(main, orders, seconds, before, ended, await count(ground))


async def bench_pipeline(
    platform: PlatformSettings,
    environment: Mapping[str, str],
    progress: Progress,
    *,
    orders: int = 60_000,
    batch: int = 512,
    lanes: int = 3,
    variants: int = 200,
    grown: int = 0,
    with_reference: bool = True,
) -> dict[str, object]:
    """Run the pipeline bench; give its result as one object.

    With `grown` so many orders of one variant are sold after the first measurement, and the same is
    measured again: what an order costs when the tables have grown.
    """
    async with open_ground(platform, environment) as ground:
        house = ground.house
        channel = bench_channel()
        payments: Payments = house.api(Payments)
        (status,) = await payments.put_channels([channel])
        if status is not ChannelStatus.CREATED:
            raise Broken(f"The bench's channel was not taken: {status}.")
        warm = min(batch * 4, orders)
        runs = 2 if grown else 1
        market = await ground.seed(variants=variants, runs=[warm, *[orders] * runs])
        house.start_jobs()
        await Lanes(ground, market, channel.id).run(warm, batch, lanes, progress)
        run = await measure(ground, market, channel.id, orders, batch, lanes, progress)
        await check(ground, run.lanes, market, progress)
        told = _tell(run, orders, batch, lanes)
        if grown:
            hot = await ground.seed(variants=1, runs=[grown], merchants=1, prefix="HOT")
            await Lanes(ground, hot, channel.id).run(grown, batch, lanes, progress)
            again = await measure(ground, market, channel.id, orders, batch, lanes, progress)
            told |= {
                "grown": grown,
                "grown_orders_per_s": round(again.rate, 1),
                "grown_cost": round(run.rate / again.rate, 3),
                "grown_cpu_cost": round(again.cpu_ms / run.cpu_ms, 3),
            }
        shown = await durability(ground)
        stock = await house.api(Catalog).count_stock(market.skus[:1])
        tps = await pgbench_tps(ground) if with_reference else 0.0
    return {
        **told,
        "pgbench_tps": round(tps, 1),
        "ratio": round(run.rate / tps, 3) if tps else None,
        "stock_left": stock[0].free if stock[0] else 0,
        **shown,
    }


def _tell(run: Measured, orders: int, batch: int, lanes: int) -> dict[str, object]:
    before, ended, after = run.before, run.ended, run.after
    latencies_ms = run.lanes.latencies_ms
    commits = (after.commits - before.commits) / orders
    database_cpu_s = ended.database_cpu_s - before.database_cpu_s
    return {
        "bench": "pipeline",
        "orders": orders,
        "batch": batch,
        "lanes": lanes,
        "orders_per_s": round(run.rate, 1),
        "p50_ms": round(percentile(latencies_ms, 0.50), 1),
        "p95_ms": round(percentile(latencies_ms, 0.95), 1),
        "p99_ms": round(percentile(latencies_ms, 0.99), 1),
        "errors": run.lanes.errors,
        "rows_per_order": round((after.rows - before.rows) / orders, 2),
        "commits_per_order": round(commits, 4),
        "commits_per_batch": round(commits * batch, 1),
        "wal_bytes_per_order": round((after.wal_bytes - before.wal_bytes) / orders),
        "cpu_ms_per_order": round(run.cpu_ms, 4),
        "database_cpu_ms_per_order": round(database_cpu_s / orders * 1_000, 4),
    }
