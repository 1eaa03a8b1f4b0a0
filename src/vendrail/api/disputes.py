"""Disputes: what payers' banks take back, and what merchants say against it."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.kernel.codec import Record
from vendrail.kernel.numbers import Numbered
from vendrail.kernel.outbox import Cursor, EventPage


class DisputeState(StrEnum):
    """How a dispute stands."""

    OPEN = "open"  # The merchant may answer, until the day the provider named.
    ANSWERED = "answered"  # What was said against it is with the provider.
    WON = "won"
    LOST = "lost"


class DisputeView(Record, frozen=True):
    """A dispute as merchant and operator may see it."""

    id: UUID
    state: DisputeState
    order: UUID | None  # None: of money that belongs to no order.
    merchant: UUID | None
    channel_name: str
    case_number: str  # The provider's.
    provider_number: str  # Of the payment.
    reason: str  # The provider's word for it.
    amount_minor: int  # What the bank takes back …
    currency: str  # … in the currency that was paid.
    fee_minor: int
    frozen_minor: int  # Of the merchant's money, in the order's currency …
    frozen_currency: str
    opened_at: datetime
    answer_by: datetime | None
    ended_at: datetime | None
    answer: str = ""  # What the merchant said; only where one dispute is read.
    problem: str = ""  # Why a person must look.


class DisputeMoved(Record, frozen=True, tag="dispute.moved"):
    """A dispute of a merchant's sale was opened, won or lost."""

    dispute: UUID
    order: UUID | None
    merchant: UUID
    state: DisputeState
    at: datetime


class DisputeQuery(Record, frozen=True):
    """A page of one merchant's disputes (None: of all), newest first."""

    merchant: UUID | None
    state: DisputeState | None = None
    before: UUID | None = None  # The last dispute of the page before.
    disputes_max: int = 50


class DisputeAnswer(Record, frozen=True):
    """What a merchant says against a dispute; sent once, for good."""

    dispute: UUID
    merchant: UUID
    text: str
    person: str


class AnswerStatus(StrEnum):
    """How answering one dispute ended."""

    SENT = "sent"
    EXISTS = "exists"  # It was answered before.
    DISPUTE_NOT_FOUND = "dispute_not_found"
    DISPUTE_ENDED = "dispute_ended"
    TOO_LATE = "too_late"
    TEXT_MALFORMED = "text_malformed"  # Empty, or longer than providers take.
    PROVIDER_REFUSED = "provider_refused"
    PROVIDER_AWAY = "provider_away"  # Nothing is known; answer again with the same words.
    UNSUPPORTED = "unsupported"  # This provider takes it on its own site.


class DisputeFigures(Record, frozen=True):
    """What of a merchant's money is disputed, and how disputes went since a moment."""

    merchant: UUID
    open_count: int
    won_count: int
    lost_count: int
    count_by_currency: dict[str, int] = {}  # Of all, by the currencies of what was sold.


class Disputes(Numbered, Protocol):
    """Act on disputes, list and answer them."""

    async def list_disputes(self, queries: Sequence[DisputeQuery]) -> list[list[DisputeView]]:
        """List merchants' disputes, newest first; a short page is the last."""
        ...

    async def read_disputes(self, ids: Sequence[UUID]) -> list[DisputeView | None]:
        """Read disputes with what was said against them."""
        ...

    async def read_events(self, cursors: Sequence[Cursor]) -> list[EventPage]:
        """Read `DisputeMoved`s after a cursor; the same may be told twice."""
        ...

    async def read_order_disputes(self, orders: Sequence[UUID]) -> list[list[DisputeView]]:
        """Read orders' disputes, first to last."""
        ...

    async def answer_disputes(self, answers: Sequence[DisputeAnswer]) -> list[AnswerStatus]:
        """Keep what merchants say, sealed, and send it to the provider, once."""
        ...

    async def count_disputes(
        self, merchants: Sequence[UUID], since: datetime
    ) -> list[DisputeFigures]:
        """Count merchants' disputes that were opened since a moment, for their rates."""
        ...
