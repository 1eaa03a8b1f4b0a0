"""Closes: each day's books are cut, summed, sealed, and never written again."""

from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.kernel.codec import Record

# A transfer that gives unmatched money to an order has an id derived so from the money's capture.
MATCH_STEPS = ("match", "match:alone")


class CloseDay(Record, frozen=True):
    """Close the books of one day; days are closed in order."""

    day: date
    person: str


class ClosingStatus(StrEnum):
    """How closing one day ended. Where several would fit, the first listed is given."""

    CLOSED = "closed"
    EXISTS = "exists"
    NOTHING_BOOKED = "nothing_booked"  # Before the books were begun there is no day.
    OUT_OF_ORDER = "out_of_order"  # The day before is open.
    NOT_OVER = "not_over"
    NOT_SEALED = "not_sealed"  # Something of it may still be written, or is not sealed yet.
    BOOKS_UNEVEN = "books_uneven"  # Debits are not credits: a person must look.


class CloseCheck(StrEnum):
    """What came of hashing a close anew. Where several would fit, the first listed is given."""

    WHOLE = "whole"
    NOT_FOUND = "not_found"
    DIGEST_DIFFERS = "digest_differs"  # It says something else than when the day was closed.
    LINK_BROKEN = "link_broken"  # The day or the block before it is not the one it followed.
    SIGNATURE_WRONG = "signature_wrong"


class Close(Record, frozen=True):
    """A closed day."""

    day: date
    zone: str
    since: datetime | None
    until: datetime
    count: int  # Transfers of the day.
    items_count: int  # What had not come back to zero.
    oldest_since: datetime | None  # Since when the oldest of it lay there.
    block: int  # The newest block of the sealed journal when it was closed.
    head: str  # And its hash.
    previous: str
    digest: str
    signature: str
    closed_by: str
    closed_at: datetime


class CloseSum(Record, frozen=True):
    """What accounts of one kind and currency had moved up to the cut."""

    currency: str
    kind: str
    debits_pending: int
    debits_posted: int
    credits_pending: int
    credits_posted: int

    @property
    def credit_minor(self) -> int:
        """Give what they held: credits less debits."""
        return self.credits_posted - self.debits_posted


class CloseItem(Record, frozen=True):
    """An amount that had not left a clearing account at the cut."""

    account: str
    currency: str
    subject: UUID
    amount_minor: int
    since: datetime


class CloseSheet(Record, frozen=True):
    """A closed day with its trial balance."""

    close: Close
    sums: list[CloseSum]


class CloseQuery(Record, frozen=True):
    """A page of closed days, the newest first."""

    before: date | None = None
    closes_max: int = 50


class CloseItemQuery(Record, frozen=True):
    """A page of a closed day's items, the oldest first; `after` is the last of the page before."""

    day: date
    after: CloseItem | None = None
    items_max: int = 100


class NextClose(Record, frozen=True):
    """Which day is to be closed next, and since when it could be; None: there are no books."""

    day: date | None
    due_at: datetime | None
    problem: ClosingStatus | None = None  # Why it was not closed when it was last tried.


class Closes(Protocol):
    """The closing of days."""

    async def close_days(self, days: Sequence[CloseDay]) -> list[ClosingStatus]:
        """Close days, in order; what is closed stays so, whoever asks."""
        ...

    async def read_closing(self) -> NextClose:
        """Say which day is next."""
        ...

    async def list_closes(self, queries: Sequence[CloseQuery]) -> list[list[Close]]:
        """List closed days, the newest first; a short page is the last."""
        ...

    async def read_closes(self, days: Sequence[date]) -> list[CloseSheet | None]:
        """Read closed days with their trial balances; None: it is open."""
        ...

    async def check_closes(self, days: Sequence[date]) -> list[CloseCheck]:
        """Hash closes anew, and compare with what was signed; at most 64 in one batch."""
        ...

    async def list_close_items(self, queries: Sequence[CloseItemQuery]) -> list[list[CloseItem]]:
        """List what lay in clearing accounts, the oldest first; a short page is the last."""
        ...
