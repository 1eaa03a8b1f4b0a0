"""Sales limits: how much a merchant may sell, until an operator knows them better."""

from uuid import UUID

from vendrail.api.catalog.names import MerchantId
from vendrail.kernel.codec import Record

EVERYBODY = MerchantId(UUID(int=0))  # Whose limit counts for merchants without one of their own.


class SalesLimit(Record, frozen=True):
    """The most one order may cost, and thirty days may bring; None: any.

    With a bound a merchant sells in that currency alone. An empty currency takes the limit away:
    then the one for everybody counts.
    """

    merchant: MerchantId
    currency: str
    order_minor_max: int | None = None
    month_minor_max: int | None = None

    @property
    def is_bounded(self) -> bool:
        """Tell whether anything is too much."""
        return self.order_minor_max is not None or self.month_minor_max is not None
