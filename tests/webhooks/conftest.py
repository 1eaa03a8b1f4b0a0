"""A market whose merchant has programs that listen over real HTTP, and the loops run by hand."""

import asyncio
import json
from dataclasses import dataclass, field

import pytest
from tests.orders.conftest import Market
from tests.web.test_browser import free_port, served

from vendrail.api.catalog import Catalog, MerchantId, Shop, ShopId
from vendrail.api.disputes import Disputes
from vendrail.api.orders import Orders
from vendrail.api.payments import Payments
from vendrail.api.payouts import Payouts
from vendrail.api.settlement import FeeTerms, Settlement
from vendrail.api.support import Support
from vendrail.api.webhooks import (
    DeliveryQuery,
    EndpointId,
    EndpointName,
    EndpointStatus,
    NewEndpoint,
    Webhooks,
)
from vendrail.app.bench.pipeline import bench_channel
from vendrail.app.wiring import House
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.ids import new_id
from vendrail.webhooks.service.sources import sources

LOOPBACK = {
    "VENDRAIL_WEBHOOKS_NETWORKS_ALLOWED": "127.0.0.0/8,::1",
    "VENDRAIL_NOTIFY_NEWS": "on",
}


@dataclass
class Program:
    """A merchant's program: what it has heard, and what it answers."""

    url: str
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)  # The next ones; then always 204.
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    gate: asyncio.Event | None = None  # While it is not set, no answer comes.
    open_count: int = 0
    open_most: int = 0

    async def __call__(self, scope, receive, send) -> None:
        """Answer as ASGI has it."""
        if scope["type"] != "http":
            return
        body = b""
        while True:
            part = await receive()
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        self.heard.append(({k.decode(): v.decode() for k, v in scope["headers"]}, body))
        self.open_count += 1
        self.open_most = max(self.open_most, self.open_count)
        try:
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.open_count -= 1
        status = self.answers.pop(0) if self.answers else 204
        await send({"type": "http.response.start", "status": status, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"" if status == 204 else b"heard it"})

    @property
    def kinds(self) -> list[str]:
        """Name what it has heard, in the order of hearing."""
        return [json.loads(body)["type"] for _, body in self.heard]

    @property
    def ids(self) -> list[str]:
        """Give the ids of what it has heard."""
        return [headers["webhook-id"] for headers, _ in self.heard]


@pytest.fixture
async def program():
    """A program on a free port."""
    port = free_port()
    made = Program(f"http://127.0.0.1:{port}/hook")
    async with served(made, port):
        yield made


@pytest.fixture
async def other():
    """Another program on another port."""
    port = free_port()
    made = Program(f"http://127.0.0.1:{port}/hook")
    async with served(made, port):
        yield made


def sources_of(house):
    """Give every service whose events are read."""
    api = house.api
    return sources(api(Orders), api(Payouts), api(Disputes), api(Support))


class Town(Market):
    """The market, with its webhooks."""

    def __post_init__(self):
        super().__post_init__()
        self.webhooks = self.house.api(Webhooks)
        self.service = self.house.services["webhooks"]
        self.sources = sources_of(self.house)

    async def listen(self, program, **more):
        """Make an endpoint for a program; give it with its secret."""
        id = EndpointId(new_id(self.clock.now()))
        new = NewEndpoint(id, more.pop("merchant", self.merchant), program.url, **more)
        [made] = await self.webhooks.make_endpoints([new])
        assert EndpointStatus.DONE is made.status
        return made

    async def sell(self, sku="A"):
        """Sell one thing; give its order."""
        if sku not in self.skus:
            await self.offer(sku, keys=60)
        placed = await self.place(sku)
        await self.pay(placed.order)
        await self.run()
        return placed.order

    async def read(self) -> None:
        """Read what other services have told."""
        for source in self.sources:
            while await self.service.reading.consume(source):
                pass

    async def tell(self) -> None:
        """Bring everything that is due now, once."""
        await self.read()
        for _ in range(100):
            await self.service.telling.send_due()
            if not self.service.telling._flights:  # Nothing due was left to claim.
                return
            await self.service.telling.drain()

    async def endpoint(self, made):
        """Read an endpoint as it stands."""
        [found] = await self.webhooks.list_endpoints([made.endpoint.merchant])
        return next(each for each in found if each.id == made.endpoint.id)

    async def deliveries(self, made, state=None):
        """List an endpoint's deliveries, oldest first."""
        query = DeliveryQuery(made.endpoint.id, made.endpoint.merchant, state, None, 200)
        [found] = await self.webhooks.list_deliveries([query])
        return list(reversed(found))


def name_of(made, merchant=None):
    """Name an endpoint."""
    return EndpointName(made.endpoint.id, merchant or made.endpoint.merchant)


def open_house(platform_url, clock, vault, home, **environment) -> House:
    """Open the platform over its database: again is after a restart."""
    platform = PlatformSettings(home=home, database_url=platform_url)
    return House(platform, LOOPBACK | environment, clock, vault)


@pytest.fixture
async def town(platform_url, clock, vault, tmp_path):
    """A market with one merchant and no endpoints."""
    house = open_house(platform_url, clock, vault, tmp_path)
    merchant, shop = new_id(clock.now()), ShopId(new_id(clock.now()))
    shops = [Shop(shop, MerchantId(merchant), "Merchant", "shop", "Shop")]
    await house.api(Catalog).put_shops(shops)
    await house.api(Settlement).put_fee_terms([FeeTerms(merchant, "CNY", 250, 10, 20)])
    channel = bench_channel()
    await house.api(Payments).put_channels([channel])
    clock.advance(10)  # The fee terms are valid from a moment on.
    made = Town(house, merchant, shop, channel.id)
    yield made
    await made.house.stop()
