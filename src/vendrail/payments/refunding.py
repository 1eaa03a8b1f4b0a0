"""Refunds: the intent first, then the provider, then the record; asked again, never anew."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from vendrail.api.payments import Refund, RefundId, RefundSettled, RefundStatus
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import encode
from vendrail.kernel.ids import to_serial
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.telemetry import span_batch
from vendrail.payments import decide
from vendrail.payments.accounts import Accounts
from vendrail.payments.capturing import TOPIC
from vendrail.payments.channels.base import RefundAnswer, RefundAsk, RefundOutcome
from vendrail.payments.channels.watching import watching
from vendrail.payments.counts import Counts
from vendrail.payments.deposits import Deposits
from vendrail.payments.store import base, desk
from vendrail.payments.store.base import Row, Store

# How long one asking may take before another process may ask too: longer than any time-out.
_LEASE = timedelta(seconds=60)
_ROWS_MAX = 64


class Refunding:
    """Gives money back to where it came from."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        clock: Clock,
        wakeups: Wakeups,
        counts: Counts,
        deposits: Deposits,
    ) -> None:
        self._deposits = deposits
        self._counts = counts
        self._store = store
        self._accounts = accounts
        self._clock = clock
        self._wakeups = wakeups

    async def request(self, refunds: Sequence[Refund]) -> list[RefundStatus]:
        """Commit the intent, ask the provider, record; asking again gives how it stands."""
        statuses, new = await self._intend(refunds)
        if new:
            settled = await self._ask_all(new)
            for index, refund in enumerate(refunds):
                if statuses[index] is RefundStatus.PENDING and refund.id in settled:
                    statuses[index] = settled[refund.id]
        return statuses

    async def _intend(self, refunds: Sequence[Refund]) -> tuple[list[RefundStatus], list[Row]]:
        """Write which refunds are asked; all that is under way counts against the capture."""
        now = self._clock.now()
        statuses: list[RefundStatus] = []
        new: dict[UUID, Refund] = {}
        again: set[UUID] = set()
        async with self._store.transaction() as tx:
            wanted = sorted({refund.capture for refund in refunds})
            captures = await desk.lock_captures(tx, wanted)
            known = await desk.read_refunds(tx, [refund.id for refund in refunds])
            sums = await desk.refunded_sums(tx, wanted)
            for refund in refunds:
                standing = _standing(refund, known[refund.id]) if refund.id in known else None
                is_anew = standing is RefundStatus.FAILED and refund.is_asked_anew
                if standing is not None and not is_anew:
                    statuses.append(standing)
                    continue
                if refund.id in new:
                    is_same = new[refund.id] == refund
                    statuses.append(
                        RefundStatus.PENDING if is_same else RefundStatus.EXISTS_DIFFERENT
                    )
                    continue
                capture = captures.get(refund.capture)
                status = decide.refund(
                    refund.amount_minor,
                    capture["amount_minor"] if capture is not None else None,
                    sums.get(refund.capture, 0),
                )
                statuses.append(status)
                if status is RefundStatus.PENDING:
                    new[refund.id] = refund
                    again |= {refund.id} if is_anew else set()
                    sums[refund.capture] = sums.get(refund.capture, 0) + refund.amount_minor
            rows: list[Row] = []
            if new:
                intents = [
                    (refund.id, refund.capture, refund.amount_minor, refund.reason)
                    for refund in new.values()
                    if refund.id not in again
                ]
                await desk.insert_refunds(tx, intents, now, now + _LEASE)
                await desk.reopen_refunds(tx, sorted(again), now + _LEASE)
                rows = list((await desk.read_refunds(tx, list(new))).values())
        return statuses, rows

    async def ask_due(self) -> bool:
        """Ask again about pending refunds that are due, each under the id it always had."""
        now = self._clock.now()
        async with self._store.transaction() as tx:
            due = await desk.claim_refunds(tx, now, now + _LEASE, _ROWS_MAX)
        if due:
            await self._ask_all(due, is_told=True)
        return len(due) == _ROWS_MAX

    async def _ask_all(
        self, rows: Sequence[Row], *, is_told: bool = False
    ) -> dict[UUID, RefundStatus]:
        """Ask providers and record what they said; `is_told`: who asked first hears by event."""
        now = self._clock.now()
        async with self._store.reading() as tx:
            captures = await desk.read_refund_captures(tx, [row["capture_id"] for row in rows])
            others = await desk.read_others(tx, [row["id"] for row in rows])
        with span_batch("payments.refund", [row["trace_id"] for row in captures.values()]):
            answers = await asyncio.gather(
                *(self._ask(row, captures[row["capture_id"]], others[row["id"]]) for row in rows)
            )
        async with self._store.reading() as tx:
            others_after = await desk.read_others(tx, [row["id"] for row in rows])
        ended = []
        for row, (state, problem, is_sure) in zip(rows, answers, strict=True):
            id = row["id"]
            if not is_sure and state != "pending" and others[id] != others_after[id]:
                # What the provider said may be of another one, begun meanwhile: asked once more.
                ended.append((id, "pending", now + decide.ask_again_in(1), problem))
                continue
            ended.append((id, state, now + decide.ask_again_in(row["tries"]), problem))
        async with self._store.transaction() as tx:
            settled = await desk.settle_refunds(tx, ended, now)
            events = [
                RefundSettled(RefundId(id), row["state"] == "succeeded")
                for id, row in settled.items()
            ]
            if events and is_told:
                await base.append_events(tx, now, encode(events), len(events))
        if events and is_told:
            self._wakeups.wake(TOPIC)
        by_refund = {row["id"]: captures[row["capture_id"]] for row in rows}
        accounts = await self._accounts.all()
        for id, row in settled.items():
            capture = by_refund[id]
            account = accounts.get(capture["channel"])
            outcome = "refunded" if row["state"] == "succeeded" else "refund_failed"
            name = account.row.name if account is not None else ""
            self._counts.payment(capture["method"], name, outcome)
        return {id: RefundStatus(row["state"]) for id, row in settled.items()}

    async def _ask(self, row: Row, capture: Row, others: tuple[int, bool]) -> tuple[str, str, bool]:
        """Tell the provider of one refund; where its answer is not a plain yes, ask what became.

        Give state and problem, and whether the telling alone decided.
        """
        accounts = await self._accounts.all()
        account = accounts.get(capture["channel"])
        if account is None:
            return "pending", "its channel cannot be used", False
        if watching(account.channel) is not None:
            return await self._deposits.refund_state(account, row, capture)
        ask = RefundAsk(
            refund_number=to_serial(row["id"]),
            out_trade_no=capture["out_trade_no"],
            provider_number=capture["provider_number"],
            amount_minor=row["amount_minor"],
            captured_minor=capture["amount_minor"],
            currency=capture["currency"],
            reason=row["reason"],
            tries=row["tries"] - 1,
            others_minor=others[0],
            is_alone=others[1],
        )
        now = self._clock.now()
        call = account.channel.refund(ask, account.account, now)
        told = await self._counts.timed(account.row, "refund", call)
        asked: RefundAnswer | None = None
        if told.outcome is not RefundOutcome.SUCCEEDED:
            call = account.channel.query_refund(ask, account.account, now)
            asked = await self._counts.timed(account.row, "query_refund", call)
        is_sure = told.outcome is RefundOutcome.SUCCEEDED or told.is_final
        return *decide.refund_state(told, asked), is_sure


def _standing(refund: Refund, row: Row) -> RefundStatus:
    if (refund.capture, refund.amount_minor) != (row["capture_id"], row["amount_minor"]):
        return RefundStatus.EXISTS_DIFFERENT
    return RefundStatus(row["state"])
