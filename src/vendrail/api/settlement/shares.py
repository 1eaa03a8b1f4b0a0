"""Shares: where the parts of an order's share are, and what becomes available when."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from vendrail.kernel.codec import Record


class DueShare(Record, frozen=True):
    """What of a merchant's money becomes available in one moment, and why it is not yet."""

    part: Literal["pending", "reserve"]
    due_at: datetime
    amount_minor: int


class ShareQuery(Record, frozen=True):
    """An order whose share is looked for, in the books of its merchant."""

    order: UUID
    merchant: UUID
    currency: str


class SharePart(Record, frozen=True):
    """One part of an order's share: where it was put, and what has become of it."""

    part: Literal["available", "pending", "reserve"]
    amount_minor: int  # As it was split.
    taken_minor: int = 0  # Of that, taken for refunds before it was released.
    due_at: datetime | None = None  # None: available at once.
    released_at: datetime | None = None  # None where it has a due time: not released yet.

    @property
    def left_minor(self) -> int:
        """What of it is, or will be, the merchant's to use."""
        return self.amount_minor - self.taken_minor


class OrderShare(Record, frozen=True):
    """What the merchant's share of an order is and where its parts are; none: not split."""

    split_at: datetime | None = None
    fee_minor: int = 0
    parts: list[SharePart] = []
    is_reversed: bool = False
