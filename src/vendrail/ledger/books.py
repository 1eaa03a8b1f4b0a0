"""What is known while a batch is decided: accounts, counters, earlier transfers."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.ledger import (
    AccountLimit,
    Transfer,
    TransferKind,
    TransferResult,
    TransferStatus,
)


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What never changes about an account; kept in memory, one object an account."""

    id: UUID
    number: int
    name: str
    currency: str
    limit: AccountLimit
    are_debits_limited: bool
    are_credits_limited: bool
    is_limited: bool
    is_listed: bool
    opened_at: datetime


@dataclass(slots=True)
class Counters:
    """The four counters of an account, or changes to them."""

    debits_pending: int = 0
    debits_posted: int = 0
    credits_pending: int = 0
    credits_posted: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one id: it stands in the books, or it was refused."""

    request: bytes
    at: datetime
    transfer: Transfer | None = None  # None where it was refused.
    amount_minor: int = 0
    refusal: TransferStatus | None = None

    @property
    def due_at(self) -> datetime | None:
        """Give the moment from which a pending transfer counts as expired."""
        if self.transfer is None or not self.transfer.timeout_s:
            return None
        return self.at + timedelta(seconds=self.transfer.timeout_s)

    def repeat(self, request: bytes) -> TransferResult:
        """Answer a request under the same id, the same or another."""
        if request != self.request:
            return TransferResult(TransferStatus.EXISTS_DIFFERENT)
        if self.refusal is not None:
            return TransferResult(self.refusal)
        return TransferResult(TransferStatus.EXISTS, self.amount_minor)


@dataclass(frozen=True, slots=True)
class Made:
    """One row for the journal: a transfer with what it did, or with why it was refused."""

    transfer: Transfer
    request: bytes
    debit: int | None = None
    credit: int | None = None
    amount_minor: int | None = None
    released_minor: int | None = None
    refusal: TransferStatus | None = None


@dataclass(slots=True)
class Books:
    """All that a batch touches, as loaded; decisions change it, the store writes what changed."""

    now: datetime
    accounts: dict[int, Terms]  # By the integer of the account's id.
    counters: dict[int, Counters] = field(default_factory=dict)  # Of limited accounts, by number.
    outcomes: dict[UUID, Outcome] = field(default_factory=dict)
    resolutions: dict[UUID, TransferKind] = field(default_factory=dict)  # By the pending's id.
    changes: dict[int, Counters] = field(default_factory=dict)  # Every account touched, by number.
    made: dict[UUID, Made] = field(default_factory=dict)


def digest(transfer: Transfer) -> bytes:
    """Give 16 bytes that tell one request from another; all fields count but `is_linked`.

    Written out, so that a field added to the record later does not change what is stored.
    """
    text = "|".join(
        (
            transfer.id.hex,
            transfer.debit.hex,
            transfer.credit.hex,
            str(transfer.amount_minor),
            transfer.code,
            transfer.subject.hex,
            transfer.kind,
            transfer.pending.hex if transfer.pending else "",
            str(transfer.timeout_s),
            "balancing" if transfer.is_balancing else "",
            transfer.memo,
        )
    )
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def free_minor(terms: Terms, counters: Counters) -> int:
    """Give what a limited account may still pay (or, limited in credits, still take)."""
    if terms.are_debits_limited:
        return counters.credits_posted - counters.debits_posted - counters.debits_pending
    return counters.debits_posted - counters.credits_posted - counters.credits_pending
