"""What coupons take off, and when: pure."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendrail.api.orders import OrderState
from vendrail.api.promotions import (
    Coupon,
    CouponId,
    CouponQuestion,
    CouponStatus,
    CouponUseState,
    PutCouponStatus,
    discount_minor,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import named_id
from vendrail.promotions import decide
from vendrail.promotions.decide import Book, Seen

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
MERCHANT, PRODUCT = named_id("merchant"), named_id("product")
FIVE = Coupon(CouponId(named_id("five")), MERCHANT, "Five off", "CNY", amount_minor=500)
TWICE = replace(FIVE, uses_per_code=2)
TENTH = replace(FIVE, amount_minor=0, permyriad=1_000)
ASKED = CouponQuestion("FIVE", MERCHANT, PRODUCT, "Games", 2_000, "CNY")


@pytest.mark.parametrize(
    "terms, amount_minor, off_minor",
    [
        (FIVE, 2_000, 500),
        (FIVE, 500, 499),  # The smallest coin remains.
        (FIVE, 1, 0),
        (TENTH, 1_999, 199),
        (replace(TENTH, cap_minor=150), 1_999, 150),
        (replace(TENTH, permyriad=10_000), 700, 699),
        (replace(FIVE, order_minor_min=2_001), 2_000, 0),
        (TENTH, 9, 0),
    ],
)
def test_a_coupon_takes_off_whole_coins_and_leaves_one(terms, amount_minor, off_minor):
    """Percent is rounded down, caps hold, and something always remains to be paid."""
    assert off_minor == discount_minor(terms, amount_minor)


@given(
    st.integers(0, 10**6),
    st.integers(1, 10_000),
    st.integers(0, 10**5),
    st.integers(0, 10**6),
    st.integers(1, 10**9),
)
def test_what_is_taken_off_is_less_than_the_price(fixed, permyriad, cap, least, amount):
    """No coupon makes an order free or dearer, and none below its least amount takes anything."""
    kind = {"amount_minor": fixed} if fixed else {"permyriad": permyriad, "cap_minor": cap}
    terms = replace(FIVE, **({"amount_minor": 0} | kind), order_minor_min=least)
    off = discount_minor(terms, amount)

    assert 0 <= off < amount
    assert off == 0 or amount >= least
    assert not cap or fixed or off <= cap


@pytest.mark.parametrize(
    "terms, changes, status",
    [
        (FIVE, {}, CouponStatus.HELD),
        (replace(FIVE, is_on=False), {}, CouponStatus.SWITCHED_OFF),
        (replace(FIVE, starts_at=NOW + timedelta(seconds=1)), {}, CouponStatus.NOT_STARTED),
        (replace(FIVE, ends_at=NOW), {}, CouponStatus.OVER),
        (replace(FIVE, products=[named_id("other")]), {}, CouponStatus.OTHER_GOODS),
        (replace(FIVE, products=[PRODUCT]), {}, CouponStatus.HELD),
        (replace(FIVE, products=[named_id("other")], categories=["Games"]), {}, CouponStatus.HELD),
        (FIVE, {"currency": "USD"}, CouponStatus.OTHER_CURRENCY),
        (replace(FIVE, order_minor_min=2_001), {}, CouponStatus.AMOUNT_TOO_LOW),
        (replace(FIVE, uses_max=3), {}, CouponStatus.USED_UP),
    ],
)
def test_a_coupon_says_why_it_is_not_for_an_order(terms, changes, status):
    """When, for what, in which currency, above which amount, how often."""
    assert status == decide.ask(Book(terms, 3), replace(ASKED, **changes), NOW)


@given(st.integers(1, 4), st.integers(1, 4), st.lists(st.integers(0, 3), max_size=12))
def test_bounds_hold_whoever_comes(uses_max, per_buyer, buyers):
    """Neither a coupon nor a buyer has more than they may; who is refused changes nothing."""
    terms = replace(FIVE, uses_max=uses_max, uses_per_buyer=per_buyer, uses_per_code=12)
    book = Book(terms, 0, {b"code": 0})
    held = [
        buyer
        for buyer in buyers
        if decide.hold(book, b"code", ASKED, str(buyer), None, NOW) is CouponStatus.HELD
    ]

    assert len(held) == book.taken == book.by_code[b"code"] <= uses_max
    assert all(held.count(buyer) <= per_buyer for buyer in held)
    wanted = sum(min(buyers.count(buyer), per_buyer) for buyer in set(buyers))
    assert len(held) == min(wanted, uses_max)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_minor": 0},
        {"permyriad": 100},
        {"amount_minor": -1},
        {"cap_minor": 5},
        {"currency": "XXX"},
        {"title": ""},
        {"title": "two\nlines"},
        {"uses_max": 0},
        {"uses_per_code": 0},
        {"word": "no words"},
        {"word": "ab"},
        {"starts_at": NOW, "ends_at": NOW},
    ],
)
def test_a_coupon_that_does_not_fit_is_not_written(changes):
    """Fixed or percent, never both; a window with an inside; a word of capitals and digits."""
    new = replace(FIVE, **changes)

    assert PutCouponStatus.FIELD_MALFORMED == decide.put(new, None, 0, is_word_taken=False)


def test_what_a_coupon_takes_off_is_not_changed_later():
    """Codes that are out are worth what they were; bounds stay above what is taken."""
    changed = {
        "dearer": decide.put(replace(FIVE, amount_minor=600), FIVE, 0, is_word_taken=False),
        "fewer": decide.put(replace(FIVE, uses_max=2), FIVE, 3, is_word_taken=False),
        "fewer of a code": decide.put(
            replace(TWICE, uses_per_code=1), TWICE, 3, taken_of_code=2, is_word_taken=False
        ),
        "as many of a code": decide.put(
            replace(TWICE, uses_per_code=1), TWICE, 3, taken_of_code=1, is_word_taken=False
        ),
        "off": decide.put(replace(FIVE, is_on=False), FIVE, 3, is_word_taken=False),
        "same": decide.put(FIVE, FIVE, 3, is_word_taken=False),
    }

    assert {
        "dearer": PutCouponStatus.KIND_FIXED,
        "fewer": PutCouponStatus.USES_BELOW_TAKEN,
        "fewer of a code": PutCouponStatus.USES_BELOW_TAKEN,
        "as many of a code": PutCouponStatus.CHANGED,
        "off": PutCouponStatus.CHANGED,
        "same": PutCouponStatus.UNCHANGED,
    } == changed


@pytest.mark.parametrize("state", OrderState)
@pytest.mark.parametrize("is_whole", [True, False])
def test_every_state_of_an_order_has_its_fate(state, is_whole):
    """A use comes back when all money went back, or at the second look at an unpaid end."""
    seen = Seen(state, is_whole)
    first = decide.look(CouponUseState.HELD, NOW, None, seen, NOW, 30)
    later = NOW + timedelta(seconds=30)
    second = decide.look(first.state, NOW, first.ending_at, seen, later, 30)

    is_unpaid = state in (OrderState.EXPIRED, OrderState.CANCELLED)
    assert (first.state is CouponUseState.RETURNED) == is_whole
    assert (second.state is CouponUseState.RETURNED) == (is_whole or is_unpaid)
    is_used = state is OrderState.DELIVERED and not is_whole
    assert (first.state is CouponUseState.USED) == is_used


def test_a_hold_waits_for_its_order_to_be_written():
    """Placing may be slow: no order at all is believed after ten minutes, and at a second look."""
    fates = [
        decide.look(CouponUseState.HELD, NOW, ending_at, None, NOW + timedelta(seconds=after), 30)
        for after, ending_at in ((61, NOW), (599, NOW), (600, None), (630, NOW))
    ]

    assert ["held", "held", "held", "returned"] == [each.state for each in fates]
