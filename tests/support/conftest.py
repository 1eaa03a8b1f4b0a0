"""A small marketplace whose provider really gives money back, and short words for complaints."""

from contextlib import asynccontextmanager

import pytest
from tests.app.conftest import PRICE_MINOR, Market, MovableClock, provider

from vendrail.api.identity import Identity
from vendrail.api.notify import Notify
from vendrail.api.settlement import Settlement
from vendrail.api.support import (
    ComplaintKind,
    ComplaintStep,
    OpenComplaint,
    Party,
    Side,
    StepKind,
    Support,
    TalkQuery,
    WriteMessage,
)
from vendrail.app.audit import audit
from vendrail.app.wiring import House
from vendrail.kernel import rpc
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.ids import new_id, shard_in

__all__ = ["PRICE_MINOR", "provider"]

OPERATOR = Party(Side.OPERATOR, person="op@rail.example")


class Case(Market):
    """The marketplace, its buyers, and what they complain of."""

    def __init__(self, house, provider, support=None) -> None:
        super().__init__(house, provider)
        self.support = support or house.api(Support)
        self.service = house.services["support"]
        self.settlement = house.api(Settlement)
        self.telling = self.service.telling(house.api(Notify), house.api(Identity))
        self.staff = Party(Side.MERCHANT, merchant=self.merchant, person="shop@north.example")

    async def sell(self, quantity=1):
        """Sell something and deliver it; give the order and its buyer."""
        order = await self.place(quantity=quantity)
        await self.pay(order, PRICE_MINOR * quantity)
        await self.run()
        [addressee] = await self.orders.read_addressees([order])
        return order, Party(Side.BUYER, addressee.secret)

    def complaint(
        self, order, buyer, kind=ComplaintKind.DEAD_KEY, text="It says: invalid.", **more
    ):
        """What a buyer says is wrong."""
        id = new_id(self.clock.now(), shard_in(order))
        return OpenComplaint(id, order, buyer.secret, kind, text, **more)

    async def complain(self, order, buyer, kind=ComplaintKind.OTHER, **more):
        """Complain; give the complaint's id."""
        asked = self.complaint(order, buyer, kind, **more)
        assert ["opened"] == await self.support.open_complaints([asked])
        return asked.id

    async def step(self, complaint, by, kind: StepKind, remedy=None, amount_minor=0, text=""):
        """Do something about a complaint."""
        id = new_id(self.clock.now())
        step = ComplaintStep(id, complaint, by, kind, remedy, amount_minor, text)
        return (await self.support.take_steps([step]))[0]

    async def write(self, order, by, text="Hello?", attachments=()):
        """Write about an order."""
        message = WriteMessage(new_id(self.clock.now()), order, by, text, list(attachments))
        return (await self.support.write_messages([message]))[0]

    async def talk(self, order, by, *, is_seen=False):
        """Read what was written."""
        return (await self.support.read_talks([TalkQuery(order, by, is_seen)]))[0]

    async def view(self, complaint):
        """Read a complaint."""
        return (await self.support.read_complaints([complaint]))[0]

    async def settle(self):
        """Let all come to rest: money and keys, too."""
        for _ in range(8):
            await self.run()
            await self.house.services["payments"].ask_refunds()
            while await self.service.complaining.lapse():
                pass
            self.clock.advance(3)
            while await self.service.carrying.work():
                pass

    async def wait(self, hours):
        """Let limits pass: they come nearer, for the provider's clock cannot be moved."""
        async with self.house.databases["support"].reading() as tx:
            await tx.execute(
                "update support.complaint set due_at = due_at - make_interval(secs => $1)",
                hours * 3_600.0,
            )
        while await self.service.complaining.lapse():
            pass

    async def balance(self):
        """What the merchant may have paid out, and what is frozen."""
        [found] = await self.settlement.read_merchant_balances([(self.merchant, "CNY")])
        return found.available_minor, found.frozen_minor

    async def findings(self):
        """Which promises the books break."""
        report = await audit(self.house.platform.database_url)
        return [(each.name, each.findings) for each in report.outcomes if each.findings]


@asynccontextmanager
async def opened(url, home, vault, provider):
    """Open the marketplace as one process does."""
    platform = PlatformSettings(home=home, database_url=url)
    house = House(platform, {"VENDRAIL_NOTIFY_NEWS": "on"}, MovableClock(), vault)
    try:
        yield house
    finally:
        await house.stop()


@pytest.fixture
async def case(platform_url, vault, tmp_path, provider):
    """A marketplace of its own; support as others meet it: over the wire."""
    async with opened(platform_url, tmp_path, vault, provider) as house:
        remote = rpc.loopback(Support, house.services["support"])
        made = Case(house, provider, remote)
        await made.open()
        yield made
