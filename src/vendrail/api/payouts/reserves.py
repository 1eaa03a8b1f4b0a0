"""What payouts are paid from: money put in beforehand, by channel and currency."""

from enum import StrEnum
from uuid import UUID

from vendrail.kernel.codec import Record


class ReserveSource(StrEnum):
    """Where money of a reserve comes from, or goes back to."""

    OWNER = "owner"  # The platform's own money.
    SETTLEMENT = "settlement"  # What a provider owed us: of old; it is booked as a remittance now.
    BANK = "bank"  # What providers have paid into the platform's bank account.


class ReserveChange(Record, frozen=True):
    """Money put into a channel's reserve; below zero: taken out of it."""

    id: UUID
    channel_name: str
    currency: str
    amount_minor: int
    source: ReserveSource
    reason: str
    by: str


class ReserveStatus(StrEnum):
    """How one change of a reserve ended. Where several would fit, the first listed is given."""

    DONE = "done"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"
    CHANNEL_UNKNOWN = "channel_unknown"
    SOURCE_CLOSED = "source_closed"  # A settlement: it has a number, and is booked by that.
    AMOUNT_MALFORMED = "amount_malformed"
    RESERVE_TOO_LOW = "reserve_too_low"
    BANK_TOO_LOW = "bank_too_low"  # So much has not been paid into the bank account.


class Reserve(Record, frozen=True):
    """One channel's reserve in one currency."""

    channel: UUID
    channel_name: str
    currency: str
    there_minor: int  # What was put in and not paid out.
    reserved_minor: int  # Of that, for payouts that are under way.
    waiting_minor: int  # Asked of it by payouts that wait: it does not have it, or not yet.
    receivable_minor: int  # What the provider owes us beside it.

    @property
    def free_minor(self) -> int:
        """Give what the next payouts may take."""
        return self.there_minor - self.reserved_minor
