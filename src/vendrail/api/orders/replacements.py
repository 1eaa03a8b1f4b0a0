"""Replacements: keys of a delivered order that do not work make room for others."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from vendrail.api.orders.states import OrderId
from vendrail.kernel.codec import Record


class ReplacedItem(Record, frozen=True):
    """A key that the buyer once had: it was replaced by another, which is among the items."""

    position: int  # Which of the items it was, from 1.
    text: str
    at: datetime


class ReplaceItems(Record, frozen=True):
    """Put other keys in place of those of a delivered order that do not work: all, or none."""

    id: UUID  # Chosen by the caller: sending it again changes nothing.
    order: OrderId
    positions: list[int]  # Which of the items, from 1.
    reason: str
    person: str
    seen: int = 0  # How many replacements of it the person knows of: two people replace once.


class ReplaceStatus(StrEnum):
    """How one replacement ended. Where several would fit, the first listed is given."""

    REPLACED = "replaced"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"
    ORDER_NOT_FOUND = "order_not_found"
    NOT_DELIVERED = "not_delivered"  # Not yet, or its money is going back.
    NOT_UNIQUE = "not_unique"  # Everybody gets the same: change the content instead.
    POSITIONS_MALFORMED = "positions_malformed"
    SUPPLY_SPENT = "supply_spent"  # An agent's: as many were replaced as the order is of.
    CHANGED_SINCE = "changed_since"  # Somebody else has replaced a key of it meanwhile.
    SOLD_OUT = "sold_out"  # No key is free: nothing was changed.


class ReplacementView(Record, frozen=True):
    """What was replaced of an order, by whom and why; never the keys."""

    id: UUID
    order: OrderId
    positions: list[int]
    reason: str
    person: str
    at: datetime
