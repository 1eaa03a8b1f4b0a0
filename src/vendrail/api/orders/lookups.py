"""Looking orders up: a contact proves itself by a one-time code, and finds its orders."""

from datetime import datetime

from vendrail.api.orders.states import OrderId, OrderState
from vendrail.kernel.codec import Record


class LookupRequest(Record, frozen=True):
    """Ask for a one-time code to see the orders of a contact; the answer never says if any are."""

    contact: str
    locale: str = "zh-Hans"


class LookupCode(Record, frozen=True):
    """Redeem a one-time code."""

    contact: str
    code: str


class FoundOrder(Record, frozen=True):
    """An order of the verified contact, with its secret so that its page can be opened."""

    id: OrderId
    serial: str
    secret: str
    title: str
    state: OrderState
    placed_at: datetime
