"""Pure: whether a coupon may be written, or held for an order, and what becomes of it then."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from vendrail.api.orders import OrderState
from vendrail.api.promotions import (
    Coupon,
    CouponQuestion,
    CouponStatus,
    CouponUseState,
    PutCouponStatus,
    discount_minor,
)
from vendrail.kernel.money import AMOUNT_MINOR_MAX, EXPONENTS

CODES_MAX = 100_000
USES_MAX = 1_000_000
_LISTED_MAX = 200
_WORD = re.compile(r"[A-Z0-9]{3,32}")
_SEPARATORS = re.compile(r"[\s-]+")
_UNPAID = (OrderState.EXPIRED, OrderState.CANCELLED)
_OPEN = (OrderState.PLACED, OrderState.PAID, OrderState.REFUNDING)
_UNWRITTEN = timedelta(minutes=10)  # Placing that takes so long has come to nothing.
_PAID_LOOK = timedelta(days=1)  # Should a word of a refund be lost, it is found then.
_PAID_LOOKS = timedelta(days=60)


def normal(code: str) -> str:
    """Write a code as it is hashed: capitals and digits alone."""
    return _SEPARATORS.sub("", code).upper()[:64]


def put(
    new: Coupon, known: Coupon | None, taken: int, *, taken_of_code: int = 0, is_word_taken: bool
) -> PutCouponStatus:
    """Say whether a coupon may be written."""
    if known == new:
        return PutCouponStatus.UNCHANGED
    if not _is_sound(new):
        return PutCouponStatus.FIELD_MALFORMED
    if known is not None and _kind(known) != _kind(new):
        return PutCouponStatus.KIND_FIXED
    if new.uses_max is not None and new.uses_max < taken:
        return PutCouponStatus.USES_BELOW_TAKEN
    if new.uses_per_code < taken_of_code:
        return PutCouponStatus.USES_BELOW_TAKEN
    if is_word_taken:
        return PutCouponStatus.WORD_TAKEN
    return PutCouponStatus.CHANGED if known is not None else PutCouponStatus.CREATED


def _kind(coupon: Coupon) -> tuple[object, ...]:
    return (
        coupon.merchant,
        coupon.currency,
        coupon.amount_minor,
        coupon.permyriad,
        coupon.cap_minor,
        coupon.word,
    )


def _is_sound(coupon: Coupon) -> bool:
    limits = (coupon.uses_max, coupon.uses_per_code, coupon.uses_per_buyer)
    amounts = (coupon.amount_minor, coupon.cap_minor, coupon.order_minor_min)
    return (
        coupon.title == coupon.title.strip()
        and 0 < len(coupon.title) <= 100
        and coupon.title.isprintable()
        and coupon.currency in EXPONENTS
        and (coupon.amount_minor > 0) != (coupon.permyriad > 0)
        and 0 <= coupon.permyriad <= 10_000
        and (coupon.permyriad > 0 or not coupon.cap_minor)
        and all(0 <= amount <= AMOUNT_MINOR_MAX for amount in amounts)
        and all(limit is None or 0 < limit <= USES_MAX for limit in limits)
        and (not coupon.word or _WORD.fullmatch(coupon.word) is not None)
        and len(coupon.products) + len(coupon.categories) <= _LISTED_MAX
        and all(0 < len(each) <= 100 for each in coupon.categories)
        and not (coupon.starts_at and coupon.ends_at and coupon.starts_at >= coupon.ends_at)
    )


@dataclass(slots=True)
class Book:
    """One coupon as it stands while a batch takes it: what is taken, in all and by whom."""

    terms: Coupon
    taken: int
    by_code: dict[bytes, int] = field(default_factory=dict)
    by_contact: dict[str, int] = field(default_factory=dict)
    by_buyer: dict[UUID, int] = field(default_factory=dict)


def ask(book: Book, asked: CouponQuestion, now: datetime) -> CouponStatus:
    """Say whether a coupon is for such an order at all, now."""
    terms = book.terms
    if not terms.is_on:
        return CouponStatus.SWITCHED_OFF
    if terms.starts_at is not None and now < terms.starts_at:
        return CouponStatus.NOT_STARTED
    if terms.ends_at is not None and now >= terms.ends_at:
        return CouponStatus.OVER
    is_for_all = not (terms.products or terms.categories)
    if not (is_for_all or asked.product in terms.products or asked.category in terms.categories):
        return CouponStatus.OTHER_GOODS
    if asked.currency != terms.currency:
        return CouponStatus.OTHER_CURRENCY
    if discount_minor(terms, asked.amount_minor) <= 0:
        return CouponStatus.AMOUNT_TOO_LOW
    if terms.uses_max is not None and book.taken >= terms.uses_max:
        return CouponStatus.USED_UP
    return CouponStatus.HELD


def hold(
    book: Book, code: bytes, asked: CouponQuestion, contact: str, buyer: UUID | None, now: datetime
) -> CouponStatus:
    """Take a coupon for an order, or leave the book untouched and say why."""
    status = ask(book, asked, now)
    if status is not CouponStatus.HELD:
        return status
    terms = book.terms
    if terms.uses_per_buyer is not None:
        had = max(book.by_contact.get(contact, 0), book.by_buyer.get(buyer, 0) if buyer else 0)
        if had >= terms.uses_per_buyer:
            return CouponStatus.BUYER_LIMIT_REACHED
    if book.by_code[code] >= terms.uses_per_code:
        return CouponStatus.USED_UP
    book.taken += 1
    book.by_code[code] += 1
    book.by_contact[contact] = book.by_contact.get(contact, 0) + 1
    if buyer is not None:
        book.by_buyer[buyer] = book.by_buyer.get(buyer, 0) + 1
    return CouponStatus.HELD


class Seen(NamedTuple):
    """What an order has come to, as its coupon must know it."""

    state: OrderState
    is_refunded_whole: bool


class Fate(NamedTuple):
    """What becomes of a use, and when to look again."""

    state: CouponUseState
    look_at: datetime | None
    ending_at: datetime | None = None


def look(
    state: CouponUseState,
    held_at: datetime,
    ending_at: datetime | None,
    seen: Seen | None,
    now: datetime,
    look_s: int,
) -> Fate:
    """Say what becomes of a use, by what its order has come to; None: there is no such order.

    One that was seen to have ended unpaid comes back at the second look: a payment that came at the
    very moment of its end would be under way by then. An order that is not there
    may not be written yet.
    """
    soon = now + timedelta(seconds=look_s)
    if seen is not None and seen.is_refunded_whole:
        return Fate(CouponUseState.RETURNED, None)
    if seen is None and now < held_at + _UNWRITTEN:
        return Fate(state, soon)
    if seen is None or seen.state in _UNPAID:
        if ending_at is not None and now >= ending_at + timedelta(seconds=look_s):
            return Fate(CouponUseState.RETURNED, None)
        return Fate(state, soon, ending_at or now)
    if seen.state is OrderState.DELIVERED:
        is_old = now > held_at + _PAID_LOOKS
        return Fate(CouponUseState.USED, None if is_old else now + _PAID_LOOK)
    return Fate(state, soon)
