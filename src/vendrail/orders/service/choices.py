"""One order on its way to being written."""

from vendrail.api.catalog import Offer
from vendrail.api.orders import Discount, Exchange, PlaceOrder, PlaceStatus
from vendrail.api.payments import AttemptId
from vendrail.kernel.ids import derive
from vendrail.kernel.money import Money
from vendrail.orders import decide


class Choice:
    """A buyer's choice, what was found for it, and how it stands."""

    __slots__ = (
        "amount_minor",
        "attempt",
        "contact",
        "coupon_problem",
        "discount",
        "exchange",
        "offer",
        "order",
        "request_hash",
        "status",
        "supply",
    )

    def __init__(self, order: PlaceOrder, offer: Offer | None) -> None:
        cleaned = decide.contact(order.contact)
        self.order = order
        self.offer = offer
        self.status = status = decide.placement(order, offer, cleaned)
        self.contact = cleaned or ""
        self.request_hash = decide.request_hash(order)
        self.attempt = AttemptId(derive(order.id, "attempt:1")) if order.method else None
        self.exchange: Exchange | None = None
        self.discount: Discount | None = None
        self.coupon_problem = ""
        self.supply: decide.SupplyFacts | None = None
        self.amount_minor = 0
        if offer is not None and status is PlaceStatus.PLACED:
            self.amount_minor = offer.total_minor(order.quantity, order.currency)

    @property
    def due(self) -> Money:
        """What the buyer pays."""
        paid = self.exchange
        if paid is None:
            return Money(self.amount_minor, self.order.currency)
        return Money(paid.amount_minor, paid.currency)
