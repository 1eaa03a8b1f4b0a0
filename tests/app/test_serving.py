"""A server with its workers: told to stop it ends in order; asked for metrics it tells of all."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

from vendrail.api.payments import Payments
from vendrail.app.bench.ground import Ground, free_port
from vendrail.app.bench.load import Connection, request
from vendrail.app.bench.pipeline import bench_channel
from vendrail.app.wiring import build
from vendrail.kernel.codec import Record, decode
from vendrail.kernel.config import PlatformSettings

PAGES = 24
STOP_S = 5.0  # A worker that does not stop is killed after twenty.


class Placed(Record, frozen=True):
    """What a buyer keeps of an order."""

    id: str
    secret: str


@pytest.fixture
async def market(platform_url, tmp_path):
    """A market in a database of its own."""
    platform = PlatformSettings(home=tmp_path, database_url=platform_url)
    house = await build(platform, {})
    await house.api(Payments).put_channels([bench_channel()])
    made = await Ground(platform_url, house, None).seed(variants=2, runs=[12], merchants=1)
    await house.stop()
    return made


@contextlib.asynccontextmanager
async def begun(home, dsn, workers):
    """Begin `vendrail serve` in a group of its own; give its process and its port."""
    port = free_port()
    environment = {
        **os.environ,
        "VENDRAIL_HOME": str(home),
        "VENDRAIL_DATABASE_URL": dsn,
        "VENDRAIL_LOG_LEVEL": "warning",
        "VENDRAIL_TRUSTED_PROXIES": "127.0.0.0/8",
    }
    words = ["serve", "--port", str(port), "--workers", str(workers)]
    with (home / "told").open("w") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "vendrail.app", *words],
            env=environment,
            stdout=told,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process, port
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)


@contextlib.asynccontextmanager
async def served(home, dsn, workers):
    """Run `vendrail serve` until it is ready; give its process and its port."""
    async with begun(home, dsn, workers) as (process, port):
        await _wait_ready(port)
        yield process, port


async def _wait_ready(port):
    asked = request("GET", "/readyz", {})
    for _ in range(300):
        with contextlib.suppress(OSError):
            _, line = await asyncio.get_running_loop().create_connection(
                Connection, "127.0.0.1", port
            )
            reply = await line.send(asked)
            line.close()
            if reply.status == 200:
                return
        await asyncio.sleep(0.1)
    raise TimeoutError(f"Nothing was ready on port {port}.")


async def _wait_workers(process, count):
    for _ in range(3_000):
        if len(psutil.Process(process.pid).children()) == count:
            return
        await asyncio.sleep(0.02)
    raise TimeoutError(f"There are no {count} workers.")


def order_request(market, key):
    """Write the request of a buyer."""
    body = b'{"sku":"%s","quantity":1,"contact":"z@example.com","method":"alipay"}' % (
        market.skus[0].encode()
    )
    headers = {"content-type": "application/json", "idempotency-key": f"{key}-{'x' * 16}"}
    return request("POST", "/api/v1/orders", headers, body)


async def place(port, market):
    """Place an order; a server that is cold may ask for another moment first."""
    for _ in range(50):
        _, line = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
        reply = await line.send(order_request(market, "first"))
        line.close()
        if reply.status == 201:
            return decode(reply.body, Placed)
        await asyncio.sleep(0.2)
    raise AssertionError(f"No order was taken: {reply}")


async def open_page(port, order):
    """Hold an order's page open, as a browser does; give the stream once it has begun."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    cookie = {"cookie": f"vr_order={order.secret}"}
    writer.write(request("GET", f"/orders/{order.id}/events?seen=placed.1.0.", cookie))
    assert b" 200 " in await reader.readuntil(b"\r\n")
    await reader.readuntil(b"retry: 3000")
    return reader, writer


@pytest.mark.parametrize("workers", [1, 2])
async def test_stop_waits_for_requests_but_not_for_pages_held_open(
    market, platform_url, tmp_path, workers
):
    """With two dozen live pages a stop takes seconds: they end in order, and a buyer is served."""
    async with served(tmp_path, platform_url, workers) as (process, port):
        order = await place(port, market)
        pages = [await open_page(port, order) for _ in range(PAGES)]
        slow, post = await asyncio.open_connection("127.0.0.1", port)
        whole = order_request(market, "last")
        post.write(whole[:-10])
        await asyncio.sleep(0.3)
        began = time.monotonic()
        process.terminate()
        await asyncio.sleep(0.3)
        post.write(whole[-10:])
        answer = await slow.read()
        rests = [await reader.read() for reader, _ in pages]
        code = await asyncio.to_thread(process.wait, 30)
        seconds = time.monotonic() - began
        for _, writer in [*pages, (slow, post)]:
            writer.close()

    assert b" 201 " in answer.split(b"\r\n", 1)[0], answer
    assert PAGES == sum(rest.endswith(b"0\r\n\r\n") for rest in rests)
    assert 0 == code
    assert seconds < STOP_S


async def get(port, path):
    """Ask over a connection of its own, which some worker takes."""
    _, line = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    reply = await line.send(request("GET", path, {}))
    line.close()
    return reply


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_stop_is_heard_by_workers_that_still_start(platform_url, tmp_path, number):
    """Ctrl-C and service managers tell workers as well as their server; none must be killed."""
    async with begun(tmp_path, platform_url, 2) as (process, _):
        await _wait_workers(process, 2)
        await asyncio.sleep(0.5)
        os.killpg(process.pid, number)
        code = await asyncio.to_thread(process.wait, 30)
    told = (tmp_path / "told").read_text()

    assert 0 == code, told
    assert "Killing" not in told


async def test_metrics_tell_of_all_workers(market, platform_url, tmp_path):
    """Whichever of two workers is scraped, what was asked of both is in the answer."""
    asked = 40
    counted = re.compile(
        r'^vendrail_http_request_seconds_count\{.*"/api/v1/products".*\} (\S+)$', re.MULTILINE
    )
    async with served(tmp_path, platform_url, 2) as (_, port):
        for _ in range(asked):
            assert 200 == (await get(port, "/api/v1/products")).status
        scrapes = [(await get(port, "/metrics")).body.decode() for _ in range(6)]
    sums = [sum(float(number) for number in counted.findall(text)) for text in scrapes]
    workers = [set(re.findall(r'vendrail_info\{.*worker="(\d+)"', text)) for text in scrapes]

    assert [{"1", "2"}] * 6 == workers
    assert [asked] * 6 == sums
