"""Two merchants over real services: their shops, what was sold, and browsers that are signed in."""

import html
import re

import pytest
from tests.orders import conftest as orders
from tests.web.console import conftest as consoles

from vendrail.api.catalog import Catalog, MerchantId, Shop, ShopId
from vendrail.api.epay import Epay
from vendrail.api.identity import ActQuery, Role
from vendrail.api.payments import Payments
from vendrail.api.settlement import FeeTerms, Settlement
from vendrail.app.bench.pipeline import bench_channel
from vendrail.app.wiring import House
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.ids import new_id, to_serial

TOLD = {  # Letters about orders go to the mailbox folder; programs may listen on this machine.
    "VENDRAIL_NOTIFY_NEWS": "on",
    "VENDRAIL_WEBHOOKS_NETWORKS_ALLOWED": "127.0.0.0/8",
}


class Town:
    """Two merchants with a shop each, a channel, and short words for what happens."""

    def __init__(self, world, house, channel, home) -> None:
        self.world, self.house, self.clock, self.home = world, house, house.clock, home
        self.channel = channel
        self.north = self.south = None
        self.cli = consoles.CLI
        self.epay = house.api(Epay)

    async def settle(self, name: str, merchant=None):
        """Let a merchant open a shop; give its market."""
        merchant = merchant or new_id(self.clock.now())
        shop = Shop(
            ShopId(new_id(self.clock.now())), MerchantId(merchant), name, name.lower(), name
        )
        await self.house.api(Catalog).put_shops([shop])
        await self.house.api(Settlement).put_fee_terms([FeeTerms(merchant, "CNY", 250, 10, 20)])
        market = orders.Market(self.house, merchant, shop.id, self.channel)
        market.numbers = 1_000 * len(name)
        market.record = shop
        return market

    async def join(self, role: Role, market=None, email: str = ""):
        """Let somebody work for a merchant; give their browser."""
        market = market or self.north
        email = email or f"{role.value}@{market.record.slug}.example"
        return await self.world.join(email, role, merchant=market.merchant, name=market.record.name)

    async def sell(self, market, sku: str, quantity: int = 1, **more):
        """Sell something: placed, paid, delivered; give the order's id."""
        placed = await market.place(sku, quantity, **more)
        await market.pay(placed.order, quantity=quantity)
        await market.run()
        return placed.order

    async def acts(self, market, begins: str = ""):
        """Give what a merchant's log says, oldest first."""
        query = ActQuery(market.merchant, 100, act=begins)
        [found] = await self.world.identity.list_acts([query])
        return found[::-1]


async def open_town(world, home) -> Town:
    """Settle two merchants."""
    house = world.house
    channel = bench_channel()
    await house.api(Payments).put_channels([channel])
    town = Town(world, house, channel.id, home)
    town.north = await town.settle("North", world.merchant)
    town.south = await town.settle("South")
    house.clock.advance(10)  # The fee terms are valid from a moment on.
    return town


@pytest.fixture
async def town(platform_url, clock, vault, tmp_path):
    """The platform with two merchants."""
    platform = PlatformSettings(home=tmp_path, database_url=platform_url, public_url=consoles.SITE)

    def open_house() -> House:
        return House(platform, consoles.QUICK | TOLD, clock, vault)

    world = consoles.World(open_house, tmp_path)
    yield await open_town(world, tmp_path)
    await world.close()


def links(browser, begins: str) -> list[str]:
    """Give the addresses on the page that begin so."""
    found = re.findall(r'href="([^"]*)"', browser.page.text)
    return [html.unescape(each) for each in found if html.unescape(each).startswith(begins)]


def field(browser, name: str) -> str:
    """Give the value of a field of the page that is open."""
    return re.search(rf'name="{name}" value="([^"]*)"', browser.page.text)[1]


@pytest.fixture
def read_field():
    """Give the value of a field of a browser's page."""
    return field


@pytest.fixture
def read_links():
    """Give the links of a browser's page that begin so."""
    return links


@pytest.fixture
def address_of():
    """Give the address of an order's page."""
    return lambda order: f"/merchant/orders/{to_serial(order)}"
