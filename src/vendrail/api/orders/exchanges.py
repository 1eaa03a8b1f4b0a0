"""Orders that are paid in another currency than their price."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from vendrail.kernel.codec import Record


class Exchange(Record, frozen=True):
    """What the buyer pays in place of the price: fixed by a quote when the order was placed."""

    quote: UUID
    amount_minor: int
    currency: str
    spread_minor: int  # The part of it that the exchange costs.
    mid: Decimal  # What one unit of the price's currency was at the middle rate …
    rated_at: datetime  # … of which moment.
