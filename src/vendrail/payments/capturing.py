"""Money that arrives: one way for all of it, whichever way it was found.

One transaction a batch writes what the provider sent, the captures that are new and the events that
tell of them; only after its commit does anybody hear success.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID

import structlog

from vendrail.api.payments import (
    Callback,
    CallbackAnswer,
    Capture,
    CaptureReport,
    CaptureSource,
    CaptureStatus,
    PaymentCaptured,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import encode
from vendrail.kernel.ids import first_id_at
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.telemetry import Scope, span_batch
from vendrail.payments import decide
from vendrail.payments.accounts import Accounts, OpenAccount
from vendrail.payments.arriving import (
    InboxRow,
    Incoming,
    Letter,
    capture_of,
    claim_of,
    inbox_row,
    incoming_of,
    judge,
)
from vendrail.payments.attempts import read_out_trade_no
from vendrail.payments.channels.base import CallbackFacts, CallbackKind, CallbackRefusal
from vendrail.payments.channels.keys import KeyedChannel
from vendrail.payments.channels.line import Switchboard
from vendrail.payments.counts import Counts
from vendrail.payments.decide import Asked
from vendrail.payments.disputing import (
    DISPUTE_TOPIC,
    find_disputed,
    is_dispute,
    place_of,
    tell_disputes,
)
from vendrail.payments.failing import insert_failures
from vendrail.payments.hearing import LOOK_TOPIC, hear_agreements
from vendrail.payments.learning import Learning
from vendrail.payments.settings import PaymentsSettings
from vendrail.payments.store import attempts, base, captures, claims, desk
from vendrail.payments.store.base import Row, Store, Transaction, plain_first

TOPIC = "payments"  # Woken when events were written.
CONFIRM_TOPIC = "payments.confirm"  # Woken when a capture waits to be confirmed.
_INLINE_MAX = 4  # So few signatures are checked faster here than a thread is woken.
_FETCH_INTERVAL = timedelta(minutes=1)  # Between two fetchings of an account's keys.
_FORGET_ROWS_MAX = 5_000
_NO_CHANNEL = CallbackAnswer(404, b"unknown channel")
_TOO_LARGE = CallbackAnswer(413, b"too large")

_log = structlog.get_logger(__name__)

Beside = Callable[[Transaction], Awaitable[None]]  # What is written with captures, or not at all.


class _Told(NamedTuple):
    """What a batch led to: captures that are told of, and whether others wait to be."""

    captures: Sequence[Capture] = ()
    is_waiting: bool = False
    countries: Mapping[UUID, str] = {}  # Of their attempts, where they are known.
    failed: Sequence[Asked] = ()  # By the channel's own fault.
    has_disputes: bool = False
    has_agreements: bool = False


class Capturing:
    """Takes callbacks and reports, and writes captures."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        lines: Switchboard,
        clock: Clock,
        wakeups: Wakeups,
        settings: PaymentsSettings,
        counts: Counts,
        learning: Learning,
    ) -> None:
        self._counts = counts
        self._learning = learning
        self._store = store
        self._accounts = accounts
        self._lines = lines
        self._clock = clock
        self._wakeups = wakeups
        self._settings = settings
        self._fetched_at: dict[UUID, datetime] = {}

    async def take(self, callbacks: Sequence[Callback]) -> list[CallbackAnswer]:
        """Verify, bind, compare, store; give the answer for the provider, after commit."""
        answers, letters = await self._read(callbacks)
        if not letters:
            return answers
        outcomes, told = await plain_first(partial(self._write, letters))
        self._after(told)
        for letter, outcome in zip(letters, outcomes, strict=True):
            channel = letter.account.channel
            answers[letter.place] = (
                channel.failure_answer() if outcome else channel.success_answer()
            )
            if outcome:
                _log.warning(
                    "callback.refused",
                    channel=letter.account.row.name,
                    reason=outcome,
                    out_trade_no=letter.facts.out_trade_no,
                )
        self._counts.callbacks(
            (letter.account.row.name, outcome or letter.facts.kind.value)
            for letter, outcome in zip(letters, outcomes, strict=True)
        )
        return answers

    async def _write(self, letters: Sequence[Letter], *, is_plain: bool) -> tuple[list[str], _Told]:
        """Write letters, the captures they bring and their events; give what refuses each."""
        now = self._clock.now()
        async with AsyncExitStack() as spans, self._store.transaction() as tx:
            numbers = {letter.number for letter in letters if letter.number is not None}
            asked = await attempts.find_attempts(tx, list(numbers)) if numbers else {}
            spans.enter_context(_span("payments.callback", asked.values()))
            inbox: list[InboxRow] = []
            taken: list[Incoming] = []
            claimed: list[tuple[UUID, UUID, str, str]] = []
            failed: dict[UUID, tuple[Letter, Asked]] = {}
            outcomes = []
            disputed = await find_disputed(tx, letters)
            for letter in letters:
                found = asked.get(letter.number) if letter.number else None
                outcome = decide.refusal(letter.facts, found, letter.account.row.id)
                if not outcome and is_dispute(letter) and place_of(letter) not in disputed:
                    outcome = "capture_unknown"  # The provider tells it again, after the money.
                outcomes.append(outcome)
                inbox.append(inbox_row(letter, outcome, now))
                if not outcome and letter.facts.kind is CallbackKind.CAPTURED:
                    taken.append(incoming_of(letter, now))
                elif not outcome and letter.facts.kind is CallbackKind.CLAIMED:
                    claimed.append((inbox[-1][0], *claim_of(letter)))
                elif not outcome and found and letter.facts.kind is CallbackKind.FAILED:
                    failed[found.id] = (letter, found)
            count = await captures.insert_inbox(tx, inbox, now)
            if claimed:
                await claims.insert_claims(tx, claimed, now)
            if disputed:
                await tell_disputes(tx, letters, outcomes, disputed, now)
            blamed = await insert_failures(tx, failed, now) if failed else ()
            has_news = await hear_agreements(tx, letters, outcomes, now)
            told = _Told(is_waiting=bool(claimed), has_disputes=bool(disputed))
            if taken:
                written = [judge(money, asked, now) for money in taken]
                is_new = is_plain and count == len(inbox)
                fresh = await _insert(tx, taken, written, is_plain=is_new)
                told = await self._tell(tx, taken, written, fresh, [], now)
                told = told._replace(
                    is_waiting=told.is_waiting or bool(claimed), has_disputes=bool(disputed)
                )
            told = told._replace(
                countries=_countries(asked), failed=blamed, has_agreements=has_news
            )
        return outcomes, told

    async def _read(
        self, callbacks: Sequence[Callback]
    ) -> tuple[list[CallbackAnswer], list[Letter]]:
        """Verify over the raw bytes; what proves nothing is answered and changes nothing."""
        accounts = await self._accounts.all()
        answers = [_NO_CHANNEL] * len(callbacks)
        bound: list[tuple[int, OpenAccount, Callback]] = []
        for index, raw in enumerate(callbacks):
            account = accounts.get(raw.channel)
            if account is None or not account.row.is_active:
                self._counts.callback(
                    None, "channel_unknown" if account is None else "channel_inactive"
                )
            elif len(raw.body) + len(raw.query) > self._settings.callback_bytes_max:
                answers[index] = _TOO_LARGE
                self._counts.callback(account.row, "too_large")
            else:
                bound.append((index, account, raw))
        verify = partial(_verify, now=self._clock.now())
        if len(bound) <= _INLINE_MAX:
            read = [verify(entry) for entry in bound]
        else:
            read = await self._lines.offload(verify, bound)
        await self._fetch_keys(bound, read, verify)
        letters = []
        for (index, account, raw), facts in zip(bound, read, strict=True):
            if isinstance(facts, CallbackRefusal):
                answers[index] = account.channel.failure_answer()
                self._counts.callback(account.row, facts.reason)
                _log.warning("callback.refused", channel=account.row.name, reason=facts.reason)
            else:
                number = read_out_trade_no(facts.out_trade_no)
                letters.append(Letter(index, account, raw, facts, number))
        return answers, letters

    async def _fetch_keys(
        self,
        bound: Sequence[tuple[int, OpenAccount, Callback]],
        read: list[CallbackFacts | CallbackRefusal],
        verify: Callable[[tuple[int, OpenAccount, Callback]], CallbackFacts | CallbackRefusal],
    ) -> None:
        """Fetch keys that callbacks named and nobody knew, and read those again.

        Anybody can name an unknown key, so an account's keys are fetched once in a while at most.
        """
        lacking = [
            index
            for index, facts in enumerate(read)
            if isinstance(facts, CallbackRefusal) and facts.lacks_key
        ]
        now = self._clock.now()
        for account in {bound[index][1].row.id: bound[index][1] for index in lacking}.values():
            fetched_at = self._fetched_at.get(account.row.id)
            is_due = fetched_at is None or now - fetched_at >= _FETCH_INTERVAL
            if is_due and isinstance(account.channel, KeyedChannel):
                self._fetched_at[account.row.id] = now
                await account.channel.fetch_keys(account.account, now)
        for index in lacking:
            read[index] = verify(bound[index])

    async def record(self, reports: Sequence[CaptureReport]) -> list[CaptureStatus]:
        """Record money found by query, by hand or in a bill, the same one way."""
        accounts = await self._accounts.all()
        statuses = [CaptureStatus.CHANNEL_NOT_FOUND] * len(reports)
        entries: list[tuple[int, Incoming]] = []
        for index, report in enumerate(reports):
            account = accounts.get(report.channel)
            if account is None:
                continue
            if report.amount_minor <= 0:
                statuses[index] = CaptureStatus.AMOUNT_NOT_POSITIVE
                continue
            incoming = Incoming(
                account,
                read_out_trade_no(report.out_trade_no),
                report.provider_number,
                report.out_trade_no,
                report.amount_minor,
                report.currency,
                report.paid_at,
                report.source,
            )
            entries.append((index, incoming))
        if entries:
            recorded = await self.record_incoming([incoming for _, incoming in entries])
            for (index, _), status in zip(entries, recorded, strict=True):
                statuses[index] = status
        return statuses

    async def record_incoming(
        self, incoming: Sequence[Incoming], beside: Beside | None = None
    ) -> list[CaptureStatus]:
        """Write captures found otherwise than by a callback, in one transaction with `beside`."""
        statuses, told = await plain_first(partial(self._write_found, incoming, beside))
        self._after(told)
        return statuses

    async def _write_found(
        self, incoming: Sequence[Incoming], beside: Beside | None, *, is_plain: bool
    ) -> tuple[list[CaptureStatus], _Told]:
        now = self._clock.now()
        async with AsyncExitStack() as spans, self._store.transaction() as tx:
            if beside is not None:
                await beside(tx)
            numbers = {money.number for money in incoming if money.number is not None}
            asked = await attempts.find_attempts(tx, list(numbers)) if numbers else {}
            spans.enter_context(_span("payments.capture", asked.values()))
            written = [judge(money, asked, now) for money in incoming]
            fresh = await _insert(tx, incoming, written, is_plain=is_plain)
            statuses = [
                CaptureStatus.RECORDED if is_new else CaptureStatus.EXISTS for is_new in fresh
            ]
            late: list[Capture] = []
            if not all(fresh):
                late = await self._compare(tx, incoming, written, statuses, now)
            told = await self._tell(tx, incoming, written, fresh, late, now)
            told = told._replace(countries=_countries(asked))
        return statuses, told

    async def _tell(
        self,
        tx: Transaction,
        incoming: Sequence[Incoming],
        written: Sequence[Capture],
        fresh: Sequence[bool],
        late: Sequence[Capture],
        now: datetime,
    ) -> _Told:
        """Write the events of captures that are new, but let those too large to believe wait."""
        told = list(late)
        waiting = []
        for money, capture, is_new in zip(incoming, written, fresh, strict=True):
            if not is_new:
                continue
            if self._must_confirm(money):
                waiting.append(capture.id)
            else:
                told.append(capture)
        if waiting:
            await desk.insert_confirmations(tx, waiting, now)
        if told:
            events = [PaymentCaptured(capture) for capture in told]
            await base.append_events(tx, now, encode(events), len(events))
        return _Told(told, is_waiting=bool(waiting))

    def _must_confirm(self, money: Incoming) -> bool:
        if money.source in {CaptureSource.QUERY, CaptureSource.BILL}:
            return False  # The provider itself has just said so.
        row, settings = money.account.row, self._settings
        limits = (
            (row.confirm_above_minor, row.currencies[0]),  # As the console shows and takes it.
            (settings.confirm_above_minor, settings.confirm_currency),
        )
        return decide.must_confirm(money.amount_minor, money.currency, limits)

    async def _compare(
        self,
        tx: Transaction,
        incoming: Sequence[Incoming],
        written: Sequence[Capture],
        statuses: list[CaptureStatus],
        now: datetime,
    ) -> list[Capture]:
        """Compare with what is there; the provider's own word confirms what waited for it."""
        keys = [(new.channel, new.provider_number) for new in written]
        known = await captures.find_captures(tx, keys)
        agreed: dict[UUID, Row] = {}
        for index, (money, key) in enumerate(zip(incoming, keys, strict=True)):
            row = known[key]
            is_same = (row["amount_minor"], row["currency"], row["out_trade_no"]) == (
                money.amount_minor,
                money.currency,
                money.out_trade_no,
            )
            if not is_same:
                statuses[index] = CaptureStatus.EXISTS_DIFFERENT
            elif money.source in {CaptureSource.QUERY, CaptureSource.BILL}:
                agreed[row["id"]] = row
        ended = [(id, "confirmed", now, "") for id in agreed]
        changed = await desk.settle_confirmations(tx, ended) if ended else set()
        names = {money.account.row.id: money.account.row.name for money in incoming}
        return [capture_of(agreed[id], names[agreed[id]["channel"]]) for id in changed]

    def _after(self, told: _Told) -> None:
        """Wake who waits, and count: the commit is through."""
        for each in told.failed:
            self._learning.note_failure(each.channel, each.method, each.country, each.amount_minor)
        if told.captures:
            self._learning.note_captures(told.captures, told.countries)
            self._counts.captures(told.captures)
            self._wakeups.wake(TOPIC)
        if told.is_waiting:
            self._wakeups.wake(CONFIRM_TOPIC)
        if told.has_disputes:
            self._wakeups.wake(DISPUTE_TOPIC)
        if told.has_agreements:
            self._wakeups.wake(LOOK_TOPIC)

    async def forget(self) -> bool:
        """Drop the oldest raw callbacks; true when there may be more."""
        before = self._clock.now() - timedelta(days=self._settings.inbox_days)
        async with self._store.transaction() as tx:
            dropped = await captures.delete_inbox(tx, first_id_at(before), _FORGET_ROWS_MAX)
            ended = await claims.delete_claims(tx, first_id_at(before), _FORGET_ROWS_MAX)
        return _FORGET_ROWS_MAX in {dropped, ended}

    async def read(self, orders: Sequence[UUID]) -> list[list[Capture]]:
        """Read orders' captures, first to last."""
        accounts = await self._accounts.all()
        async with self._store.reading() as tx:
            rows = await captures.read_captures(tx, orders)
        found: dict[UUID, list[Capture]] = {}
        for row in rows:
            account = accounts.get(row["channel"])
            capture = capture_of(row, account.row.name if account else "")
            order = row["matched_order"] or row["order_id"]
            found.setdefault(order, []).append(capture)
        return [found.get(order, []) for order in orders]

    async def find(self, provider_numbers: Sequence[str]) -> list[list[Capture]]:
        """Find captures by their number at the provider, of whatever channel."""
        accounts = await self._accounts.all()
        async with self._store.reading() as tx:
            rows = await captures.find_captures_anywhere(tx, list(accounts), provider_numbers)
        found: dict[str, list[Capture]] = {}
        for row in rows:
            capture = capture_of(row, accounts[row["channel"]].row.name)
            found.setdefault(capture.provider_number, []).append(capture)
        return [found.get(number, []) for number in provider_numbers]


async def _insert(
    tx: Transaction, incoming: Sequence[Incoming], written: Sequence[Capture], *, is_plain: bool
) -> list[bool]:
    """Write captures; tell which are new. Of one id twice in a batch only the first is."""
    entries = [
        (capture, money.out_trade_no) for capture, money in zip(written, incoming, strict=True)
    ]
    left = await captures.insert_captures(tx, entries, is_plain=is_plain)
    if len(left) == len(written):
        return [True] * len(written)
    fresh = []
    for capture in written:
        fresh.append(capture.id in left)
        left.discard(capture.id)
    return fresh


def _countries(asked: Mapping[tuple[UUID, int], Asked]) -> dict[UUID, str]:
    return {each.id: each.country for each in asked.values() if each.country}


def _span(name: str, asked: Iterable[Asked]) -> Scope:
    """Tell of the batch in the traces of the orders it is about, commit and all."""
    return span_batch(name, [attempt.trace_id for attempt in asked])


def _verify(
    entry: tuple[int, OpenAccount, Callback], now: datetime
) -> CallbackFacts | CallbackRefusal:
    _, account, raw = entry
    return account.channel.read_callback(raw, account.account.settings, now)
