"""Attempts: the ways to pay an order that stands already."""

from uuid import UUID

from vendrail.api.orders import PayOrder, PlaceOrder
from vendrail.api.payments import Attempt, AttemptId
from vendrail.kernel.codec import decode
from vendrail.kernel.db import Row
from vendrail.kernel.ids import derive
from vendrail.orders import decide


def attempt_of(row: Row, number: int, asked: PlaceOrder | PayOrder, less_minor: int = 0) -> Attempt:
    """Write a way to pay a standing order, in the currency that its buyer pays in.

    Less what a wallet has reserved for it.
    """
    facts = decode(row["facts"], decide.OrderFacts)
    due = decide.due(facts, row["amount_minor"], row["currency"])
    return Attempt(
        id=AttemptId(derive(row["id"], f"attempt:{number}")),
        order=row["id"],
        number=number,
        merchant=row["merchant"],
        method=asked.method,
        amount_minor=due.amount_minor - less_minor,
        currency=due.currency,
        title=facts.title,
        expires_at=row["expires_at"],
        return_url=asked.return_url,
        trace_id=row["trace_id"],
        country=asked.country,
        device=decide.device(asked.browser),
        buyer=agreed_of(row, asked),
    )


def agreed_of(row: Row, asked: PlaceOrder | PayOrder) -> UUID | None:
    """Say who agrees that the provider remembers how they pay: the order's own buyer, or nobody."""
    if asked.buyer is None or asked.buyer != row["buyer"]:
        return None
    is_agreed = asked.is_remembered if isinstance(asked, PlaceOrder) else True
    return asked.buyer if is_agreed else None
