"""Remittances: what providers pay us of what they owe, a day or more after the sales."""

from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

from vendrail.kernel.codec import Record


class RemittanceTarget(StrEnum):
    """Where the provider's money has arrived."""

    RESERVE = "reserve"  # With the provider itself, for the next payouts.
    BANK = "bank"  # In the platform's own bank account.


class Remittance(Record, frozen=True):
    """One settlement of a provider, known by its number there: it is booked once."""

    channel_name: str
    number: str  # As the provider gives it; the same for ever.
    currency: str
    gross_minor: int  # What it settles of what it owes us …
    fee_minor: int  # … of which it has kept so much for itself; the rest has arrived.
    target: RemittanceTarget
    paid_on: date
    by: str = ""
    reason: str = ""

    @property
    def net_minor(self) -> int:
        """Give what has arrived."""
        return self.gross_minor - self.fee_minor


class RemittanceStatus(StrEnum):
    """How booking one remittance ended. Where several would fit, the first listed is given."""

    BOOKED = "booked"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"  # Its number was booked with another amount or place.
    FIELD_MALFORMED = "field_malformed"
    CHANNEL_UNKNOWN = "channel_unknown"  # No channel of that name takes that currency.
    NO_RESERVE = "no_reserve"  # That channel pays nobody out in that currency.
    MORE_THAN_OWED = "more_than_owed"  # The provider owes us less than that.


class RemittanceView(Record, frozen=True):
    """A remittance as it was booked."""

    place: int  # It grows: pages begin before one.
    remittance: Remittance
    at: datetime
    is_booked: bool  # False for a moment at most: the books follow.


class RemittanceQuery(Record, frozen=True):
    """A page of remittances, the newest first, before a place (exclusive)."""

    before: int | None = None
    remittances_max: int = 50


class Remittances(Protocol):
    """What providers pay us."""

    async def book_remittances(self, remittances: Sequence[Remittance]) -> list[RemittanceStatus]:
        """Book what has arrived: out of what the provider owes, into the reserve or the bank.

        What it kept is a cost of the channel. Payouts that waited for the reserve go on.
        """
        ...

    async def check_remittances(self, remittances: Sequence[Remittance]) -> list[RemittanceStatus]:
        """Say how booking them, one after the other, would end; nothing is written."""
        ...

    async def list_remittances(self, query: RemittanceQuery) -> list[RemittanceView]:
        """List what was booked, the newest first."""
        ...
