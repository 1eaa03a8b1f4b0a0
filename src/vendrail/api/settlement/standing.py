"""How settlement stands: what is due and not released, what is still to come, and who owes."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from vendrail.kernel.codec import Record


class MerchantDebt(Record, frozen=True):
    """What a merchant owes the platform, and since when."""

    merchant: UUID
    currency: str
    debt_minor: int
    since: datetime


class HeldSum(Record, frozen=True):
    """How much of all merchants' money is not due yet, and in how many buckets."""

    currency: str
    part: Literal["pending", "reserve"]
    amount_minor: int
    bucket_count: int


class SettlementHealth(Record, frozen=True):
    """Whether what is due is released, and what is still to come."""

    open_count: int  # Buckets that are not released.
    overdue_count: int  # Those whose moment is more than a minute ago.
    oldest_due_at: datetime | None  # Of those.
