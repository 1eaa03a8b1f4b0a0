"""What payouts in one currency cost, and who looks at them."""

from enum import StrEnum

from msgspec import field

from vendrail.api.payouts.schedules import ScheduleKind
from vendrail.kernel.codec import Record


class PayoutTerms(Record, frozen=True):
    """What payouts in one currency cost, when they may be had, and when a person looks at them."""

    currency: str
    amount_minor_min: int
    fee_minor: int
    review_above_minor: int  # 0: a person looks at none.
    kinds: list[ScheduleKind] = field(default_factory=lambda: list(ScheduleKind))  # To choose from.
    look_minutes: int = 10  # How often balances are looked at that wait for a threshold, or any.


class TermsPutStatus(StrEnum):
    """How writing one currency's terms ended."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    FIELD_MALFORMED = "field_malformed"
