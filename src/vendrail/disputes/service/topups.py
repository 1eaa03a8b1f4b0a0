"""Disputes of top-ups: what they paid in is kept in the wallet, and taken out of it when lost."""

from collections.abc import AsyncIterator

from vendrail.api.settlement import RefundPosting, RefundPostingStatus, Settlement
from vendrail.api.wallets import WalletHoldStatus, WalletKey, Wallets
from vendrail.disputes import decide, store
from vendrail.disputes.decide import Case, Left
from vendrail.kernel.db import Database

_TRIES_MAX = 5  # A wallet may be spent from while it is looked at.
_POSTED = (RefundPostingStatus.POSTED, RefundPostingStatus.EXISTS)
_HELD = (WalletHoldStatus.HELD, WalletHoldStatus.EXISTS)


class TopUps:
    """Moves the money of wallets; each part is harmless to repeat. A wallet never owes."""

    def __init__(self, db: Database, wallets: Wallets, settlement: Settlement) -> None:
        self._db = db
        self._wallets = wallets
        self._settlement = settlement

    async def hold(self, case: Case) -> int:
        """Keep what is there of a top-up from being spent; give how much."""
        async with self._db.reading() as tx:
            begun = (await store.read_disputes(tx, [case.id]))[case.id]["frozen_minor"]
        async for amount_minor in self._amounts(case, begun, case.price.amount_minor):
            hold = decide.hold_of(case, amount_minor)
            if hold is None:
                break
            async with self._db.reading() as tx:
                await store.note_held(tx, case.id, amount_minor)
            if (await self._wallets.hold_wallets([hold]))[0] in _HELD:
                return amount_minor
        return 0

    async def free(self, case: Case) -> None:
        """Let the buyer spend it again."""
        async with self._db.reading() as tx:
            held_minor = (await store.read_disputes(tx, [case.id]))[case.id]["frozen_minor"]
        hold = decide.hold_of(case, held_minor)
        if hold is not None:
            await self._wallets.free_wallets([hold])

    async def take(self, case: Case, left: Left) -> RefundPosting | None:
        """Take out of the wallet what is there, at most what is left of the order."""
        refused_minor = 0
        async for price_minor in self._amounts(case, left.begun_minor or 0, left.of(case)):
            if price_minor <= 0 or price_minor == refused_minor:
                break
            async with self._db.reading() as tx:
                await store.note_taken(tx, case.id, price_minor)
            refund = decide.refund_of(case, price_minor)
            [status] = await self._settlement.open_refunds([refund])
            if status in _POSTED:
                return refund
            if status is RefundPostingStatus.MORE_THAN_CAPTURED:
                refused_minor = price_minor  # Of the order itself so much is not there.
        return None

    async def _amounts(self, case: Case, begun_minor: int, most_minor: int) -> AsyncIterator[int]:
        """Try what was begun before, as it was; then what is free, which may change meanwhile."""
        if begun_minor:
            yield begun_minor
        assert case.wallet is not None
        for _ in range(_TRIES_MAX):
            key = WalletKey(case.wallet, case.price.currency)
            [wallet] = await self._wallets.read_wallets([key])
            yield min(most_minor, wallet.free_minor)
