"""Fees and splits, pure: the parts are the whole, whatever the terms."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from vendrail.api.settlement import FeeTerms, FeeTermsStatus, Sale
from vendrail.kernel.ids import derive, new_id
from vendrail.kernel.money import AMOUNT_MINOR_MAX
from vendrail.settlement.fees import (
    LEAD,
    FeeVersion,
    fee_minor,
    find_version,
    is_wellformed,
    returned_fee_minor,
)
from vendrail.settlement.split import MerchantAccounts, price, sale_transfers
from vendrail.settlement.terms import TRUST, decide_terms

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ORDER = new_id(NOW)
ACCOUNTS = MerchantAccounts(*(derive(ORDER, f"account:{number}") for number in range(8)))

amounts = st.integers(1, AMOUNT_MINOR_MAX)
versions = st.builds(
    FeeVersion,
    st.integers(1, 10**9),
    st.integers(0, 10_000),
    st.one_of(st.integers(0, 1_000), amounts),
    st.one_of(st.integers(0, 1_000), amounts),
    st.booleans(),
    st.just(NOW),
    fee_minor_max=st.just(0),
)


@given(amounts, versions)
def test_a_fee_is_whole_and_never_above_the_amount(amount, version):
    """A fee is an integer from zero to the amount, and at least the minimum where that fits."""
    fee = fee_minor(version, amount)

    assert isinstance(fee, int)
    assert 0 <= fee <= amount
    assert fee >= min(amount, version.fee_minor_min)
    assert fee >= min(amount, version.fixed_minor)


def test_fees_by_example():
    """Percent rounds half up, fixed adds, the minimum lifts, the amount caps."""
    cases = [
        ((10_000, 100, 0, 0), 100),
        ((50, 100, 0, 0), 1),
        ((49, 100, 0, 0), 0),
        ((10_000, 290, 30, 0), 320),
        ((100, 290, 30, 50), 50),
        ((40, 290, 30, 50), 40),
        ((1, 10_000, 0, 0), 1),
        ((999_999_999_999_999, 1, 0, 0), 100_000_000_000),
    ]

    for (amount, basis_points, fixed, minimum), expected in cases:
        version = FeeVersion(1, basis_points, fixed, minimum, is_fee_refunded=False, valid_from=NOW)
        assert expected == fee_minor(version, amount)


@given(amounts, versions)
def test_the_legs_of_a_split_sum_to_the_whole(amount, version):
    """Share and fee are the sale's amount, no leg is zero, and all but the last are linked."""
    sale = Sale(ORDER, UUID(int=5), amount, "CNY", NOW)
    result = price(sale, version)
    legs = sale_transfers(sale, result, ACCOUNTS)

    assert amount == result.fee_minor + result.share_minor
    assert amount == sum(leg.amount_minor for leg in legs)
    assert all(leg.amount_minor > 0 for leg in legs)
    assert [True, False][-len(legs) :] == [leg.is_linked for leg in legs]
    assert {ACCOUNTS.held} == {leg.debit for leg in legs}
    assert legs == sale_transfers(sale, result, ACCOUNTS)


@given(st.integers(0, 10_000), st.lists(st.integers(1, 10**6), min_size=1, max_size=40))
def test_partial_refunds_return_exactly_the_fee(basis_points, parts):
    """However a sale is refunded in parts, what is returned of the fee sums to the fee.

    No part is negative, above its refund, or above the fee in sum.
    """
    amount = sum(parts)
    version = FeeVersion(1, basis_points, 0, 0, is_fee_refunded=True, valid_from=NOW)
    fee = fee_minor(version, amount)
    refunded = returned = 0
    for part in parts:
        back = returned_fee_minor(fee, amount, refunded, returned, part)
        assert 0 <= back <= part
        refunded += part
        returned += back
        assert returned <= fee

    assert fee == returned


@given(st.lists(st.tuples(st.integers(1, 400), st.booleans()), max_size=30), st.integers(0, 1_000))
def test_refunds_that_fail_never_take_the_fee_twice(parts, fee):
    """With some refunds given back in between, what is returned of the fee stays within bounds."""
    refunded = returned = 0
    for part, is_paid in parts:
        if refunded + part > 1_000:
            continue
        back = returned_fee_minor(fee, 1_000, refunded, returned, part)
        assert 0 <= back <= part
        if is_paid:
            refunded += part
            returned += back
        assert returned <= fee
        assert returned <= refunded


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=20), st.integers(-60, 60))
def test_the_newest_version_that_was_valid_wins(starts, moment):
    """Of versions, newest first, the first that had begun is the one."""
    known = [
        FeeVersion(
            number, 0, 0, 0, is_fee_refunded=False, valid_from=NOW + timedelta(seconds=start)
        )
        for number, start in enumerate(sorted(starts, reverse=True))
    ]
    found = find_version(known, NOW + timedelta(seconds=moment))
    begun = [start for start in starts if start <= moment]

    assert (found is None) == (not begun)
    if found is not None:
        assert NOW + timedelta(seconds=max(begun)) == found.valid_from


@given(st.lists(st.tuples(st.integers(0, 3), st.one_of(st.none(), st.integers(-20, 40)))))
def test_no_memory_of_terms_can_be_outdated(writes):
    """Whatever is written, nothing begins before the time for which an older reading is trusted."""
    merchant = UUID(int=9)
    terms = [
        FeeTerms(
            merchant,
            "CNY",
            basis_points,
            valid_from=None if start is None else NOW + timedelta(seconds=start),
        )
        for basis_points, start in writes
    ]
    statuses, added, _ = decide_terms(terms, {}, {}, NOW)

    assert len(terms) == len(statuses)
    assert statuses.count(FeeTermsStatus.CREATED) == len(added)
    for term in added:
        assert term.valid_from is not None
        assert term.valid_from >= NOW + LEAD > NOW + TRUST


def test_terms_without_sense_are_malformed():
    """Percent above the whole, amounts below zero, unknown currencies, naive moments."""
    good = FeeTerms(UUID(int=9), "CNY", 100, 5, 5, valid_from=NOW)

    assert is_wellformed(good)
    assert not is_wellformed(FeeTerms(UUID(int=9), "CNY", 10_001))
    assert not is_wellformed(FeeTerms(UUID(int=9), "CNY", -1))
    assert not is_wellformed(FeeTerms(UUID(int=9), "CNY", 1, -1))
    assert not is_wellformed(FeeTerms(UUID(int=9), "CNY", 1, 1, -1))
    assert not is_wellformed(FeeTerms(UUID(int=9), "*", 1))
    assert not is_wellformed(FeeTerms(UUID(int=0), "*", 1, 1))
    assert is_wellformed(FeeTerms(UUID(int=0), "*", 1))
    naive = datetime(2026, 11, 23)  # noqa: DTZ001 — Naive is the point.
    assert not is_wellformed(FeeTerms(UUID(int=9), "CNY", 1, valid_from=naive))
