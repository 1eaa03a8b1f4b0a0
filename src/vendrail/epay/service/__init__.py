"""Epay: fulfils its api; accounts, taking, answering and telling each have their own room."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.api.epay import (
    EpayAccount,
    EpayAsk,
    EpayChange,
    EpayFound,
    EpayKey,
    EpayMerchant,
    EpayNotice,
    EpayPage,
    EpayPlacement,
    EpayRefund,
    EpayRequest,
    EpayStatus,
    NoticeState,
)
from vendrail.api.identity import Identity
from vendrail.api.orders import Orders
from vendrail.api.payments import Payments
from vendrail.api.settlement import Settlement
from vendrail.epay import store
from vendrail.epay.service.accounts import Accounts
from vendrail.epay.service.answering import Answering
from vendrail.epay.service.taking import Taking
from vendrail.epay.service.telling import Telling
from vendrail.epay.settings import EpaySettings
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database
from vendrail.kernel.limits import Limits
from vendrail.kernel.numbers import Found, FoundKind, by_number, check
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.telemetry import Metrics
from vendrail.kernel.vault import Vault

_NOTICES_MAX = 200


class EpayService:
    """Takes charges from card sites, answers them, and tells them what was paid."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        wakeups: Wakeups,
        metrics: Metrics,
        settings: EpaySettings,
        limits: Limits,
        orders: Orders,
        payments: Payments,
        settlement: Settlement,
        identity: Identity,
    ) -> None:
        self._db = db
        self._metrics = metrics
        self.clock = clock
        self.wakeups = wakeups
        self._accounts = accounts = Accounts(db, vault, clock, settings, limits)
        self._taking = Taking(db, clock, settings, accounts, orders, payments)
        self._answering = Answering(
            db, clock, settings, accounts, orders, payments, settlement, identity
        )
        self.telling = Telling(db, clock, wakeups, metrics, settings, orders, self._answering)
        # So that the first one is a change.
        metrics.count("vendrail_epay_requests_total", EpayStatus.TAKEN.value, by=0)
        metrics.count("vendrail_epay_notices_total", NoticeState.TAKEN.value, by=0)

    async def make_epay_keys(self, merchants: Sequence[UUID]) -> list[EpayKey]:
        """Open merchants' accounts, or give those there are another key."""
        return await self._accounts.make_keys(merchants)

    async def read_epay_accounts(self, merchants: Sequence[UUID]) -> list[EpayAccount | None]:
        """Read merchants' accounts; never a key."""
        return await self._accounts.read(merchants)

    async def change_epay_accounts(self, changes: Sequence[EpayChange]) -> list[EpayAccount | None]:
        """Open, close, suspend; allow refunds."""
        return await self._accounts.change(changes)

    async def take_epay_requests(self, requests: Sequence[EpayRequest]) -> list[EpayPlacement]:
        """Verify, check and place; one number of one site is one charge."""
        placements = await self._taking.take(requests)
        outcomes = [(placement.status.value,) for placement in placements]
        self._metrics.count_each("vendrail_epay_requests_total", outcomes)
        return placements

    async def read_epay_merchants(self, asks: Sequence[EpayAsk]) -> list[EpayMerchant]:
        """Tell merchants what they have."""
        return await self._answering.read_merchants(asks)

    async def read_epay_orders(self, asks: Sequence[EpayAsk]) -> list[EpayFound]:
        """Tell how single charges stand."""
        return await self._answering.read_orders(asks)

    async def list_epay_orders(self, pages: Sequence[EpayPage]) -> list[EpayFound]:
        """List sites' charges, newest first."""
        return await self._answering.list_orders(pages)

    async def refund_epay_orders(self, refunds: Sequence[EpayRefund]) -> list[EpayStatus]:
        """Give money back, and wait a moment for the provider's word."""
        return await self._answering.refund(refunds)

    async def read_epay_returns(self, orders: Sequence[UUID]) -> list[str | None]:
        """Give the signed addresses that paid charges' buyers go back to."""
        return await self._answering.read_returns(orders)

    async def list_epay_notices(
        self, merchant: UUID, state: NoticeState | None, notices_max: int
    ) -> list[EpayNotice]:
        """List a merchant's notices, newest first."""
        most = max(0, min(notices_max, _NOTICES_MAX))
        async with self._db.reading() as tx:
            rows = await store.list_notices(tx, merchant, state, most)
        return [
            EpayNotice(
                row["order"],
                row["charge_number"],
                NoticeState(row["state"]),
                row["attempts"],
                row["due_at"],
                row["problem"],
            )
            for row in rows
        ]

    async def find_numbers(self, numbers: Sequence[str]) -> list[list[Found]]:
        """Find charges of whatever card site by the site's own numbers."""
        check(numbers)
        async with self._db.reading() as tx:
            rows = await store.find_numbers(tx, numbers)
        found = [
            Found(
                FoundKind.CHARGE,
                row["order"],
                row["number"],
                row["made_at"],
                row["order"],
                (row["merchant"],),
            )
            for row in rows
        ]
        return by_number(numbers, [(each.number, each) for each in found])

    async def retry_epay_notices(self, orders: Sequence[UUID]) -> list[bool]:
        """Tell sites again now, from the first step."""
        async with self._db.transaction() as tx:
            begun = await store.retry_notices(tx, orders, self.clock.now())
        if begun:
            self.wakeups.wake("epay")
        return [order in begun for order in orders]

    async def drain(self) -> None:
        """Let what is on its way arrive: before a stop."""
        await self.telling.drain()

    async def close(self) -> None:
        """Hang up."""
        await self.telling.close()
