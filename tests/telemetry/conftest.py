"""The platform as it is served, in this process, over a real database and a real sandbox."""

import asyncio
import logging
from dataclasses import dataclass
from uuid import UUID

import httpx
import pytest
import structlog
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

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
from vendrail.api.catalog.warranties import ProductWarranty
from vendrail.api.orders import OrderEvent, OrderId, OrderQuery, Orders, OrderView, RefundOrder
from vendrail.api.payments import ChannelAccount, ChannelId, Payments
from vendrail.api.settlement import FeeTerms, Settlement
from vendrail.app.keys import make_key_pair
from vendrail.app.serving import Application
from vendrail.app.wiring import House
from vendrail.kernel import telemetry
from vendrail.kernel.codec import decode
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.ids import derive, from_serial, new_id
from vendrail.kernel.outbox import Cursor
from vendrail.sandbox.app import serve
from vendrail.sandbox.settings import Settings

PRICE_MINOR = 1_990
CHANNEL = ChannelId(UUID("018f0000-0000-7000-8000-0000000a11bb"))
CARD = "4111111111111111"
ENVIRONMENT = {
    "VENDRAIL_ORDERS_PROVIDER_LOOK_S_MAX": "0.2",
    "VENDRAIL_ORDERS_REVIEW_LOOK_S": "0.2",
}


@dataclass
class Alipay:
    """The sandbox's Alipay with one application of ours."""

    client: httpx.AsyncClient
    url: str
    app: dict
    private: str

    def channel(self) -> ChannelAccount:
        """The marketplace's account with it."""
        return ChannelAccount(
            CHANNEL,
            "alipay",
            "alipay",
            "支付宝",
            ["CNY"],
            {
                "app_id": self.app["app_id"],
                "seller_id": self.app["seller_id"],
                "app_private_key": self.private,
                "alipay_public_key": self.app["alipay_public_key"],
                "gateway_url": f"{self.url}/alipay/gateway.do",
            },
        )

    async def pay(self, url: str, number: str) -> bytes:
        """Open the cashier, let the buyer pay; give the signed callback, unsent."""
        app_id = self.app["app_id"]
        shown = await self.client.get(url, follow_redirects=True)
        assert shown.status_code == 200, shown.text
        body = {"app_id": app_id, "out_trade_no": number}
        paid = await self.client.post("/sandbox/alipay/pay", json=body)
        assert "error" not in paid.json()["results"][0], paid.text
        return await self.sign(number, PRICE_MINOR)

    async def sign(self, number: str, amount_minor: int) -> bytes:
        """Sign a callback for a trade, which is made if there is none."""
        amount = f"{amount_minor // 100}.{amount_minor % 100:02}"
        trades = [{"out_trade_no": number, "total_amount": amount}]
        body = {"app_id": self.app["app_id"], "trades": trades}
        signed = await self.client.post("/sandbox/alipay/sign-notifications", json=body)
        return signed.json()["notifications"][0]["body"].encode()


@pytest.fixture
async def alipay(tmp_path):
    """A sandbox of its own, on a free port."""
    ready = asyncio.get_running_loop().create_future()
    home = tmp_path / "sandbox"
    settings = Settings(notify_ladder_scale=0.001)
    serving = asyncio.create_task(
        serve(home, "127.0.0.1", 0, settings=settings, on_ready=ready.set_result)
    )
    await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
    url = ready.result()
    headers = {"Authorization": f"Bearer {(home / 'control-token').read_text().strip()}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
        private, public = make_key_pair()
        made = await client.post("/sandbox/apps", json={"public_key_pem": public})
        yield Alipay(client, url, made.json(), private)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


@pytest.fixture
def logged(capsys):
    """Everything that was logged by now, and everything as it was afterwards."""
    root = logging.getLogger()
    before, level = root.handlers, root.level
    yield lambda: capsys.readouterr().err
    structlog.reset_defaults()
    root.handlers, root.level = before, level


@dataclass
class Sale:
    """One order on its way, as its buyer sees it."""

    id: UUID
    serial: str
    secret: str
    pay_url: str


class Market:
    """The served platform with one product, and short words for what tests do."""

    def __init__(self, house: House, http: httpx.AsyncClient, alipay: Alipay) -> None:
        self.house = house
        self.http = http
        self.alipay = alipay
        self.orders: Orders = house.api(Orders)

    async def place(self, contact: str = "buyer@example.com") -> Sale:
        """Place one order over the public API."""
        body = {"sku": "TOLD", "quantity": 1, "contact": contact, "method": "alipay"}
        headers = {"idempotency-key": str(new_id(self.house.clock.now()))}
        reply = await self.http.post("/api/v1/orders", json=body, headers=headers)
        assert reply.status_code == 201, reply.text
        told = reply.json()
        url = told["payment"]["action"]["url"]
        return Sale(from_serial(told["id"]), told["id"], told["secret"], url)

    async def signed(self, sale: Sale) -> bytes:
        """Pay at the provider's; give its callback, unsent."""
        shown = await self.http.get(sale.pay_url, follow_redirects=False)
        return await self.alipay.pay(shown.headers["location"], f"{sale.serial}01")

    async def pay(self, sale: Sale) -> None:
        """Pay at the provider's, and let its callback arrive."""
        await self.call_back(await self.signed(sale))

    async def call_back(self, body: bytes) -> httpx.Response:
        """Let a callback arrive."""
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return await self.http.post(f"/callbacks/{CHANNEL}", content=body, headers=headers)

    async def read(self, sale: Sale) -> dict:
        """Read the order as its buyer."""
        headers = {"authorization": f"Bearer {sale.secret}"}
        return (await self.http.get(f"/api/v1/orders/{sale.serial}", headers=headers)).json()

    async def wait(self, sale: Sale, state: str) -> dict:
        """Wait until the order is in a state; read it."""
        for _ in range(400):
            seen = await self.read(sale)
            if seen["state"] == state:
                return seen
            await asyncio.sleep(0.025)
        raise AssertionError(f"The order did not become {state}: {seen}")

    async def refund(self, sale: Sale) -> None:
        """Give all of the money back, and wait until it has gone."""
        id = new_id(self.house.clock.now())
        await self.orders.refund_orders([RefundOrder(id, OrderId(sale.id), 0, "wish", "test")])
        await self.wait(sale, "refunded")

    async def view(self, sale: Sale) -> OrderView:
        """Read the order as an operator."""
        (view,) = await self.orders.read_orders([OrderQuery(OrderId(sale.id), None)])
        return view

    async def read_trace_ids(self, sale: Sale) -> dict[str, set[str]]:
        """Give the traces that the rows of a sale name."""
        payments: Payments = self.house.api(Payments)
        (attempts,) = await payments.read_attempts([sale.id])
        (captures,) = await payments.read_captures([sale.id])
        pages = await self.orders.read_events([Cursor()])
        events = [event for batch in pages[0].batches for event in decode(batch, list[OrderEvent])]
        return {
            "order": {(await self.view(sale)).trace_id},
            "attempt": {attempt.attempt.trace_id for attempt in attempts},
            "capture": {capture.trace_id for capture in captures},
            "event": {event.trace_id for event in events if event.order == sale.id},
        }

    async def scrape(self) -> str:
        """Read the metrics as Prometheus does."""
        return (await self.http.get("/metrics")).text


@pytest.fixture
async def open_market(platform_url, tmp_path, alipay):
    """Serve the platform in this process, furnished with one product; closed after the test."""
    opened: list[tuple[Application, httpx.AsyncClient]] = []

    async def open_it(log_level: str = "error") -> Market:
        platform = PlatformSettings(
            home=tmp_path / "home", database_url=platform_url, log_level=log_level
        )
        application = Application(platform, ENVIRONMENT)
        await application.start()
        transport = httpx.ASGITransport(application, client=("127.0.0.1", 1))
        http = httpx.AsyncClient(transport=transport, base_url="http://localhost:8000")
        opened.append((application, http))
        market = Market(application.house, http, alipay)
        await furnish(market)
        return market

    yield open_it
    for application, http in opened:
        await http.aclose()
        await application.stop()


async def furnish(market: Market) -> None:
    """Put one product with some keys on sale."""
    house = market.house
    now = house.clock.now()
    merchant, shop, product = new_id(now), ShopId(new_id(now)), ProductId(new_id(now))
    await house.api(Catalog).put_shops([Shop(shop, MerchantId(merchant), "M", "shop", "Shop")])
    await house.api(Settlement).put_fee_terms([FeeTerms(merchant, "CNY", 150, 10, 20)])
    await house.api(Payments).put_channels([market.alipay.channel()])
    variant = Variant(VariantId(derive(product, "v")), "TOLD", "One", {"CNY": PRICE_MINOR})
    told = Product(product, shop, "told", "Told", [variant], warranty=ProductWarranty(24, "", 1, 1))
    await house.api(Catalog).put_products([told])
    lines = [KeyLine(number, f"PLAIN-KEY-{number:04}") for number in range(1, 9)]
    await house.api(Catalog).add_keys([KeyIntake("TOLD", new_id(now), lines)])
    await asyncio.sleep(1.1)  # Fee terms hold from a moment on, and channels are read anew.


@pytest.fixture
def keep_spans():
    """Keep all traces from now on, and give the spans that have ended."""
    exporter = InMemorySpanExporter()

    def keep():
        processor = SimpleSpanProcessor(exporter)
        telemetry.init_tracing("test", ratio=1.0, processor=processor)
        return exporter.get_finished_spans

    yield keep
    telemetry.stop_tracing()
