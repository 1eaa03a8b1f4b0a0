"""Reviews: a person's yes or no, to one payout or to many together.

A batch's decision comes to its payouts in the same commit that notes how it ended for each: who
breaks off in between has decided nothing, and goes on where the last one stopped.
"""

from collections.abc import Sequence
from uuid import UUID

from vendrail.api.payouts import (
    Batch,
    BatchVerdict,
    BatchVerdictStatus,
    NewBatch,
    PayoutId,
    PayoutState,
    PayoutVerdict,
    PayoutVerdictStatus,
    ReviewSum,
)
from vendrail.kernel.clock import Clock
from vendrail.payouts import decide
from vendrail.payouts.store import Database, Transaction
from vendrail.payouts.store import batches as batches_store
from vendrail.payouts.store import payouts as payouts_store

_PAYOUTS_MAX = 1_000
_AT_ONCE = 50


class Reviewing:
    """Decides what waits for a person."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def review(self, verdicts: Sequence[PayoutVerdict]) -> list[PayoutVerdictStatus]:
        """Decide payouts, each by itself."""
        statuses = []
        for each in verdicts:
            async with self._db.transaction() as tx:
                statuses.append(await self._review(tx, each))
        return statuses

    async def _review(self, tx: Transaction, verdict: PayoutVerdict) -> PayoutVerdictStatus:
        now = self._clock.now()
        kept = await payouts_store.lock_payout(tx, verdict.payout)
        if kept is None:
            return PayoutVerdictStatus.PAYOUT_NOT_FOUND
        can_be = (PayoutState.REVIEW,) if verdict.is_approved else decide.DECLINABLE
        if kept.verdict or kept.state not in can_be:
            return PayoutVerdictStatus.NOT_WAITING
        if verdict.is_approved and await payouts_store.load_stopped(tx, [kept.id]):
            return PayoutVerdictStatus.NOT_PAYABLE
        state = PayoutState.READY if verdict.is_approved else kept.state
        decided = "" if verdict.is_approved else "declined"
        await payouts_store.decide_payout(tx, kept, state, decided, now)
        told = PayoutState.READY if verdict.is_approved else PayoutState.DECLINED
        note = (kept.id, told, verdict.reason[:300], verdict.by[:200])
        await payouts_store.insert_steps(tx, [note], now)
        return PayoutVerdictStatus.DONE

    async def sum_up(self, merchants: Sequence[UUID | None]) -> list[list[ReviewSum]]:
        """Sum what waits."""
        async with self._db.reading() as tx:
            return [await batches_store.sum_reviews(tx, each) for each in merchants]

    async def make(self, batches: Sequence[NewBatch]) -> list[Batch | None]:
        """Put together what waits, each by itself."""
        now = self._clock.now()
        for each in batches:
            async with self._db.transaction() as tx:
                await batches_store.insert_batch(tx, each, _PAYOUTS_MAX, now)
        return await self.read([each.id for each in batches])

    async def read(self, batches: Sequence[UUID]) -> list[Batch | None]:
        """Read batches."""
        async with self._db.reading() as tx:
            found = await batches_store.load_batches(tx, batches)
        return [found.get(each) for each in batches]

    async def decide(self, verdicts: Sequence[BatchVerdict]) -> list[BatchVerdictStatus]:
        """Write what is said of batches; the first word counts."""
        now, statuses = self._clock.now(), []
        async with self._db.transaction() as tx:
            known = await batches_store.load_batches(tx, [each.batch for each in verdicts])
            for each in verdicts:
                if each.batch not in known:
                    statuses.append(BatchVerdictStatus.BATCH_NOT_FOUND)
                elif await batches_store.decide_batch(tx, each, now):
                    statuses.append(BatchVerdictStatus.DONE)
                else:
                    statuses.append(BatchVerdictStatus.KNOWN)
        return statuses

    async def advance_due(self) -> bool:
        """Let the oldest decision come to some of its payouts; true: there may be more at once."""
        async with self._db.transaction() as tx:
            batch = await batches_store.claim_batch(tx)
            if batch is None:
                return False
            payouts = await batches_store.list_undecided(tx, batch["id"], _AT_ONCE)
            outcomes = []
            for payout in payouts:  # In the order of their ids, as all who hold several.
                verdict = PayoutVerdict(
                    PayoutId(payout), batch["is_approved"], batch["decided_by"], batch["reason"]
                )
                outcomes.append((payout, str(await self._review(tx, verdict))))
            await batches_store.write_outcomes(
                tx, batch["id"], outcomes, is_ended=len(payouts) < _AT_ONCE
            )
        return True
