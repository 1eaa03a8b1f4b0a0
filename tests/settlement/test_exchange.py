"""Paid in one currency, sold in another: both stand in the books, and go back as they came."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vendrail.api.ledger import Chart
from vendrail.api.settlement import FeeTerms, RefundPostingStatus, SaleStatus
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import derive
from vendrail.kernel.money import Money

POSTED, EXISTS = RefundPostingStatus.POSTED, RefundPostingStatus.EXISTS


def paid_sale(world, amount_minor, paid_minor, *, is_booked=True, currency="JPY"):
    """A sale in yuan whose buyer has paid yen."""
    sale = world.sale(amount_minor)
    booking = replace(sale.booking, amount_minor=paid_minor, currency=currency)
    paid = Money(paid_minor, currency)
    return replace(sale, booking=booking if is_booked else None, paid=paid)


def paid_refund(world, sale, amount_minor, paid_minor, name="refund", **more):
    """A refund of it: so much of the price, so much of what was paid."""
    paid = Money(paid_minor, sale.paid.currency)
    return world.refund(sale, amount_minor, name, paid=paid, **more)


async def both(world):
    """What accounts hold in yuan and in yen, our positions too, zeros left out."""
    found = {}
    for currency, other in (("CNY", "JPY"), ("JPY", "CNY")):
        world.currency = currency
        found[currency] = await world.balances()
        [position] = await world.ledger.read_balances([Chart(currency).fx(other).id])
        if position is not None and position.credit_minor:
            found[currency]["fx"] = position.credit_minor
    world.currency = "CNY"
    return found


SOLD = {
    "CNY": {"available": 990, "fee": 10, "fx": -1_000},
    "JPY": {"provider": -21_300, "fx": 21_300},
}


async def test_the_merchant_gets_the_price_and_we_keep_the_difference(world):
    """Yen arrive, yuan are split, the platform stands between; replay moves nothing."""
    sale = paid_sale(world, 1_000, 21_300)

    first = await world.settlement.split_sales([sale])
    again = await world.settlement.split_sales([sale, sale])

    assert [SaleStatus.SPLIT] == [each.status for each in first]
    assert first * 2 == again
    assert SOLD == await both(world)


async def test_money_booked_before_is_changed_after(world):
    """Booked while a person looked, then split: with its booking named again, or without."""
    named = paid_sale(world, 1_000, 21_300)
    unnamed = paid_sale(world, 1_000, 21_300)
    assert [True, True] == await world.settlement.book_captures([named.booking, unnamed.booking])
    results = await world.settlement.split_sales([named, replace(unnamed, booking=None)])

    assert [SaleStatus.SPLIT] * 2 == [each.status for each in results]
    assert {
        "CNY": {"available": 1_980, "fee": 20, "fx": -2_000},
        "JPY": {"provider": -42_600, "fx": 42_600},
    } == await both(world)


async def test_a_batch_of_mixed_sales_is_split_each_in_its_own(world):
    """Sales in one currency and across two share a batch and nothing else."""
    plain = world.sale(500)
    results = await world.settlement.split_sales([plain, paid_sale(world, 1_000, 21_300)])

    assert [SaleStatus.SPLIT] * 2 == [each.status for each in results]
    assert {"provider": -500, "available": 1_485, "fee": 15, "fx": -1_000} == (await both(world))[
        "CNY"
    ]


async def test_what_does_not_fit_is_not_changed(world):
    """Too little, the wrong currency, nothing, or an exchange that is none: nothing moves."""
    short = paid_sale(world, 1_000, 21_300)
    short = replace(short, booking=replace(short.booking, amount_minor=21_299))
    other = paid_sale(world, 1_000, 21_300)
    other = replace(other, booking=replace(other.booking, currency="CNY"))
    same = paid_sale(world, 1_000, 1_000, currency="CNY")
    unknown = paid_sale(world, 1_000, 1_000, currency="XXX")
    zero = paid_sale(world, 1_000, 0)
    unbooked = paid_sale(world, 1_000, 21_300, is_booked=False)

    results = await world.settlement.split_sales([short, other, same, unknown, zero, unbooked])

    assert [
        SaleStatus.NOT_HELD,
        SaleStatus.NOT_HELD,
        SaleStatus.AMOUNT_MALFORMED,
        SaleStatus.AMOUNT_MALFORMED,
        SaleStatus.AMOUNT_MALFORMED,
        SaleStatus.NOT_HELD,
    ] == [each.status for each in results]
    assert {"CNY": {}, "JPY": {}} == await both(world)


async def test_an_undone_sale_leaves_what_was_paid(world):
    """Undone before the pivot, the yen are held again and go back; nothing is left with us."""
    sale = paid_sale(world, 1_000, 21_300)
    await world.settlement.split_sales([sale])

    assert [True] == await world.settlement.reverse_sales([sale])
    assert [True] == await world.settlement.reverse_sales([sale])
    assert {"CNY": {}, "JPY": {"provider": -21_300, "held": 21_300}} == await both(world)
    assert [SaleStatus.CANCELLED] == [
        each.status for each in await world.settlement.split_sales([sale])
    ]
    whole = world.refund(sale, 21_300, is_split=False, currency="JPY", captured_minor=21_300)
    assert [POSTED] == await world.settlement.open_refunds([whole])
    assert [POSTED] == await world.settlement.pay_refunds([whole])
    assert {"CNY": {}, "JPY": {}} == await both(world)


async def test_an_undo_before_the_split_keeps_it_from_happening(world):
    """A late split finds the tombstone: no yen are changed, and all of them are held."""
    sale = paid_sale(world, 1_000, 21_300)

    assert [True] == await world.settlement.reverse_sales([sale])
    assert [SaleStatus.CANCELLED] == [
        each.status for each in await world.settlement.split_sales([sale])
    ]
    assert {"CNY": {}, "JPY": {"provider": -21_300, "held": 21_300}} == await both(world)


async def test_an_undone_sale_whose_share_is_spent_is_changed_back_too(world):
    """What the merchant has spent is their debt in yuan; the buyer's yen are all there."""
    sale = paid_sale(world, 1_000, 21_300)
    await world.settlement.split_sales([sale])
    await world.spend(600)

    assert [True] == await world.settlement.reverse_sales([sale])
    found = await both(world)
    assert {"provider": -21_300, "held": 21_300} == found["JPY"]
    assert {"debt": -600, "sink": 600} == found["CNY"]


async def test_b10_parts_go_back_in_the_currency_that_was_paid(world):
    """Three refunds take the price from the merchant and give the yen back; all ends at zero."""
    terms = FeeTerms(world.merchant, "CNY", 333, is_fee_refunded=True)
    await world.settlement.put_fee_terms([terms])
    world.clock.advance(11)
    sale = paid_sale(world, 1_000, 21_301)
    await world.settlement.split_sales([sale])
    parts = [(333, 7_093), (333, 7_093), (334, 7_115)]
    refunds = [
        paid_refund(world, sale, price, back, f"refund:{n}")
        for n, (price, back) in enumerate(parts)
    ]

    assert [POSTED] * 3 == await world.settlement.open_refunds(refunds)
    assert [EXISTS] * 3 == await world.settlement.open_refunds(refunds)
    assert {"CNY": {}, "JPY": {"provider": -21_301, "clearing": 21_301}} == await both(world)
    assert [POSTED] * 3 == await world.settlement.pay_refunds(refunds)
    assert {"CNY": {}, "JPY": {}} == await both(world)


async def test_a_refund_that_fails_is_changed_back(world):
    """The provider refuses: the merchant has the price again, and we have the yen."""
    sale = paid_sale(world, 1_000, 21_300)
    await world.settlement.split_sales([sale])
    refund = paid_refund(world, sale, 400, 8_520)
    await world.settlement.open_refunds([refund])

    assert [POSTED] == await world.settlement.return_refunds([refund])
    assert [EXISTS] == await world.settlement.return_refunds([refund])
    assert SOLD == await both(world)
    assert [RefundPostingStatus.NOT_OPEN] == await world.settlement.pay_refunds([refund])


async def test_a_repeat_that_gives_back_another_amount_is_refused(world):
    """An id stands for one refund in both currencies; without the other one it is another."""
    sale = paid_sale(world, 1_000, 21_300)
    await world.settlement.split_sales([sale])
    refund = paid_refund(world, sale, 400, 8_520)
    others = [paid_refund(world, sale, 400, 8_521), replace(refund, paid=None)]
    malformed = replace(paid_refund(world, sale, 400, 8_520, "x"), paid=Money(400, "CNY"))

    assert [POSTED] == await world.settlement.open_refunds([refund])
    assert [RefundPostingStatus.EXISTS_DIFFERENT] * 2 == await world.settlement.pay_refunds(others)
    assert [RefundPostingStatus.AMOUNT_MALFORMED] == await world.settlement.open_refunds(
        [malformed]
    )


async def test_a_second_payment_goes_back_beside_the_first(world):
    """Of two payments in yen the surplus goes back out of held, and no more of it is there."""
    sale = paid_sale(world, 1_000, 21_300)
    await world.settlement.split_sales([sale])
    second = replace(sale.booking, capture=derive(sale.order, "second"))
    await world.settlement.book_captures([second])
    more = {"is_split": False, "currency": "JPY", "captured_minor": 21_300}
    surplus = world.refund(sale, 21_300, "surplus", **more)
    third = world.refund(sale, 1, "third", **more)

    assert [POSTED, RefundPostingStatus.MORE_THAN_CAPTURED] == (
        await world.settlement.open_refunds([surplus, third])
    )
    assert [POSTED] == await world.settlement.pay_refunds([surplus])
    assert SOLD == await both(world)


async def test_split_and_undo_at_once_leave_nothing_between(world):
    """Split and undone at once: either way no yen and no yuan are left where they do not belong."""
    for _ in range(8):
        sale = paid_sale(world, 1_000, 21_300)
        [result], _ = await asyncio.gather(
            world.settlement.split_sales([sale]), world.settlement.reverse_sales([sale])
        )
        await world.settlement.reverse_sales([sale])
        assert result.status in {SaleStatus.SPLIT, SaleStatus.CANCELLED}

    found = await both(world)
    assert {"provider": -8 * 21_300, "held": 8 * 21_300} == found["JPY"]
    assert {} == found["CNY"]


async def test_a_crash_at_any_statement_of_an_exchange_is_healed(fragile_world):
    """Broken off after any call, sale, undo and refund end right when they are asked again."""
    world = fragile_world
    crashes = 0
    for ending in ("pay_refunds", "return_refunds"):
        for point in range(30):
            sale = paid_sale(world, 1_000, 21_300)
            undone = paid_sale(world, 1_000, 21_300)
            refund = paid_refund(world, sale, 400, 8_520, f"{ending}:{point}")
            with world.fuse.broken_after(point):
                try:
                    await world.settlement.split_sales([sale, undone])
                    await world.settlement.reverse_sales([undone])
                    await world.settlement.open_refunds([refund])
                    await getattr(world.settlement, ending)([refund])
                except Broken:
                    crashes += 1
            await world.settlement.split_sales([sale])
            await world.settlement.reverse_sales([undone])
            await world.settlement.open_refunds([refund])
            assert {POSTED, EXISTS} >= set(await getattr(world.settlement, ending)([refund]))
            found = await both(world)
            count = point + 1 + (30 if ending == "return_refunds" else 0)
            refunded = min(count, 30)
            assert 0 == found["CNY"].get("clearing", 0) == found["JPY"].get("clearing", 0)
            assert count * 21_300 == found["JPY"]["held"]
            assert count * 21_300 - refunded * 8_520 == found["JPY"]["fx"]
            assert refunded * 400 - count * 1_000 == found["CNY"]["fx"]

    assert crashes > 20


@settings(max_examples=12, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.integers(1, 10**6), st.integers(1, 10**6), st.lists(st.integers(1, 9), max_size=4))
async def test_refunds_by_share_always_end_at_zero(world, amount_minor, paid_minor, shares):
    """However a price and what was paid for it are parted, the last part leaves nothing behind."""
    before = await both(world)
    terms = FeeTerms(world.merchant, "CNY", 77, is_fee_refunded=True)
    await world.settlement.put_fee_terms([terms])
    world.clock.advance(11)
    sale = paid_sale(world, amount_minor, paid_minor)
    await world.settlement.split_sales([sale])
    taken, back = 0, 0
    for number, share in enumerate([*shares, None]):
        left = amount_minor - taken
        part = left if share is None else left * share // 10
        now = paid_minor * (taken + part) // amount_minor - back
        if part and now:
            refund = paid_refund(world, sale, part, now, f"refund:{number}")
            assert [POSTED] == await world.settlement.open_refunds([refund])
            assert [POSTED] == await world.settlement.pay_refunds([refund])
            taken, back = taken + part, back + now

    assert (amount_minor, paid_minor) == (taken, back)
    assert before == await both(world)
