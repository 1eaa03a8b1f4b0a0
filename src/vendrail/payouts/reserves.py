"""Reserves: money put in beforehand, one for each channel and currency; never overdrawn."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.api.ledger import (
    Balance,
    Chart,
    Transfer,
    TransferCode,
    TransferId,
    TransferStatus,
)
from vendrail.api.payouts import Reserve, ReserveChange, ReserveSource, ReserveStatus
from vendrail.kernel.clock import Clock
from vendrail.kernel.ids import derive
from vendrail.kernel.money import AMOUNT_MINOR_MAX
from vendrail.payouts import decide
from vendrail.payouts.books import Posting
from vendrail.payouts.store import Database
from vendrail.payouts.store import payouts as payouts_store
from vendrail.payouts.store import terms as terms_store
from vendrail.payouts.ways import Ways


class Reserves:
    """Changes reserves and tells of them."""

    def __init__(self, db: Database, clock: Clock, posting: Posting, ways: Ways) -> None:
        self._db = db
        self._clock = clock
        self._posting = posting
        self._ways = ways

    async def change(self, changes: Sequence[ReserveChange]) -> list[ReserveStatus]:
        """Put money in or take it out; few and each its own, so one by one."""
        ways = await self._ways.list_all(has_closed=True)
        known = {(way.channel_name, currency) for way in ways for currency in way.currencies}
        return [
            await self._change(each, is_known=(each.channel_name, each.currency) in known)
            for each in changes
        ]

    async def _change(self, change: ReserveChange, *, is_known: bool) -> ReserveStatus:
        if not is_known:
            return ReserveStatus.CHANNEL_UNKNOWN
        if not 0 < abs(change.amount_minor) <= AMOUNT_MINOR_MAX:
            return ReserveStatus.AMOUNT_MALFORMED
        now = self._clock.now()
        if change.source is ReserveSource.SETTLEMENT and not await self._is_known(change.id):
            return ReserveStatus.SOURCE_CLOSED
        async with self._db.transaction() as tx:
            await terms_store.insert_reserve_change(tx, change, now)
            row = (await terms_store.load_reserve_changes(tx, [change.id]))[change.id]
        fields = ("channel_name", "currency", "amount_minor", "source")
        if any(row[name] != getattr(change, name) for name in fields):
            return ReserveStatus.EXISTS_DIFFERENT
        result = await self._post(change)
        if result is TransferStatus.BALANCE_TOO_LOW:
            is_put_in = change.amount_minor > 0
            return ReserveStatus.BANK_TOO_LOW if is_put_in else ReserveStatus.RESERVE_TOO_LOW
        async with self._db.transaction() as tx:
            await payouts_store.hasten_channel(tx, change.channel_name, change.currency, now)
        return ReserveStatus.DONE if result is TransferStatus.CREATED else ReserveStatus.EXISTS

    async def _is_known(self, id: UUID) -> bool:
        async with self._db.reading() as tx:
            return id in await terms_store.load_reserve_changes(tx, [id])

    async def _post(self, change: ReserveChange) -> TransferStatus:
        reserve, source = decide.top_up_accounts(
            change.channel_name, change.currency, change.source
        )
        await self._posting.open([reserve, source])
        is_put_in = change.amount_minor > 0
        [result] = await self._posting.ledger.post_transfers(
            [
                Transfer(
                    TransferId(derive(change.id, "reserve")),
                    (reserve if is_put_in else source).id,
                    (source if is_put_in else reserve).id,
                    abs(change.amount_minor),
                    TransferCode.RESERVE,
                    change.id,
                )
            ]
        )
        return result.status

    async def list_all(self) -> list[Reserve]:
        """List reserves, by name and currency."""
        ways = await self._ways.list_all(has_closed=True)
        keys: list[tuple[UUID, str, str]] = sorted(
            (
                (way.channel, way.channel_name, currency)
                for way in ways
                for currency in way.currencies
            ),
            key=lambda each: each[1:],
        )
        asked = [
            account.id
            for _, name, currency in keys
            for account in (Chart(currency).payout_reserve(name), Chart(currency).provider(name))
        ]
        balances = await self._posting.ledger.read_balances(asked)
        async with self._db.reading() as tx:
            waiting = await terms_store.sum_waiting(tx)
        return [
            Reserve(
                channel,
                name,
                currency,
                -_credit(balances[2 * place]),
                _pending(balances[2 * place]),
                waiting.get((name, currency), 0),
                -_credit(balances[2 * place + 1]),
            )
            for place, (channel, name, currency) in enumerate(keys)
        ]


def _credit(balance: Balance | None) -> int:
    return balance.credit_minor if balance is not None else 0


def _pending(balance: Balance | None) -> int:
    return balance.credits_pending if balance is not None else 0
