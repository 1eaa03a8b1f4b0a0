"""The operator's console over the small real marketplace: what waits at its desks, who comes."""

import pytest
from tests.app.conftest import Market, MovableClock, place, provider, template
from tests.web.console.conftest import QUICK, SITE, World

from vendrail.app.wiring import House
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.vault import Vault

__all__ = ["place", "provider", "template"]


@pytest.fixture
async def world(place, provider):
    """The marketplace with its consoles; `market` lets it go on."""
    platform = PlatformSettings(home=place.home, database_url=place.url, public_url=SITE)
    clock = MovableClock()
    clock.advance(2_000)  # The marketplace was made ahead of time, too.

    def open_house() -> House:
        return House(platform, QUICK, clock, Vault.open(place.home, {}))

    world = World(open_house, place.home)
    world.market = market = Market(world.house, provider)
    [account] = await market.payments.list_channels()
    [offer] = await market.catalog.read_offers(["S2"])
    market.channel, market.merchant = account.id, offer.merchant
    world.orders = place.orders
    yield world
    await world.close()
