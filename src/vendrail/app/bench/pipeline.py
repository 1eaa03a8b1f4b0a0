"""The core pipeline: placed → captured → booked → allocated → split → delivered, in batches.

The wiring is the platform's own, with sealed keys, outbox, risk, fees and shares held on. Lanes
place orders and record captures a batch at a time; the loops of the services do the rest. The clock
runs from the first order placed to the last key readable.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

from vendrail.api.catalog import Catalog
from vendrail.api.orders import (
    OrderId,
    OrderQuery,
    Orders,
)
from vendrail.api.payments import (
    ChannelAccount,
    ChannelId,
    ChannelStatus,
    Payments,
)
from vendrail.app.bench.ground import (
    Counters,
    Ground,
    Market,
    count,
    durability,
    open_ground,
    percentile,
    pgbench_tps,
    prove,
)
from vendrail.app.bench.lanes import Crowd, Progress, Told, open_crowd
from vendrail.app.keys import make_key_pair
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.errors import Broken

_GROWN_STEP = 100_000
_SETTLE_S = 1.5  # Sessions report their statistics within a second.


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


async def check(ground: Ground, told: Told, market: Market, progress: Progress) -> None:
    """After the clock: the books are clean, and every order has a key of its own."""
    orders: Orders = ground.house.api(Orders)
    ids = list(told.delivered)
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

    told: Told
    orders: int
    before: Counters
    ended: Counters  # When the clock stopped.
    after: Counters  # When all sessions had told their statistics.

    @property
    def rate(self) -> float:
        """Orders a second."""
        return self.orders / self.told.seconds

    @property
    def cpu_ms(self) -> float:
        """Processor time of one order, Python's and the database's together."""
        return (self.ended.cpu_s - self.before.cpu_s) / self.orders * 1_000


async def measure(
    ground: Ground, crowd: Crowd, market: Market, orders: int, batch: int, lanes: int
) -> Measured:
    """Send so many orders through and count."""
    await asyncio.sleep(_SETTLE_S)
    before = await count(ground)
    told = await crowd.send(market, orders, batch, lanes)
    ended = await count(ground)
    await asyncio.sleep(_SETTLE_S)
    return Measured(told, orders, before, ended, await count(ground))


async def bench_pipeline(
    platform: PlatformSettings,
    environment: Mapping[str, str],
    progress: Progress,
    *,
    orders: int = 60_000,
    batch: int = 512,
    lanes: int = 2,
    processes: int = 2,
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
        sizes = [warm, orders, orders] if grown else [warm, orders]
        # Each process deals the variants out in turn by itself.
        runs = [-(-size // processes) for size in sizes for _ in range(processes)]
        market = await ground.seed(variants=variants, runs=runs)
        given = dict(environment)
        async with open_crowd(ground, given, channel.id, processes) as crowd:
            await crowd.send(market, warm, batch, lanes)
            progress("warm", warm, orders)
            run = await measure(ground, crowd, market, orders, batch, lanes)
            progress("delivered", orders, orders)
            await check(ground, run.told, market, progress)
            told = _tell(run, orders, batch, lanes, processes)
            if grown:
                hot = await ground.seed(variants=1, runs=[grown], merchants=1, prefix="HOT")
                for at in range(0, grown, _GROWN_STEP):
                    await crowd.send(hot, min(_GROWN_STEP, grown - at), batch, lanes)
                    progress("grown", min(at + _GROWN_STEP, grown), grown)
                again = await measure(ground, crowd, market, orders, batch, lanes)
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


def _tell(run: Measured, orders: int, batch: int, lanes: int, processes: int) -> dict[str, object]:
    before, ended, after = run.before, run.ended, run.after
    latencies_ms = run.told.latencies_ms
    commits = (after.commits - before.commits) / orders
    database_cpu_s = ended.database_cpu_s - before.database_cpu_s
    return {
        "bench": "pipeline",
        "orders": orders,
        "batch": batch,
        "lanes": lanes,
        "processes": processes,
        "orders_per_s": round(run.rate, 1),
        "p50_ms": round(percentile(latencies_ms, 0.50), 1),
        "p95_ms": round(percentile(latencies_ms, 0.95), 1),
        "p99_ms": round(percentile(latencies_ms, 0.99), 1),
        "errors": run.told.errors,
        "rows_per_order": round((after.rows - before.rows) / orders, 2),
        "commits_per_order": round(commits, 4),
        "commits_per_batch": round(commits * batch, 1),
        "wal_bytes_per_order": round((after.wal_bytes - before.wal_bytes) / orders),
        "cpu_ms_per_order": round(run.cpu_ms, 4),
        "database_cpu_ms_per_order": round(database_cpu_s / orders * 1_000, 4),
    }
