"""What settlement promises to who calls it, over the real ledger."""

import asyncio
from datetime import timedelta

from vendrail.api.settlement import (
    FeeTerms,
    FeeTermsStatus,
    SaleResult,
    SaleStatus,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import derive, new_id
from vendrail.settlement.fees import PLATFORM
from vendrail.settlement.service import SettlementService
from vendrail.settlement.settings import SettlementSettings


async def test_a_sale_is_split_and_replay_moves_money_once(world):
    """A sale is booked and split to the minor unit; asking again moves nothing."""
    sale = world.sale(1_999)

    first = await world.settlement.split_sales([sale])
    balances = await world.balances()
    again = await world.settlement.split_sales([sale, sale])

    assert [SaleResult(SaleStatus.SPLIT, 20, 1_979, first[0].fee_version)] == first
    assert first * 2 == again
    assert {"provider": -1_999, "available": 1_979, "fee": 20} == balances
    assert balances == await world.balances()


async def test_a_batch_of_sales_is_one_ledger_call_and_no_commit(fragile_world):
    """The hot path posts a whole batch in one call, and settlement itself commits nothing."""
    world = fragile_world
    await world.settlement.split_sales([world.sale(100)])  # Opens the merchant's accounts.
    world.ledger.posted_counts.clear()
    world.db.opened_count = 0
    results = await world.settlement.split_sales([world.sale(1_000 + n) for n in range(128)])

    assert {SaleStatus.SPLIT} == {result.status for result in results}
    assert [3 * 128] == world.ledger.posted_counts
    assert 0 == world.db.opened_count


async def test_money_booked_before_is_split_after(world):
    """A booking that stood already (a review took its time) does not keep the split from going."""
    sale = world.sale(500)

    assert [True] == await world.settlement.book_captures([sale.booking])
    assert {"provider": -500, "held": 500} == await world.balances()
    [result] = await world.settlement.split_sales([sale])
    assert SaleStatus.SPLIT == result.status
    assert {"provider": -500, "available": 495, "fee": 5} == await world.balances()
    assert [True] == await world.settlement.book_captures([sale.booking])


async def test_a_second_capture_of_an_order_is_held_not_split(world):
    """Money that arrives twice for one order is booked twice and split once."""
    sale = world.sale(500)
    second = replace(sale, booking=world.booking(sale.order, 500, "second"))

    results = await world.settlement.split_sales([sale, second])

    assert [SaleStatus.SPLIT] * 2 == [result.status for result in results]
    assert {"provider": -1_000, "held": 500, "available": 495, "fee": 5} == await world.balances()


async def test_no_leg_is_zero(world):
    """No fee, or nothing but fee: the leg that would be zero is left out."""
    await world.settlement.put_fee_terms(
        [FeeTerms(world.merchant, "CNY", 0), FeeTerms(world.merchant, "USD", 0, 300)]
    )
    world.clock.advance(11)
    free = world.sale(700)
    world.currency = "USD"
    dear = world.sale(250)

    results = await world.settlement.split_sales([free, dear])

    assert [(0, 700), (250, 0)] == [(result.fee_minor, result.share_minor) for result in results]
    assert {"provider": -250, "fee": 250} == await world.balances()
    assert results == await world.settlement.split_sales([free, dear])
    world.currency = "CNY"
    assert [True] == await world.settlement.reverse_sales([free])
    assert [SaleStatus.CANCELLED] == [r.status for r in await world.settlement.split_sales([free])]


async def test_malformed_amounts_are_refused_alone(world):
    """A sale that cannot be is refused with a status; its neighbours are split."""
    good = world.sale(300)
    results = await world.settlement.split_sales(
        [world.sale(0), good, world.sale(10**15 + 1), replace(world.sale(5), currency="XXX")]
    )

    malformed = SaleStatus.AMOUNT_MALFORMED
    assert [malformed, SaleStatus.SPLIT, malformed, malformed] == [r.status for r in results]
    assert {"provider": -300, "available": 297, "fee": 3} == await world.balances()


async def test_a_sale_without_money_is_not_split(world):
    """Where the order's money is not in the books, or is too little, nothing moves."""
    unbooked = world.sale(300, is_booked=False)
    short = world.sale(300)
    short = replace(short, booking=replace(short.booking, amount_minor=299))

    results = await world.settlement.split_sales([unbooked, short])

    assert [SaleStatus.NOT_HELD] * 2 == [result.status for result in results]
    assert {} == await world.balances()
    assert [True] == await world.settlement.book_captures([world.booking(unbooked.order, 300)])
    [result] = await world.settlement.split_sales([unbooked])
    assert SaleStatus.SPLIT == result.status


async def test_another_sale_under_the_same_order_is_told(world):
    """A repeat that names another amount is not taken for the sale that was split."""
    sale = world.sale(300)
    await world.settlement.split_sales([sale])
    other = replace(sale, amount_minor=200)

    assert [SaleStatus.NOT_HELD] == [r.status for r in await world.settlement.split_sales([other])]
    assert {"provider": -300, "available": 297, "fee": 3} == await world.balances()


async def test_a_reversed_sale_stays_reversed(world):
    """Undo takes share and fee back to held, once; a late repeat of the split is cancelled."""
    sale = world.sale(1_000)
    await world.settlement.split_sales([sale])

    assert [True, True] == await world.settlement.reverse_sales([sale, sale])
    assert [True] == await world.settlement.reverse_sales([sale])
    assert {"provider": -1_000, "held": 1_000} == await world.balances()
    assert [SaleStatus.CANCELLED] == [r.status for r in await world.settlement.split_sales([sale])]
    assert {"provider": -1_000, "held": 1_000} == await world.balances()


async def test_undo_before_the_split_leaves_a_tombstone(world):
    """A split that comes after its undo is cancelled, and the money that did arrive is booked."""
    sale = world.sale(1_000)

    assert [True] == await world.settlement.reverse_sales([sale])
    assert [SaleStatus.CANCELLED] == [r.status for r in await world.settlement.split_sales([sale])]
    assert {"provider": -1_000, "held": 1_000} == await world.balances()


async def test_a_cancelled_chain_does_not_lose_the_money(world):
    """Where the undo knew of no money, the late split's booking can still be booked alone."""
    sale = world.sale(1_000)

    assert [True] == await world.settlement.reverse_sales([replace(sale, booking=None)])
    assert [SaleStatus.CANCELLED] == [r.status for r in await world.settlement.split_sales([sale])]
    assert [True] == await world.settlement.book_captures([sale.booking])
    assert [True] == await world.settlement.book_captures([sale.booking])
    assert {"provider": -1_000, "held": 1_000} == await world.balances()


async def test_split_and_undo_at_once_end_one_way(world):
    """Of 60 splits and undos of 30 orders at once, each order ends split or cancelled, not both."""
    sales = [world.sale(1_000) for _ in range(30)]

    outcomes = await asyncio.gather(
        *(world.settlement.split_sales([sale]) for sale in sales),
        *(world.settlement.reverse_sales([sale]) for sale in sales),
    )
    late = await world.settlement.split_sales(sales)

    assert all(outcome == [True] for outcome in outcomes[30:])
    assert {SaleStatus.CANCELLED} == {result.status for result in late}
    assert {"provider": -30_000, "held": 30_000} == await world.balances()


async def test_what_a_merchant_has_spent_becomes_debt(world):
    """Undo of a share that is partly gone: the rest is the merchant's debt."""
    sale = world.sale(1_000)
    await world.settlement.split_sales([sale])
    await world.spend(600)

    assert [True] == await world.settlement.reverse_sales([sale])
    assert {"provider": -1_000, "held": 1_000, "debt": -600, "sink": 600} == await world.balances()


async def test_unmatched_money_waits_in_suspense_and_is_matched(world):
    """Money that fits nothing is booked to suspense, and moves to held when a person matches it."""
    order = new_id(world.clock.now())
    unmatched = replace(world.booking(order, 400), merchant=None)
    matched = replace(world.booking(order, 400), is_from_suspense=True)

    assert [True] == await world.settlement.book_captures([unmatched])
    assert {"provider": -400, "suspense": 400} == await world.balances()
    sale = replace(world.sale(400, order), booking=matched)
    [result] = await world.settlement.split_sales([sale])
    assert SaleStatus.SPLIT == result.status
    assert {"provider": -400, "available": 396, "fee": 4} == await world.balances()


async def test_a_booking_that_says_otherwise_is_told(world):
    """The same capture booked with another amount is refused, and not booked again."""
    order = new_id(world.clock.now())
    booking = world.booking(order, 400)
    bad = replace(booking, amount_minor=0)

    assert [True] == await world.settlement.book_captures([booking])
    results = await world.settlement.book_captures([replace(booking, amount_minor=500), bad])
    assert [False, False] == results
    assert {"provider": -400, "held": 400} == await world.balances()


async def test_new_terms_begin_later_and_never_change_the_past(world):
    """A sale takes the terms valid when it was placed, also where newer ones are known by then."""
    old = world.sale(10_000)
    before = await world.settlement.split_sales([old])
    statuses = await world.settlement.put_fee_terms(
        [FeeTerms(world.merchant, "CNY", 500, 10, is_fee_refunded=True)]
    )
    between = world.sale(10_000)
    world.clock.advance(11)
    new = world.sale(10_000)

    results = await world.settlement.split_sales([between, new, old])

    assert [FeeTermsStatus.CREATED] == statuses
    assert [100, 510, 100] == [result.fee_minor for result in results]
    assert before == results[2:]
    [[terms]] = await world.settlement.read_fee_terms([world.merchant])
    assert 500 == terms.basis_points


async def test_terms_are_checked_one_by_one(world):
    """Backdated, malformed and unchanged terms are told apart; item k sees k−1."""
    now = world.clock.now()
    good = FeeTerms(world.merchant, "CNY", 500)
    statuses = await world.settlement.put_fee_terms(
        [
            good,
            good,
            replace(good, basis_points=400, valid_from=now),
            replace(good, basis_points=10_001),
            replace(good, currency="XXX"),
            replace(good, fixed_minor=-1),
            replace(good, basis_points=300, valid_from=now + timedelta(days=1)),
            FeeTerms(PLATFORM, "*", 200),
            FeeTerms(PLATFORM, "*", 200, 5),
        ]
    )

    malformed = FeeTermsStatus.FIELD_MALFORMED
    assert [
        FeeTermsStatus.CREATED,
        FeeTermsStatus.UNCHANGED,
        FeeTermsStatus.BACKDATED,
        malformed,
        malformed,
        malformed,
        FeeTermsStatus.CREATED,
        FeeTermsStatus.CREATED,
        malformed,
    ] == statuses
    [versions, [first, second]] = await world.settlement.read_fee_terms([world.merchant, PLATFORM])
    assert [300, 500] == [terms.basis_points for terms in versions]
    assert (200, 100) == (first.basis_points, second.basis_points)


async def test_another_process_is_never_behind_on_terms(world, ledger):
    """A process that read the terms before they changed charges as the one that wrote them."""
    other = SettlementService(world.db, world.clock, SettlementSettings(), ledger)
    await other.split_sales([world.sale(10_000)])
    for basis_points in range(200, 700, 100):
        terms = FeeTerms(world.merchant, "CNY", basis_points)
        await world.settlement.put_fee_terms([terms])
        for _ in range(12):
            world.clock.advance(1)
            here, there = world.sale(10_000), world.sale(10_000)
            [mine] = await world.settlement.split_sales([here])
            [theirs] = await other.split_sales([there])
            assert mine.fee_minor == theirs.fee_minor


async def test_merchants_see_where_their_money_is(world):
    """Balances tell what is held, available and owed."""
    await world.settlement.split_sales([world.sale(1_000)])
    await world.settlement.book_captures([world.booking(new_id(world.clock.now()), 70)])

    [balance, nobody] = await world.settlement.read_merchant_balances(
        [(world.merchant, "CNY"), (derive(world.merchant, "nobody"), "CNY")]
    )

    assert (70, 990, 0) == (balance.held_minor, balance.available_minor, balance.debt_minor)
    assert (0, 0, 0) == (nobody.held_minor, nobody.available_minor, nobody.debt_minor)


async def test_empty_batches_are_answered(world):
    """A batch of nothing is answered with nothing, by every operation."""
    settlement = world.settlement

    assert [] == await settlement.put_fee_terms([])
    assert [] == await settlement.split_sales([])
    assert [] == await settlement.reverse_sales([])
    assert [] == await settlement.book_captures([])
    assert [] == await settlement.open_refunds([])
    assert [] == await settlement.pay_refunds([])
    assert [] == await settlement.return_refunds([])
    assert [] == await settlement.read_merchant_balances([])
