"""The desk: captures to be confirmed by their provider, and money that fits nothing."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from vendrail.api.payments import (
    Capture,
    CaptureFit,
    CaptureId,
    PaymentCaptured,
    PaymentEvent,
    UnmatchedQuery,
    UnmatchedRefunded,
    UnmatchedStatus,
    UnmatchedVerdict,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import encode, replace
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.telemetry import span_batch
from vendrail.payments import decide
from vendrail.payments.accounts import Accounts, OpenAccount
from vendrail.payments.arriving import capture_of
from vendrail.payments.capturing import TOPIC
from vendrail.payments.channels.base import Ask, QueryAnswer, QueryOutcome
from vendrail.payments.counts import Counts
from vendrail.payments.store import base
from vendrail.payments.store import desk as rows
from vendrail.payments.store.attempts import read_references
from vendrail.payments.store.base import Row, Store

_LEASE = timedelta(seconds=60)
_ROWS_MAX = 128
_PAGE_MAX = 1_000

_log = structlog.get_logger(__name__)


class Desk:
    """Confirms what is too large to believe, and settles what fits nothing."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        clock: Clock,
        wakeups: Wakeups,
        counts: Counts,
    ) -> None:
        self._counts = counts
        self._store = store
        self._accounts = accounts
        self._clock = clock
        self._wakeups = wakeups

    # Confirmations.

    async def confirm_due(self) -> bool:
        """Ask providers about claimed captures; tell of those that are confirmed."""
        now = self._clock.now()
        async with self._store.transaction() as tx:
            due = await rows.claim_confirmations(tx, now, now + _LEASE, _ROWS_MAX)
        if due:
            await self._confirm(due)
        return len(due) == _ROWS_MAX

    async def _confirm(self, due: Sequence[Row]) -> None:
        now = self._clock.now()
        with span_batch("payments.confirm", [row["trace_id"] for row in due]):
            answers = await self._ask_all(due)
        ended = []
        for row, answer in zip(due, answers, strict=True):
            state, problem = decide.confirmation(
                answer, row["provider_number"], row["amount_minor"], row["currency"], row["tries"]
            )
            ended.append((row["id"], state, now + decide.ask_again_in(row["tries"]), problem))
            if state == "disputed":
                _log.error("capture.disputed", capture=str(row["id"]), problem=problem)
        await self._settle(due, ended)

    async def _settle(
        self, asked: Sequence[Row], ended: Sequence[tuple[UUID, str, datetime, str]]
    ) -> set[UUID]:
        now = self._clock.now()
        accounts = await self._accounts.all()
        by_id = {row["id"]: row for row in asked}
        confirmed = {id for id, state, _, _ in ended if state == "confirmed"}
        async with self._store.transaction() as tx:
            changed = await rows.settle_confirmations(tx, sorted(ended))
            events = [
                PaymentCaptured(capture_of(by_id[id], accounts[by_id[id]["channel"]].row.name))
                for id in sorted(changed & confirmed)
            ]
            if events:
                await base.append_events(tx, now, encode(events), len(events))
        for id, state, _, _ in ended:
            if state == "disputed":
                row = by_id[id]
                name = accounts[row["channel"]].row.name
                self._counts.payment(row["method"], name, state)
        if events:
            self._counts.captures([event.capture for event in events])
            self._wakeups.wake(TOPIC)
        return changed & confirmed

    async def _ask_all(self, captures: Sequence[Row]) -> list[QueryAnswer]:
        ids = [row["attempt_id"] for row in captures if row["attempt_id"] is not None]
        async with self._store.reading() as tx:
            references = await read_references(tx, ids)
        return list(
            await asyncio.gather(
                *(self._ask(row, references.get(row["attempt_id"], "")) for row in captures)
            )
        )

    async def _ask(self, row: Row, reference: str) -> QueryAnswer:
        account = (await self._accounts.all()).get(row["channel"])
        if account is None:
            return QueryAnswer(QueryOutcome.UNKNOWN, problem="its channel cannot be used")
        ask = Ask(
            out_trade_no=row["out_trade_no"],
            method=row["method"],
            amount_minor=row["amount_minor"],
            currency=row["currency"],
            title="",
            opened_at=row["at"],
            expires_at=row["at"],
            reference=reference,
            provider_number=row["provider_number"],
        )
        call = account.channel.query(ask, account.account, self._clock.now())
        return await self._counts.timed(account.row, "confirm", call)

    # Unmatched money.

    async def list_unmatched(self, queries: Sequence[UnmatchedQuery]) -> list[list[Capture]]:
        """Read pages of money that fits nothing, and of what a provider disputes, oldest first."""
        accounts = await self._accounts.all()
        pages = []
        for query in queries:
            bounded = replace(query, captures_max=max(0, min(query.captures_max, _PAGE_MAX)))
            async with self._store.reading() as tx:
                found = await rows.list_unmatched(tx, bounded)
            pages.append(
                [_waiting(row, accounts, is_disputed=row["dispute"] is not None) for row in found]
            )
        return pages

    async def read_unmatched(self, captures: Sequence[CaptureId]) -> list[Capture | None]:
        """Read money that waits for a person; None for what does not, or not any more."""
        accounts = await self._accounts.all()
        async with self._store.reading() as tx:
            found = await rows.read_unmatched(tx, captures)
        waiting = {
            id: _waiting(row, accounts, is_disputed=row["confirmation"] == "disputed")
            for id, row in found.items()
            if row["settled"] is None
        }
        return [waiting.get(id) for id in captures]

    async def settle(self, verdicts: Sequence[UnmatchedVerdict]) -> list[UnmatchedStatus]:
        """Record what people decided; disputed money is asked about once more first."""
        async with self._store.reading() as tx:
            found = await rows.read_unmatched(tx, [verdict.capture for verdict in verdicts])
        disputed = [
            found[verdict.capture]
            for verdict in verdicts
            if verdict.order is not None
            and verdict.capture in found
            and found[verdict.capture]["confirmation"] == "disputed"
        ]
        agreed = await self._ask_disputed(disputed)
        now = self._clock.now()
        accounts = await self._accounts.all()
        statuses: list[UnmatchedStatus] = []
        events: list[PaymentEvent] = []
        async with self._store.transaction() as tx:
            orders = [verdict.order for verdict in verdicts if verdict.order is not None]
            asked = await rows.read_first_attempts(tx, orders)
            merchants = {order: row["merchant"] for order, row in asked.items()}
            found = await rows.read_unmatched(tx, [verdict.capture for verdict in verdicts])
            allowed = []
            for verdict in verdicts:
                status = _judge(verdict, found.get(verdict.capture), asked, agreed)
                statuses.append(status)
                if status is UnmatchedStatus.SETTLED:
                    allowed.append(verdict)
            written = [
                (
                    verdict.capture,
                    verdict.order,
                    merchants.get(verdict.order) if verdict.order else None,
                    verdict.person,
                    verdict.reason,
                )
                for verdict in allowed
            ]
            new = await rows.insert_verdicts(tx, written, now) if written else set()
            for index, verdict in enumerate(verdicts):
                if statuses[index] is not UnmatchedStatus.SETTLED:
                    continue
                if verdict.capture not in new:
                    statuses[index] = UnmatchedStatus.EXISTS_DIFFERENT  # A rival was quicker.
                    continue
                new.discard(verdict.capture)
                row = found[verdict.capture]
                account = accounts.get(row["channel"])
                capture = capture_of(row, account.row.name if account else "")
                events += _told(verdict, row, capture, merchants)
            if events:
                await base.append_events(tx, now, encode(events), len(events))
        if events:
            self._wakeups.wake(TOPIC)
        return statuses

    async def _ask_disputed(self, disputed: Sequence[Row]) -> set[UUID]:
        """Give those disputed captures that their provider knows after all."""
        answers = await self._ask_all(disputed)
        return {
            row["id"]
            for row, answer in zip(disputed, answers, strict=True)
            if decide.confirmation(
                answer, row["provider_number"], row["amount_minor"], row["currency"], 1
            )[0]
            == "confirmed"
        }


def _waiting(row: Row, accounts: Mapping[UUID, OpenAccount], *, is_disputed: bool) -> Capture:
    account = accounts.get(row["channel"])
    fit = CaptureFit.DISPUTED if is_disputed else None
    return capture_of(row, account.row.name if account else "", fit)


def _judge(
    verdict: UnmatchedVerdict,
    row: Row | None,
    asked: dict[UUID, Row],
    agreed: set[UUID],
) -> UnmatchedStatus:
    """Say whether a verdict may be written. Where several would fit, the first is given."""
    if row is not None and row["settled"] is not None:
        is_same = row["verdict_order"] == verdict.order
        return UnmatchedStatus.EXISTS if is_same else UnmatchedStatus.EXISTS_DIFFERENT
    if row is None:
        return UnmatchedStatus.CAPTURE_NOT_FOUND
    if verdict.order is None:
        return UnmatchedStatus.SETTLED
    attempt = asked.get(verdict.order)
    if attempt is None:
        return UnmatchedStatus.ATTEMPT_NOT_FOUND
    if (row["amount_minor"], row["currency"]) != (attempt["amount_minor"], attempt["currency"]):
        # The split takes the price: less would pay for nothing, of more the rest would lie about.
        return UnmatchedStatus.AMOUNT_DIFFERS
    if row["confirmation"] == "disputed" and verdict.capture not in agreed:
        return UnmatchedStatus.PROVIDER_DISAGREES
    return UnmatchedStatus.SETTLED


def _told(
    verdict: UnmatchedVerdict,
    row: Row,
    capture: Capture,
    merchants: dict[UUID, UUID],
) -> list[PaymentEvent]:
    """Give the events of a verdict. Disputed money was never told of, so it is told first."""
    is_disputed = row["confirmation"] == "disputed"
    if verdict.order is None:
        if is_disputed:
            return []  # It was never there: nothing is booked, nothing goes back.
        return [UnmatchedRefunded(capture, verdict.person, verdict.reason)]
    if is_disputed and capture.fit is CaptureFit.FITS and capture.order == verdict.order:
        return [PaymentCaptured(capture)]
    matched = replace(
        capture,
        fit=CaptureFit.MATCHED,
        order=verdict.order,
        merchant=merchants[verdict.order],
    )
    first: list[PaymentEvent] = []
    if is_disputed:
        unbooked = CaptureFit.ORDER_UNKNOWN if capture.fit is CaptureFit.FITS else capture.fit
        first = [PaymentCaptured(replace(capture, fit=unbooked))]
    return [*first, PaymentCaptured(matched)]
