"""Risk: may this order be placed, may this payment be delivered; its first answer is kept."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.kernel.codec import Record
from vendrail.kernel.vault import Vault


def subject_hash(vault: Vault, kind: str, value: str) -> str:
    """Hash a `contact`, `address` or `device`: who asks and who keeps lists must agree on it."""
    return vault.keyed_hash(f"orders.{kind}", value.encode())[:16].hex()


class RiskDecision(StrEnum):
    """What risk says."""

    ALLOW = "allow"
    REVIEW = "review"  # A person decides; the saga waits.
    REFUSE = "refuse"


class RiskQuestion(Record, frozen=True):
    """What is known of an order, asked at placing (screen) and after payment (assess)."""

    order: UUID
    merchant: UUID
    amount_minor: int
    currency: str
    buyer: str  # `subject_hash` of the cleaned contact.
    address: str = ""  # `subject_hash` of the network address.
    device: str = ""  # `subject_hash` of the device cookie.
    contact: str = ""  # In clear only while asking; never stored by risk.


class RiskAnswer(Record, frozen=True):
    """The decision and the limits or lists that led to it (`daily_amount`, `list:blocked`, …)."""

    decision: RiskDecision
    reasons: list[str] = []


class Verdict(Record, frozen=True):
    """A person's decision on an order under review: ALLOW releases it, REFUSE refunds it."""

    order: UUID
    decision: RiskDecision
    person: str
    reason: str


class VerdictStatus(StrEnum):
    """How settling one review ended."""

    SETTLED = "settled"
    EXISTS = "exists"  # The same verdict stood already.
    EXISTS_DIFFERENT = "exists_different"
    REVIEW_NOT_FOUND = "review_not_found"
    DECISION_MALFORMED = "decision_malformed"


class ListKind(StrEnum):
    """What being on a list means."""

    BLOCKED = "blocked"
    REVIEWED = "reviewed"
    TRUSTED = "trusted"


class ListEntry(Record, frozen=True):
    """One subject on a list: `contact:…`, `address:…` or `device:…`, in clear; kept as its hash."""

    subject: str
    kind: ListKind
    reason: str = ""


class RiskLimits(Record, frozen=True):
    """How much is normal within 24 hours; 0: no limit.

    Above `review_*` a person decides, above `refuse_*` the answer is no.
    """

    review_orders_per_buyer: int = 50
    review_orders_per_address: int = 200
    review_orders_per_device: int = 50
    review_amount_per_buyer_minor: int = 2_000_000
    refuse_orders_per_buyer: int = 500
    refuse_orders_per_address: int = 5_000
    refuse_orders_per_device: int = 500
    refuse_amount_per_buyer_minor: int = 20_000_000


class Review(Record, frozen=True):
    """An order that waits for a person."""

    order: UUID
    merchant: UUID
    amount_minor: int
    currency: str
    reasons: list[str]
    at: datetime


class ReviewQuery(Record, frozen=True):
    """A page of the orders that wait for a person, the first placed first."""

    merchant: UUID | None = None  # Of this merchant alone.
    after: UUID | None = None  # The last order of the page before.
    reviews_max: int = 50


class Risk(Protocol):
    """Decide in batches; keep every first answer."""

    async def screen_orders(self, questions: Sequence[RiskQuestion]) -> list[RiskAnswer]:
        """Say whether orders may be placed: only lists and hard limits refuse. Keeps nothing."""
        ...

    async def weigh_orders(self, questions: Sequence[RiskQuestion]) -> list[RiskAnswer]:
        """Say what `assess_payments` would, before anything is paid: keeps and counts nothing."""
        ...

    async def assess_payments(self, questions: Sequence[RiskQuestion]) -> list[RiskAnswer]:
        """Say whether paid orders may be delivered; an order's first answer is kept for ever.

        A verdict on a review takes its place.
        """
        ...

    async def settle_reviews(self, verdicts: Sequence[Verdict]) -> list[VerdictStatus]:
        """Record what people decided."""
        ...

    async def list_reviews(self, queries: Sequence[ReviewQuery]) -> list[list[Review]]:
        """List orders that wait for a person, the first placed first; a short page is the last."""
        ...

    async def read_reviews(self, orders: Sequence[UUID]) -> list[Review | None]:
        """Read the reviews of orders that wait for a person; None for those that do not."""
        ...

    async def put_list_entries(self, entries: Sequence[ListEntry]) -> list[bool]:
        """Put subjects on lists; true where it is new."""
        ...

    async def remove_list_entries(self, subjects: Sequence[str]) -> list[bool]:
        """Take subjects off all lists; true where one was there."""
        ...

    async def put_limits(self, limits: RiskLimits) -> None:
        """Set the limits."""
        ...
