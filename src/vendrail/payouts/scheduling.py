"""Schedules: what is free goes out by itself, once for each day, week, month or look.

A payout's id derives from its merchant, its currency and the moment at which the schedule was due.
That moment is written down before anything is asked for and changed after it: whoever breaks off
between the two asks for the same payout again.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from vendrail.api.ledger import Chart, Ledger
from vendrail.api.payouts import (
    NewPayout,
    PayeeState,
    PayoutId,
    PayoutOrigin,
    PayoutSchedule,
    PayoutState,
    PayoutStatus,
    PayoutTerms,
    ScheduleKind,
    ScheduleOutcome,
    SchedulePutStatus,
    ScheduleView,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.ids import derive, first_id_at, shard_of
from vendrail.kernel.money import AMOUNT_MINOR_MAX, EXPONENTS
from vendrail.payouts.advancing import LEASE
from vendrail.payouts.calendar import CALENDAR, day_of, find_zone, next_due
from vendrail.payouts.requesting import Requesting
from vendrail.payouts.store import Database, Row
from vendrail.payouts.store import payees as payees_store
from vendrail.payouts.store import payouts as payouts_store
from vendrail.payouts.store import schedules as schedules_store
from vendrail.payouts.store.schedules import DueSchedule, Key, Looked
from vendrail.payouts.terms import Terms

_BATCH = 256
_OUTCOMES: Mapping[PayoutStatus, ScheduleOutcome] = {
    PayoutStatus.TAKEN: ScheduleOutcome.ASKED,
    PayoutStatus.EXISTS: ScheduleOutcome.ASKED,
    PayoutStatus.EXISTS_DIFFERENT: ScheduleOutcome.ASKED,
    PayoutStatus.PAYEE_NOT_FOUND: ScheduleOutcome.PAYEE_NOT_FOUND,
    PayoutStatus.CURRENCY_NOT_OFFERED: ScheduleOutcome.PAYEE_NOT_FOUND,
    PayoutStatus.PAYEE_UNVERIFIED: ScheduleOutcome.PAYEE_UNVERIFIED,
    PayoutStatus.PAYEE_COOLING: ScheduleOutcome.PAYEE_COOLING,
    PayoutStatus.SUSPENDED: ScheduleOutcome.SUSPENDED,
    PayoutStatus.MERCHANT_UNVERIFIED: ScheduleOutcome.MERCHANT_UNVERIFIED,
    PayoutStatus.IN_DEBT: ScheduleOutcome.IN_DEBT,
    PayoutStatus.AMOUNT_TOO_SMALL: ScheduleOutcome.TOO_LITTLE,
    PayoutStatus.BALANCE_TOO_LOW: ScheduleOutcome.BALANCE_TOO_LOW,
}


class Found(NamedTuple):
    """What is known of a batch of schedules that are due."""

    terms: Mapping[str, PayoutTerms]
    free: Mapping[Key, int]
    made: Mapping[UUID, Row]  # Payouts that were asked for before a break.


class Scheduling:
    """Keeps schedules and looks at those that are due."""

    def __init__(
        self, db: Database, clock: Clock, ledger: Ledger, terms: Terms, requesting: Requesting
    ) -> None:
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._terms = terms
        self._requesting = requesting

    async def put(self, schedules: Sequence[PayoutSchedule]) -> list[SchedulePutStatus]:
        """Write what merchants have chosen, each by itself."""
        return [await self._put(each) for each in schedules]

    async def _put(self, new: PayoutSchedule) -> SchedulePutStatus:
        if not _is_wellformed(new):
            return SchedulePutStatus.FIELD_MALFORMED
        now = self._clock.now()
        [terms] = await self._terms.read([new.currency])
        async with self._db.transaction() as tx:
            await payees_store.lock_merchants(tx, [new.merchant])
            row = await schedules_store.lock_schedule(tx, (new.merchant, new.currency))
            if _is_same(new, schedules_store.schedule_of(row) if row is not None else None):
                return SchedulePutStatus.UNCHANGED
            if new.kind is not ScheduleKind.MANUAL:
                if new.kind not in terms.kinds:
                    return SchedulePutStatus.NOT_OFFERED
                payees = await payees_store.load_payees(tx, [new.payee] if new.payee else [])
                problem = _judge_payee(new, payees.get(new.payee) if new.payee else None)
                if problem is not None:
                    return problem
            last_on = _last_on(row) if row is not None else None
            due_at: datetime | None = None
            if new.kind in CALENDAR:
                due_at = next_due(new, now, last_on)
            elif new.kind is not ScheduleKind.MANUAL:
                due_at = now
            await schedules_store.put_schedule(tx, new, due_at, last_on, now)
        return SchedulePutStatus.CHANGED

    async def read(self, keys: Sequence[Key]) -> list[ScheduleView]:
        """Read schedules as they stand."""
        async with self._db.reading() as tx:
            found = await schedules_store.load_schedules(tx, keys)
        return [_view(found[key]) if key in found else _by_hand(key) for key in keys]

    async def look_due(self) -> bool:
        """Look at what is due and ask for payouts; true: there may be more at once."""
        now = self._clock.now()
        async with self._db.transaction() as tx:
            due = await schedules_store.claim_due(tx, now, now + LEASE, _BATCH)
        if not due:
            return False
        found = await self._find(due)
        wanted: list[NewPayout] = []
        outcomes: dict[Key, ScheduleOutcome | None] = {}
        for each in due:
            judged = _judge(each, found)
            if isinstance(judged, NewPayout):
                wanted.append(judged)
            else:
                outcomes[_key(each)] = judged
        statuses = await self._requesting.request(wanted)
        for new, status in zip(wanted, statuses, strict=True):
            outcomes[new.merchant, new.currency] = _OUTCOMES[status]
        now = self._clock.now()
        looked = [self._look(each, outcomes[_key(each)], found.terms, now) for each in due]
        async with self._db.transaction() as tx:
            await schedules_store.end_looks(tx, looked, now)
        return True

    async def _find(self, due: Sequence[DueSchedule]) -> Found:
        keys = sorted({_key(each) for each in due})
        currencies = sorted({currency for _, currency in keys})
        terms = await self._terms.read(currencies)
        balances = await self._ledger.read_balances(
            [Chart(currency).merchant(merchant, "available").id for merchant, currency in keys]
        )
        async with self._db.reading() as tx:
            made = await payouts_store.load_payouts(tx, [_payout_id(each) for each in due])
        return Found(
            {each.currency: each for each in terms},
            {
                key: balance.credit_minor - balance.debits_pending if balance is not None else 0
                for key, balance in zip(keys, balances, strict=True)
            },
            made,
        )

    def _look(
        self,
        due: DueSchedule,
        outcome: ScheduleOutcome | None,
        terms: Mapping[str, PayoutTerms],
        now: datetime,
    ) -> Looked:
        schedule = due.schedule
        id = _payout_id(due) if outcome is ScheduleOutcome.ASKED else None
        if schedule.kind not in CALENDAR:
            again = now + timedelta(minutes=terms[schedule.currency].look_minutes)
            return Looked(due, again, due.last_on, outcome, id)
        zone = find_zone(schedule.zone)
        assert zone is not None
        last_on = day_of(due.due_at, zone)
        return Looked(due, next_due(schedule, now, last_on), last_on, outcome, id)


def _judge(due: DueSchedule, found: Found) -> NewPayout | ScheduleOutcome | None:
    """Give the payout that a schedule asks for, else what speaks against one; None: nothing."""
    schedule = due.schedule
    made = found.made.get(_payout_id(due))
    if made is not None:
        is_refused = made["state"] == PayoutState.REFUSED
        return ScheduleOutcome.BALANCE_TOO_LOW if is_refused else ScheduleOutcome.ASKED
    terms = found.terms[schedule.currency]
    if schedule.kind not in terms.kinds:
        return ScheduleOutcome.NOT_OFFERED
    free = found.free[_key(due)]
    amount_minor = min(free - terms.fee_minor, AMOUNT_MINOR_MAX)
    if amount_minor < terms.amount_minor_min or free < schedule.threshold_minor:
        return ScheduleOutcome.TOO_LITTLE if schedule.kind in CALENDAR else None
    assert schedule.payee is not None
    is_planned = schedule.kind in CALENDAR
    return NewPayout(
        _payout_id(due),
        schedule.merchant,
        schedule.payee,
        amount_minor,
        schedule.currency,
        PayoutOrigin.SCHEDULED if is_planned else PayoutOrigin.INSTANT,
        schedule.by,
    )


def _key(due: DueSchedule) -> Key:
    return due.schedule.merchant, due.schedule.currency


def _payout_id(due: DueSchedule) -> PayoutId:
    """Give the one payout of a merchant, a currency and the moment that was due."""
    schedule = due.schedule
    head = first_id_at(due.due_at).int | (7 << 12 | shard_of(schedule.merchant)) << 64
    step = f"schedule:{schedule.merchant}:{schedule.currency}:{due.due_at.isoformat()}"
    return PayoutId(derive(UUID(int=head), step))


def _judge_payee(new: PayoutSchedule, payee: Row | None) -> SchedulePutStatus | None:
    is_theirs = payee is not None and payee["merchant"] == new.merchant
    if payee is None or not is_theirs or payee["state"] == PayeeState.CLOSED:
        return SchedulePutStatus.PAYEE_NOT_FOUND
    if new.currency not in payee["currencies"]:
        return SchedulePutStatus.CURRENCY_NOT_OFFERED
    if payee["state"] != PayeeState.VERIFIED:
        return SchedulePutStatus.PAYEE_UNVERIFIED
    return None


def _is_wellformed(new: PayoutSchedule) -> bool:
    day_max = {ScheduleKind.WEEKLY: 7, ScheduleKind.MONTHLY: 31}.get(new.kind, 31)
    is_threshold = new.kind is ScheduleKind.THRESHOLD
    return (
        new.currency in EXPONENTS
        and find_zone(new.zone) is not None
        and 0 <= new.hour <= 23
        and 1 <= new.day <= day_max
        and (0 < new.threshold_minor <= AMOUNT_MINOR_MAX if is_threshold else True)
        and (is_threshold or new.threshold_minor == 0)
        and (new.kind is ScheduleKind.MANUAL or new.payee is not None)
    )


def _last_on(row: Row) -> date | None:
    """Give the last day that was looked at, or is just being: its payout may be under way."""
    last_on: date | None = row["last_on"]
    if row["claimed_until"] is None or row["kind"] not in CALENDAR:
        return last_on
    zone = find_zone(row["zone"])
    assert zone is not None
    day = day_of(row["due_at"], zone)
    return day if last_on is None else max(day, last_on)


def _is_same(new: PayoutSchedule, known: PayoutSchedule | None) -> bool:
    """Tell whether it is chosen so already, whoever chose it."""
    standing = known or PayoutSchedule(new.merchant, new.currency)
    if new.kind is ScheduleKind.MANUAL:
        return standing.kind is ScheduleKind.MANUAL
    fields = ("kind", "payee", "zone", "hour", "day", "threshold_minor")
    return all(getattr(new, name) == getattr(standing, name) for name in fields)


def _by_hand(key: Key) -> ScheduleView:
    return ScheduleView(PayoutSchedule(*key))


def _view(row: Row) -> ScheduleView:
    return ScheduleView(
        schedules_store.schedule_of(row),
        row["changed_at"],
        row["due_at"],
        ScheduleOutcome(row["outcome"]) if row["outcome"] else None,
        row["outcome_at"],
        PayoutId(row["payout"]) if row["payout"] else None,
    )
