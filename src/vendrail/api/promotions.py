"""Promotions: coupons of merchants, held with an order and used when it is paid."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NewType, Protocol
from uuid import UUID

from vendrail.kernel.codec import Record

CouponId = NewType("CouponId", UUID)


class Coupon(Record, frozen=True):
    """What a merchant takes off, for whom, when, and how often; its codes are made apart."""

    id: CouponId
    merchant: UUID
    title: str  # What the merchant calls it; the buyer sees it beside the discount.
    currency: str
    amount_minor: int = 0  # Off the order; or, where it is 0 …
    permyriad: int = 0  # … so many hundredths of a percent of it …
    cap_minor: int = 0  # … and no more than that; 0: no cap.
    order_minor_min: int = 0  # What the order must come to before.
    uses_max: int | None = None  # Of all its codes together; None: as often as they allow.
    uses_per_code: int = 1
    uses_per_buyer: int | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    products: list[UUID] = []  # Only for these, or for …
    categories: list[str] = []  # … these; neither: for all of the merchant's goods.
    is_on: bool = True
    word: str = ""  # A code of the merchant's own choice: SPRING; empty: made codes alone.


class PutCouponStatus(StrEnum):
    """How writing one coupon ended. Where several would fit, the first listed is given."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    FIELD_MALFORMED = "field_malformed"
    KIND_FIXED = "kind_fixed"  # What it takes off, its currency and its word stay as they were.
    USES_BELOW_TAKEN = "uses_below_taken"  # More are with orders already.
    WORD_TAKEN = "word_taken"  # By another coupon of the merchant's.


class MakeCouponCodes(Record, frozen=True):
    """Make a coupon's codes until there are so many; asking again makes no more."""

    coupon: CouponId
    merchant: UUID
    codes_count: int


class CodePage(Record, frozen=True):
    """Codes of a coupon from a number on: they are derived anew, and kept nowhere."""

    coupon: CouponId
    merchant: UUID
    after: int = -1  # The last number of the page before.
    codes_max: int = 1_000


class CouponCode(Record, frozen=True):
    """One code and how often it is taken."""

    number: int  # From 1; the merchant's own word is 0.
    code: str
    taken_count: int


class CouponQuery(Record, frozen=True):
    """A page of a merchant's coupons (None: everybody's), newest first."""

    merchant: UUID | None
    before: CouponId | None = None
    coupons_max: int = 50


class CouponView(Record, frozen=True):
    """A coupon, and what has become of it."""

    coupon: Coupon
    codes_count: int
    held_count: int  # With orders that are not paid yet.
    used_count: int
    used_minor: int  # What the used ones took off.


class CouponQuestion(Record, frozen=True):
    """What would a code take off an order; nothing is held."""

    code: str
    merchant: UUID
    product: UUID
    category: str
    amount_minor: int
    currency: str
    address: str = ""  # Of who asks: wrong guesses are counted by its keyed hash.


class CouponHold(Record, frozen=True):
    """Take a coupon with an order, once for each order whatever is sent again."""

    order: UUID
    asked: CouponQuestion
    contact: str  # Keyed hash.
    buyer: UUID | None = None


class CouponStatus(StrEnum):
    """How asking for a coupon ended. Where several would fit, the first listed is given."""

    HELD = "held"  # Of a question: it would be.
    EXISTS = "exists"
    TOO_MANY_GUESSES = "too_many_guesses"
    CODE_NOT_FOUND = "code_not_found"
    SWITCHED_OFF = "switched_off"
    NOT_STARTED = "not_started"
    OVER = "over"
    OTHER_GOODS = "other_goods"
    OTHER_CURRENCY = "other_currency"
    AMOUNT_TOO_LOW = "amount_too_low"
    BUYER_LIMIT_REACHED = "buyer_limit_reached"
    USED_UP = "used_up"


class CouponResult(Record, frozen=True):
    """How it ended, and what the coupon takes off."""

    status: CouponStatus
    coupon: CouponId | None = None
    title: str = ""
    discount_minor: int = 0
    terms: Coupon | None = None  # Of a question: so that a page can reckon for other quantities.


class CouponUseState(StrEnum):
    """Where one use of a coupon stands."""

    HELD = "held"
    USED = "used"
    RETURNED = "returned"  # The order ended unpaid, or all of its money went back.


class CouponUse(Record, frozen=True):
    """A coupon with an order."""

    order: UUID
    coupon: CouponId
    discount_minor: int
    currency: str
    state: CouponUseState
    held_at: datetime


class CouponUseQuery(Record, frozen=True):
    """A page of a coupon's uses, newest first."""

    coupon: CouponId
    merchant: UUID
    before: UUID | None = None  # The last order of the page before.
    uses_max: int = 50


class Promotions(Protocol):
    """Coupons, in batches."""

    async def put_coupons(self, coupons: Sequence[Coupon]) -> list[PutCouponStatus]:
        """Write coupons whole, by id."""
        ...

    async def make_codes(self, requests: Sequence[MakeCouponCodes]) -> list[int | None]:
        """Make codes; gives how many there are now. None: no such coupon of the merchant's."""
        ...

    async def list_codes(self, pages: Sequence[CodePage]) -> list[list[CouponCode]]:
        """List codes in the clear, by number; a short page is the last."""
        ...

    async def list_coupons(self, queries: Sequence[CouponQuery]) -> list[list[CouponView]]:
        """List coupons; a short page is the last."""
        ...

    async def read_coupons(self, ids: Sequence[CouponId]) -> list[CouponView | None]:
        """Read coupons by id."""
        ...

    async def list_uses(self, queries: Sequence[CouponUseQuery]) -> list[list[CouponUse]]:
        """List what coupons were used for; a short page is the last."""
        ...

    async def price_coupons(self, questions: Sequence[CouponQuestion]) -> list[CouponResult]:
        """Say what codes would take off; wrong ones are counted against who asks."""
        ...

    async def hold_coupons(self, holds: Sequence[CouponHold]) -> list[CouponResult]:
        """Take coupons with orders; several of one coupon in a batch see each other, in order."""
        ...

    async def release_coupons(self, orders: Sequence[UUID]) -> list[bool]:
        """Give back what was held for orders that never came to be; true where there was any."""
        ...

    async def look_at_coupons(self, orders: Sequence[UUID]) -> None:
        """Look soon at what has become of orders: some of their money went back."""
        ...


def discount_minor(terms: Coupon, amount_minor: int) -> int:
    """Say what a coupon takes off an amount; the smallest coin always remains to be paid.

    A part of a coin is never taken off. Nothing is taken off what is below the least amount.
    """
    if amount_minor < max(terms.order_minor_min, 1):
        return 0
    if terms.amount_minor:
        off = terms.amount_minor
    else:
        off = amount_minor * terms.permyriad // 10_000
        off = min(off, terms.cap_minor) if terms.cap_minor else off
    return min(off, amount_minor - 1)
