"""Paying an order with a way that a provider remembers for its buyer."""

from enum import StrEnum
from uuid import UUID

from vendrail.api.orders.states import OrderId
from vendrail.kernel.codec import Record


class PaySaved(Record, frozen=True):
    """Pay an order with a saved way; asked again it pays nothing more."""

    order: OrderId
    secret: str
    buyer: UUID  # Who is signed in: whose the saved way must be.
    saved: UUID
    is_confirmed: bool = False  # The buyer has proven who they are within the last minutes.
    return_url: str = ""
    browser: str = ""  # Where the buyer's runs now, as payments names devices.
    country: str = ""


class PaySavedStatus(StrEnum):
    """How paying with a saved way ended. Where several would fit, the first listed is given."""

    PAID = "paid"
    PENDING = "pending"  # Not known yet: the order's page tells.
    BUYER_NEEDED = "buyer_needed"  # Their bank wants to see them: the attempt leads there.
    DECLINED = "declined"  # Nothing was taken; other ways are open.
    ORDER_NOT_FOUND = "order_not_found"  # Also when the secret is wrong.
    PAID_ALREADY = "paid_already"
    ORDER_ENDED = "order_ended"
    SAVED_NOT_FOUND = "saved_not_found"  # Also when it is somebody else's.
    CURRENCY_NOT_OFFERED = "currency_not_offered"
    PROOF_WANTED = "proof_wanted"  # Risk wants to be sure that it is the buyer.
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    METHOD_NOT_OFFERED = "method_not_offered"


class PaySavedResult(Record, frozen=True):
    """What came of it, and the attempt."""

    status: PaySavedStatus
    attempt: UUID | None = None
