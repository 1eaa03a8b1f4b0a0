"""One platform in three processes: the same code, wired by `--only` and `--peer`."""

import asyncio
import contextlib
import os
import subprocess
import sys

import pytest
from simkit.servers import ask

from vendrail.api.payments import Payments
from vendrail.app.bench.ground import Ground, free_port
from vendrail.app.bench.http import Notifier, Tally, pay_all, place_all
from vendrail.app.bench.pipeline import bench_channel
from vendrail.app.wiring import build
from vendrail.kernel.codec import replace
from vendrail.kernel.config import PlatformSettings

SPLIT = {
    "payments": ("payments",),
    "trade": (
        *(
            "orders",
            "epay",
            "risk",
            "settlement",
            "ledger",
            "fx",
            "payouts",
            "notify",
            "identity",
            "buyers",
            "support",
            "wallets",
            "disputes",
            "webhooks",
            "promotions",
            "compliance",
            "domains",
        ),
    ),
    "faces": ("catalog", "gateway", "web"),
}


@contextlib.asynccontextmanager
async def served(home, dsn):
    """Start the three processes by the command line; give their ports."""
    ports = {name: free_port() for name in SPLIT}
    environment = {
        **os.environ,
        "VENDRAIL_HOME": str(home),
        "VENDRAIL_DATABASE_URL": dsn,
        "VENDRAIL_LOG_LEVEL": "warning",
        "VENDRAIL_TRUSTED_PROXIES": "127.0.0.0/8",
    }
    processes = []
    for name, rooms in SPLIT.items():
        words = ["--only", ",".join(rooms), "--port", str(ports[name])]
        for other, others in SPLIT.items():
            if other != name:
                for room in others:
                    if room not in ("gateway", "web"):
                        words += ["--peer", f"{room}=http://127.0.0.1:{ports[other]}"]
        command = [sys.executable, "-m", "vendrail.app", "serve", *words]
        processes.append(subprocess.Popen(command, env=environment))
    try:
        for port in ports.values():
            await _wait_ready(port)
        yield ports
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            await asyncio.to_thread(process.wait, 30)


async def _wait_ready(port):
    for _ in range(400):
        with contextlib.suppress(OSError, TimeoutError):
            if (await ask(port, "GET", "/readyz")).status == 200:
                return
        await asyncio.sleep(0.1)
    raise TimeoutError(f"Nothing was ready on port {port}.")


@pytest.mark.timeout(180)
async def test_three_processes_sell_a_key(platform_url, tmp_path):
    """Payments alone, trade alone, faces alone: what is placed at one is paid and delivered."""
    platform = PlatformSettings(home=tmp_path, database_url=platform_url)
    notifier = Notifier()
    made = bench_channel()
    channel = replace(made, settings={**made.settings, "alipay_public_key": notifier.public_pem})
    house = await build(platform, {})
    await house.api(Payments).put_channels([channel])
    market = await Ground(platform_url, house, None).seed(variants=2, runs=[12], merchants=1)
    await house.stop()
    tally = Tally()
    async with served(tmp_path, platform_url) as ports:
        await place_all(ports["faces"], market, 6, 2, tally)
        callbacks = await asyncio.to_thread(notifier.sign, channel, tally.placed)
        await pay_all(ports["faces"], channel, callbacks, 2, tally)

    assert 0 == tally.errors
    assert 6 == len(set(tally.keys))
