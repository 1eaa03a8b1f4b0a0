"""The set of allowed answers to each question. Pure: what is known in, statuses out.

What was certain when the question was put must be respected (`before`); what may have happened by
the time of the answer may be (`now`). An answer is right if some order of events explains it.
"""

from datetime import datetime
from uuid import UUID

from simkit.model import Known, Model
from vendrail.api.orders import (
    CancelStatus,
    OrderState,
    PayStatus,
    PlaceStatus,
    RefundOrderStatus,
)
from vendrail.api.payments import UnmatchedStatus
from vendrail.api.risk import RiskDecision, VerdictStatus

_UNPAID_END = {OrderState.EXPIRED, OrderState.CANCELLED}
_BEFORE_KEYS = {None, OrderState.PLACED, OrderState.PAID, *_UNPAID_END}

# State → what may have been seen last before it: states only move forward.
EARLIER = {
    OrderState.PLACED: {None, OrderState.PLACED},
    OrderState.EXPIRED: {None, OrderState.PLACED, OrderState.EXPIRED},
    OrderState.CANCELLED: {None, OrderState.PLACED, OrderState.CANCELLED},
    OrderState.PAID: _BEFORE_KEYS,
    OrderState.DELIVERED: {*_BEFORE_KEYS, OrderState.DELIVERED, OrderState.REFUNDING},
    OrderState.REFUNDING: {*_BEFORE_KEYS, OrderState.DELIVERED, OrderState.REFUNDING},
    OrderState.REFUNDED: set(OrderState) | {None},
}


def placements(
    model: Model, before: Known, quantity: int, *, is_repeat: bool, is_held: bool
) -> set[PlaceStatus]:
    """Say how placing may end."""
    if quantity != before.quantity:
        surely = before.is_placed
        return {PlaceStatus.EXISTS_DIFFERENT} | (set() if surely else {PlaceStatus.PLACED})
    if before.is_placed:
        return {PlaceStatus.EXISTS}
    allowed = {PlaceStatus.EXISTS} if is_repeat else set()
    left = len(model.stock[before.product].keys) - model.surely_sold(before.product)
    if left >= quantity or not is_held:
        allowed.add(PlaceStatus.PLACED)
    if is_held and model.may_be_short(before):
        allowed.add(PlaceStatus.SOLD_OUT)
    return allowed


def payments(before: Known, order: Known, now: datetime) -> set[PayStatus]:
    """Say how opening another way to pay may end."""
    allowed = set()
    is_over = order.expires_at is not None and now >= order.expires_at
    if before.state in {None, OrderState.PLACED} and not is_over:
        allowed.add(PayStatus.OPENED)
    if order.may_be_paid:
        allowed.add(PayStatus.PAID_ALREADY)
    if is_over or order.may_be_cancelled:
        allowed.add(PayStatus.ORDER_ENDED)
    return allowed


def cancellations(before: Known, order: Known, now: datetime) -> set[CancelStatus]:
    """Say how cancelling may end."""
    allowed = set()
    is_over = order.expires_at is not None and now >= order.expires_at
    if before.state in {None, OrderState.PLACED}:
        allowed.add(CancelStatus.CANCELLED)
    if before.may_be_cancelled or order.may_be_cancelled:
        allowed.add(CancelStatus.EXISTS)
    if order.may_be_paid or is_over:
        allowed.add(CancelStatus.PAID_ALREADY)
    return allowed


def may_turn(model: Model, order: Known) -> bool:
    """Whether paid money may go back without a refund: no keys, or a person refused."""
    return model.may_be_short(order) or RiskDecision.REFUSE in order.verdicts


def states(model: Model, before: Known, order: Known, now: datetime) -> set[OrderState]:
    """Say in which states an order may be seen."""
    possible = {OrderState.PLACED}
    if order.expires_at is not None and now >= order.expires_at and not before.is_told_in_time:
        possible.add(OrderState.EXPIRED)
    if order.may_be_cancelled and not before.is_told_in_time:
        possible.add(OrderState.CANCELLED)
    if order.may_be_paid:
        possible.add(OrderState.PAID)
        is_free = not order.is_reviewed or RiskDecision.ALLOW in order.verdicts
        if is_free:
            possible.add(OrderState.DELIVERED)
        if order.refunds or may_turn(model, order):
            possible.add(OrderState.REFUNDING)
        nobody = UUID(int=0)
        is_given_back = order.possible_refund_minor(nobody) >= order.amount_minor > 0
        if (order.refunds and is_given_back) or may_turn(model, order):
            possible.add(OrderState.REFUNDED)
    return {state for state in possible if before.state in EARLIER[state]}


def refunds(
    before: Known, order: Known, id: UUID, amount_minor: int, *, is_repeat: bool
) -> set[RefundOrderStatus]:
    """Say how asking for a refund may end."""
    allowed = set()
    if id in before.sure_refunds:
        is_same = amount_minor in (0, before.refunds[id]) or before.refunds[id] == 0
        return {RefundOrderStatus.EXISTS} if is_same else {RefundOrderStatus.EXISTS_DIFFERENT}
    if is_repeat:
        allowed.add(RefundOrderStatus.EXISTS)
    wanted = amount_minor or 1
    if order.may_be_paid and before.sure_refund_minor(id) + wanted <= order.amount_minor:
        allowed.add(RefundOrderStatus.ACCEPTED)
    if order.possible_refund_minor(id) + wanted > order.amount_minor:
        allowed.add(RefundOrderStatus.MORE_THAN_CAPTURED)
    is_whole_possible = order.possible_refund_minor(UUID(int=0)) >= order.amount_minor
    if not before.was_delivered or is_whole_possible:
        allowed.add(RefundOrderStatus.NOT_PAID)
    return allowed


def verdicts(
    before: Known, order: Known, decision: RiskDecision, *, is_repeat: bool
) -> set[VerdictStatus]:
    """Say how settling a review may end."""
    allowed = set()
    if decision in before.verdicts or is_repeat:
        allowed.add(VerdictStatus.EXISTS)
    others = [each for each in order.verdicts if each is not decision]
    if others:
        allowed.add(VerdictStatus.EXISTS_DIFFERENT)
    allowed.add(VerdictStatus.REVIEW_NOT_FOUND if not before.verdicts else VerdictStatus.EXISTS)
    if order.may_be_paid and (not before.verdicts or others):
        allowed.add(VerdictStatus.SETTLED)
    return allowed


def unmatched(said_before: set[str], said: str, *, is_repeat: bool) -> set[UnmatchedStatus]:
    """Say how a verdict on unmatched money may end; there was an attempt to match it to."""
    allowed = {UnmatchedStatus.SETTLED} if not said_before - {said} else set()
    if said_before and said_before != {said}:
        allowed.add(UnmatchedStatus.EXISTS_DIFFERENT)
    if said in said_before or is_repeat:
        allowed |= {UnmatchedStatus.EXISTS, UnmatchedStatus.SETTLED}
    return allowed


def ends(model: Model, order: Known) -> set[OrderState]:
    """Say how an order may end when everything is at rest."""
    if not order.may_be_paid:
        cancelled = {OrderState.CANCELLED} if order.may_be_cancelled else set()
        return {OrderState.EXPIRED, *cancelled}
    if not order.refunds and not may_turn(model, order):
        return {OrderState.DELIVERED}
    if order.was_delivered and order.sure_refund_minor(UUID(int=0)) >= order.amount_minor:
        return {OrderState.REFUNDED}
    if order.was_delivered and order.possible_refund_minor(UUID(int=0)) < order.amount_minor:
        return {OrderState.DELIVERED}
    return {OrderState.DELIVERED, OrderState.REFUNDED}
