"""Numbers as people have them at hand: what a service knows under one, told in one form by all."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.kernel.codec import Record
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import from_serial

NUMBERS_MAX = 64
# Papers and web pages break long numbers at these; whoever copies one copies them too.
_UNSEEN = dict.fromkeys(
    map(
        ord,
        "\u200b\u200e\u200f\u2060\ufeff\u00ad\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    )
)
_LENGTH_MAX = 254


class FoundKind(StrEnum):
    """What a number names."""

    ORDER = "order"
    CHARGE = "charge"  # An order that a card site knows by a number of its own.
    ATTEMPT = "attempt"
    CAPTURE = "capture"
    ARRIVAL = "arrival"  # A transaction on a chain, counted or not.
    REFUND = "refund"
    REPLACEMENT = "replacement"
    PAYOUT = "payout"
    DISPUTE = "dispute"
    COMPLAINT = "complaint"
    TRANSFER = "transfer"  # In the books.
    WEBHOOK = "webhook"  # A message to a merchant's program, or one telling of it.


class Found(Record, frozen=True):
    """One thing that a number names."""

    kind: FoundKind
    id: UUID
    number: str  # As whoever gave the number would write it.
    at: datetime
    subject: UUID | None = None  # Mostly the order that it belongs to; None: nobody knows one.
    merchants: tuple[UUID, ...] = ()  # Whose it is, and who may see it beside the platform.


class Numbered(Protocol):
    """A service that finds what it has by numbers."""

    async def find_numbers(self, numbers: Sequence[str]) -> list[list[Found]]:
        """Find what numbers name, each by an index; what nobody knows is empty."""
        ...


def check(numbers: Sequence[str]) -> None:
    """Refuse more numbers than are looked up at once, and what is too long for one."""
    if len(numbers) > NUMBERS_MAX or any(len(each) > _LENGTH_MAX for each in numbers):
        raise Malformed(f"At most {NUMBERS_MAX} numbers, each of at most {_LENGTH_MAX} letters.")


def bare(text: str) -> str:
    """Take out of a copied number what nobody sees of it, and the blanks around it."""
    return text.translate(_UNSEEN).strip()


def id_in(text: str) -> UUID | None:
    """Read a serial number or an id; None: it is neither."""
    cleaned = "".join(text.split())
    if not cleaned.isascii():
        return None
    try:
        return UUID(cleaned) if len(cleaned) in (32, 36) else from_serial(cleaned)
    except (ValueError, Malformed):
        return None


def ids_in(numbers: Sequence[str]) -> dict[str, UUID]:
    """Read the ids out of those numbers that are some."""
    return {each: id for each in numbers if (id := id_in(each)) is not None}


def by_number(
    numbers: Sequence[str], found: Sequence[tuple[str | UUID, Found]]
) -> list[list[Found]]:
    """Sort what was found, each beside the number or the id it was found by, to the numbers."""
    ids = ids_in(numbers)
    sorted_: dict[str | UUID, dict[tuple[FoundKind, UUID], Found]] = {}
    for key, each in found:
        sorted_.setdefault(key, {}).setdefault((each.kind, each.id), each)
    told = []
    for number in numbers:
        keys: list[str | UUID] = [number, *([ids[number]] if number in ids else [])]
        merged: dict[tuple[FoundKind, UUID], Found] = {}
        for key in keys:
            merged |= sorted_.get(key, {})
        told.append(list(merged.values()))
    return told
