"""A platform whose doors card sites come to, and a card site that listens over real HTTP."""

import asyncio
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
from litestar import Litestar
from tests.orders.conftest import Market
from tests.web.test_browser import free_port, served

from vendrail.api.catalog import Catalog, MerchantId, Shop, ShopId
from vendrail.api.epay import Epay, NoticeState
from vendrail.api.orders import OrderQuery
from vendrail.api.payments import Payments
from vendrail.api.payouts import Payouts
from vendrail.api.settlement import FeeTerms, Settlement
from vendrail.app.bench.pipeline import bench_channel
from vendrail.app.wiring import House
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.ids import from_serial, new_id
from vendrail.sandbox.epay import sign_fields
from vendrail.web.app import build_routes
from vendrail.web.settings import WebSettings

HERE = "http://localhost"
LOOPBACK = {"VENDRAIL_EPAY_NETWORKS_ALLOWED": "127.0.0.0/8,::1"}
NOWHERE = {"VENDRAIL_EPAY_NETWORKS_ALLOWED": ""}


class Site:
    """A card site: what it was told, and what it answers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.heard: list[dict[str, str]] = []
        self.answers: list[tuple[int, bytes]] = []  # The next ones; then always `success`.

    async def __call__(self, scope, receive, send) -> None:
        """Answer as ASGI has it."""
        if scope["type"] != "http":
            return
        self.heard.append(dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True)))
        status, body = self.answers.pop(0) if self.answers else (200, b"success")
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def site():
    """A card site on a free port."""
    port = free_port()
    made = Site(f"http://127.0.0.1:{port}")
    async with served(made, port):
        yield made


class Far(Market):
    """The platform at whose doors a site asks, its loops run by hand."""

    def __post_init__(self):
        super().__post_init__()
        self.epay = self.house.api(Epay)
        self.telling = self.house.services["epay"].telling

    async def open(self, **switches) -> None:
        """Give the merchant a number and a key."""
        [made] = await self.epay.make_epay_keys([self.merchant])
        self.pid, self.key = str(made.account.pid), made.key

    def fields(self, site, number="N-1", **changes) -> dict[str, str]:
        """Give the signed fields of an order; what is changed is changed before signing."""
        fields = {
            "pid": self.pid,
            "type": "alipay",
            "out_trade_no": number,
            "notify_url": f"{site.url}/notify?shop=7",
            "return_url": f"{site.url}/back",
            "name": "VIP会员",
            "money": "19.90",
            "param": "user 9",
            **changes,
        }
        return {**fields, "sign": sign_fields(fields, self.key), "sign_type": "MD5"}

    async def tell(self) -> None:
        """Bring every notice that is due now, once."""
        while await self.telling.consume():
            pass
        for _ in range(60):
            await self.telling.send_due()
            if not self.telling._flights:  # Nothing due was left to claim.
                return
            await self.telling.drain()

    async def settle(self) -> None:
        """Let orders come to rest, then tell sites."""
        await self.run()
        await self.tell()

    async def notices(self, state: NoticeState | None = None):
        """List the merchant's notices, oldest first."""
        found = await self.epay.list_epay_notices(self.merchant, state, 100)
        return list(reversed(found))

    async def order_of(self, location: str):
        """Read the order that a private link opens."""
        serial, _, key = location.rpartition("/")[2].partition("?key=")
        return (await self.orders.read_orders([OrderQuery(from_serial(serial), key)]))[0]


def make_app(far, home, **more) -> Litestar:
    """Build the web face of the platform."""
    house = far.house
    web = build_routes(
        far.catalog,
        far.orders,
        far.payments,
        epay=far.epay,
        payouts=house.api(Payouts),
        vault=house.vault,
        clock=house.clock,
        wakeups=house.wakeups,
        settings=WebSettings(
            home=home, public_url=more.pop("public_url", HERE), default_language="en"
        ),
        **more,
    )
    return Litestar(
        list(web.handlers),
        openapi_config=None,
        logging_config=None,
        exception_handlers={Exception: web.answer_error},
    )


def open_house(platform_url, clock, vault, home, **environment) -> House:
    """Open the platform over its database: again is after a restart."""
    platform = PlatformSettings(home=home, database_url=platform_url)
    return House(platform, LOOPBACK | environment, clock, vault)


async def settle_in(house, channel) -> tuple:
    """Put a merchant, a shop, terms and a channel into a house."""
    merchant, shop = new_id(house.clock.now()), ShopId(new_id(house.clock.now()))
    shops = [Shop(shop, MerchantId(merchant), "Merchant", "shop", "Shop")]
    await house.api(Catalog).put_shops(shops)
    await house.api(Settlement).put_fee_terms([FeeTerms(merchant, "CNY", 250, 10, 20)])
    await house.api(Payments).put_channels([channel])
    house.clock.advance(10)  # The fee terms are valid from a moment on.
    return merchant, shop, channel.id


@pytest.fixture
async def far(platform_url, clock, vault, tmp_path):
    """The platform, with a merchant who has a number and a key."""
    house = open_house(platform_url, clock, vault, tmp_path)
    made = Far(house, *await settle_in(house, bench_channel()))
    await made.open()
    yield made
    await made.house.stop()


class Browser:
    """A browser, and a site's server, at the platform's doors."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def submit(self, fields, method="GET"):
        """Come by a link or a form of another site."""
        if method == "GET":
            return await self.http.get(f"/submit.php?{urlencode(fields)}")
        headers = {"sec-fetch-site": "cross-site", "origin": "https://cards.example"}
        return await self.http.post("/submit.php", data=fields, headers=headers)

    async def json(self, door, method="POST", **fields):
        """Ask as a site's server does."""
        if method == "GET":
            answer = await self.http.get(f"/{door}.php", params=fields)
        else:
            answer = await self.http.post(f"/{door}.php", data=fields)
        assert 200 == answer.status_code, answer.text
        return answer.json()


@pytest.fixture
async def browser(far, tmp_path):
    """A browser in English."""
    transport = httpx.ASGITransport(make_app(far, tmp_path))
    headers = {"Accept-Language": "en", "Accept": "text/html"}
    async with httpx.AsyncClient(transport=transport, base_url=HERE, headers=headers) as http:
        yield Browser(http)


async def eventually(look, tries=400):
    """Look until there is something."""
    for _ in range(tries):
        if found := await look():
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("It never came.")
