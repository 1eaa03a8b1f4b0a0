"""Sources: whose events merchants' programs are told of, and what each of them means."""

from collections.abc import Callable
from typing import Any

from vendrail.api.disputes import DisputeMoved, Disputes
from vendrail.api.orders import OrderEvent, Orders
from vendrail.api.payouts import PayoutMoved, Payouts
from vendrail.api.support import ComplaintMoved, Support
from vendrail.kernel.codec import decode
from vendrail.webhooks import decide
from vendrail.webhooks.decide import Happening
from vendrail.webhooks.service.reading import Source


def sources(orders: Orders, payouts: Payouts, disputes: Disputes, support: Support) -> list[Source]:
    """Name every source; each keeps how far it was read."""
    return [
        Source("orders", orders, _reader(list[OrderEvent], decide.of_order)),
        Source("payouts", payouts, _reader(list[PayoutMoved], decide.of_payout)),
        Source("disputes", disputes, _reader(list[DisputeMoved], decide.of_dispute)),
        Source("support", support, _reader(list[ComplaintMoved], decide.of_complaint)),
    ]


def _reader(
    shape: Any, meaning: Callable[[Any], list[Happening]]
) -> Callable[[bytes], list[Happening]]:
    def read(batch: bytes) -> list[Happening]:
        return [each for event in decode(batch, shape) for each in meaning(event)]

    return read
