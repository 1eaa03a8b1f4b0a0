"""PostgreSQL killed and started again under load: nothing lost, nothing doubled, by ourselves."""

import asyncio
import os
import signal

import pytest

from vendrail.api.payments import Payments
from vendrail.app.audit import audit
from vendrail.app.bench.ground import Ground
from vendrail.app.bench.http import Notifier, Tally, place_all, served
from vendrail.app.bench.load import request, spread
from vendrail.app.bench.pipeline import bench_channel
from vendrail.app.services import SCHEMAS
from vendrail.app.wiring import build
from vendrail.kernel.codec import decode, replace
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.embedded import open_server
from vendrail.kernel.migrate import migrate

ORDERS = 120


@pytest.mark.timeout(180)
async def test_a_killed_database_loses_no_payment(tmp_path):
    """What comes while the database is away waits or is refused, is sent again, and delivers."""
    folder = tmp_path / "postgres"
    postgres = open_server(folder)  # With fsync: what was acknowledged must survive the kill.
    await migrate(postgres.dsn, SCHEMAS)
    platform = PlatformSettings(home=tmp_path, database_url=postgres.dsn)
    notifier, made = Notifier(), bench_channel()
    channel = replace(made, settings={**made.settings, "alipay_public_key": notifier.public_pem})
    house = await build(platform, {})
    await house.api(Payments).put_channels([channel])
    ground = Ground(postgres.dsn, house, None)
    market = await ground.seed(variants=4, runs=[ORDERS], merchants=2)
    await house.stop()
    tally, keys, first_key = Tally(), [], asyncio.Event()
    async with served(ground, dict(os.environ)) as port:
        await place_all(port, market, ORDERS, 8, tally)
        callbacks = await asyncio.to_thread(notifier.sign, channel, tally.placed)

        async def pay(connection, number):
            order = tally.placed[number]
            headers = {"content-type": "application/x-www-form-urlencoded"}
            told = request("POST", f"/callbacks/{channel.id}", headers, callbacks[number])
            answer = b""
            while answer != b"success":  # As a provider does: again, until it is taken.
                answer = (await connection.send(told)).body
                await asyncio.sleep(0.0 if answer == b"success" else 0.1)
            bearer = {"authorization": f"Bearer {order.secret}"}
            read = request("GET", f"/api/v1/orders/{order.id}", bearer)
            while True:
                reply = await connection.send(read)
                shown = decode(reply.body, dict) if reply.status == 200 else {}
                if shown.get("keys"):
                    keys.extend(shown["keys"])
                    first_key.set()
                    return
                await asyncio.sleep(0.05)

        paying = asyncio.create_task(spread(port, ORDERS, 8, pay))
        await first_key.wait()
        known = len(keys)
        os.kill(postgres.pid, signal.SIGQUIT)  # Immediate: no checkpoint, no good-bye.
        await asyncio.sleep(1.0)
        again = await asyncio.to_thread(open_server, folder)
        await paying
    report = await audit(again.dsn)
    again.close()
    postgres.close()

    assert ORDERS == len(keys) == len(set(keys))
    assert known < ORDERS  # It was killed while there was work.
    assert [] == [(each.name, each.findings) for each in report.outcomes if each.findings]
