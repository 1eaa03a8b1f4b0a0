"""Late money: whether what its order promised still holds. Only late money has facts read."""

from datetime import datetime
from typing import NamedTuple

from vendrail.api.orders import OrderState
from vendrail.api.payments import Capture
from vendrail.kernel.codec import decode
from vendrail.kernel.db import Row
from vendrail.orders import decide
from vendrail.orders.decide import OrderFacts

_PLACED = OrderState.PLACED.value  # As rows have it.


class Lapsed(NamedTuple):
    """What an order promised that no longer holds for money that came."""

    rate_ends_at: datetime | None = None  # None: its rate holds for ever, or long enough.
    is_coupon_gone: bool = False  # It ended, and its coupon was given back, perhaps to another.


_NOTHING = Lapsed()


def lapsed(capture: Capture, order: Row | None) -> Lapsed:
    """Say what an order promised that no longer holds for a capture."""
    if order is None:
        return _NOTHING
    is_placed = order["state"] == _PLACED
    if is_placed and capture.paid_at <= order["expires_at"]:
        return _NOTHING
    facts = decode(order["facts"], OrderFacts)
    ends_at: datetime = order["expires_at"] + decide.EXCHANGE_GRACE
    is_late = facts.exchange is not None and capture.paid_at > ends_at
    return Lapsed(ends_at if is_late else None, not is_placed and facts.discount is not None)
