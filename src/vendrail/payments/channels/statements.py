"""What a channel may do whose provider writes statements: a file of each day, byte for byte."""

from datetime import date, datetime
from enum import StrEnum
from typing import Protocol, TypeVar, runtime_checkable

from vendrail.kernel.codec import Record
from vendrail.payments.channels.base import Account

Settings = TypeVar("Settings")


class StatementKind(StrEnum):
    """What a statement lists: what was sold and given back, or every movement of the balance."""

    TRADE = "trade"
    FUNDS = "funds"


class StatementOutcome(StrEnum):
    """What came of asking for a day's statement."""

    READY = "ready"
    NONE = "none"  # Nothing happened on that day, and that is certain.
    NOT_READY = "not_ready"  # The day is not over, or not written up yet.
    UNSUPPORTED = "unsupported"
    UNKNOWN = "unknown"


class StatementAnswer(Record, frozen=True):
    """A day's statement, as the provider wrote it; a file only when it is ready."""

    outcome: StatementOutcome
    file: bytes = b""
    name: str = ""
    media_type: str = ""
    problem: str = ""


@runtime_checkable
class StatementChannel(Protocol[Settings]):
    """A channel whose provider writes statements."""

    async def download_statement(
        self, kind: StatementKind, day: date, account: Account[Settings], now: datetime
    ) -> StatementAnswer:
        """Fetch the statement of one day of the provider's own calendar, byte for byte."""
        ...
