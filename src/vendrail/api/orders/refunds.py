"""Refunds of orders: money that goes back the way it came, or into its buyer's wallet."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from vendrail.api.orders.states import OrderId
from vendrail.kernel.codec import Record


class RefundOrder(Record, frozen=True):
    """Give money of an order back, whole (amount 0) or in part; the id is the idempotency key."""

    id: UUID
    order: OrderId
    amount_minor: int
    reason: str
    person: str
    to_wallet: bool = False  # Into the wallet of the order's buyer, wherever it was paid from.


class RefundOrderStatus(StrEnum):
    """How asking for one refund ended; the saga does the rest."""

    ACCEPTED = "accepted"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"
    ORDER_NOT_FOUND = "order_not_found"
    NOT_PAID = "not_paid"
    DISPUTED = "disputed"  # The payer's bank may take the same money: first that is decided.
    MORE_THAN_CAPTURED = "more_than_captured"
    AMOUNT_TOO_SMALL = "amount_too_small"  # Less than a unit of the currency that was paid.
    NO_WALLET = "no_wallet"  # Nobody was signed in who has one, or it takes in nothing.


class RefundView(Record, frozen=True):
    """A refund as it stands: `asked, paid, failed`."""

    id: UUID
    order: OrderId
    amount_minor: int
    currency: str
    state: str
    reason: str
    at: datetime
    paid_minor: int = 0  # Where another currency was paid: what goes back …
    paid_currency: str = ""  # … and of which.
    is_to_wallet: bool = False  # It goes into the buyer's wallet.
