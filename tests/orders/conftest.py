"""A small real market for the orders' tests: the platform's own wiring over a real database."""

import contextlib
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from uuid import UUID

import pytest

from vendrail.api.catalog import (
    Catalog,
    DeliveryKind,
    HoldPolicy,
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
from vendrail.api.identity import Identity
from vendrail.api.ledger import Ledger
from vendrail.api.notify import LetterQuery, Notify
from vendrail.api.orders import OrderId, OrderQuery, Orders, PlaceOrder
from vendrail.api.payments import CaptureReport, CaptureSource, ChannelId, Payments
from vendrail.api.risk import Risk
from vendrail.api.settlement import FeeTerms, Settlement
from vendrail.app.bench.pipeline import bench_channel
from vendrail.app.wiring import House
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.ids import new_id, shard_of
from vendrail.payments.attempts import out_trade_no

PRICE_MINOR = 1_990


@dataclass
class Market:
    """A house with one merchant, one shop, one channel; and short words for what tests do."""

    house: House
    merchant: UUID
    shop: ShopId
    channel: ChannelId
    numbers: int = 0
    skus: dict[str, VariantId] = field(default_factory=dict)

    def __post_init__(self):
        api = self.house.api
        self.catalog, self.orders, self.payments = api(Catalog), api(Orders), api(Payments)
        self.ledger, self.risk, self.settlement = api(Ledger), api(Risk), api(Settlement)
        self.runner = self.house.services["orders"].runner
        self.clock = self.house.clock

    async def offer(
        self,
        sku,
        keys=5,
        restock_wait_s=0,
        hold_policy=HoldPolicy.AT_ORDER,
        delivery=DeliveryKind.UNIQUE_KEY,
        price_minor=PRICE_MINOR,
        title="",
    ):
        """Put a product with one variant and some keys on sale."""
        product = ProductId(new_id(self.clock.now()))
        self.skus[sku] = variant = VariantId(new_id(self.clock.now()))
        await self.catalog.put_products(
            [
                Product(
                    product,
                    self.shop,
                    sku.lower(),
                    title or f"Product {sku}",
                    [Variant(variant, sku, "One", {"CNY": price_minor})],
                    restock_wait_s=restock_wait_s,
                    hold_policy=hold_policy,
                    delivery=delivery,
                )
            ]
        )
        await self.stock(sku, keys)

    async def stock(self, sku, keys):
        """Take in more keys."""
        lines = [KeyLine(n + 1, f"{sku}-{new_id(self.clock.now())}") for n in range(keys)]
        if lines:
            await self.catalog.add_keys([KeyIntake(sku, new_id(self.clock.now()), lines)])

    def choose(self, sku, quantity=1, **more):
        """Make an order as a buyer would."""
        self.numbers += 1
        return PlaceOrder(
            OrderId(new_id(self.clock.now(), shard_of(self.merchant))),
            sku,
            quantity,
            "CNY",
            more.pop("contact", f"buyer{self.numbers}@example.com"),
            more.pop("method", "alipay"),
            **more,
        )

    async def place(self, sku, quantity=1, **more):
        """Place one order."""
        return (await self.orders.place_orders([self.choose(sku, quantity, **more)]))[0]

    async def pay(self, order, attempt=1, amount_minor=None, quantity=1, paid_at=None):
        """Let the money of an attempt arrive, as a provider's query tells it."""
        self.numbers += 1
        report = CaptureReport(
            self.channel,
            f"20261123{self.numbers:020}",
            out_trade_no(order, attempt),
            amount_minor or PRICE_MINOR * quantity,
            "CNY",
            paid_at or self.clock.now(),
            CaptureSource.QUERY,
        )
        return (await self.payments.record_captures([report]))[0]

    async def run(self):
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

    async def read(self, placement):
        """Read an order as its buyer, with the keys."""
        query = OrderQuery(placement.order, placement.secret, with_items=True)
        return (await self.orders.read_orders([query]))[0]


@contextlib.asynccontextmanager
async def open_market(platform, clock, vault):
    """Open a house over a fresh database, with one merchant, one shop and one channel."""
    house = House(platform, {}, clock, vault)
    merchant = new_id(clock.now())
    shop = ShopId(new_id(clock.now()))
    await house.api(Catalog).put_shops(
        [Shop(shop, MerchantId(merchant), "Merchant", "shop", "Shop")]
    )
    await house.api(Settlement).put_fee_terms([FeeTerms(merchant, "CNY", 250, 10, 20)])
    channel = bench_channel()
    await house.api(Payments).put_channels([channel])
    clock.advance(10)  # The fee terms are valid from a moment on.
    yield Market(house, merchant, shop, channel.id)
    await house.stop()


@pytest.fixture
async def market(platform_url, clock, vault, tmp_path):
    """A house over a fresh database, with one merchant, one shop and one channel."""
    platform = PlatformSettings(home=tmp_path, database_url=platform_url)
    async with open_market(platform, clock, vault) as made:
        yield made


class Post:
    """Notify of the market's house, its loops run by hand, and the folder its letters go to."""

    def __init__(self, market) -> None:
        self.market = market
        self.service = market.house.services["notify"]
        self.notify: Notify = market.house.api(Notify)
        self.news = self.service.news(market.orders, market.catalog)
        self.watching = self.service.watching(
            market.orders, market.catalog, market.house.api(Identity), market.payments
        )
        self.sending = self.service.sending(self.news, self.watching)
        self.folder = market.house.platform.home / "mailbox"

    async def read(self) -> None:
        """Read what orders told."""
        while await self.news.consume():
            pass

    async def send(self) -> None:
        """Send until nothing is due."""
        while await self.sending.send_due():
            pass

    async def letters(self):
        """Read, send, and give the mails in the order in which they left."""
        await self.read()
        await self.send()
        paths = sorted(self.folder.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
        return [message_from_bytes(path.read_bytes(), policy=default) for path in paths]

    def count(self, template, outcome):
        """How many letters ended so."""
        return self.market.house.metrics.value("vendrail_letters_total", template, outcome)

    async def states(self):
        """Where all letters stand, the first taken first."""
        [views] = await self.notify.list_letters([LetterQuery()])
        return [view.state for view in reversed(views)]


@pytest.fixture
def post(market) -> Post:
    """The post office of the market."""
    return Post(market)
