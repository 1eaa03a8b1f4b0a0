"""Payouts over real services and a real database, their money going out by the sandbox's Alipay."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

import pytest
from tests.payments.conftest import (  # noqa: F401  # Fixtures.
    Alipay,
    alipay,
    alipay_home,
    alipay_server,
    cert_app,
    channel_of,
)
from tests.settlement.conftest import FragileTransaction

from vendrail.api.identity import Identity
from vendrail.api.ledger import Chart, Ledger, Transfer, TransferCode
from vendrail.api.payments import Payments
from vendrail.api.payouts import (
    NewPayee,
    NewPayout,
    PayeeId,
    PayeeProof,
    PayeeTest,
    PayoutId,
    PayoutOrigin,
    Payouts,
    ReserveChange,
    ReserveSource,
)
from vendrail.app.wiring import House
from vendrail.kernel import rpc
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.db import Database, Transaction
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import new_id, to_serial

LEASE_S = 61


class Fuse:
    """Where work breaks off: after so many statements and calls, for as long as it is lit."""

    def __init__(self) -> None:
        self._left: int | None = None
        self.count = 0

    @contextmanager
    def broken_after(self, count: int) -> Iterator[None]:
        """Let so many pass and break every later one, until the block ends."""
        self._left = count
        try:
            yield
        finally:
            self._left = None

    def burn(self) -> None:
        """Count one."""
        self.count += 1
        if self._left is None:
            return
        if self._left == 0:
            raise Broken("A crash.")
        self._left -= 1


class FragileDatabase(Database):
    """A service's real database that breaks off where the fuse says."""

    fuse: Fuse

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open a transaction that may break off."""
        async with super().transaction() as tx:
            yield FragileTransaction(tx, self.fuse)
            self.fuse.burn()  # Before the commit.

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """Borrow a connection that may break off."""
        async with super().reading() as tx:
            yield FragileTransaction(tx, self.fuse)


class FragileLine:
    """A service of another process, reached over a line that may break before or after a call."""

    def __init__(self, inner: Any, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._inner, name)

        async def call(*values: Any) -> Any:
            self._fuse.burn()
            answer = await operation(*values)
            self._fuse.burn()
            return answer

        return call


class World:
    """One merchant, one channel that pays out, and short words for what happens to money."""

    def __init__(self, house: House, clock, door: Alipay, app) -> None:
        self.house = house
        self.clock = clock
        self.alipay = door
        self.channel = channel_of(app, door.url)
        self.app_id = app[0]["app_id"]
        self.merchant = new_id(clock.now())
        self.currency = "CNY"
        self.payee = PayeeId(new_id(clock.now()))

    @property
    def payouts(self) -> Payouts:
        """Payouts, as others meet it."""
        return self.house.api(Payouts)

    @property
    def ledger(self) -> Ledger:
        """The books."""
        return self.house.api(Ledger)

    async def open(self) -> None:
        """Open the channel and the merchant's accounts."""
        await self.house.api(Payments).put_channels([self.channel])
        chart = Chart(self.currency)
        await self.ledger.open_accounts(
            [
                chart.merchant(self.merchant, "available"),
                chart.merchant(self.merchant, "debt"),
                chart.platform_fee(),
                chart.provider("alipay"),
            ]
        )

    async def move(self, debit, credit, amount_minor: int) -> None:
        """Move money in the books, as sales and refunds do."""
        id = new_id(self.clock.now())
        transfer = Transfer(id, debit.id, credit.id, amount_minor, TransferCode.ADJUSTMENT, id)
        [result] = await self.ledger.post_transfers([transfer])
        assert result.is_done

    async def earn(self, amount_minor: int) -> None:
        """Let the merchant have money."""
        chart = Chart(self.currency)
        available = chart.merchant(self.merchant, "available")
        await self.move(chart.provider("alipay"), available, amount_minor)

    async def spend(self, amount_minor: int) -> None:
        """Take money from the merchant again."""
        if amount_minor:
            chart = Chart(self.currency)
            available = chart.merchant(self.merchant, "available")
            await self.move(available, chart.provider("alipay"), amount_minor)

    async def top_up(self, amount_minor: int, source=ReserveSource.OWNER, id: UUID | None = None):
        """Put money into the reserve."""
        change = ReserveChange(
            id or new_id(self.clock.now()), "alipay", self.currency, amount_minor, source,
            "to begin with", "ops@example.com",
        )  # fmt: skip
        [status] = await self.payouts.change_reserves([change])
        return status

    def new_payee(self, **changes: Any) -> NewPayee:
        """An account at Alipay."""
        values = {
            "id": PayeeId(new_id(self.clock.now())),
            "merchant": self.merchant,
            "channel": self.channel.id,
            "kind": "logon_id",
            "account": "seller@example.com",
            "name": "张三",
            "by": "owner@example.com",
        }
        return NewPayee(**(values | changes))

    async def prove(self, payee: UUID, amount_minor: int):
        """Say what the test payout was."""
        proof = PayeeProof(PayeeId(payee), self.merchant, amount_minor)
        [status] = await self.payouts.verify_payees([proof])
        return status

    async def test_payee(self, payee: UUID) -> PayoutId:
        """Send a test payout there, to its end."""
        test = PayoutId(new_id(self.clock.now()))
        asked = PayeeTest(test, PayeeId(payee), self.merchant, self.currency)
        [status] = await self.payouts.test_payees([asked])
        assert "taken" == status
        await self.run()
        return test

    async def be_verified(self) -> None:
        """Let the merchant have one verified account, and the reserve a thousand yuan."""
        await self.top_up(100_000)
        new = self.new_payee(id=self.payee)
        assert ["created"] == await self.payouts.add_payees([new])
        test = await self.test_payee(self.payee)
        assert "verified" == await self.prove(self.payee, self.paid(test))

    def ask(self, amount_minor: int, **changes: Any) -> NewPayout:
        """A payout to the merchant's account."""
        values = {
            "id": PayoutId(new_id(self.clock.now())),
            "merchant": self.merchant,
            "payee": self.payee,
            "amount_minor": amount_minor,
            "currency": self.currency,
            "origin": PayoutOrigin.MANUAL,
            "by": "owner@example.com",
        }
        return NewPayout(**(values | changes))

    async def request(self, new: NewPayout):
        """Ask for one."""
        [status] = await self.payouts.request_payouts([new])
        return status

    async def run(self) -> None:
        """Carry on all that is due now."""
        while await self.house.services["payouts"].advance_due():
            pass

    async def later(self, delay_s: float) -> None:
        """Let time pass, and carry on what is due then."""
        self.clock.advance(delay_s)
        await self.run()

    async def state(self, new: NewPayout) -> str:
        """Say how a payout stands."""
        [view] = await self.payouts.read_payouts([new.id])
        return view.state

    def paid(self, id: UUID) -> int:
        """Give what the provider paid out under a number."""
        return self.alipay.transferred(self.app_id, to_serial(id))

    def end(self, id: UUID, status: str, problem: str = "") -> None:
        """Let the provider end a payout so."""
        body = {"app_id": self.app_id, "out_biz_no": to_serial(id), "status": status}
        self.alipay.post("/sandbox/alipay/transfers", {**body, "problem": problem})

    async def books(self) -> dict[str, tuple[int, int]]:
        """Give what is posted and what is pending on the accounts of payouts, zeros left out."""
        chart = Chart(self.currency)
        accounts = {
            "available": chart.merchant(self.merchant, "available"),
            "transit": chart.payout_in_transit("alipay"),
            "reserve": chart.payout_reserve("alipay"),
            "fee": chart.platform_fee(),
        }
        found = await self.ledger.read_balances([each.id for each in accounts.values()])
        told = {
            name: (each.credit_minor, each.credits_pending - each.debits_pending)
            for name, each in zip(accounts, found, strict=True)
            if each is not None
        }
        return {name: pair for name, pair in told.items() if pair != (0, 0)}


@pytest.fixture
def fuse() -> Fuse:
    """What lets work break off."""
    return Fuse()


@pytest.fixture
async def make_world(platform_url, clock, vault, tmp_path, alipay, cert_app):  # noqa: F811
    """Make worlds over one database: another one is another process."""
    platform = PlatformSettings(home=tmp_path, database_url=platform_url)
    houses: list[House] = []

    async def make(environment: dict[str, str] | None = None, fuse: Fuse | None = None) -> World:
        more: dict[str, Any] = {}
        if fuse is not None:
            kind = type("Fused", (FragileDatabase,), {"fuse": fuse})

            def open_database(dsn: str, service: str, **values: Any) -> Database:
                return (kind if service == "payouts" else Database)(dsn, service, **values)

            def link(api: Any, service: Any) -> Any:
                whole = rpc.guard(api, service)
                return whole if api is Payouts else FragileLine(whole, fuse)

            more = {"open_database": open_database, "link": link}
        house = House(platform, environment or {}, clock, vault, **more)
        houses.append(house)
        made = World(house, clock, alipay, cert_app)
        await made.open()
        return made

    yield make
    for house in houses:
        await house.stop()


@pytest.fixture
async def world(make_world) -> World:
    """A merchant with a verified account, and a reserve."""
    made = await make_world()
    await made.be_verified()
    return made


@pytest.fixture
def identity(world: World) -> Identity:
    """People."""
    return world.house.api(Identity)
