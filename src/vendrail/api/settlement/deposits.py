"""Deposits (保证金): what a merchant leaves with the platform for as long as it sells here."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from vendrail.kernel.codec import Record


class DepositTerms(Record, frozen=True):
    """What a merchant is to leave, and how long after it asks it gets back what is free of it."""

    merchant: UUID
    currency: str
    amount_minor: int  # Zero: nothing any more; what is there may be asked back.
    return_days: int = 30
    since: datetime | None = None  # Set when it is written.


class DepositTermsStatus(StrEnum):
    """How writing deposit terms ended."""

    CREATED = "created"
    UNCHANGED = "unchanged"
    FIELD_MALFORMED = "field_malformed"


class DepositKind(StrEnum):
    """Which way a deposit moves."""

    PAID = "paid"  # available -> deposit
    TAKEN = "taken"  # deposit -> debt: at most what is owed, and what is there.
    RETURNED = "returned"  # deposit -> available, after the days of the terms.


class DepositState(StrEnum):
    """Where one movement of a deposit stands."""

    ASKED = "asked"  # A return that is not due yet.
    MOVING = "moving"
    DONE = "done"
    REFUSED = "refused"  # There was nothing left to move.


class DepositMove(Record, frozen=True):
    """One movement of a deposit; the id is chosen by whoever asks: again changes nothing."""

    id: UUID
    merchant: UUID
    currency: str
    kind: DepositKind
    amount_minor: int
    reason: str = ""  # Why it is taken, as the merchant reads it.
    state: DepositState = DepositState.MOVING
    moved_minor: int = 0
    asked_at: datetime | None = None
    due_at: datetime | None = None
    ended_at: datetime | None = None


class DepositStatus(StrEnum):
    """How asking for one movement ended. Where several would fit, the first listed is given."""

    DONE = "done"
    ASKED = "asked"  # A return: it moves when it is due.
    EXISTS_DIFFERENT = "exists_different"
    AMOUNT_MALFORMED = "amount_malformed"
    NO_TERMS = "no_terms"
    NOTHING_OWED = "nothing_owed"
    BALANCE_TOO_LOW = "balance_too_low"  # Of what it would come out of.
    MORE_THAN_FREE = "more_than_free"  # A return of what the terms still ask for.
    ASKED_BEFORE = "asked_before"  # One return waits at a time.
    REFUSED = "refused"


class Deposit(Record, frozen=True):
    """How a merchant's deposit in one currency stands; without terms nothing is asked."""

    merchant: UUID
    currency: str
    held_minor: int = 0
    terms: DepositTerms | None = None
    waiting: DepositMove | None = None  # The return that is not due yet, or is on its way.

    @property
    def wanted_minor(self) -> int:
        """What the terms ask for."""
        return self.terms.amount_minor if self.terms is not None else 0

    @property
    def missing_minor(self) -> int:
        """What is still to be paid in."""
        return max(0, self.wanted_minor - self.held_minor)

    @property
    def free_minor(self) -> int:
        """What may be asked back."""
        return max(0, self.held_minor - self.wanted_minor)


class DepositQuery(Record, frozen=True):
    """A page of a deposit's movements, the newest first."""

    merchant: UUID
    currency: str
    moves_max: int = 50
    before: UUID | None = None  # The last of the page before.
