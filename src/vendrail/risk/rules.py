"""The rules: limits within 24 hours and lists, and what follows from them. Pure.

Counts are kept by the hour, and an hour counts until all of it is more than a day old: never less
than 24 hours are seen, and never more than 25.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from vendrail.api.risk import ListKind, RiskAnswer, RiskDecision, RiskLimits, RiskQuestion

HOURS = 24
SLOT_LENGTH = 4  # hour, currency, orders, amount
_HOUR_S = 3_600


class SubjectKind(StrEnum):
    """Whose orders are counted together."""

    BUYER = "buyer"
    ADDRESS = "address"
    DEVICE = "device"


class Subject(NamedTuple):
    """One buyer, address or device, by the number its counts are kept under."""

    number: int
    kind: SubjectKind


class Ceiling(NamedTuple):
    """From which count and amount on a person looks, or no is said; 0: never."""

    review_orders: int
    refuse_orders: int
    review_amount_minor: int = 0
    refuse_amount_minor: int = 0


class Total(NamedTuple):
    """What one subject has bought within the window, one currency's amount beside it."""

    orders: int
    amount_minor: int


class Slot(NamedTuple):
    """What a batch adds to the counts of one subject, within this hour and one currency."""

    subject: int
    currency: int
    orders: int
    amount_minor: int


class Excess(NamedTuple):
    """A subject that has reached a hard limit, and until when."""

    subject: int
    reason: str
    until: datetime


class KeptReview(NamedTuple):
    """How a review was settled; no decision: not yet."""

    decision: RiskDecision | None


class Rulebook(NamedTuple):
    """Limits, lists and excesses as they stand; the version tells of changes but excesses'."""

    version: int
    limits: RiskLimits
    entries: dict[str, ListKind]  # By kind and hash.
    excesses: dict[int, tuple[str, datetime]]

    def ceiling(self, kind: SubjectKind) -> Ceiling:
        """Give the limits of one kind of subject."""
        limits = self.limits
        if kind is SubjectKind.BUYER:
            return Ceiling(
                limits.review_orders_per_buyer,
                limits.refuse_orders_per_buyer,
                limits.review_amount_per_buyer_minor,
                limits.refuse_amount_per_buyer_minor,
            )
        if kind is SubjectKind.ADDRESS:
            return Ceiling(limits.review_orders_per_address, limits.refuse_orders_per_address)
        return Ceiling(limits.review_orders_per_device, limits.refuse_orders_per_device)


_KIND_BITS = {SubjectKind.BUYER: 0, SubjectKind.ADDRESS: 1 << 60, SubjectKind.DEVICE: 2 << 60}
_HASH_BITS = (1 << 60) - 1


def subject_number(kind: SubjectKind, value: str) -> int:
    """Give the number a subject's counts are kept under: its kind, and 60 bits of its hash."""
    try:
        number = int(value[:15], 16) & _HASH_BITS
    except ValueError:
        # Not a hash of ours; it is counted all the same.
        digest = hashlib.blake2b(value.encode(), digest_size=8).digest()
        number = int.from_bytes(digest, "big") >> 4
    return _KIND_BITS[kind] | number


def subjects_of(question: RiskQuestion) -> list[Subject]:
    """Give whom an order counts for; what is not known counts for nobody."""
    found = []
    if question.buyer:
        found.append(Subject(subject_number(SubjectKind.BUYER, question.buyer), SubjectKind.BUYER))
    if question.address:
        kind = SubjectKind.ADDRESS
        found.append(Subject(subject_number(kind, question.address), kind))
    if question.device:
        found.append(
            Subject(subject_number(SubjectKind.DEVICE, question.device), SubjectKind.DEVICE)
        )
    return found


def hour_of(moment: datetime) -> int:
    """Give the number of the hour a moment lies in."""
    return int(moment.timestamp()) // _HOUR_S


def day_of(hour: int) -> int:
    """Give the number of the day an hour lies in."""
    return hour // HOURS


@cache
def currency_number(currency: str) -> int:
    """Write a currency as a number, to stand among counts."""
    return int.from_bytes(currency.encode(), "big")


def total(slots: Sequence[int], hour: int, currency: int) -> Total:
    """Sum the slots of the last 24 hours and the hour before them."""
    orders = amount_minor = 0
    for at in range(0, len(slots), SLOT_LENGTH):
        if slots[at] >= hour - HOURS:
            orders += slots[at + 2]
            if slots[at + 1] == currency:
                amount_minor += slots[at + 3]
    return Total(orders, amount_minor)


def reasons_above(kind: SubjectKind, so_far: Total, ceiling: Ceiling) -> tuple[list[str], bool]:
    """Name the limits that are exceeded, and tell whether a hard one is among them."""
    reasons: list[str] = []
    is_refused = False
    for name, value, review, refuse in (
        (f"orders_per_{kind}", so_far.orders, ceiling.review_orders, ceiling.refuse_orders),
        (
            f"amount_per_{kind}",
            so_far.amount_minor,
            ceiling.review_amount_minor,
            ceiling.refuse_amount_minor,
        ),
    ):
        if refuse and value > refuse:
            is_refused = True
            reasons.append(name)
        elif review and value > review:
            reasons.append(name)
    return reasons, is_refused


def listed(question: RiskQuestion, entries: dict[str, ListKind]) -> set[ListKind]:
    """Tell on which lists the contact, address or device of an order is."""
    if not entries:
        return set()
    found = (
        entries.get(f"{kind}:{value}")
        for kind, value in (
            ("contact", question.buyer),
            ("address", question.address),
            ("device", question.device),
        )
        if value
    )
    return {kind for kind in found if kind is not None}


_ALLOWED = RiskAnswer(RiskDecision.ALLOW)


def answer(lists: set[ListKind], reasons: Sequence[str], *, is_refused: bool) -> RiskAnswer:
    """Decide: who is blocked is refused, a hard limit refuses, a soft one asks a person.

    Being trusted lifts the soft limits and the asking, never a refusal.
    """
    if ListKind.BLOCKED in lists:
        return RiskAnswer(RiskDecision.REFUSE, ["list:blocked", *reasons])
    if is_refused:
        return RiskAnswer(RiskDecision.REFUSE, list(reasons))
    if ListKind.TRUSTED in lists:
        return _ALLOWED
    if ListKind.REVIEWED in lists:
        return RiskAnswer(RiskDecision.REVIEW, ["list:reviewed", *reasons])
    if reasons:
        return RiskAnswer(RiskDecision.REVIEW, list(reasons))
    return _ALLOWED


def screen(question: RiskQuestion, rulebook: Rulebook, now: datetime) -> RiskAnswer:
    """Say whether an order may be placed: lists, and who has reached a hard limit."""
    if ListKind.BLOCKED in listed(question, rulebook.entries):
        return RiskAnswer(RiskDecision.REFUSE, ["list:blocked"])
    limit_minor = rulebook.limits.refuse_amount_per_buyer_minor
    if limit_minor and question.amount_minor > limit_minor:
        return RiskAnswer(RiskDecision.REFUSE, ["amount_per_buyer"])
    if rulebook.excesses:
        reasons = [
            found[0]
            for subject in subjects_of(question)
            if (found := rulebook.excesses.get(subject.number)) and found[1] > now
        ]
        if reasons:
            return RiskAnswer(RiskDecision.REFUSE, reasons)
    return _ALLOWED


def weigh(
    question: RiskQuestion, rulebook: Rulebook, slots: Mapping[int, Sequence[int]], hour: int
) -> RiskAnswer:
    """Say what would be said of one more order, with what was counted so far."""
    currency = currency_number(question.currency)
    reasons: list[str] = []
    is_refused = False
    for number, kind in subjects_of(question):
        so_far = total(slots.get(number, ()), hour, currency)
        with_it = Total(so_far.orders + 1, so_far.amount_minor + question.amount_minor)
        above, is_hard = reasons_above(kind, with_it, rulebook.ceiling(kind))
        reasons += above
        is_refused = is_refused or is_hard
    return answer(listed(question, rulebook.entries), reasons, is_refused=is_refused)


def excess_until(slots: Sequence[int], hour: int, currency: int, ceiling: Ceiling) -> datetime:
    """Say when a subject that has reached a hard limit will be below it, if nothing is added."""
    hours = sorted({slots[at] for at in range(0, len(slots), SLOT_LENGTH) if slots[at] <= hour})
    for passed in hours:
        left = total(slots, passed + HOURS + 1, currency)
        is_below = not ceiling.refuse_orders or left.orders < ceiling.refuse_orders
        is_cheap = (
            not ceiling.refuse_amount_minor or left.amount_minor < ceiling.refuse_amount_minor
        )
        if is_below and is_cheap:
            return datetime.fromtimestamp((passed + HOURS + 1) * _HOUR_S, UTC)
    return datetime.fromtimestamp((hour + HOURS + 1) * _HOUR_S, UTC)


def is_near(after: Total, ceiling: Ceiling) -> bool:
    """Tell whether a subject is above a soft limit or on a hard one: to be looked at closely."""
    orders, amount_minor = after
    return bool(
        (ceiling.review_orders and orders > ceiling.review_orders)
        or (ceiling.refuse_orders and orders >= ceiling.refuse_orders)
        or (ceiling.review_amount_minor and amount_minor > ceiling.review_amount_minor)
        or (ceiling.refuse_amount_minor and amount_minor >= ceiling.refuse_amount_minor)
    )


def has_reached(so_far: Total, ceiling: Ceiling) -> bool:
    """Tell whether one more order would be refused."""
    return bool(
        (ceiling.refuse_orders and so_far.orders >= ceiling.refuse_orders)
        or (ceiling.refuse_amount_minor and so_far.amount_minor >= ceiling.refuse_amount_minor)
    )
