"""Sagas as people see them: what has not ended, and how what is stuck is given up."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from vendrail.kernel.codec import Record
from vendrail.kernel.saga import SagaState


class SagaQuery(Record, frozen=True):
    """A page of the sagas that have not ended, in the order of what they are about."""

    state: SagaState | None = None
    after: UUID | None = None  # The last saga of the page before.
    sagas_max: int = 50


class SagaView(Record, frozen=True):
    """A saga that has not ended: what it waits for, since when, and its last problem."""

    id: UUID
    kind: str
    order: UUID  # Of money that fits no order: the capture.
    state: str
    step: str
    reason: str
    attempts: int
    due_at: datetime
    started_at: datetime
    problem: str
    is_turned: bool = False  # A purchase that only goes back, even where it is stuck.


class GiveUpStatus(StrEnum):
    """How giving up one order ended. Where several would fit, the first listed is given."""

    GIVEN_UP = "given_up"  # It has turned: its keys come free, and all of its money goes back.
    EXISTS = "exists"  # It had turned before, and goes back: if it is stuck there, wake it.
    ORDER_NOT_FOUND = "order_not_found"
    NOT_STUCK = "not_stuck"  # Its purchase goes on by itself.
    REFUND_STUCK = "refund_stuck"  # A refund is never given up: that money is the buyer's.
    DELIVERED = "delivered"  # Its keys were readable: money back is a refund.
    NOT_PAID = "not_paid"
    ENDED = "ended"  # All of its money has gone back.
