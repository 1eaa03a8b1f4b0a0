"""A small real marketplace, made once through the services, cloned for each test; and the CLI."""

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import httpx
import pytest
from typer.testing import CliRunner

from vendrail.api.catalog import (
    Catalog,
    KeyIntake,
    KeyLine,
    MerchantId,
    Product,
    ProductId,
    Shop,
    ShopId,
    Variant,
    VariantId,
)
from vendrail.api.orders import OrderId, OrderQuery, Orders, PlaceOrder, RefundOrder
from vendrail.api.payments import CaptureReport, CaptureSource, ChannelAccount, ChannelId, Payments
from vendrail.api.risk import ListEntry, ListKind, Risk
from vendrail.api.settlement import FeeTerms, Settlement
from vendrail.app.__main__ import app
from vendrail.app.keys import make_key_pair
from vendrail.app.services import SCHEMAS
from vendrail.app.wiring import House
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.db import connect_once
from vendrail.kernel.ids import new_id, shard_of
from vendrail.kernel.migrate import migrate
from vendrail.kernel.vault import Vault
from vendrail.payments.attempts import out_trade_no

PRICE_MINOR = 1_990
MISPAID_MINOR = 2 * PRICE_MINOR  # What the order that expires would have cost.


class MovableClock:
    """The machine's clock, moved on by tests; waiting is real."""

    def __init__(self) -> None:
        self._offset = timedelta(0)

    def now(self) -> datetime:
        """Give the present moment and what was added to it."""
        return datetime.now(UTC) + self._offset

    def advance(self, delay_s: float) -> None:
        """Move time on."""
        self._offset += timedelta(seconds=delay_s)

    async def sleep(self, delay_s: float) -> None:
        """Wait for so many seconds."""
        await asyncio.sleep(delay_s)


class Provider:
    """The sandbox's Alipay, in a process of its own, as `vendrail sandbox` serves it."""

    def __init__(self, url: str, home: Path) -> None:
        self.url = url
        token = (home / "control-token").read_text().strip()
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=30
        )
        self._private, public = make_key_pair()
        self.application = self.post("/sandbox/apps", {"public_key_pem": public})

    def post(self, path: str, body: object) -> dict:
        """Post to a control route."""
        reply = self._client.post(path, json=body)
        assert reply.is_success, reply.text
        return reply.json()

    def settings(self) -> dict[str, str]:
        """What a channel account needs to speak with it."""
        return {
            "app_id": self.application["app_id"],
            "seller_id": self.application["seller_id"],
            "alipay_public_key": self.application["alipay_public_key"],
            "app_private_key": self._private,
            "gateway_url": f"{self.url}/alipay/gateway.do",
        }

    def pay(self, number: str, amount: str) -> str:
        """Let a buyer pay; give the provider's number."""
        trades = [{"out_trade_no": number, "total_amount": amount}]
        body = {"app_id": self.application["app_id"], "trades": trades}
        [told] = self.post("/sandbox/alipay/sign-notifications", body)["notifications"]
        return told["trade_no"]

    def close(self) -> None:
        """Hang up."""
        self._client.close()


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """The emulated provider of this run."""
    home = tmp_path_factory.mktemp("sandbox")
    given = {name: value for name, value in os.environ.items() if not name.startswith("VENDRAIL_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "vendrail.app", "sandbox", "--home", home, "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env=given,
        cwd=home,
    )
    assert process.stdout is not None
    served = Provider(json.loads(process.stdout.readline())["address"], home)
    yield served
    served.close()
    process.terminate()
    process.wait(10)
    process.stdout.close()


class Market:
    """One merchant, one shop, one channel; and short words for what happened in it."""

    def __init__(self, house: House, provider: Provider) -> None:
        self.house = house
        self.provider = provider
        self.clock = house.clock
        self.merchant = new_id(self.clock.now())
        self.channel = ChannelId(new_id(self.clock.now()))
        api = house.api
        self.catalog, self.orders, self.payments = api(Catalog), api(Orders), api(Payments)
        self.runner = house.services["orders"].runner
        self._buyers = 0

    async def open(self) -> None:
        """Open the shop: one product, two SKUs, a few keys each."""
        now = self.clock.now()
        shop = ShopId(new_id(now))
        await self.catalog.put_shops([Shop(shop, MerchantId(self.merchant), "M", "shop", "Shop")])
        terms = FeeTerms(self.merchant, "CNY", 250, 10, 20)
        await self.house.api(Settlement).put_fee_terms([terms])
        variants = [
            Variant(VariantId(new_id(now)), sku, sku, {"CNY": PRICE_MINOR}) for sku in ("S1", "S2")
        ]
        await self.catalog.put_products(
            [Product(ProductId(new_id(now)), shop, "card", "Card", variants)]
        )
        for sku in ("S1", "S2"):
            lines = [KeyLine(n + 1, f"{sku}-KEY-{n:04}") for n in range(12)]
            await self.catalog.add_keys([KeyIntake(sku, new_id(now), lines)])
        await self.payments.put_channels(
            [
                ChannelAccount(
                    self.channel, "alipay", "alipay", "支付宝", ["CNY"], self.provider.settings()
                )
            ]
        )
        reviewed = ListEntry("contact:watched@example.com", ListKind.REVIEWED, "a test")
        await self.house.api(Risk).put_list_entries([reviewed])
        self.clock.advance(11)  # The fee terms are valid from a moment on.

    async def place(self, sku: str = "S1", contact: str = "", quantity: int = 1) -> OrderId:
        """Place one order."""
        self._buyers += 1
        order = PlaceOrder(
            OrderId(new_id(self.clock.now(), shard_of(self.merchant))),
            sku,
            quantity,
            "CNY",
            contact or f"buyer{self._buyers}@example.com",
            "alipay",
        )
        [placed] = await self.orders.place_orders([order])
        assert "placed" == placed.status
        return order.id

    async def pay(self, order: OrderId, amount_minor: int = PRICE_MINOR) -> None:
        """Let the buyer pay, and the money be found."""
        number = out_trade_no(order, 1)
        amount = f"{amount_minor // 100}.{amount_minor % 100:02}"
        trade = await asyncio.to_thread(self.provider.pay, number, amount)
        report = CaptureReport(
            self.channel, trade, number, amount_minor, "CNY", self.clock.now(), CaptureSource.QUERY
        )
        assert ["recorded"] == await self.payments.record_captures([report])

    async def run(self) -> None:
        """Let the background work come to rest."""
        for _ in range(3):
            while await self.runner.consume_captures():
                await self.runner.drain()
            while await self.runner.claim_quick():
                pass
            await self.runner.drain()
            while await self.runner.claim_slow():
                pass
            await self.runner.drain()
            await self.runner.walk_unpaid()
            await self.runner.drain()
        await self.runner.settle_deliveries()

    async def refund(self, order: OrderId, amount_minor: int = 0) -> None:
        """Give money back."""
        refund = RefundOrder(new_id(self.clock.now()), order, amount_minor, "a test", "a person")
        assert ["accepted"] == await self.orders.refund_orders([refund])
        await self.run()

    async def state(self, order: OrderId) -> str:
        """How an order stands."""
        [view] = await self.orders.read_orders([OrderQuery(order, None)])
        return f"{view.state} {view.waiting}".strip()


async def _fill(market: Market) -> dict[str, UUID]:
    """Make of each kind of order one at least; give them by what became of them."""
    await market.open()
    made = {name: await market.place() for name in ("sold", "sold_too", "refunded", "part")}
    made["other"] = await market.place("S2")
    made["watched"] = await market.place(contact="watched@example.com")
    made["mispaid"] = await market.place()
    for name, order in made.items():
        await market.pay(order, MISPAID_MINOR if name == "mispaid" else PRICE_MINOR)
    await market.run()
    await market.refund(made["refunded"])
    await market.refund(made["part"], 500)
    made["expired"] = await market.place("S2", quantity=2)
    market.clock.advance(1_000)
    await market.run()
    assert {
        "sold": "delivered",
        "sold_too": "delivered",
        "refunded": "refunded",
        "part": "delivered",
        "other": "delivered",
        "watched": "paid review",
        "mispaid": "expired",
        "expired": "expired",
    } == {name: await market.state(order) for name, order in made.items()}
    return dict(made)


def url_of(postgres_url: str, name: str) -> str:
    """Name another database of the same server."""
    head, mark, tail = postgres_url.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}{mark}{tail}"


async def execute(url: str, statement: str) -> None:
    """Run one statement as the owner."""
    owner = await connect_once(url)
    try:
        await owner.execute(statement)
    finally:
        await owner.close()


@pytest.fixture(scope="session")
def template(
    postgres_url: str, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SimpleNamespace]:
    """The marketplace as a template: its database's name, its home, its orders.

    Its copies share the one provider: what one of them gives back is given back for all.
    """
    home = tmp_path_factory.mktemp("market")
    name = f"market_{secrets.token_hex(6)}"  # Other folders' tests make one of their own.
    url = url_of(postgres_url, name)

    async def make() -> dict[str, UUID]:
        await execute(postgres_url, f'create database "{name}" template template0')
        await migrate(url, SCHEMAS)
        platform = PlatformSettings(home=home, database_url=url)
        house = House(platform, {}, MovableClock(), Vault.open(home, {}))
        try:
            return await _fill(Market(house, provider))
        finally:
            await house.stop()

    orders = asyncio.run(make())
    yield SimpleNamespace(name=name, home=home, orders=orders)
    asyncio.run(execute(postgres_url, f'drop database "{name}" with (force)'))


@asynccontextmanager
async def reopened(url: str, home: Path, provider: Provider) -> AsyncIterator[Market]:
    """Open a marketplace that is there again."""
    platform = PlatformSettings(home=home, database_url=url)
    house = House(platform, {}, MovableClock(), Vault.open(home, {}))
    market = Market(house, provider)
    try:
        [account] = await market.payments.list_channels()
        [offer] = await market.catalog.read_offers(["S2"])
        market.channel, market.merchant = account.id, offer.merchant
        yield market
    finally:
        await house.stop()


class Place:
    """Where a test works: a database, a home folder, and the command line on them."""

    def __init__(self, url: str, home: Path, orders: dict[str, UUID]) -> None:
        self.url = url
        self.home = home
        self.orders = orders
        self.environment = {"VENDRAIL_HOME": str(home), "VENDRAIL_DATABASE_URL": url}

    def cli(self, *words: object, exit_code: int = 0, **environment: str):
        """Run the command line; say all it said where it ended otherwise."""
        given = {**self.environment, **environment}
        result = CliRunner().invoke(app, [str(word) for word in words], env=given)
        assert exit_code == result.exit_code, f"{result.output}\n{result.exception!r}"
        return result

    def json(self, *words: object, exit_code: int = 0):
        """Run it with --json; give the object of the last line."""
        result = self.cli(*words, "--json", exit_code=exit_code)
        return json.loads(result.stdout.splitlines()[-1])

    def sell(self, provider: Provider) -> str:
        """Let the platform go on, and sell one more key; say how the order then stands."""

        async def sell() -> str:
            async with self.market(provider) as market:
                order = await market.place("S2", "again@example.com")
                await market.pay(order)
                await market.run()
                return await market.state(order)

        return asyncio.run(sell())

    def market(self, provider: Provider):
        """Open the marketplace here, in this process."""
        return reopened(self.url, self.home, provider)

    def sql(self, statement: str, *values: object) -> list:
        """Run a statement as the owner; give its rows."""

        async def fetch() -> list:
            owner = await connect_once(self.url)
            try:
                return await owner.fetch(statement, *values)
            finally:
                await owner.close()

        return asyncio.run(fetch())


@pytest.fixture
def place(postgres_url: str, template: SimpleNamespace, tmp_path: Path) -> Iterator[Place]:
    """A copy of the marketplace, for one test."""
    name = f"place_{secrets.token_hex(6)}"
    asyncio.run(execute(postgres_url, f'create database "{name}" template "{template.name}"'))
    home = tmp_path / "home"
    shutil.copytree(template.home, home)
    yield Place(url_of(postgres_url, name), home, template.orders)
    asyncio.run(execute(postgres_url, f'drop database "{name}" with (force)'))


@pytest.fixture
def empty_place(postgres_url: str, tmp_path: Path) -> Iterator[Place]:
    """A database and a home with nothing in them."""
    name = f"empty_{secrets.token_hex(6)}"
    asyncio.run(execute(postgres_url, f'create database "{name}" template template0'))
    yield Place(url_of(postgres_url, name), tmp_path / "empty", {})
    asyncio.run(execute(postgres_url, f'drop database "{name}" with (force)'))
