"""Payouts that wait for a person: decided one by one, or many by one word."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.api.payouts.names import PayoutId
from vendrail.kernel.codec import Record


class PayoutVerdict(Record, frozen=True):
    """What a person says of a payout that waits for one."""

    payout: PayoutId
    is_approved: bool
    by: str
    reason: str = ""


class PayoutVerdictStatus(StrEnum):
    """How deciding one payout ended. Where several would fit, the first listed is given."""

    DONE = "done"
    PAYOUT_NOT_FOUND = "payout_not_found"
    NOT_WAITING = "not_waiting"  # It was decided, or is out already.
    NOT_PAYABLE = "not_payable"  # Its payee is closed or unproven, or its merchant is suspended.


class ReviewSum(Record, frozen=True):
    """What waits for a person in one currency."""

    currency: str
    payouts: int
    sum_minor: int


class NewBatch(Record, frozen=True):
    """All that waits for a person just now: of one currency, and of one merchant or of all."""

    id: UUID
    currency: str
    merchant: UUID | None
    by: str


class Batch(Record, frozen=True):
    """Payouts that are decided together: those that waited when it was made, and no others."""

    id: UUID
    currency: str
    merchant: UUID | None
    payouts: int
    sum_minor: int
    made_at: datetime
    made_by: str
    is_approved: bool | None = None  # None: nobody has decided.
    decided_at: datetime | None = None
    decided_by: str = ""
    done: int = 0  # Of its payouts, those that the decision has come to.
    left: int = 0  # Of these, those that waited no longer, or must not be paid: left as they were.


class BatchVerdict(Record, frozen=True):
    """What a person says of a batch."""

    batch: UUID
    is_approved: bool
    by: str
    reason: str


class BatchVerdictStatus(StrEnum):
    """How deciding one batch ended. Where several would fit, the first listed is given."""

    DONE = "done"  # It comes to one payout after the other.
    KNOWN = "known"
    BATCH_NOT_FOUND = "batch_not_found"


class Batches(Protocol):
    """Payouts that are decided together."""

    async def sum_reviews(self, merchants: Sequence[UUID | None]) -> list[list[ReviewSum]]:
        """Sum what waits for a person, by currency; None: of all merchants."""
        ...

    async def make_batches(self, batches: Sequence[NewBatch]) -> list[Batch | None]:
        """Put together what waits, a thousand at most; the same id is the same. None: nothing."""
        ...

    async def read_batches(self, batches: Sequence[UUID]) -> list[Batch | None]:
        """Read batches as they stand."""
        ...

    async def decide_batches(self, verdicts: Sequence[BatchVerdict]) -> list[BatchVerdictStatus]:
        """Say yes or no to batches, once; their payouts follow one by one."""
        ...
