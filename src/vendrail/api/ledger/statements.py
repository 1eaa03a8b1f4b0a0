"""Statements: all that moved in a merchant's accounts of one currency, in a stretch of time."""

from datetime import datetime
from uuid import UUID

from vendrail.kernel.codec import Record


class StatementQuery(Record, frozen=True):
    """Which statement: from `since` to before `until`. Parts are named as in `Chart.merchant`."""

    merchant: UUID
    currency: str
    since: datetime
    until: datetime


class StatementSum(Record, frozen=True):
    """What moved for one reason from one part to another; an empty part is not the merchant's."""

    code: str  # A transfer's.
    source: str
    target: str
    count: int
    amount_minor: int


class Statement(Record, frozen=True):
    """What each part held before and after, and the sums of what moved: they add up."""

    opening: dict[str, int]  # By part; what is owed is below zero.
    closing: dict[str, int]
    sums: list[StatementSum]
    fees_minor: int = 0  # What was kept of the sales in it: the sum over its lines' fees.

    @property
    def count(self) -> int:
        """How many lines it has."""
        return sum(each.count for each in self.sums)


class StatementPlace(Record, frozen=True):
    """Behind which line of a statement the next page begins; handed back as it was given."""

    at: datetime
    id: UUID
    width_us: int  # How far such a page reaches, about.


class StatementLinesQuery(Record, frozen=True):
    """A page of a statement's lines, oldest first; `after` is the `next` of the page before."""

    statement: StatementQuery
    after: StatementPlace | None = None
    lines_max: int = 1_000


class StatementLine(Record, frozen=True, array_like=True):
    """One movement between parts, or between a part and somebody else."""

    at: datetime
    transfer: UUID
    code: str
    subject: UUID
    memo: str
    amount_minor: int
    source: str
    target: str
    fee_minor: int = 0  # Of a sale, at its first line: what was kept of the price.


class StatementPage(Record, frozen=True):
    """Some lines, and where it goes on; None: that was all."""

    lines: list[StatementLine]
    next: StatementPlace | None = None


class StatementSeal(Record, frozen=True):
    """A statement that is signed: whoever changes a line of it later cannot sign it again.

    The digest is SHA-256, in hexadecimal, over the lines in order: moment in microseconds since
    1970, transfer, code, source, target and amount, parted by `|`, each line ended by a line feed.
    The signature is Ed25519 over the text that `says` holds.
    """

    digest: str
    count: int
    says: str
    signature: str
    public_key: str
