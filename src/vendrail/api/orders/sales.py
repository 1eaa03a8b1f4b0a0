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


class SalePartsQuery(Record, frozen=True):
    """Sum a merchant's delivered orders of a stretch of time by what, how and when was sold."""

    merchant: UUID
    since: datetime  # Placed from then …
    until: datetime  # … and before then.
    currency: str = ""  # Empty: sold in any; then only the counts say something.
    zone: str = "UTC"  # Whose clock tells the hour.
    orders_max: int = 20_000  # The newest that are looked at: of a busy merchant's, not all are.


class SalePart(Record, frozen=True):
    """What was sold of one variant, by one method, or in one hour of the day."""

    key: str  # The variant's id (empty: charges of all kinds), the method's name, or the hour.
    sold_count: int
    quantity: int
    sold_minor: int
    refunded_minor: int
    title: str = ""  # Of a variant: as its orders call it.
    sku: str = ""


class SaleParts(Record, frozen=True):
    """The sums by each of the three; at most 200 variants are told."""

    begins_at: datetime  # From when on orders were looked at: later than asked of the busiest.
    variants: list[SalePart]  # Those that brought the most first.
    methods: list[SalePart]  # As they were first chosen; the most first.
    hours: list[SalePart]  # From midnight on; empty ones are left out.
