"""Supplied sales: what an agent has sold of a supplier's keys, as the supplier may see it."""

from datetime import datetime
from uuid import UUID

from vendrail.api.orders.states import OrderId, OrderState
from vendrail.kernel.codec import Record


class SuppliedQuery(Record, frozen=True):
    """A page of what agents have sold of a supplier's keys, newest first."""

    supplier: UUID
    agent: UUID | None = None  # None: of all.
    before: OrderId | None = None  # The last of the page before.
    orders_max: int = 50


class SuppliedOrder(Record, frozen=True):
    """An agent's order in little: nothing of its buyer, nor of what they paid."""

    id: OrderId
    agent: UUID
    variant: UUID  # The supplier's.
    title: str  # As the agent calls it.
    quantity: int
    supplied_minor: int  # The supplier's part of the price.
    currency: str
    state: OrderState  # Delivered or refunded: others are not told.
    placed_at: datetime
    is_refunded: bool = False  # Some of it has gone back, or all.


class SuppliedSum(Record, frozen=True):
    """What one agent has sold of a supplier's keys in thirty days, in one currency."""

    agent: UUID
    currency: str
    sold_count: int
    quantity: int
    supplied_minor: int
