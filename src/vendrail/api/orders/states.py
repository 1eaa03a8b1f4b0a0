"""What an order is called by, and where it stands."""

from enum import StrEnum
from typing import NewType
from uuid import UUID

OrderId = NewType("OrderId", UUID)


class OrderState(StrEnum):
    """Where one order stands."""

    PLACED = "placed"  # Waits for money.
    PAID = "paid"  # Money is held; the keys are on their way (or `waiting` says for what).
    DELIVERED = "delivered"  # The keys are readable: past the pivot.
    EXPIRED = "expired"  # Nobody paid in time; late money is still money.
    CANCELLED = "cancelled"
    REFUNDING = "refunding"  # The money is on its way back.
    REFUNDED = "refunded"
