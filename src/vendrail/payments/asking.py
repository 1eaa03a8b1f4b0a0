"""Asking providers: what became of attempts, closing them, and never assuming what is not said."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.payments import AttemptId, AttemptState, CaptureSource, CloseStatus
from vendrail.kernel.clock import Clock
from vendrail.kernel.telemetry import span_batch
from vendrail.payments import decide
from vendrail.payments.accounts import Accounts, OpenAccount
from vendrail.payments.arriving import Incoming
from vendrail.payments.attempts import out_trade_no
from vendrail.payments.capturing import Capturing
from vendrail.payments.channels.base import Ask, QueryAnswer, QueryOutcome
from vendrail.payments.channels.watching import watching
from vendrail.payments.counts import Counts
from vendrail.payments.decide import Standing
from vendrail.payments.deposits import Deposits
from vendrail.payments.store import attempts as rows
from vendrail.payments.store.base import Store

# When a presented attempt is asked about by itself, counted from its showing.
WALK_STEPS_S = (5, 30, 120, 600, 3_600, 21_600, 86_400)
_WALK_ROWS_MAX = 256


class Asking:
    """Queries and closes attempts; money found on the way is recorded the one way."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        capturing: Capturing,
        clock: Clock,
        counts: Counts,
        deposits: Deposits,
    ) -> None:
        self._deposits = deposits
        self._counts = counts
        self._store = store
        self._accounts = accounts
        self._capturing = capturing
        self._clock = clock

    async def query(self, ids: Sequence[AttemptId]) -> list[AttemptState | None]:
        """Ask providers now; None: no such attempt, or it did not say."""
        async with self._store.reading() as tx:
            standings = await rows.read_states_by_id(tx, ids)
        by_id: dict[UUID, Standing] = {standing.attempt.id: standing for standing in standings}
        wanted = [by_id[id] for id in dict.fromkeys(ids) if id in by_id]
        states = await self._query_all(wanted)
        return [states.get(id) for id in ids]

    async def _query_all(self, wanted: Sequence[Standing]) -> dict[UUID, AttemptState | None]:
        """Ask about each attempt that was shown and has not ended; record what was found."""
        now = self._clock.now()
        asked = [
            standing
            for standing in wanted
            if standing.is_presented and not standing.is_captured and not standing.is_final
        ]
        accounts = await self._accounts.all()
        with span_batch("payments.query", [standing.attempt.trace_id for standing in asked]):
            answers = await asyncio.gather(
                *(self._query_one(accounts.get(each.channel), each, now) for each in asked)
            )
        found = dict(zip((standing.attempt.id for standing in asked), answers, strict=True))
        await self._record(asked, answers, now)
        closed = [
            (standing.attempt.id, True)
            for standing, answer in zip(asked, answers, strict=True)
            if answer.outcome is QueryOutcome.CLOSED
            or (answer.outcome is QueryOutcome.NOT_FOUND and _is_past_expiry(standing, now))
        ]
        if closed:
            async with self._store.transaction() as tx:
                await rows.insert_closures(tx, sorted(closed), now)
        finally_closed = {id for id, _ in closed}
        return {
            standing.attempt.id: AttemptState.CLOSED
            if standing.attempt.id in finally_closed
            else _state(standing, found.get(standing.attempt.id))
            for standing in wanted
        }

    async def _record(
        self, asked: Sequence[Standing], answers: Sequence[QueryAnswer], now: datetime
    ) -> None:
        accounts = await self._accounts.all()
        paid = [
            Incoming(
                accounts[standing.channel],
                (standing.attempt.order, standing.attempt.number),
                answer.provider_number,
                out_trade_no(standing.attempt.order, standing.attempt.number),
                answer.amount_minor,
                answer.currency,
                answer.paid_at or now,
                CaptureSource.QUERY,
            )
            for standing, answer in zip(asked, answers, strict=True)
            if answer.outcome is QueryOutcome.PAID
        ]
        if paid:
            await self._capturing.record_incoming(paid)

    async def close(self, orders: Sequence[UUID]) -> list[CloseStatus]:
        """Close orders' attempts with their providers, then ask whether money arrived."""
        now = self._clock.now()
        standings = await self._close_unseen(orders, now)
        accounts = await self._accounts.all()
        asked = [
            standing
            for standing in standings
            if standing.is_presented and not standing.is_captured and not standing.is_final
        ]
        with span_batch("payments.close", [standing.attempt.trace_id for standing in asked]):
            ended = await asyncio.gather(
                *(self._close_one(accounts.get(each.channel), each, now) for each in asked)
            )
        await self._record(asked, [answer for _, _, answer in ended], now)
        closures = [
            (standing.attempt.id, is_final)
            for standing, (status, is_final, _) in zip(asked, ended, strict=True)
            if status is CloseStatus.CLOSED
        ]
        if closures:
            async with self._store.transaction() as tx:
                await rows.insert_closures(tx, sorted(closures), now)
        by_attempt = {
            standing.attempt.id: status
            for standing, (status, _, _) in zip(asked, ended, strict=True)
        }
        statuses: dict[UUID, list[CloseStatus]] = {}
        for standing in standings:
            status = by_attempt.get(standing.attempt.id, CloseStatus.CLOSED)
            if standing.is_captured:
                status = CloseStatus.CAPTURED
            elif standing.is_waiting and status is CloseStatus.CLOSED:
                status = CloseStatus.UNKNOWN  # Money is claimed: the provider will say.
            statuses.setdefault(standing.attempt.order, []).append(status)
        return [decide.close_status(statuses.get(order, [])) for order in orders]

    async def _query_one(
        self, account: OpenAccount | None, standing: Standing, now: datetime
    ) -> QueryAnswer:
        if account is None:
            return QueryAnswer(QueryOutcome.UNKNOWN, problem="its channel cannot be used")
        if watching(account.channel) is not None:
            return await self._deposits.answer(account, standing)
        call = account.channel.query(ask_of(account, standing), account.account, now)
        return await self._counts.timed(account.row, "query", call)

    async def _close_one(
        self, account: OpenAccount | None, standing: Standing, now: datetime
    ) -> tuple[CloseStatus, bool, QueryAnswer]:
        if account is None:
            return CloseStatus.UNKNOWN, False, QueryAnswer(QueryOutcome.UNKNOWN)
        if watching(account.channel) is not None:
            told = await self._deposits.closing(account, standing)
        else:
            call = account.channel.close(ask_of(account, standing), account.account, now)
            told = await self._counts.timed(account.row, "close", call)
        answer = await self._query_one(account, standing, now)
        status, is_final = decide.closing(
            told, answer, is_past_expiry=_is_past_expiry(standing, now)
        )
        return status, is_final, answer

    async def _close_unseen(self, orders: Sequence[UUID], now: datetime) -> list[Standing]:
        """Close what was never shown without a word to the provider; give how all stand then."""
        async with self._store.reading() as tx:
            standings = await rows.read_states(tx, orders)
        unseen = [
            standing.attempt.id
            for standing in standings
            if not standing.is_presented and not standing.is_final
        ]
        if not unseen:
            return standings
        async with self._store.transaction() as tx:
            await rows.lock_attempts(tx, unseen)
            await rows.close_unseen(tx, unseen, now)
        async with self._store.reading() as tx:
            return await rows.read_states(tx, orders)

    async def walk(self) -> bool:
        """Ask about the next presented attempts that reached an age; true when there were any."""
        is_busy = False
        async with self._store.reading() as tx:
            steps_s = await rows.due_steps(tx, WALK_STEPS_S, self._clock.now())
        for step_s in steps_s:
            async with self._store.transaction() as tx:
                ids = await rows.claim_walk(tx, step_s, self._clock.now(), _WALK_ROWS_MAX)
            if ids:
                await self.query([AttemptId(id) for id in ids])
                is_busy = is_busy or len(ids) == _WALK_ROWS_MAX
        return is_busy


def ask_of(account: OpenAccount, standing: Standing) -> Ask:
    """Tell a channel of an attempt as it stands."""
    attempt = standing.attempt
    return Ask(
        out_trade_no=out_trade_no(attempt.order, attempt.number),
        method=attempt.method,
        amount_minor=attempt.amount_minor,
        currency=attempt.currency,
        title=attempt.title,
        opened_at=standing.opened_at,
        expires_at=min(attempt.expires_at, standing.opened_at + account.channel.expires_max),
        reference=standing.reference,
    )


def _is_past_expiry(standing: Standing, now: datetime) -> bool:
    return now >= standing.attempt.expires_at + decide.EXPIRY_MARGIN


def _state(standing: Standing, answer: QueryAnswer | None) -> AttemptState | None:
    if answer is None:  # Not asked: never shown, or ended already.
        return standing.state
    if answer.outcome is QueryOutcome.PAID:
        return AttemptState.CAPTURED
    return None if answer.outcome is QueryOutcome.UNKNOWN else standing.state
