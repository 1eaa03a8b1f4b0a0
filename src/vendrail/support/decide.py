"""What may happen to a complaint, and what may be written about an order. Pure."""

import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from vendrail.api.orders import OrderView, RefundView
from vendrail.api.support import (
    Attachment,
    ComplaintKind,
    ComplaintState,
    ComplaintStep,
    ComplaintView,
    OpenComplaint,
    OpenStatus,
    Outcome,
    Remedy,
    Side,
    StepKind,
    StepStatus,
)
from vendrail.kernel import media
from vendrail.kernel.ids import made_at, shard_in
from vendrail.kernel.machine import IMPOSSIBLE, Machine

TEXT_LENGTH_MAX = 4_000
_COMPLAINT_LENGTH_MIN = 2  # In Chinese that is a word: 失效.
ATTACHMENT_BYTES_MAX = 2_000_000
ATTACHMENTS_MAX = 5  # With one message.
ORDER_BYTES_MAX = 20_000_000  # Of one side's files about one order, in all.
_NAME_LENGTH_MAX = 100
MESSAGES_PER_MINUTE_MAX = 12
MESSAGES_MAX = 1_000  # About one order, in all.
CANNED_MAX = 50
COMPLAINTS_MAX = 3  # Of one order, however they ended.
_ID_AGE_MAX = timedelta(days=1)  # A form may be open for a while before it is sent.
_REST = timedelta(days=1)  # Between a complaint that was withdrawn and the next.


class Event(StrEnum):
    """What moves a complaint."""

    GRANTED = "granted"  # All of the money, or other keys: nothing is left to accept.
    OFFERED = "offered"  # A part, or nothing.
    ACCEPTED = "accepted"  # The part that was offered.
    CONCEDED = "conceded"  # That nothing was offered.
    ESCALATED = "escalated"
    WITHDRAWN = "withdrawn"
    RULED = "ruled"
    DENIED = "denied"
    DONE = "done"
    FAILED = "failed"  # What was decided cannot be done.
    ASKED = "asked"  # The warranty's key is not there: the merchant is asked after all.
    REPAID = "repaid"  # The warranty's key is not there: its price goes back.


_OPEN, _ANSWERED, _ESCALATED, _CARRYING, _CLOSED = ComplaintState

COMPLAINT = Machine(
    "complaint",
    ComplaintState,
    Event,
    _OPEN,
    {
        _OPEN: {
            Event.GRANTED: _CARRYING,
            Event.OFFERED: _ANSWERED,
            Event.WITHDRAWN: _CLOSED,
            Event.RULED: _CARRYING,
            Event.DENIED: _CLOSED,
        },
        _ANSWERED: {
            Event.GRANTED: _CARRYING,
            Event.OFFERED: _ANSWERED,
            Event.ACCEPTED: _CARRYING,
            Event.CONCEDED: _CLOSED,
            Event.ESCALATED: _ESCALATED,
            Event.WITHDRAWN: _CLOSED,
            Event.RULED: _CARRYING,
            Event.DENIED: _CLOSED,
        },
        _ESCALATED: {
            Event.GRANTED: _CARRYING,
            Event.WITHDRAWN: _CLOSED,
            Event.RULED: _CARRYING,
            Event.DENIED: _CLOSED,
        },
        _CARRYING: {
            Event.DONE: _CLOSED,
            Event.FAILED: _ESCALATED,
            Event.ASKED: _OPEN,
            Event.REPAID: _CARRYING,
        },
        _CLOSED: {},
    },
    otherwise=IMPOSSIBLE,
)

_SIDES = {
    StepKind.ANSWER: Side.MERCHANT,
    StepKind.ACCEPT: Side.BUYER,
    StepKind.ESCALATE: Side.BUYER,
    StepKind.WITHDRAW: Side.BUYER,
    StepKind.RULE: Side.OPERATOR,
}
_OUTCOMES = {
    Remedy.REPLACE: Outcome.REPLACED,
    Remedy.REFUND: Outcome.REFUNDED,
    Remedy.PART: Outcome.PART_REFUNDED,
    Remedy.REJECT: Outcome.REJECTED,
}


class Limits(NamedTuple):
    """How long each step may take."""

    warranty: timedelta
    complaint: timedelta
    answer: timedelta
    accept: timedelta
    ruling: timedelta

    def due_at(self, state: ComplaintState, now: datetime) -> datetime | None:
        """Say until when whose turn it is in a state may act; None: nobody has a turn."""
        wait = {_OPEN: self.answer, _ANSWERED: self.accept, _ESCALATED: self.ruling}.get(state)
        return now + wait if wait is not None else None


class Standing(NamedTuple):
    """What of a complaint its next step depends on."""

    state: ComplaintState
    amount_minor: int
    can_replace: bool
    remedy: Remedy | None
    offer_minor: int


class Move(NamedTuple):
    """What a step does: the event, and what stands offered or decided from then on."""

    event: Event
    remedy: Remedy | None
    offer_minor: int
    by: Side


def is_prose(text: str, length_min: int = 1, length_max: int = TEXT_LENGTH_MAX) -> bool:
    """Tell whether a text can be kept and shown: of some length, with no odd control characters."""
    return length_min <= len(text.strip()) <= length_max and not any(
        letter not in "\n\r\t" and unicodedata.category(letter) in ("Cc", "Cs") for letter in text
    )


def left_minor(order: OrderView, refunds: Sequence[RefundView]) -> int:
    """Say what of an order has not gone back, and is not on its way."""
    gone = sum(each.amount_minor for each in refunds if each.state != "failed")
    return order.amount_minor - max(gone, order.refunded_minor)


def positions_of(asked: OpenComplaint, order: OrderView) -> list[int] | None:
    """Say which keys a complaint is about; None: none that the order has."""
    if asked.kind is not ComplaintKind.DEAD_KEY:
        return []
    every = list(range(1, order.quantity + 1))
    chosen = sorted(set(asked.positions)) or every
    return chosen if set(chosen) <= set(every) else None


def complain(
    asked: OpenComplaint,
    order: OrderView,
    refunds: Sequence[RefundView],
    limits: Limits,
    now: datetime,
) -> OpenStatus:
    """Say whether an order can be complained of."""
    if not is_id_sound(asked.id, order.id, now):
        return OpenStatus.ID_MALFORMED
    if order.delivered_at is None:
        return OpenStatus.NOT_DELIVERED
    if left_minor(order, refunds) <= 0:
        return OpenStatus.NOTHING_LEFT
    if not is_prose(asked.text, _COMPLAINT_LENGTH_MIN):
        return OpenStatus.TEXT_MALFORMED
    if positions_of(asked, order) is None:
        return OpenStatus.POSITIONS_MALFORMED
    is_claim = asked.kind is ComplaintKind.DEAD_KEY
    window = max(limits.warranty, _promised(order)) if is_claim else limits.complaint
    return OpenStatus.TOO_LATE if now > order.delivered_at + window else OpenStatus.OPENED


def _promised(order: OrderView) -> timedelta:
    return timedelta(hours=order.warranty.hours if order.warranty else 0)


class Claim(NamedTuple):
    """Keys that a warranty replaces without asking, as far as its limits go."""

    keys: int
    keys_max: int  # Of the order.
    buyer_keys_max: int  # Of the buyer's at the merchant, in thirty days.
    refund_minor: int | None  # What goes back where no key is free; None: the merchant is asked.


def claim(
    asked: OpenComplaint, order: OrderView, refunds: Sequence[RefundView], now: datetime
) -> Claim | None:
    """Say what a warranty does at once about a complaint; None: the merchant is asked.

    An order of which money has gone back, for whatever reason, is looked at by a person.
    """
    promised, positions = order.warranty, positions_of(asked, order)
    if promised is None or order.delivered_at is None or not positions:
        return None
    is_whole = left_minor(order, refunds) == order.amount_minor
    if not is_whole or order.delivery != "unique_key" or now > promised.ends_at(order.delivered_at):
        return None
    if not promised.keys_max:
        return None
    count = len(positions)
    part_minor = order.amount_minor * count // order.quantity
    refund_minor = part_minor if promised.is_refunded_when_out and part_minor else None
    return Claim(count, promised.keys_max, promised.buyer_keys_max, refund_minor)


class Claimed(NamedTuple):
    """What was replaced without asking before: of the order, and of its buyer lately."""

    of_order: int
    of_buyer: int


def is_within(claim: Claim, before: Claimed) -> bool:
    """Tell whether a claim keeps to what the warranty replaces without asking."""
    of_order, of_buyer = before.of_order + claim.keys, before.of_buyer + claim.keys
    return of_order <= claim.keys_max and of_buyer <= claim.buyer_keys_max


def instead(refund_minor: int | None, amount_minor: int) -> Move:
    """Say what is done where a warranty's key is not there."""
    if refund_minor is None:
        return Move(Event.ASKED, None, 0, Side.WARRANTY)
    is_all = refund_minor >= amount_minor
    remedy = Remedy.REFUND if is_all else Remedy.PART
    return Move(Event.REPAID, remedy, min(refund_minor, amount_minor), Side.WARRANTY)


def again(
    asked: OpenComplaint, positions: Sequence[int], earlier: Sequence[ComplaintView], now: datetime
) -> OpenStatus:
    """Say whether an order can be complained of after the complaints that it has had."""
    if any(each.state is not _CLOSED for each in earlier):
        return OpenStatus.ONE_IS_OPEN
    if any(_is_final(each) or _is_agreed(each, asked, positions) for each in earlier):
        return OpenStatus.DECIDED
    if len(earlier) >= COMPLAINTS_MAX:
        return OpenStatus.TOO_MANY
    ends = (each.ended_at for each in earlier if each.outcome is Outcome.WITHDRAWN)
    is_soon = any(at is not None and now < at + _REST for at in ends)
    return OpenStatus.TOO_SOON if is_soon else OpenStatus.OPENED


def _is_final(ended: ComplaintView) -> bool:
    """Whether the matter is decided: but keys that took the place of others may be dead, too."""
    is_ruled = ended.decided_by is Side.OPERATOR and ended.outcome is not Outcome.REPLACED
    return is_ruled or ended.outcome is Outcome.REJECTED


def _is_agreed(ended: ComplaintView, asked: OpenComplaint, positions: Sequence[int]) -> bool:
    """Whether a part was taken for the same: of keys, for one of the same keys."""
    if ended.outcome is not Outcome.PART_REFUNDED or ended.kind is not asked.kind:
        return False
    return not positions or not ended.positions or bool(set(positions) & set(ended.positions))


def is_id_sound(id: UUID, order: UUID, now: datetime) -> bool:
    """Tell whether a complaint's id is of now and of its order: lists and figures go by it."""
    return shard_in(id) == shard_in(order) and abs(now - made_at(id)) <= _ID_AGE_MAX


def take(step: ComplaintStep, standing: Standing) -> Move | StepStatus:
    """Say what a step does to a complaint, or why it cannot be taken."""
    by = step.by.side
    if _SIDES[step.kind] is not by:
        return StepStatus.COMPLAINT_NOT_FOUND
    move = _move(step, standing)
    if isinstance(move, StepStatus):
        return move
    if not COMPLAINT.is_possible(standing.state, move.event):
        return StepStatus.NOT_THEIR_TURN
    if step.text and not is_prose(step.text):
        return StepStatus.TEXT_MALFORMED
    needs_text = move.remedy is Remedy.REJECT and step.kind in (StepKind.ANSWER, StepKind.RULE)
    return StepStatus.TEXT_MALFORMED if needs_text and not step.text.strip() else move


def _move(step: ComplaintStep, standing: Standing) -> Move | StepStatus:
    by, remedy = step.by.side, step.remedy
    if step.kind is StepKind.ACCEPT:
        event = Event.CONCEDED if standing.remedy is Remedy.REJECT else Event.ACCEPTED
        return Move(event, standing.remedy, standing.offer_minor, by)
    if step.kind is StepKind.ESCALATE:
        return Move(Event.ESCALATED, standing.remedy, standing.offer_minor, by)
    if step.kind is StepKind.WITHDRAW:
        return Move(Event.WITHDRAWN, None, 0, by)
    if remedy is None:
        return StepStatus.REMEDY_MALFORMED
    if remedy is Remedy.REPLACE and not standing.can_replace:
        return StepStatus.CANNOT_REPLACE
    offer = {Remedy.PART: step.amount_minor, Remedy.REFUND: standing.amount_minor}.get(remedy, 0)
    if remedy is Remedy.PART and not 0 < offer < standing.amount_minor:
        return StepStatus.AMOUNT_OUT_OF_RANGE
    if step.kind is StepKind.RULE:
        return Move(Event.DENIED if remedy is Remedy.REJECT else Event.RULED, remedy, offer, by)
    is_whole = remedy in (Remedy.REFUND, Remedy.REPLACE)
    return Move(Event.GRANTED if is_whole else Event.OFFERED, remedy, offer, by)


def lapse(standing: Standing) -> Move:
    """Say what the end of a step's time does: whoever was silent has had their say."""
    if standing.state is _OPEN:
        return Move(Event.GRANTED, Remedy.REFUND, standing.amount_minor, Side.LIMIT)
    event = Event.CONCEDED if standing.remedy is Remedy.REJECT else Event.ACCEPTED
    return Move(event, standing.remedy, standing.offer_minor, Side.LIMIT)


def outcome(move: Move, state: ComplaintState) -> Outcome | None:
    """Say how a move has ended a complaint, if it has."""
    if state is not _CLOSED:
        return None
    if move.event is Event.WITHDRAWN or move.remedy is None:
        return Outcome.WITHDRAWN
    return _OUTCOMES[move.remedy]


def media_type(content: bytes) -> str:
    """Tell what a file is by what it holds; empty: nothing that is taken."""
    if kind := media.media_type(content):
        return kind
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return "text/plain" if text.strip() and is_prose(text, length_max=len(text)) else ""


def are_sound(attachments: Sequence[Attachment]) -> bool:
    """Tell whether files can be taken: few, not large, and of a kind that is harmless to keep."""
    return len(attachments) <= ATTACHMENTS_MAX and all(
        0 < len(each.content) <= ATTACHMENT_BYTES_MAX and media_type(each.content)
        for each in attachments
    )


def clean_name(name: str, kind: str) -> str:
    """Give a file's name as it is shown: its last part in plain letters, and the right ending."""
    endings = {
        "image/png": "png",
        "image/jpeg": "jpg",
        "image/webp": "webp",
        "application/pdf": "pdf",
        "text/plain": "txt",
    }
    last = name.replace("\\", "/").rpartition("/")[2]
    stem = last.rpartition(".")[0] or last
    kept = "".join(c for c in stem if c.isalnum() or c in " -_().").strip(" .")
    return f"{kept[:_NAME_LENGTH_MAX] or 'file'}.{endings[kind]}"
