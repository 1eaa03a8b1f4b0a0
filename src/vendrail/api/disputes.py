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


class EvidenceKind(StrEnum):
    """What a file shows; of each kind a provider takes one."""

    RECEIPT = "receipt"  # What was paid, and for what.
    DELIVERY = "delivery"  # That the key was shown, and used.
    TALK = "talk"  # What was written with the buyer.
    OTHER = "other"


class EvidenceView(Record, frozen=True):
    """A file that goes with an answer, as pages name it."""

    id: UUID
    kind: EvidenceKind
    name: str
    media_type: str
    size: int
    person: str  # Who gave it.
    at: datetime


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
    evidence: list[EvidenceView] = []  # Only where one dispute is read.


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
    merchant: UUID | None  # Whose it must be; None: an operator answers.
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
    ON_ITS_WAY = "on_its_way"  # Other words are, or may have arrived: only those may be sent again.
    PROVIDER_REFUSED = "provider_refused"
    PROVIDER_AWAY = "provider_away"  # Nothing is known; answer again with the same words.
    UNSUPPORTED = "unsupported"  # This provider takes it on its own site.


class PutEvidence(Record, frozen=True):
    """A file against a dispute; one of its kind that was there before makes room for it."""

    id: UUID  # Chosen by the caller: sending it again changes nothing.
    dispute: UUID
    merchant: UUID | None  # Whose it must be; None: an operator gives it.
    kind: EvidenceKind
    name: str
    content: bytes  # Its kind is told by what it holds, never by its name.
    person: str


class DropEvidence(Record, frozen=True):
    """Take a file away before it was sent."""

    id: UUID
    dispute: UUID
    merchant: UUID | None


class PutEvidenceStatus(StrEnum):
    """How keeping or dropping one file ended. Where several would fit, the first is given."""

    KEPT = "kept"
    EXISTS = "exists"
    DROPPED = "dropped"
    DISPUTE_NOT_FOUND = "dispute_not_found"
    ALREADY_SENT = "already_sent"  # The answer is with the provider, or on its way there.
    DISPUTE_ENDED = "dispute_ended"
    TOO_LATE = "too_late"
    FILE_REFUSED = "file_refused"  # Too large, or of no kind that banks take.
    TOO_MUCH = "too_much"  # All files together are larger than banks take.
    EVIDENCE_NOT_FOUND = "evidence_not_found"


class EvidenceQuery(Record, frozen=True):
    """Read one file against a dispute."""

    id: UUID
    dispute: UUID
    merchant: UUID | None  # Whose it must be; None: an operator asks.


class EvidenceFile(Record, frozen=True):
    """Such a file, opened."""

    name: str
    media_type: str
    content: bytes


class DisputesDue(Record, frozen=True):
    """What of a merchant waits to be answered."""

    merchant: UUID
    count: int
    answer_by: datetime | None  # The nearest limit.


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

    async def put_evidence(self, files: Sequence[PutEvidence]) -> list[PutEvidenceStatus]:
        """Keep files against disputes, sealed; they are sent with the answer."""
        ...

    async def drop_evidence(self, files: Sequence[DropEvidence]) -> list[PutEvidenceStatus]:
        """Take files away that were not sent."""
        ...

    async def read_evidence(self, queries: Sequence[EvidenceQuery]) -> list[EvidenceFile | None]:
        """Open files; None where they are not there, or not theirs."""
        ...

    async def find_due(self, merchants: Sequence[UUID]) -> list[DisputesDue]:
        """Say how many of merchants' disputes wait to be answered, and until when."""
        ...

    async def count_disputes(
        self, merchants: Sequence[UUID], since: datetime
    ) -> list[DisputeFigures]:
        """Count merchants' disputes that were opened since a moment, for their rates."""
        ...
