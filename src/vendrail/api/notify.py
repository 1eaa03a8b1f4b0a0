"""Notify: messages out, once each."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.kernel.codec import Record


class Message(Record, frozen=True):
    """One message to one person; sending the same id again sends nothing."""

    id: UUID
    recipient: str  # An e-mail address.
    template: str  # `lookup_code`, …
    locale: str
    values: dict[str, str]


class MessageStatus(StrEnum):
    """How taking one message ended."""

    TAKEN = "taken"
    EXISTS = "exists"
    TEMPLATE_UNKNOWN = "template_unknown"
    RECIPIENT_MALFORMED = "recipient_malformed"


class Notify(Protocol):
    """Take messages durably; deliver them in the background."""

    async def send_messages(self, messages: Sequence[Message]) -> list[MessageStatus]:
        """Take messages; they are delivered by themselves, once each."""
        ...
