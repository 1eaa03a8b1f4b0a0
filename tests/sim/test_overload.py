"""Three times as many orders as can be taken: some are, fast; the rest is told "later" at once."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

import msgspec
import psutil
import pytest
import uvloop
from simkit.provider import CHANNEL
from simkit.servers import Line, Server
from simkit.world import PRICE_MINOR, broken_promises, read_standings, wait_for_rest

from vendrail.app.bench.ground import percentile
from vendrail.app.bench.load import Reply, request
from vendrail.app.process import tune_process
from vendrail.kernel.ids import from_serial
from vendrail.payments.attempts import out_trade_no

_MEASURE_S = 3.0
_OVERLOAD_S = 6.0
_TIMES = 3
_CONNECTIONS = 4_000
_LATENCY_MS_MAX = 1_000
_GROWTH_BYTES_MAX = 400_000_000
_CALLBACKS_PER_S = 50
_PATIENCE_S = 60.0
_FORM = {"content-type": "application/x-www-form-urlencoded"}


@dataclass
class Load:
    """Requests to one server over kept connections, as a proxy before it holds them."""

    server: Server
    skus: list[str]
    lines: asyncio.LifoQueue[Line] = field(default_factory=asyncio.LifoQueue)
    number: int = 0
    placed: list[dict] = field(default_factory=list)
    accepted_ms: list[float] = field(default_factory=list)
    refused_ms: list[float] = field(default_factory=list)
    statuses: Counter = field(default_factory=Counter)

    async def open(self) -> None:
        """Open the connections; waiting for a free one counts as waiting for the answer."""
        loop = asyncio.get_running_loop()
        for _ in range(_CONNECTIONS):
            _, line = await loop.create_connection(Line, "127.0.0.1", self.server.port)
            self.lines.put_nowait(line)

    async def ask(self, sent: bytes) -> Reply:
        """Ask once."""
        line = await self.lines.get()
        try:
            return await line.send(sent)
        finally:
            self.lines.put_nowait(line)

    async def place(self) -> None:
        """Place one order, once."""
        self.number += 1
        number = self.number
        sku = self.skus[number % len(self.skus)]
        body = b'{"sku":"%s","contact":"buyer%d@example.com","method":"alipay"}' % (
            sku.encode(),
            number,
        )
        headers = {
            "content-type": "application/json",
            "idempotency-key": f"overload-{number:012}",
            "x-forwarded-for": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        }
        loop = asyncio.get_running_loop()
        began = loop.time()
        reply = await self.ask(request("POST", "/api/v1/orders", headers, body))
        took_ms = (loop.time() - began) * 1_000
        self.statuses[reply.status] += 1
        if reply.status == 201:
            self.accepted_ms.append(took_ms)
            self.placed.append(msgspec.json.decode(reply.body))
        else:
            self.refused_ms.append(took_ms)

    async def tell(self, number: str, callback: bytes) -> tuple[float, bytes]:
        """Send one callback; give how long it took, and the answer."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        reply = await self.ask(request("POST", f"/callbacks/{CHANNEL}", _FORM, callback))
        return (loop.time() - began) * 1_000, reply.body

    def close(self) -> None:
        """Hang up."""
        while not self.lines.empty():
            self.lines.get_nowait().close()


async def measure(load: Load) -> float:
    """Place as fast as answers come; give the rate."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _MEASURE_S

    async def worker() -> None:
        while loop.time() < until:
            await load.place()

    before = len(load.placed)
    await asyncio.gather(*(worker() for _ in range(64)))
    return (len(load.placed) - before) / _MEASURE_S


async def flood(load: Load, per_s: float) -> None:
    """Place at a rate, whatever the answers."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    asked = 0
    tasks = set()
    while (passed := loop.time() - began) < _OVERLOAD_S:
        while asked < passed * per_s:
            asked += 1
            task = asyncio.create_task(load.place())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.sleep(0.002)
    if tasks:
        await asyncio.wait(tasks, timeout=_PATIENCE_S)


async def call_back(load: Load, callbacks: list[tuple[str, bytes]]) -> list[tuple[float, bytes]]:
    """Send callbacks at a steady rate; give what came of each."""
    tasks = []
    for number, callback in callbacks:
        tasks.append(asyncio.create_task(load.tell(number, callback)))
        await asyncio.sleep(1 / _CALLBACKS_PER_S)
    return await asyncio.gather(*tasks)


async def watch_memory(server: Server, peak: list[int]) -> None:
    """Note the largest size of the server's process."""
    process = psutil.Process(server.pid)
    while True:
        peak.append(process.memory_info().rss)
        await asyncio.sleep(0.2)


async def overload(world, dice: random.Random) -> list[str]:
    """Measure, then ask for three times as much; give what there is to tell."""
    tune_process()  # A collector's pause here would be counted as the server's.
    await world.seed(variants=20, keys=4_000)
    async with world.cloned() as dsn:
        server = world.server(dsn)
        await server.start()
        load = Load(server, world.skus)
        sizes: list[int] = []
        try:
            await load.open()
            await measure(load)  # Caches and pools fill.
            capacity = await measure(load)
            numbers = [out_trade_no(from_serial(order["id"]), 1) for order in load.placed]
            count = int(_OVERLOAD_S * _CALLBACKS_PER_S)
            chosen = dice.sample(numbers, min(count, len(numbers)))
            signed = await world.provider.sign([(number, PRICE_MINOR) for number in chosen])
            load.accepted_ms, load.refused_ms, before = [], [], len(load.placed)
            load.statuses.clear()
            watching = asyncio.create_task(watch_memory(server, sizes))
            told, _ = await asyncio.gather(
                call_back(load, list(zip(chosen, signed, strict=True))),
                flood(load, capacity * _TIMES),
            )
            watching.cancel()
            accepted = load.placed[before:]
            late = dice.sample(accepted, min(50, len(accepted)))
            numbers = [out_trade_no(from_serial(order["id"]), 1) for order in late]
            signed = await world.provider.sign([(number, PRICE_MINOR) for number in numbers])
            for number, callback in zip(numbers, signed, strict=True):
                await load.tell(number, callback)
            await wait_for_rest(dsn, _PATIENCE_S)
            standings = await read_standings(dsn)
            promises = await broken_promises(dsn, may_be_empty=False)
        finally:
            load.close()
            server.kill()
    accepted_p99 = percentile(load.accepted_ms, 0.99)
    refused_p99 = percentile(load.refused_ms, 0.99)
    callback_p99 = percentile([took for took, _ in told], 0.99)
    offered = sum(load.statuses.values()) / _OVERLOAD_S
    shown = [
        f"capacity {capacity:.0f} orders/s; offered {offered:.0f}/s; {dict(load.statuses)}",
        f"  accepted p99 {accepted_p99:.0f} ms, refused p99 {refused_p99:.0f} ms",
        f"  {len(told)} callbacks, p99 {callback_p99:.0f} ms",
        f"  memory {sizes[0] >> 20} to {max(sizes) >> 20} MB",
    ]

    assert {201, 503} == set(load.statuses), shown
    assert {b"success"} == {answer for _, answer in told}
    assert accepted_p99 < _LATENCY_MS_MAX, shown
    assert refused_p99 < _LATENCY_MS_MAX, shown
    assert max(sizes) - sizes[0] < _GROWTH_BYTES_MAX, shown
    assert [] == promises
    assert {from_serial(order["id"]) for order in load.placed} == set(standings)
    paid = {from_serial(order["id"]) for order in late}
    assert {"delivered"} == {standings[id].state for id in paid}
    return shown


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_three_times_too_much_is_shed(world, seed, tell):
    """What is accepted stays fast, the rest hears "later" at once, callbacks are still taken."""
    shown = uvloop.run(overload(world, random.Random(seed)))

    tell(*shown)
