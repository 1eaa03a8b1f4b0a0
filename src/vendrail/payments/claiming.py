"""Claims: what a shared secret signed only makes us ask; what the provider says is recorded."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from vendrail.api.payments import CaptureSource
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import replace
from vendrail.payments import decide
from vendrail.payments.accounts import Accounts
from vendrail.payments.arriving import Incoming
from vendrail.payments.asking import ask_of
from vendrail.payments.attempts import read_out_trade_no
from vendrail.payments.capturing import Capturing
from vendrail.payments.channels.base import Ask, QueryAnswer, QueryOutcome
from vendrail.payments.counts import Counts
from vendrail.payments.decide import Standing
from vendrail.payments.store import claims as rows
from vendrail.payments.store.attempts import read_states
from vendrail.payments.store.base import Row, Store

_LEASE = timedelta(seconds=60)
_ROWS_MAX = 128

_log = structlog.get_logger(__name__)


class Claiming:
    """Asks providers about claimed money, and records what they say."""

    def __init__(
        self, store: Store, accounts: Accounts, capturing: Capturing, clock: Clock, counts: Counts
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._capturing = capturing
        self._clock = clock
        self._counts = counts

    async def ask_due(self) -> bool:
        """Ask about the claims that are due; true when there may be more at once."""
        now = self._clock.now()
        async with self._store.transaction() as tx:
            due = await rows.take_claims(tx, now, now + _LEASE, _ROWS_MAX)
            read = [read_out_trade_no(row["out_trade_no"]) for row in due]
            known = await read_states(tx, list({each[0] for each in read if each is not None}))
        if due:
            standings = {(each.attempt.order, each.attempt.number): each for each in known}
            found = [standings.get(each) if each is not None else None for each in read]
            answers = await asyncio.gather(
                *(self._ask(row, each, now) for row, each in zip(due, found, strict=True))
            )
            await self._settle(due, answers, now)
        return len(due) == _ROWS_MAX

    async def _settle(
        self, due: Sequence[Row], answers: Sequence[QueryAnswer], now: datetime
    ) -> None:
        """Record the money first; a claim whose end was not written is only asked again."""
        accounts = await self._accounts.all()
        paid = [
            Incoming(
                accounts[row["channel"]],
                read_out_trade_no(row["out_trade_no"]),
                answer.provider_number,
                row["out_trade_no"],
                answer.amount_minor,
                answer.currency,
                answer.paid_at or now,
                CaptureSource.QUERY,
            )
            for row, answer in zip(due, answers, strict=True)
            if answer.outcome is QueryOutcome.PAID
        ]
        if paid:
            await self._capturing.record_incoming(paid)
        ended = []
        for row, answer in zip(due, answers, strict=True):
            state, problem = decide.claim(answer, row["tries"])
            ended.append((row["id"], state, now + decide.ask_again_in(row["tries"]), problem))
            if state == "denied":
                account = accounts.get(row["channel"])
                name = account.row.name if account is not None else ""
                _log.error(
                    "callback.denied",
                    channel=name,
                    out_trade_no=row["out_trade_no"],
                    problem=problem,
                )
        async with self._store.transaction() as tx:
            await rows.settle_claims(tx, ended)

    async def _ask(self, row: Row, standing: Standing | None, now: datetime) -> QueryAnswer:
        account = (await self._accounts.all()).get(row["channel"])
        if account is None:
            return QueryAnswer(QueryOutcome.UNKNOWN, problem="its channel cannot be used")
        ask = (
            ask_of(account, standing)
            if standing is not None and standing.channel == row["channel"]
            else Ask(row["out_trade_no"], "", 0, "", "", now, now)
        )
        ask = replace(ask, provider_number=row["provider_number"])
        call = account.channel.query(ask, account.account, now)
        return await self._counts.timed(account.row, "confirm", call)
