"""Looking orders up: a contact proves itself by a one-time code, and finds its orders."""

from datetime import datetime
from uuid import UUID

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


class BoughtQuery(Record, frozen=True):
    """A page of what a buyer has bought, newest first: signed in, or by the proven contact.

    A trusted service asks: it has seen the buyer prove both.
    """

    buyer: UUID
    contact: str
    before: OrderId | None = None  # The last order of the page before.
    orders_max: int = 20
