"""Lanes: orders placed and paid a batch at a time, and seen delivered, in processes of their own.

As many processes as `vendrail serve --workers` would run: each has the whole platform over the one
database and sends its share of the orders.
"""

import asyncio
import multiprocessing
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any
from uuid import UUID

import uvloop

from vendrail.api.orders import (
    OrderDelivered,
    OrderEvent,
    OrderId,
    Orders,
    PlaceOrder,
    PlaceStatus,
)
from vendrail.api.payments import (
    CaptureReport,
    CaptureSource,
    CaptureStatus,
    ChannelId,
    Payments,
)
from vendrail.app.bench.ground import PRICE_MINOR, Ground, Market, shard
from vendrail.app.process import tune_process
from vendrail.app.wiring import House, build
from vendrail.kernel.codec import decode
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import new_id
from vendrail.kernel.outbox import Cursor
from vendrail.kernel.waiting import wait_at_most
from vendrail.payments.attempts import out_trade_no

Progress = Callable[[str, int, int], None]

_PATIENCE_S = 120.0


@dataclass
class Share:
    """What one process is asked to send."""

    market: Market
    first: int  # The number of its first order: no two have one buyer or address.
    orders: int
    batch: int
    lanes: int


@dataclass
class Told:
    """What came of it; moments are of the machine's one monotonic clock."""

    begun: float
    ended: float
    latencies_ms: list[float] = field(default_factory=list)
    delivered: set[UUID] = field(default_factory=set)
    errors: int = 0

    def add(self, other: "Told") -> None:
        """Put another process's part to this one's."""
        self.begun = min(self.begun, other.begun)
        self.ended = max(self.ended, other.ended)
        self.latencies_ms += other.latencies_ms
        self.delivered |= other.delivered
        self.errors += other.errors

    @property
    def seconds(self) -> float:
        """From the first order placed to the last key readable."""
        return self.ended - self.begun


class Lanes:
    """Places and pays orders, and sees them delivered."""

    def __init__(self, house: House, channel: ChannelId) -> None:
        self._house = house
        self._orders: Orders = house.api(Orders)
        self._payments: Payments = house.api(Payments)
        self._channel = channel
        self._begun_at: dict[UUID, float] = {}
        self._cursor = Cursor()
        self._told = Told(0.0, 0.0)

    async def catch_up(self) -> None:
        """Read what others have delivered before, off the clock."""
        while True:
            (page,) = await self._orders.read_events([self._cursor])
            self._cursor = page.cursor
            if not page.batches:
                return

    async def run(self, share: Share) -> Told:
        """Send a share through."""
        self._begun_at = {}
        self._told = told = Told(time.perf_counter(), 0.0)
        batches = iter(range(0, share.orders, share.batch))

        async def lane() -> None:
            for first in batches:
                size = min(share.batch, share.orders - first)
                await self._send(share.market, share.first + first, size)

        watch = asyncio.create_task(self._watch(share.orders))
        await asyncio.gather(*(lane() for _ in range(share.lanes)))
        told.ended = await watch
        return told

    async def _send(self, market: Market, first: int, size: int) -> None:
        now = self._house.clock.now()
        skus = market.skus
        started = time.perf_counter()
        orders = []
        for number in range(first, first + size):
            sku = skus[number % len(skus)]
            orders.append(
                PlaceOrder(
                    OrderId(new_id(now, shard(market, sku))),
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
        self._told.errors += size - len(placed)
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
        self._told.errors += sum(status is not CaptureStatus.RECORDED for status in statuses)

    async def _watch(self, orders: int) -> float:
        """Follow the events of delivery until all orders are through; give the moment."""
        told = self._told
        wake = self._house.wakeups.subscribe("orders")
        last = time.perf_counter()
        while len(told.delivered) + told.errors < orders:
            wake.clear()
            (page,) = await self._orders.read_events([self._cursor])
            self._cursor = page.cursor
            now = time.perf_counter()
            for payload in page.batches:
                for event in decode(payload, list[OrderEvent]):
                    if isinstance(event, OrderDelivered) and event.order in self._begun_at:
                        told.delivered.add(event.order)
                        told.latencies_ms.append((now - self._begun_at[event.order]) * 1_000)
            if page.batches:
                last = now
                continue
            if now - last > _PATIENCE_S:
                raise Broken(f"Only {len(told.delivered)} of {orders} orders were delivered.")
            await wait_at_most(wake, 0.05)
        return last


class Crowd:
    """The processes that send orders."""

    def __init__(self, pipes: list[Connection]) -> None:
        self._pipes = pipes
        self._next = 0

    async def send(self, market: Market, orders: int, batch: int, lanes: int) -> Told:
        """Deal the orders out, let all begin at once, and put together what came of it."""
        count = len(self._pipes)
        for index, pipe in enumerate(self._pipes):
            size = orders // count + (index < orders % count)
            pipe.send(Share(market, self._next, size, batch, lanes))
            self._next += size
        answers: list[Told | str] = [await asyncio.to_thread(pipe.recv) for pipe in self._pipes]
        told = Told(float("inf"), 0.0)
        for answer in answers:
            if isinstance(answer, str):
                raise Broken(f"A process of the bench broke: {answer}")
            told.add(answer)
        return told


@asynccontextmanager
async def open_crowd(
    ground: Ground, environment: dict[str, str], channel: ChannelId, processes: int
) -> AsyncIterator[Crowd]:
    """Start the processes; they end with the block."""
    context = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    started: list[Any] = []
    for _ in range(processes):
        here, there = context.Pipe()
        process = context.Process(
            target=_work,
            args=(there, ground.house.platform, environment, channel),
            daemon=True,
        )
        process.start()
        pipes.append(here)
        started.append(process)
        ground.server_pids.append(process.pid or os.getpid())
    try:
        for pipe in pipes:
            await asyncio.to_thread(pipe.recv)  # Each says when it is ready.
        yield Crowd(pipes)
    finally:
        for pipe in pipes:
            pipe.send(None)
        for process in started:
            await asyncio.to_thread(process.join, 20)


def _work(
    pipe: Connection, platform: PlatformSettings, environment: dict[str, str], channel: ChannelId
) -> None:
    """One process: the whole platform, and its lanes."""
    uvloop.run(_serve(pipe, platform, environment, channel))


async def _serve(
    pipe: Connection, platform: PlatformSettings, environment: dict[str, str], channel: ChannelId
) -> None:
    tune_process()
    house = await build(platform, environment)
    house.start_jobs()
    lanes = Lanes(house, channel)
    pipe.send("ready")
    try:
        while (share := await asyncio.to_thread(pipe.recv)) is not None:
            try:
                await lanes.catch_up()
                answer: Told | str = await lanes.run(share)
            except Exception as error:  # noqa: BLE001  # Told to the bench, which stops.
                answer = f"{type(error).__name__}: {error}"
            # In a thread: until it is read, the process goes on with what it has claimed of others.
            await asyncio.to_thread(pipe.send, answer)
    finally:
        await house.stop()
