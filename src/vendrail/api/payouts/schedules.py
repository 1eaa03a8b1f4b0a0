"""When money goes out by itself: what a merchant has chosen, and what came of it last."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.api.payouts.names import PayeeId, PayoutId
from vendrail.kernel.codec import Record


class ScheduleKind(StrEnum):
    """When a merchant is paid out without asking."""

    MANUAL = "manual"  # Never: they ask.
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    THRESHOLD = "threshold"  # Whenever so much is there.
    INSTANT = "instant"  # Whenever anything is there that may go out.


class PayoutSchedule(Record, frozen=True):
    """What a merchant has chosen for one currency; all that is free goes to the payee."""

    merchant: UUID
    currency: str
    kind: ScheduleKind = ScheduleKind.MANUAL
    payee: PayeeId | None = None
    zone: str = "UTC"  # Where the clock hangs that the hour and the day are read from.
    hour: int = 0
    day: int = 1  # Weekly: 1 is Monday. Monthly: of the month; its last where it is shorter.
    threshold_minor: int = 0
    by: str = ""


class SchedulePutStatus(StrEnum):
    """How choosing one schedule ended. Where several would fit, the first listed is given."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    FIELD_MALFORMED = "field_malformed"
    NOT_OFFERED = "not_offered"  # The operator does not offer this kind in this currency.
    PAYEE_NOT_FOUND = "payee_not_found"
    CURRENCY_NOT_OFFERED = "currency_not_offered"
    PAYEE_UNVERIFIED = "payee_unverified"


class ScheduleOutcome(StrEnum):
    """What came of a schedule when it was due."""

    ASKED = "asked"  # A payout was asked for.
    TOO_LITTLE = "too_little"  # Less was free than the least payout and its fee.
    NOT_OFFERED = "not_offered"
    PAYEE_NOT_FOUND = "payee_not_found"
    PAYEE_UNVERIFIED = "payee_unverified"
    PAYEE_COOLING = "payee_cooling"
    SUSPENDED = "suspended"
    MERCHANT_UNVERIFIED = "merchant_unverified"
    IN_DEBT = "in_debt"
    BALANCE_TOO_LOW = "balance_too_low"  # It was taken elsewhere in the same moment.


class ScheduleView(Record, frozen=True):
    """A schedule as it stands."""

    schedule: PayoutSchedule
    changed_at: datetime | None = None
    due_at: datetime | None = None  # When it is looked at next.
    outcome: ScheduleOutcome | None = None
    outcome_at: datetime | None = None
    payout: PayoutId | None = None  # The newest payout that it has asked for.


class Schedules(Protocol):
    """What is paid out without being asked for."""

    async def put_schedules(self, schedules: Sequence[PayoutSchedule]) -> list[SchedulePutStatus]:
        """Write what merchants have chosen; a day, week or month is paid out once at most."""
        ...

    async def read_schedules(self, keys: Sequence[tuple[UUID, str]]) -> list[ScheduleView]:
        """Read schedules by (merchant, currency); without any, it is by hand."""
        ...
