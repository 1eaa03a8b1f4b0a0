"""Late money: whether what its order promised still holds. Only late money has facts read."""

from datetime import datetime

from vendrail.api.orders import OrderState
from vendrail.api.payments import Capture
from vendrail.kernel.codec import decode
from vendrail.kernel.db import Row
from vendrail.orders import decide
from vendrail.orders.decide import OrderFacts


def rate_ends_at(capture: Capture, order: Row | None) -> datetime | None:
    """Say until when an order's promised rate holds; None: for ever, or long enough."""
    if order is None:
        return None
    ends_at: datetime = order["expires_at"] + decide.EXCHANGE_GRACE
    if capture.paid_at <= ends_at:
        return None
    return ends_at if decode(order["facts"], OrderFacts).exchange else None


def is_coupon_gone(order: Row | None) -> bool:
    """Say whether an order has ended whose coupon is given back, perhaps to somebody else."""
    if order is None or order["state"] == OrderState.PLACED:
        return False
    return decode(order["facts"], OrderFacts).discount is not None
