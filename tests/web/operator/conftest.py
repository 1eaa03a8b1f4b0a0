"""The operator's console over the small real marketplace: what waits at its desks, who comes."""

import asyncio

import pytest
from tests.app.conftest import Market, MovableClock, place, provider, template
from tests.web.console.conftest import QUICK, SITE, World

from vendrail.api.payments import PresentRequest
from vendrail.app.wiring import House
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.db import connect_once
from vendrail.kernel.vault import Vault
from vendrail.payments.attempts import out_trade_no

__all__ = ["place", "provider", "template"]


@pytest.fixture
async def world(place, provider):
    """The marketplace with its consoles; `market` lets it go on."""
    platform = PlatformSettings(home=place.home, database_url=place.url, public_url=SITE)
    clock = MovableClock()

    def open_house() -> House:
        return House(platform, QUICK, clock, Vault.open(place.home, {}))

    world = World(open_house, place.home)
    world.market = market = Market(world.house, provider)
    [account] = await market.payments.list_channels()
    [offer] = await market.catalog.read_offers(["S2"])
    market.channel, market.merchant = account.id, offer.merchant
    world.orders, world.home = place.orders, place.home

    async def show_code(order) -> None:
        """Let the buyer open the way to pay."""
        [[attempt]] = await market.payments.read_attempts([order])
        await market.payments.present_attempts([PresentRequest(attempt.attempt.id)])

    async def pay_at_provider(order) -> None:
        """Let the buyer pay without anybody being told."""
        await asyncio.to_thread(provider.pay, out_trade_no(order, 1), "19.90")

    async def person_of(refund) -> str:
        """Give who asked for a refund."""
        owner = await connect_once(place.url)
        try:
            return await owner.fetchval("select person from orders.refund where id = $1", refund)
        finally:
            await owner.close()

    world.show_code, world.pay_at_provider = show_code, pay_at_provider
    world.person_of = person_of
    yield world
    await world.close()
