"""The whole way over HTTP: place, callback with a real signature, read until the key is there.

The load generator shares the cores with server and database. The clock runs while orders are placed
(t1), stops while callbacks are signed, and runs again while they are sent and orders are read until
each key is there (t2); the rate is N / (t1 + t2). A 503 or an error counts as failure.
"""

import asyncio
import base64
import os
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from vendrail.api.payments import ChannelAccount, ChannelStatus, Payments
from vendrail.app.bench.ground import (
    UNWATCHED,
    Ground,
    Market,
    count,
    durability,
    free_port,
    open_ground,
    percentile,
    pgbench_tps,
    prove,
)
from vendrail.app.bench.lanes import Progress
from vendrail.app.bench.load import Connection, request, spread
from vendrail.app.bench.pipeline import bench_channel
from vendrail.app.keys import make_key_pair
from vendrail.kernel.codec import Record, decode, replace
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.errors import Broken

_READY_S = 30.0
_LOOK_AGAIN_S = 0.01
_LAG = 4
_FORMS_MAX = 2_000
_SETTLE_S = 1.5


class _Action(Record, frozen=True):
    url: str


class _Payment(Record, frozen=True):
    action: _Action


class Placed(Record, frozen=True):
    """An order, as the one who placed it is told."""

    id: str
    secret: str
    amount_minor: int
    payment: _Payment


class _Shown(Record, frozen=True):
    state: str
    keys: tuple[str, ...] = ()


@dataclass
class Tally:
    """What one run saw."""

    placed: list[Placed] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    place_ms: list[float] = field(default_factory=list)
    deliver_ms: list[float] = field(default_factory=list)
    read_ms: list[float] = field(default_factory=list)
    opened_s: float = 0.0
    errors: int = 0


@asynccontextmanager
async def served(
    ground: Ground, environment: Mapping[str, str], *, workers: int = 1
) -> AsyncIterator[int]:
    """Run the platform's own server on the ground's database; give its port."""
    port = free_port()
    settings = {
        **environment,
        **UNWATCHED,
        "VENDRAIL_HOME": str(ground.house.platform.home),
        "VENDRAIL_DATABASE_URL": ground.dsn,
        "VENDRAIL_LOG_LEVEL": "warning",
        "VENDRAIL_TRUSTED_PROXIES": "127.0.0.0/8",
        "VENDRAIL_GATEWAY_PLACES_PER_MINUTE_MAX": "0",  # One address is the whole load here.
        "VENDRAIL_GATEWAY_PROOF_NUMBERS_MAX": "0",
        "VENDRAIL_PUBLIC_URL": f"http://127.0.0.1:{port}",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "vendrail.app", "serve", "--port", str(port), "--workers",
        str(workers), env=settings,
    )  # fmt: skip
    try:
        await _wait_ready(port)
        ground.server_pids.append(process.pid)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def _wait_ready(port: int) -> None:
    asked = request("GET", "/readyz", {})
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _READY_S
    while loop.time() < deadline:
        try:
            _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
            reply = await connection.send(asked)
            connection.close()
            if reply.status == 200:
                return
        except OSError:
            pass
        await asyncio.sleep(0.1)
    raise Broken(f"The server was not ready within {_READY_S} s.")


class Notifier:
    """The provider's side: signs notifications as Alipay does."""

    def __init__(self) -> None:
        private, self.public_pem = make_key_pair()
        self._private_pem = private.encode()

    def sign(self, channel: ChannelAccount, orders: list[Placed]) -> list[bytes]:
        """Sign one notification for each order, on all cores: this is off the clock."""
        app, seller = channel.settings["app_id"], channel.settings["seller_id"]
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            size = max(1, len(orders) // 16)
            parts = [orders[at : at + size] for at in range(0, len(orders), size)]
            signed = pool.map(_sign_all, [(self._private_pem, app, seller, part) for part in parts])
            return [body for part in signed for body in part]


def _sign_all(job: tuple[bytes, str, str, list[Placed]]) -> list[bytes]:
    pem, app, seller, orders = job
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return [_sign(key, app, seller, order) for order in orders]


def _sign(key: rsa.RSAPrivateKey, app: str, seller: str, order: Placed) -> bytes:
    amount = f"{order.amount_minor // 100}.{order.amount_minor % 100:02}"
    fields = {
        "app_id": app,
        "auth_app_id": app,
        "buyer_id": "2088102122524333",
        "buyer_pay_amount": amount,
        "charset": "utf-8",
        "gmt_create": "2026-11-23 16:00:00",
        "gmt_payment": "2026-11-23 16:00:05",
        "invoice_amount": amount,
        "notify_id": f"n{order.id}",
        "notify_time": "2026-11-23 16:00:06",
        "notify_type": "trade_status_sync",
        "out_trade_no": f"{order.id}01",
        "point_amount": "0.00",
        "receipt_amount": amount,
        "seller_id": seller,
        "subject": "One",
        "total_amount": amount,
        "trade_no": f"2026112322001{abs(hash(order.id)) % 10**15:015}",
        "trade_status": "TRADE_SUCCESS",
        "version": "1.0",
    }
    text = "&".join(f"{name}={fields[name]}" for name in sorted(fields))
    signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    fields |= {"sign_type": "RSA2", "sign": base64.b64encode(signature).decode()}
    return "&".join(f"{name}={quote_plus(value)}" for name, value in fields.items()).encode()


async def open_channel(ground: Ground) -> tuple[ChannelAccount, Notifier]:
    """Open the bench's channel account, and give it with its provider's side."""
    notifier = Notifier()
    made = bench_channel()
    settings = {**made.settings, "alipay_public_key": notifier.public_pem}
    channel = replace(made, settings=settings)
    payments: Payments = ground.house.api(Payments)
    (status,) = await payments.put_channels([channel])
    if status is not ChannelStatus.CREATED:
        raise Broken(f"The bench's channel was not taken: {status}.")
    return channel, notifier


async def place_all(
    port: int, market: Market, orders: int, connections: int, tally: Tally
) -> float:
    """Place so many orders; give the seconds it took."""
    skus = market.skus
    headers = {"content-type": "application/json"}

    async def place(connection: Connection, number: int) -> None:
        body = b'{"sku":"%s","quantity":1,"contact":"buyer%d@example.com","method":"alipay"}' % (
            skus[number % len(skus)].encode(),
            number,
        )
        # Buyers come from everywhere; risk counts them by address.
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        key = {"x-forwarded-for": address, "idempotency-key": f"bench-{number:012}-{id(tally):x}"}
        began = time.perf_counter()
        reply = await connection.send(request("POST", "/api/v1/orders", headers | key, body))
        tally.place_ms.append((time.perf_counter() - began) * 1_000)
        if reply.status == 201:
            tally.placed.append(decode(reply.body, Placed))
        else:
            tally.errors += 1

    began = time.perf_counter()
    await spread(port, orders, connections, place)
    return time.perf_counter() - began


async def open_all(port: int, connections: int, tally: Tally) -> float:
    """Open the pay form of every order: one RSA-2048 signature each; give the seconds."""

    async def open_form(connection: Connection, number: int) -> None:
        path = urlsplit(tally.placed[number].payment.action.url).path
        reply = await connection.send(request("GET", path, {}))
        tally.errors += reply.status not in (302, 303)

    began = time.perf_counter()
    await spread(port, len(tally.placed), connections, open_form)
    return time.perf_counter() - began


async def pay_all(
    port: int,
    channel: ChannelAccount,
    callbacks: list[bytes],
    connections: int,
    tally: Tally,
    *,
    lag: int = 0,
) -> float:
    """Send every callback and read its order until the key is there; give the seconds.

    With a lag a connection sends so many callbacks before it reads the first order, as a provider
    and its buyers would: a buyer who asks again and again while others are served only slows them.
    """
    path = f"/callbacks/{channel.id}"
    headers = {"content-type": "application/x-www-form-urlencoded"}
    waiting: dict[int, deque[tuple[Placed, float]]] = {}

    async def pay(connection: Connection, number: int) -> None:
        began = time.perf_counter()
        reply = await connection.send(request("POST", path, headers, callbacks[number]))
        if reply.status != 200 or reply.body != b"success":
            tally.errors += 1
            return
        sent = waiting.setdefault(id(connection), deque())
        sent.append((tally.placed[number], began))
        if len(sent) > lag:
            await _read_until_there(connection, *sent.popleft(), tally)

    async def finish(connection: Connection) -> None:
        for order, began in waiting.pop(id(connection), ()):
            await _read_until_there(connection, order, began, tally)

    began = time.perf_counter()
    await spread(port, len(callbacks), connections, pay, finish)
    return time.perf_counter() - began


async def _read_until_there(
    connection: Connection, order: Placed, began: float, tally: Tally
) -> None:
    read = request("GET", f"/api/v1/orders/{order.id}", {"authorization": f"Bearer {order.secret}"})
    while True:
        asked = time.perf_counter()
        reply = await connection.send(read)
        tally.read_ms.append((time.perf_counter() - asked) * 1_000)
        if reply.status != 200:
            tally.errors += 1
            return
        shown = decode(reply.body, _Shown)
        if shown.keys:
            tally.keys += shown.keys
            tally.deliver_ms.append((time.perf_counter() - began) * 1_000)
            return
        await asyncio.sleep(_LOOK_AGAIN_S)


async def bench_http(
    platform: PlatformSettings,
    environment: Mapping[str, str],
    progress: Progress,
    *,
    orders: int = 10_000,
    connections: int = 128,
    workers: int = 2,
    variants: int = 200,
    with_reference: bool = True,
) -> dict[str, object]:
    """Run the whole way over HTTP; give its result as one object."""
    async with open_ground(platform, environment) as ground:
        channel, notifier = await open_channel(ground)
        warm = min(500, orders)
        forms_wanted = min(_FORMS_MAX, orders)
        market = await ground.seed(variants=variants, runs=(warm, orders, forms_wanted))
        async with served(ground, environment, workers=workers) as port:
            first = Tally()
            await _through(port, market, channel, notifier, warm, connections, first)
            await asyncio.sleep(_SETTLE_S)
            before = await count(ground)
            tally = Tally()
            seconds = await _through(port, market, channel, notifier, orders, connections, tally)
            progress("delivered", len(tally.keys), orders)
            await asyncio.sleep(_SETTLE_S)
            after = await count(ground)
            forms = await _open_forms(port, market, forms_wanted, connections)
        if len(set(tally.keys)) != len(tally.keys):
            raise Broken("A key was sold twice.")
        await prove(ground)
        shown = await durability(ground)
        tps = await pgbench_tps(ground) if with_reference else 0.0
    placed_s, paid_s = seconds
    delivered = len(tally.keys)
    rate = delivered / (placed_s + paid_s)
    return {
        "bench": "http",
        "orders": orders,
        "connections": connections,
        "workers": workers,
        "orders_per_s": round(rate, 1),
        "place_per_s": round(orders / placed_s, 1),
        "pay_per_s": round(delivered / paid_s, 1),
        "pay_forms_per_s": round(len(forms.placed) / forms.opened_s, 1),
        "pgbench_tps": round(tps, 1),
        "ratio": round(rate / tps, 3) if tps else None,
        "p50_ms": round(percentile(tally.deliver_ms, 0.50), 1),
        "p95_ms": round(percentile(tally.deliver_ms, 0.95), 1),
        "p99_ms": round(percentile(tally.deliver_ms, 0.99), 1),
        "place_p99_ms": round(percentile(tally.place_ms, 0.99), 1),
        "read_p99_ms": round(percentile(tally.read_ms, 0.99), 1),
        "errors": tally.errors + orders - delivered + forms.errors,
        "rows_per_order": round((after.rows - before.rows) / orders, 2),
        "commits_per_order": round((after.commits - before.commits) / orders, 4),
        "wal_bytes_per_order": round((after.wal_bytes - before.wal_bytes) / orders),
        "cpu_ms_per_order": round((after.cpu_s - before.cpu_s) / orders * 1_000, 4),
        **shown,
    }


async def _through(
    port: int,
    market: Market,
    channel: ChannelAccount,
    notifier: Notifier,
    orders: int,
    connections: int,
    tally: Tally,
) -> tuple[float, float]:
    placed_s = await place_all(port, market, orders, connections, tally)
    callbacks = await asyncio.to_thread(notifier.sign, channel, tally.placed)
    paid_s = await pay_all(port, channel, callbacks, connections, tally, lag=_LAG)
    return placed_s, paid_s


async def _open_forms(port: int, market: Market, orders: int, connections: int) -> Tally:
    """Open the pay form of so many orders more, which nobody pays: reported apart."""
    tally = Tally()
    await place_all(port, market, orders, connections, tally)
    tally.opened_s = await open_all(port, connections, tally)
    return tally
