"""Two merchants with shops, and a name server that says what a test has it say."""

import pytest
from tests.domains.nameserver import open_server

from vendrail.api.catalog import Catalog, MerchantId, Shop, ShopId
from vendrail.api.domains import DomainName, Domains, NewDomain
from vendrail.api.identity import ActQuery, Identity
from vendrail.api.notify import Notify
from vendrail.app.wiring import House
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.ids import new_id

DAY_S = 86_400
SITE = "https://pay.vendrail.example"


class Zone:
    """The service, its shops, and short words for what merchants do."""

    def __init__(self, house, server) -> None:
        self.house, self.server, self.clock = house, server, house.clock
        self.domains: Domains = house.api(Domains)
        self.service = house.services["domains"]

    async def open(self, slug):
        """Open a merchant's shop."""
        merchant = MerchantId(new_id(self.clock.now()))
        shop = Shop(ShopId(new_id(self.clock.now())), merchant, slug, slug, slug.title())
        await self.house.api(Catalog).put_shops([shop])
        return shop

    async def add(self, shop, host="keys.example"):
        """Claim a host for a shop."""
        [added] = await self.domains.add_domains([NewDomain(shop.merchant, shop.id, host)])
        return added

    async def check(self, domain):
        """Look for its proof, some time after the last look."""
        self.clock.advance(31)
        [checked] = await self.domains.check_domains([DomainName(domain.id, domain.merchant)])
        return checked

    async def proven(self, shop, host="keys.example"):
        """Give a shop a host that it has proven."""
        domain = (await self.add(shop, host)).domain
        self.server.prove(domain)
        return (await self.check(domain)).domain

    async def days(self, count):
        """Let days go by with the loop at work every hour."""
        for _ in range(24 * count):
            self.clock.advance(3_600)
            while await self.service.check_due():
                pass

    async def tell(self):
        """Hand on what is to be told."""
        telling = self.service.telling(self.house.api(Notify), self.house.api(Identity))
        while await telling.tell():
            pass

    async def acts(self, shop):
        """Give what the log has of a shop's domains, the newest first."""
        query = ActQuery(shop.merchant, 100, act="domain.")
        return (await self.house.api(Identity).list_acts([query]))[0]

    async def read(self, domain):
        """Read a domain as it is now."""
        [found] = await self.domains.list_domains([domain.merchant])
        return next((each for each in found if each.id == domain.id), None)

    async def hosts(self):
        """Say which host shows which shop."""
        return {each.host: each.slug for each in await self.domains.list_hosts()}


@pytest.fixture
async def server():
    """A name server."""
    server = await open_server()
    yield server
    server.transport.close()


@pytest.fixture
async def zone(platform_url, clock, vault, tmp_path, server):
    """A house whose resolver is the name server."""
    platform = PlatformSettings(home=tmp_path, database_url=platform_url, public_url=SITE)
    asked = {
        "VENDRAIL_DOMAINS_RESOLVERS": server.address,
        "VENDRAIL_DOMAINS_RESOLVE_S": "0.3",
        "VENDRAIL_DOMAINS_RESERVED_HOSTS": "vendrail.test, BÜCHER.test.",
    }
    house = House(platform, asked, clock, vault)
    yield Zone(house, server)
    await house.stop()
