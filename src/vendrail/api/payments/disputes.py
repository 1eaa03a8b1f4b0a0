"""What payers' banks take back: how it is told, and what is said against it."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.kernel.codec import Record


class DisputeOutcome(StrEnum):
    """How a dispute stands with the provider."""

    OPEN = "open"
    WON = "won"  # The money is the merchant's after all.
    LOST = "lost"


class DisputedCapture(Record, frozen=True):
    """The money that a dispute is of, as it arrived."""

    id: UUID
    channel: UUID
    channel_name: str
    provider_number: str
    order: UUID | None
    merchant: UUID | None
    amount_minor: int
    currency: str


class DisputeTold(Record, frozen=True, tag="payment.dispute_told"):
    """The payer's bank asks for money back, or has decided; told in any order, and again."""

    capture: DisputedCapture
    case_number: str  # The provider's.
    outcome: DisputeOutcome
    amount_minor: int
    currency: str
    at: datetime
    fee_minor: int = 0  # What the provider asks for it, in the same currency.
    reason: str = ""  # The provider's word for it.
    answer_by: datetime | None = None  # When the provider takes evidence no more.
    has_taken: bool = True  # False: an end that may be of what never took any money.


class EvidencePaper(Record, frozen=True):
    """A file that goes with evidence."""

    kind: str  # `receipt`, `delivery`, `talk`, `other`.
    name: str
    media_type: str
    content: bytes


class DisputeEvidence(Record, frozen=True):
    """What is sent to a provider against a dispute, once; `id` is its idempotency key."""

    id: UUID
    channel: UUID
    case_number: str
    text: str
    papers: list[EvidencePaper] = []


class EvidenceStatus(StrEnum):
    """How sending evidence ended."""

    SENT = "sent"
    REFUSED = "refused"  # Too late, sent already, or not of this account.
    UNSUPPORTED = "unsupported"  # This channel's provider takes it on its own site.
    UNKNOWN = "unknown"  # Asked again under the same id.


class Contests(Protocol):
    """What is said against disputes, on its way out."""

    async def send_evidence(self, evidence: Sequence[DisputeEvidence]) -> list[EvidenceStatus]:
        """Send what is said against disputes to their providers; each id once."""
        ...
