"""A settlement over a real ledger, and short ways to say what happens to money."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

import pytest

from vendrail.api.ledger import Chart, Ledger, Transfer, TransferCode, TransferResult
from vendrail.api.settlement import CaptureBooking, RefundPosting, Sale, Settlement
from vendrail.kernel import rpc
from vendrail.kernel.db import Database, Row, Transaction
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import derive, new_id
from vendrail.kernel.migrate import migrate, role_name
from vendrail.ledger.service import LedgerService
from vendrail.ledger.settings import LedgerSettings
from vendrail.settlement.service import SettlementService
from vendrail.settlement.settings import SettlementSettings


class World:
    """One merchant with a shop, one channel, one currency, and the books."""

    def __init__(
        self, clock, ledger: Ledger, settlement: Settlement, service: SettlementService, db
    ) -> None:
        self.clock = clock
        self.ledger = ledger
        self.settlement = settlement
        self.service = service
        self.db = db
        self.merchant = new_id(clock.now())
        self.currency = "CNY"
        self.channel = "alipay"

    def sale(self, amount_minor: int, order: UUID | None = None, *, is_booked: bool = True) -> Sale:
        """A paid order of this moment, its money booked in the same chain unless said otherwise."""
        order = order or new_id(self.clock.now())
        return Sale(
            order,
            self.merchant,
            amount_minor,
            self.currency,
            self.clock.now(),
            self.booking(order, amount_minor) if is_booked else None,
        )

    def booking(self, order: UUID, amount_minor: int, capture: str = "capture") -> CaptureBooking:
        """The order's money as it arrived."""
        return CaptureBooking(
            derive(order, capture), order, self.channel, self.merchant, amount_minor, self.currency
        )

    def refund(
        self, sale: Sale, amount_minor: int, name: str = "refund", *, is_split: bool = True, **other
    ) -> RefundPosting:
        """A refund of a sale."""
        values = {
            "refund": derive(sale.order, name),
            "order": sale.order,
            "merchant": self.merchant,
            "channel": self.channel,
            "amount_minor": amount_minor,
            "currency": self.currency,
            "placed_at": sale.placed_at,
            "is_split": is_split,
            "captured_minor": sale.amount_minor,
        }
        return RefundPosting(**(values | other))

    async def balances(self) -> dict[str, int]:
        """What each account of the chart holds for its owner, zeros left out."""
        chart = Chart(self.currency)
        accounts = {
            "provider": chart.provider(self.channel),
            "held": chart.held(self.merchant),
            "available": chart.merchant(self.merchant, "available"),
            "debt": chart.merchant(self.merchant, "debt"),
            "frozen": chart.merchant(self.merchant, "frozen"),
            "fee": chart.platform_fee(),
            "clearing": chart.refund_clearing(),
            "suspense": chart.suspense_unmatched(),
            "sink": chart.promotion(),
        }
        found = await self.ledger.read_balances([account.id for account in accounts.values()])
        return {
            name: balance.credit_minor
            for name, balance in zip(accounts, found, strict=True)
            if balance is not None and balance.credit_minor
        }

    async def spend(self, amount_minor: int) -> None:
        """Let the merchant take money away, as a payout will."""
        chart = Chart(self.currency)
        await self.ledger.open_accounts([chart.promotion()])
        id = new_id(self.clock.now())
        [result] = await self.ledger.post_transfers(
            [
                Transfer(
                    id,
                    chart.merchant(self.merchant, "available").id,
                    chart.promotion().id,
                    amount_minor,
                    TransferCode.PAYOUT,
                    id,
                )
            ]
        )
        assert result.is_done


class Fuse:
    """Where calls break off: after so many of them, for as long as it is lit."""

    def __init__(self) -> None:
        self._left: int | None = None

    @contextmanager
    def broken_after(self, calls: int) -> Iterator[None]:
        """Let so many calls pass and break every later one, until the block ends."""
        self._left = calls
        try:
            yield
        finally:
            self._left = None

    def burn(self) -> None:
        """Count one call."""
        if self._left is None:
            return
        if self._left == 0:
            raise Broken("A crash.")
        self._left -= 1


class FragileTransaction(Transaction):
    """A transaction whose statements count against a fuse."""

    __slots__ = ("_fuse",)

    def __init__(self, inner: Transaction, fuse: Fuse) -> None:
        super().__init__(inner._connection)
        self._fuse = fuse

    async def fetch(self, sql: str, *values: object) -> list[Row]:
        """Run a statement, unless the fuse is burnt."""
        self._fuse.burn()
        return await super().fetch(sql, *values)

    async def execute(self, sql: str, *values: object) -> int:
        """Run a statement, unless the fuse is burnt."""
        self._fuse.burn()
        return await super().execute(sql, *values)


class FragileDatabase(Database):
    """A service's real database that counts its transactions and breaks when the fuse says so."""

    def __init__(self, dsn: str, service: str, fuse: Fuse) -> None:
        super().__init__(dsn, service, role=role_name(service))
        self.opened_count = 0
        self._fuse = fuse

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open a transaction that may break off."""
        self.opened_count += 1
        async with super().transaction() as tx:
            yield FragileTransaction(tx, self._fuse)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """Borrow a connection that may break off."""
        async with super().reading() as tx:
            yield FragileTransaction(tx, self._fuse)


class FragileLedger:
    """The real ledger, reached over a line that counts what is posted and may break."""

    def __init__(self, inner: Ledger, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse
        self.posted_counts: list[int] = []
        self.open_accounts = inner.open_accounts
        self.read_balances = inner.read_balances
        self.read_entries = inner.read_entries
        self.read_transfers = inner.read_transfers

    async def post_transfers(self, transfers: Sequence[Transfer]) -> list[TransferResult]:
        """Post, unless the fuse is burnt."""
        self._fuse.burn()
        self.posted_counts.append(len(transfers))
        return await self._inner.post_transfers(transfers)


@pytest.fixture
async def ledger(make_database, clock, vault) -> Ledger:
    """The real ledger."""
    return LedgerService(await make_database("ledger"), clock, vault, LedgerSettings())


@pytest.fixture(params=["local", "remote"])
async def world(request, make_database, clock, ledger) -> World:
    """A settlement as the others meet it: the object itself, then over the wire."""
    db = await make_database("settlement")
    service = SettlementService(db, clock, SettlementSettings(), ledger)
    remote = rpc.loopback(Settlement, service) if request.param == "remote" else service
    return World(clock, ledger, remote, service, db)


@pytest.fixture
async def fragile_world(database_url, clock, vault) -> AsyncIterator[World]:
    """The same over real databases and a real ledger that break off where `fuse` says."""
    await migrate(database_url, ["ledger", "settlement"])
    fuse = Fuse()
    books, db = (FragileDatabase(database_url, name, fuse) for name in ("ledger", "settlement"))
    ledger = FragileLedger(LedgerService(books, clock, vault, LedgerSettings()), fuse)
    service = SettlementService(db, clock, SettlementSettings(), ledger)
    world = World(clock, ledger, service, service, db)
    world.fuse = fuse
    yield world
    await books.close()
    await db.close()
