"""Payouts go on one step at a time: the intent is committed, then somebody is called, then noted.

Every step may be repeated: transfers have ids that derive from the payout, providers know its
number, and what is written is fenced by the turn of the claim.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from vendrail.api.ledger import TransferResult
from vendrail.api.payments import (
    ChannelId,
    Payments,
    PayoutFate,
    PayoutOrder,
    PayoutReport,
)
from vendrail.api.payouts import PayoutOrigin, PayoutState
from vendrail.kernel.clock import Clock
from vendrail.kernel.ids import to_serial
from vendrail.kernel.telemetry import Metrics
from vendrail.payouts import decide
from vendrail.payouts.books import Posting
from vendrail.payouts.decide import PAYOUT, Kept, PayoutEvent, Task
from vendrail.payouts.knowing import UNKNOWN, Knowing
from vendrail.payouts.payees import Payees, Whole
from vendrail.payouts.settings import PayoutsSettings
from vendrail.payouts.store import Database, Transaction
from vendrail.payouts.store import payees as payees_store
from vendrail.payouts.store import payouts as payouts_store
from vendrail.payouts.store.payouts import Change
from vendrail.payouts.terms import Terms

_log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=60)  # Longer than any provider's time-out.
LOST_AFTER = timedelta(days=1)  # What was told is not on its way any more.
_BATCH = 64
_RESERVE_LOW = "reserve_too_low"
_RESERVED = (PayoutState.RESERVED, PayoutState.SENT, PayoutState.SUCCEEDED)


class Advancing:
    """Carries payouts from the request to their end."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        metrics: Metrics,
        settings: PayoutsSettings,
        posting: Posting,
        payments: Payments,
        payees: Payees,
        terms: Terms,
        knowing: Knowing,
    ) -> None:
        self._db = db
        self._clock = clock
        self._metrics = metrics
        self._settings = settings
        self._posting = posting
        self._payments = payments
        self._payees = payees
        self._terms = terms
        self._knowing = knowing
        self._steps: Mapping[Task, Callable[[list[Kept]], Awaitable[list[Change]]]] = {
            Task.HOLD: self._hold,
            Task.RESERVE: self._reserve,
            Task.TELL: self._tell,
            Task.ASK: self._ask,
            Task.SETTLE: self._settle,
        }

    async def advance_due(self) -> bool:
        """Claim what is due and do its next step; true: there may be more at once."""
        now = self._clock.now()
        async with self._db.transaction() as tx:
            claimed = await payouts_store.claim_due(tx, now, now + LEASE, _BATCH)
        await self.advance(claimed)
        return bool(claimed)

    async def advance(self, claimed: Sequence[Kept]) -> dict[UUID, PayoutState]:
        """Do the next step of claimed payouts; give how those stand that went on."""
        stand: dict[UUID, PayoutState] = {}
        for task, step in self._steps.items():
            mine = [each for each in claimed if each.task is task]
            if not mine:
                continue
            changes = await step(mine)
            async with self._db.transaction() as tx:
                await self._doubt(tx, changes)
                written = await payouts_store.write_changes(tx, changes, self._clock.now())
            for change in changes:
                if change.kept.id in written:
                    stand[change.kept.id] = change.state
                    if change.state is not change.kept.state:
                        self._metrics.count("vendrail_payouts_total", change.state)
        return stand

    async def _doubt(self, tx: Transaction, changes: Sequence[Change]) -> None:
        """Let payees be paid no longer whose test came back: what it has proven is not so."""
        tests = [
            each.kept
            for each in changes
            if each.state is PayoutState.RETURNED and each.kept.origin == PayoutOrigin.TEST
        ]
        if tests:
            merchants = {each.merchant for each in tests}
            await payees_store.lock_merchants(tx, merchants)
            await payees_store.unverify_payees(tx, {each.payee: each.id for each in tests})
            await payouts_store.decline_stopped(tx, merchants, self._clock.now())

    async def _hold(self, payouts: list[Kept]) -> list[Change]:
        """Ask the balances."""
        chains = [decide.hold_transfers(each) for each in payouts]
        results = await self._posting.post(payouts, chains)
        limits = await self._terms.read(sorted({each.currency for each in payouts}))
        stopped = await self._stopped(payouts)
        above = {each.currency: each.review_above_minor for each in limits}
        now, changes = self._clock.now(), []
        for kept, chain in zip(payouts, results, strict=True):
            if not _is_done(chain):
                state = PAYOUT.next(kept.state, PayoutEvent.NOT_HELD)
                changes.append(Change(kept, state, None))
                continue
            most = above[kept.currency]
            is_large = bool(most) and kept.amount_minor > most
            is_payable = kept.origin != PayoutOrigin.TEST and kept.id not in stopped
            is_looked_at = is_large and is_payable
            event = PayoutEvent.HELD_LARGE if is_looked_at else PayoutEvent.HELD
            changes.append(
                Change(kept, PAYOUT.next(kept.state, event), None if is_looked_at else now)
            )
        return changes

    async def _reserve(self, payouts: list[Kept]) -> list[Change]:
        """Ask the reserves; what does not have it is asked again, by another transfer."""
        stopped = await self._stopped(payouts)
        declined = [self._decline(each, stopped[each.id]) for each in payouts if each.id in stopped]
        payouts = [each for each in payouts if each.id not in stopped]
        payouts, waiting = await self._part_unknown(payouts)
        declined += waiting
        chains = [[decide.reserve_transfer(each)] for each in payouts]
        results = await self._posting.post(payouts, chains)
        now, changes = self._clock.now(), declined
        for kept, chain in zip(payouts, results, strict=True):
            if _is_done(chain):
                state = PAYOUT.next(kept.state, PayoutEvent.RESERVED)
                # What leaves in a file waits for one; a person makes it.
                due_at = None if kept.is_filed else now
                changes.append(Change(kept, state, due_at, reserve_tries=kept.reserve_tries))
                continue
            changes.append(
                Change(
                    kept,
                    kept.state,
                    now + decide.ask_again_in(min(kept.asks + 1, 3)),
                    problem=_RESERVE_LOW,
                    asks=kept.asks + 1,
                    reserve_tries=kept.reserve_tries + 1,
                )
            )
        return changes

    async def _tell(self, payouts: list[Kept]) -> list[Change]:
        """Tell providers, under the number that each payout always has.

        One that was lost on the way is asked for as a new one is: much may have changed since.
        """
        now = self._clock.now()
        payouts, waiting = await self._part_unknown(payouts)
        async with self._db.transaction() as tx:
            merchants = {each.merchant for each in payouts}
            await payees_store.lock_merchants(tx, merchants, is_shared=True)
            stopped = await payouts_store.load_stopped(tx, [each.id for each in payouts])
            silent = await payouts_store.load_untold(tx, list(stopped), now - LOST_AFTER)
            going = [each for each in payouts if each.id not in stopped]
            begun = await payouts_store.begin_telling(tx, going, now)
        declined = [
            self._stop(each, stopped[each.id], is_lost=each.id in silent)
            for each in payouts
            if each.id in stopped
        ]
        declined += waiting
        told = [each for each in going if each.id in begun]
        if not told:
            return declined
        wholes = await self._payees.open([each.payee for each in told])
        reports = await self._payments.send_payouts(
            [_order(each, wholes[each.payee]) for each in told]
        )
        sent = [each._replace(state=PayoutState.SENT) for each in told]
        return declined + [
            self._note(each, report) for each, report in zip(sent, reports, strict=True)
        ]

    async def _part_unknown(self, payouts: list[Kept]) -> tuple[list[Kept], list[Change]]:
        """Let those wait whose merchant's tier has no payouts any more; no provider knows of them.

        What proves an account is sent before anybody is known.
        """
        asked = {each.merchant for each in payouts if each.origin != PayoutOrigin.TEST}
        unknown = await self._knowing.unknown(asked)
        kept = [e for e in payouts if e.origin == PayoutOrigin.TEST or e.merchant not in unknown]
        going = {each.id for each in kept}
        return kept, [self._wait(each, UNKNOWN) for each in payouts if each.id not in going]

    def _stop(self, kept: Kept, reason: str, *, is_lost: bool) -> Change:
        """Let a payout come back; one that its provider was told of waits: it may arrive yet."""
        if kept.state is not PayoutState.SENT:
            return self._decline(kept, reason)
        if not is_lost:
            return self._wait(kept, reason)
        tries = kept.reserve_tries
        return Change(kept, kept.state, self._clock.now(), "failed", reason, reserve_tries=tries)

    def _wait(self, kept: Kept, reason: str) -> Change:
        return Change(
            kept,
            kept.state,
            self._clock.now() + decide.ask_again_in(min(kept.asks + 1, 3)),
            problem=reason,
            asks=kept.asks + 1,
            reserve_tries=kept.reserve_tries,
        )

    async def _stopped(self, payouts: Sequence[Kept]) -> dict[UUID, str]:
        async with self._db.reading() as tx:
            return await payouts_store.load_stopped(tx, [each.id for each in payouts])

    def _decline(self, kept: Kept, reason: str) -> Change:
        """Let a payout come back that was stopped before a provider knew of it."""
        return Change(
            kept,
            kept.state,
            self._clock.now(),
            "declined",
            reason,
            reserve_tries=kept.reserve_tries,
        )

    async def _ask(self, payouts: list[Kept]) -> list[Change]:
        """Ask what became of payouts; one that the provider never heard of is told again."""
        wholes = await self._payees.open([each.payee for each in payouts])
        reports = await self._payments.ask_payouts(
            [_order(each, wholes[each.payee]) for each in payouts]
        )
        changes, again = [], []
        for kept, report in zip(payouts, reports, strict=True):
            is_lost = report.fate is PayoutFate.NOT_FOUND and kept.state is PayoutState.SENT
            if is_lost:
                again.append(kept)
            else:
                changes.append(self._note(kept, report))
        return changes + (await self._tell(again) if again else [])

    def _note(self, kept: Kept, report: PayoutReport) -> Change:
        """Say what a provider's answer changes; its verdict is written before the books follow."""
        now = self._clock.now()
        verdict = decide.verdict_of(kept.state, report.fate)
        if verdict:
            return Change(
                kept,
                kept.state,
                now,
                verdict,
                report.problem,
                reserve_tries=kept.reserve_tries,
                provider_number=report.provider_number,
            )
        is_watched = kept.state is PayoutState.SUCCEEDED
        delay = self._watch(kept.asks + 1) if is_watched else decide.ask_again_in(kept.asks)
        is_clear = report.fate in (PayoutFate.SUCCEEDED, PayoutFate.PENDING)
        return Change(
            kept,
            kept.state,
            now + delay if delay is not None else None,
            problem="" if is_clear or is_watched else report.problem or report.fate.value,
            asks=kept.asks + 1,
            reserve_tries=kept.reserve_tries,
            provider_number=report.provider_number,
            confirm_url=report.confirm_url,
            confirm_package=report.confirm_package,
        )

    def _watch(self, asks: int) -> timedelta | None:
        return decide.watch_again_in(asks, self._settings.watch_days)

    async def _settle(self, payouts: list[Kept]) -> list[Change]:
        """Let the books follow the verdicts."""
        reserved = {each.id for each in payouts if each.state in _RESERVED}
        reserved |= await self._take_reserves(payouts)
        chains = [
            decide.settle_transfers(each, is_reserved=each.id in reserved) for each in payouts
        ]
        settled = await self._posting.post(payouts, chains)
        back = [each for each in payouts if each.verdict == "returned"]
        returned = await self._posting.post(back, [decide.return_transfers(each) for each in back])
        results = {each.id: chain for each, chain in zip(payouts, settled, strict=True)}
        for each, chain in zip(back, returned, strict=True):
            results[each.id] = results[each.id] + chain
        now = self._clock.now()
        return [self._settled(each, results[each.id], now) for each in payouts]

    def _settled(self, kept: Kept, chain: Sequence[TransferResult], now: datetime) -> Change:
        if not _is_done(chain):
            said = ", ".join(result.status for result in chain)
            _log.error("payouts.books_disagree", payout=to_serial(kept.id), said=said)
            later = now + decide.ask_again_in(kept.asks + 3)
            return Change(
                kept, kept.state, later, kept.verdict, "books_disagree", kept.asks + 1,
                kept.reserve_tries,
            )  # fmt: skip
        state = PAYOUT.next(kept.state, decide.EVENTS[kept.verdict])
        is_watched = state is PayoutState.SUCCEEDED and not kept.is_filed
        delay = self._watch(0) if is_watched else None
        due_at = now + delay if delay is not None else None
        problem = "" if state is PayoutState.SUCCEEDED else kept.problem
        return Change(kept, state, due_at, problem=problem, reserve_tries=kept.reserve_tries)

    async def _take_reserves(self, payouts: Sequence[Kept]) -> set[UUID]:
        """Take the ids with which the reserve was perhaps just asked for what is declined.

        Whoever had claimed such a payout and asks a moment later gets the same answer, and the
        void that follows is for it.
        """
        asked = [each for each in payouts if each.state is PayoutState.READY]
        results = await self._posting.post(asked, [[decide.reserve_transfer(e)] for e in asked])
        return {each.id for each, chain in zip(asked, results, strict=True) if _is_done(chain)}


def _is_done(chain: Sequence[TransferResult]) -> bool:
    return all(result.is_done for result in chain)


def _order(kept: Kept, whole: Whole) -> PayoutOrder:
    return PayoutOrder(
        ChannelId(kept.channel),
        to_serial(kept.id),
        whole.kind,
        whole.account,
        whole.name,
        kept.amount_minor,
        kept.currency,
        to_serial(kept.id),
        kept.tries,
    )
