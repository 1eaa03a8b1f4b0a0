"""Buyers' accounts over a real database and real limits; the mail goes to a tray."""

import pytest
from tests.buyers.shop import Shop
from tests.orders.conftest import market

from vendrail.api.buyers import Browser, Buyers, BuyerSessionQuery, CodeEntry, CodeRequest
from vendrail.api.notify import MessageStatus
from vendrail.buyers.service import BuyersService
from vendrail.buyers.settings import BuyersSettings
from vendrail.kernel import rpc
from vendrail.kernel.limits import Limits
from vendrail.kernel.telemetry import Metrics

HOME = Browser("10.0.0.1", "device-at-home", "Mozilla/5.0 Firefox/140.0")
AWAY = Browser("10.0.9.9", "device-elsewhere", "Mozilla/5.0 Chrome/150.0")


class Tray:
    """Takes messages and keeps them: what lies outside."""

    def __init__(self) -> None:
        self.messages = []

    async def send_messages(self, messages):
        """Take messages."""
        self.messages += messages
        return [MessageStatus.TAKEN] * len(messages)


class World:
    """The service as others meet it, and short words for what buyers do."""

    def __init__(self, clock, buyers, service, tray, db, metrics) -> None:
        self.clock = clock
        self.buyers: Buyers = buyers
        self.service = service
        self.tray = tray
        self.db = db
        self.metrics = metrics

    async def ask(self, email="ann@example.com", browser=HOME):
        """Ask for a code; give how that ended."""
        return (await self.buyers.request_codes([CodeRequest(email, browser, "en")]))[0]

    async def code(self, email="ann@example.com", browser=HOME):
        """Ask for a code; give the one in the letter."""
        assert "sent" == (await self.ask(email, browser)).status
        letter = self.tray.messages[-1]
        assert email.strip().lower() == letter.recipient
        return letter.values["code"]

    async def show(self, code, email="ann@example.com", browser=HOME, token=""):
        """Show a code."""
        return (await self.buyers.redeem_codes([CodeEntry(email, code, browser, token, "en")]))[0]

    async def sign_in(self, email="ann@example.com", browser=HOME, token=""):
        """Sign in; give the token."""
        result = await self.show(await self.code(email, browser), email, browser, token)
        assert "accepted" == result.status
        return result.token

    async def session(self, token, *, is_renewing=False):
        """Give the session that a token opens."""
        return (await self.buyers.read_sessions([BuyerSessionQuery(token, is_renewing)]))[0]


@pytest.fixture
async def make_world(make_database, clock, vault):
    """Make the service, with other settings perhaps."""
    tray = Tray()

    async def make(*, is_remote=False, **settings):
        db, limits = await make_database("buyers"), await make_database("limits", 2)
        metrics = Metrics()
        made = BuyersService(
            db,
            vault,
            clock,
            Limits(limits, vault, clock),
            metrics,
            tray,
            BuyersSettings(**settings),
        )
        buyers = rpc.loopback(Buyers, made) if is_remote else made
        return World(clock, buyers, made, tray, db, metrics)

    return make


@pytest.fixture(params=["local", "remote"])
async def world(request, make_world) -> World:
    """The object itself, then over the wire."""
    return await make_world(is_remote=request.param == "remote")


@pytest.fixture
async def shop(market):
    """A storefront with accounts, over a market with one product."""
    await market.offer("GAME", keys=20)
    made = Shop(market)
    yield made
    await made.close()


__all__ = ["market"]
