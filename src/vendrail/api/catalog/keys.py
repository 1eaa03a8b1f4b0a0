"""Keys: taken in by batches, voided, and replaced where they do not work."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from vendrail.api.catalog.names import AllocationId
from vendrail.kernel.codec import Record


class ReplacedKey(Record, frozen=True):
    """A key that a buyer once had: another has taken its place."""

    position: int  # Which item of the delivery it was, from 1.
    text: str
    at: datetime


class KeyReplacement(Record, frozen=True):
    """Put other keys in place of sold ones that do not work: all that are named, or none."""

    id: UUID  # Chosen by the caller: sending it again changes nothing.
    allocation: AllocationId
    positions: list[int]  # Which items of the delivery, from 1.
    reason: str
    seen: int = 0  # How many replacements of it the caller knows of: two people replace once.


class KeyReplacementStatus(StrEnum):
    """How one replacement ended. Where several would fit, the first listed is given."""

    REPLACED = "replaced"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"
    ALLOCATION_NOT_FOUND = "allocation_not_found"
    NOT_SOLD = "not_sold"  # Not readable yet, or void since.
    NOT_UNIQUE = "not_unique"  # Everybody gets the same: change the content instead.
    POSITIONS_MALFORMED = "positions_malformed"
    CHANGED_SINCE = "changed_since"  # Somebody else has replaced a key of it meanwhile.
    SOLD_OUT = "sold_out"  # Nothing was changed.


class KeyState(StrEnum):
    """Where one key stands. Once sold it is never free again."""

    FREE = "free"
    ALLOCATED = "allocated"
    SOLD = "sold"
    VOID = "void"


class KeyLine(Record, frozen=True):
    """One line of a merchant's key file."""

    number: int  # Line number in the file, from 1.
    text: str


class KeyIntake(Record, frozen=True):
    """Lines to add to one variant, in one batch of one file."""

    sku: str
    batch: UUID  # One id for the whole file, so that an intake can be found and undone.
    lines: list[KeyLine]


class KeyReject(Record, frozen=True):
    """One line that was not taken, and why: `empty`, `too_long`, `duplicate`, `not_text`."""

    number: int
    reason: str


class KeyIntakeResult(Record, frozen=True):
    """How many lines were taken; `sku_found` is false when nothing was even looked at."""

    sku_found: bool
    added_count: int
    rejects: list[KeyReject]


class KeyBatch(Record, frozen=True):
    """What came in with one file for one variant, and where it is now."""

    id: UUID
    taken_at: datetime
    added: int
    unsold: int  # In the pool: free, or set aside for unpaid orders.
    allocated: int
    sold: int
    void: int


class BatchQuery(Record, frozen=True):
    """A page of one variant's batches, newest first."""

    sku: str
    before: UUID | None = None  # The last batch of the page before.
    batches_max: int = 50


class KeyVoid(Record, frozen=True):
    """Withdraw a variant's free keys: those of one batch, or (None) all."""

    sku: str
    batch: UUID | None = None


class KeyVoidResult(Record, frozen=True):
    """How many keys were voided; asking again voids what has become free since."""

    voided_count: int
    kept_count: int  # Still there: unpaid orders hold so many.
    orders: list[UUID] = []  # Who has keys of the batch, newest first, the first thousand.
