"""Sales summed and counted, and in little: as fees are tried on them."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from vendrail.api.orders.states import OrderId
from vendrail.kernel.codec import Record


class PastSaleQuery(Record, frozen=True):
    """A page of delivered orders of everybody, oldest first."""

    since: datetime  # Placed from then …
    until: datetime  # … and before then.
    after: OrderId | None = None  # The last order of the page before.
    sales_max: int = 1_000


class DeliveredOrder(Record, frozen=True, array_like=True):
    """A delivered order in little: nothing of its buyer."""

    id: OrderId
    merchant: UUID
    amount_minor: int
    currency: str
    placed_at: datetime
    method: str  # As it was first chosen.
    category: str


class MerchantSalesQuery(Record, frozen=True):
    """Count every merchant's delivered orders of a stretch of time."""

    since: datetime
    until: datetime


class MerchantSales(Record, frozen=True):
    """The delivered orders of one merchant in one currency, as they stand now."""

    merchant: UUID
    currency: str
    sold_count: int
    sold_minor: int
    refunded_count: int  # Of how many of them money has gone back.


class SalesQuery(Record, frozen=True):
    """Sum a merchant's orders that were placed in a stretch of time, by hours or days."""

    merchant: UUID
    since: datetime
    until: datetime
    step: Literal["hour", "day"] = "day"
    zone: str = "UTC"  # Where days begin at midnight.


class SalesSum(Record, frozen=True):
    """The orders placed in one hour or day in one currency, as they stand now."""

    starts_at: datetime
    currency: str
    placed_count: int
    sold_count: int  # How many of them have been delivered …
    sold_minor: int  # … for how much …
    refunded_minor: int  # … and what of it has gone back since.
