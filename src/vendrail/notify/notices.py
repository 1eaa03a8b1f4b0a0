"""Notices: which letter an event of an order means, and whether it is still news. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from vendrail.api.orders import (
    OrderDelivered,
    OrderEvent,
    OrderHeld,
    OrderItemsReplaced,
    OrderState,
    OrderView,
)
from vendrail.kernel.codec import Record
from vendrail.kernel.ids import derive

_HOUR_S = 3_600

# How long each is worth telling, from the moment it happened.
LIVES_S: Mapping[str, int] = {
    "order_held": 12 * _HOUR_S,
    "order_delivered": 24 * _HOUR_S,
    "order_refunded": 72 * _HOUR_S,
    "order_replaced": 72 * _HOUR_S,
}


class NoticeFacts(Record, frozen=True, omit_defaults=True):
    """What an event told that the order itself does not: which refund, why it waits, how many."""

    amount_minor: int = 0
    reason: str = ""
    count: int = 0


_NONE = NoticeFacts()
_DELIVERED = (OrderState.DELIVERED, OrderState.REFUNDING)


class Notice(NamedTuple):
    """A letter that is due to somebody because something happened."""

    id: UUID  # Derived from what happened: the same event again is the same letter.
    template: str
    subject: UUID
    stream: UUID
    facts: NoticeFacts
    stale_at: datetime


def notice(event: OrderEvent) -> Notice:
    """Give the letter to the buyer that an event means."""
    if isinstance(event, OrderHeld):
        id, template = derive(event.order, f"letter:held:{event.reason}"), "order_held"
        facts = NoticeFacts(reason=event.reason)
    elif isinstance(event, OrderDelivered):
        id, template, facts = derive(event.order, "letter:delivered"), "order_delivered", _NONE
    elif isinstance(event, OrderItemsReplaced):
        id, template = derive(event.replacement, "letter:replaced"), "order_replaced"
        facts = NoticeFacts(count=event.count)
    else:
        id, template = derive(event.refund, "letter:refunded"), "order_refunded"
        facts = NoticeFacts(amount_minor=event.amount_minor)
    stale_at = event.at + timedelta(seconds=LIVES_S[template])
    return Notice(id, template, event.order, event.order, facts, stale_at)


def is_news(template: str, facts: NoticeFacts, order: OrderView) -> bool:
    """Say whether a letter still tells what is so, or the order has gone on without it."""
    if template == "order_held":
        return order.state is OrderState.PAID and order.waiting == facts.reason
    if template == "order_delivered":
        return order.state in _DELIVERED and order.delivered_at is not None
    if template == "order_replaced":
        return order.state in _DELIVERED
    return True
