"""Supplied sales: one merchant sells, another's keys are delivered, and the split has three parts.

What is the supplier's is booked under a serial number of its own, which derives from the order's:
there it is a sale like any other, without a fee.
"""

from uuid import UUID

from vendrail.kernel.codec import Record
from vendrail.kernel.ids import derive


def supply_of(order: UUID) -> UUID:
    """Give the serial number that the supplier's part of an order is booked under."""
    return derive(order, "supply")


class Supply(Record, frozen=True):
    """What of an order's price is its supplier's, whole; fee and channel's cost are the agent's."""

    supplier: UUID
    amount_minor: int  # The floor price of one, times how many; above zero.


class KeptSupply(Record, frozen=True):
    """Whose order a supplier's part was split out of, as it was written before the split."""

    id: UUID  # What the part is booked under.
    order: UUID
    agent: UUID
    supplier: UUID
    amount_minor: int
    currency: str
    price_minor: int  # Of the whole order.
