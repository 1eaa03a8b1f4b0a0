"""Refunds: taken from where the money is, never too much, given back when they fail."""

import asyncio
import itertools

from vendrail.api.ledger import Chart
from vendrail.api.settlement import FeeTerms, RefundPostingStatus
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Broken, Unavailable
from vendrail.kernel.ids import new_id

POSTED = RefundPostingStatus.POSTED
EXISTS = RefundPostingStatus.EXISTS


async def split(world, amount_minor, **terms):
    """A sale that has been split, under terms of its own."""
    if terms:
        await world.settlement.put_fee_terms([FeeTerms(world.merchant, world.currency, **terms)])
        world.clock.advance(11)
    sale = world.sale(amount_minor)
    await world.settlement.split_sales([sale])
    return sale


async def test_before_the_split_a_refund_comes_out_of_held(world):
    """Held money goes to clearing, then to the provider; each step repeats harmlessly."""
    sale = world.sale(1_000)
    await world.settlement.book_captures([sale.booking])
    refund = world.refund(sale, 1_000, is_split=False)

    assert [POSTED] == await world.settlement.open_refunds([refund])
    assert {"provider": -1_000, "clearing": 1_000} == await world.balances()
    assert [EXISTS] == await world.settlement.open_refunds([refund])
    assert [POSTED] == await world.settlement.pay_refunds([refund])
    assert [EXISTS] == await world.settlement.pay_refunds([refund])
    assert {} == await world.balances()


async def test_after_the_split_the_merchant_pays_all_where_the_fee_is_kept(world):
    """Terms that keep the fee: the merchant pays all, as debt where nothing is left."""
    sale = await split(world, 1_000, basis_points=500)
    refund = world.refund(sale, 1_000)

    assert [POSTED] == await world.settlement.open_refunds([refund])
    assert {
        "provider": -1_000,
        "clearing": 1_000,
        "debt": -50,
        "fee": 50,
    } == await world.balances()
    assert [POSTED] == await world.settlement.pay_refunds([refund])
    assert {"debt": -50, "fee": 50} == await world.balances()


async def test_the_fee_is_given_back_in_parts_that_sum_to_the_whole(world):
    """Terms that give the fee back: three odd partial refunds end at exactly zero."""
    sale = await split(world, 1_000, basis_points=333, is_fee_refunded=True)
    for number, amount_minor in enumerate((333, 333, 334)):
        refund = world.refund(sale, amount_minor, f"refund:{number}")
        assert [POSTED] == await world.settlement.open_refunds([refund])
        assert [POSTED] == await world.settlement.pay_refunds([refund])

    assert {} == await world.balances()


async def test_partial_refunds_end_at_zero_in_any_order(world):
    """Whatever the order of partial refunds, held, available, fee and clearing end at zero."""
    terms = {"basis_points": 129, "fixed_minor": 7, "is_fee_refunded": True}
    for order in itertools.permutations((1, 98, 401, 500)):
        sale = await split(world, 1_000, **terms)
        refunds = [world.refund(sale, amount, f"refund:{amount}") for amount in order]

        assert [POSTED] * 4 == await world.settlement.open_refunds(refunds)
        assert {"provider": -1_000, "clearing": 1_000} == await world.balances()
        assert [POSTED] * 4 == await world.settlement.pay_refunds(refunds)
        assert {} == await world.balances()


async def test_never_more_than_was_captured(world):
    """The asker's figures are checked, and so are the books, against an asker who is wrong."""
    sale = await split(world, 1_000)
    too_much = RefundPostingStatus.MORE_THAN_CAPTURED
    asked = [
        world.refund(sale, 1_001, "a"),
        world.refund(sale, 600, "b"),
        world.refund(sale, 600, "c"),  # Says that nothing was refunded before: the books know.
        world.refund(sale, 400, "d", refunded_minor=600),
        world.refund(sale, 1, "e", captured_minor=5_000),
        world.refund(sale, 0, "f"),
        world.refund(sale, -5, "g"),
    ]

    assert [
        too_much,
        POSTED,
        too_much,
        POSTED,
        too_much,
        RefundPostingStatus.AMOUNT_MALFORMED,
        RefundPostingStatus.AMOUNT_MALFORMED,
    ] == await world.settlement.open_refunds(asked)
    assert 1_000 == (await world.balances())["clearing"]


async def test_fifty_refunds_at_once_never_exceed_the_capture(world):
    """50 refunds of 30 asked at once of 1,000: exactly 33 are opened."""
    sale = await split(world, 1_000)
    refunds = [world.refund(sale, 30, f"refund:{number}") for number in range(50)]

    async def ask(refund):
        while True:
            try:
                return (await world.settlement.open_refunds([refund]))[0]
            except Unavailable:
                await asyncio.sleep(0.01)

    statuses = await asyncio.gather(*(ask(refund) for refund in refunds))

    assert 33 == statuses.count(POSTED)
    assert 17 == statuses.count(RefundPostingStatus.MORE_THAN_CAPTURED)
    assert 990 == (await world.balances())["clearing"]


async def test_the_same_refund_at_once_moves_once(world):
    """One refund asked 20 times at once, also from two services, is taken once."""
    sale = await split(world, 1_000)
    refund = world.refund(sale, 700)

    async def ask():
        while True:
            try:
                return (await world.settlement.open_refunds([refund]))[0]
            except Unavailable:
                await asyncio.sleep(0.01)

    statuses = await asyncio.gather(*(ask() for _ in range(20)))

    assert {POSTED, EXISTS} >= set(statuses)
    assert 700 == (await world.balances())["clearing"]


async def test_what_was_taken_is_given_back_exactly(world):
    """A refund that fails for good returns to available, debt and fee as much as came from each."""
    sale = await split(world, 1_000, basis_points=500, is_fee_refunded=True)
    await world.spend(400)
    before = await world.balances()
    refund = world.refund(sale, 900)

    assert [POSTED] == await world.settlement.open_refunds([refund])
    assert {"available": 0, "debt": -305, "fee": 5, "clearing": 900} == {
        name: (await world.balances()).get(name, 0)
        for name in ("available", "debt", "fee", "clearing")
    }
    assert [POSTED] == await world.settlement.return_refunds([refund])
    assert [EXISTS] == await world.settlement.return_refunds([refund])
    assert before == await world.balances()
    assert [RefundPostingStatus.NOT_OPEN] == await world.settlement.pay_refunds([refund])
    again = world.refund(sale, 1_000, "again")
    assert [POSTED] == await world.settlement.open_refunds([again])


async def test_a_refund_ends_one_way(world):
    """Paid and returned at once: exactly one of the two happens."""
    sale = await split(world, 1_000)
    for number in range(8):
        refund = world.refund(sale, 100, f"refund:{number}")
        await world.settlement.open_refunds([refund])
        [paid], [returned] = await asyncio.gather(
            world.settlement.pay_refunds([refund]), world.settlement.return_refunds([refund])
        )
        assert {POSTED, RefundPostingStatus.NOT_OPEN} == {paid, returned}
        assert 0 == (await world.balances()).get("clearing", 0)


async def test_what_is_undone_before_it_arrives_is_cancelled(world):
    """Paying or returning what was never opened is refused, and a return leaves a tombstone."""
    sale = await split(world, 1_000)
    refund = world.refund(sale, 100)
    before = await world.balances()

    assert [RefundPostingStatus.NOT_OPEN] == await world.settlement.pay_refunds([refund])
    assert [RefundPostingStatus.NOT_OPEN] == await world.settlement.return_refunds([refund])
    assert [RefundPostingStatus.CANCELLED] == await world.settlement.open_refunds([refund])
    assert before == await world.balances()


async def test_refunds_that_the_books_have_taken_in_are_told_apart(world):
    """Whatever became of it: what was opened is found, what never was, or was undone first, not."""
    sale = await split(world, 1_000)
    opened, undone, other = (world.refund(sale, 100, name) for name in ("one", "two", "three"))
    await world.settlement.return_refunds([undone])
    await world.settlement.open_refunds([opened, undone])
    ids = [other.refund, opened.refund, undone.refund]
    during = await world.settlement.find_opened(ids)
    await world.settlement.pay_refunds([opened])

    assert [False, True, False] == during
    assert [False, True, False] == await world.settlement.find_opened(ids)


async def test_another_refund_under_the_same_id_is_refused(world):
    """The id stands for one refund: another amount under it changes nothing, at any step."""
    sale = await split(world, 1_000)
    refund = world.refund(sale, 100)
    other = replace(refund, amount_minor=200)
    different = RefundPostingStatus.EXISTS_DIFFERENT

    assert [POSTED, different] == await world.settlement.open_refunds([refund, other])
    assert [different] == await world.settlement.pay_refunds([other])
    assert [different] == await world.settlement.return_refunds([other])
    assert 100 == (await world.balances())["clearing"]


async def test_unmatched_money_is_given_back_out_of_suspense(world):
    """Money that belongs to nobody goes back out of suspense, and no more than came in."""
    subject = new_id(world.clock.now())
    booking = replace(world.booking(subject, 400), merchant=None)
    await world.settlement.book_captures([booking])
    sale = world.sale(400, subject)
    refund = world.refund(sale, 400, merchant=None, is_split=False)
    second = world.refund(sale, 400, "second", merchant=None, is_split=False)

    assert [POSTED, RefundPostingStatus.MORE_THAN_CAPTURED] == (
        await world.settlement.open_refunds([refund, second])
    )
    assert [POSTED] == await world.settlement.pay_refunds([refund])
    assert {} == await world.balances()


async def test_a_second_capture_is_refunded_beside_the_first(world):
    """A surplus capture goes back out of held; the sale itself can still be refunded whole."""
    sale = await split(world, 1_000, basis_points=100, is_fee_refunded=True)
    await world.settlement.book_captures([world.booking(sale.order, 1_000, "second")])
    surplus = world.refund(sale, 1_000, "surplus", is_split=False)
    whole = world.refund(sale, 1_000, "whole")

    assert [POSTED, POSTED] == await world.settlement.open_refunds([surplus, whole])
    assert [POSTED, POSTED] == await world.settlement.pay_refunds([whole, surplus])
    assert {} == await world.balances()


async def test_debt_is_recovered_from_the_next_sale(world):
    """Who owes pays from the next sale, no more than is owed; what is left is theirs."""
    sale = await split(world, 1_000)
    await world.spend(990)
    refund = world.refund(sale, 1_000)
    await world.settlement.open_refunds([refund])
    await world.settlement.pay_refunds([refund])
    assert -1_000 == (await world.balances())["debt"]

    await world.settlement.split_sales([world.sale(500)])
    assert -505 == (await world.balances())["debt"]
    await world.settlement.split_sales([world.sale(300), world.sale(700)])
    balances = await world.balances()
    assert 0 == balances.get("debt", 0)
    assert 990 - 505 == balances["available"]


async def test_debt_is_never_recovered_twice(world):
    """40 sales at once of a merchant who owes: exactly the debt is taken."""
    sale = await split(world, 1_000)
    await world.spend(990)
    refund = world.refund(sale, 1_000)
    await world.settlement.open_refunds([refund])
    await asyncio.gather(
        *(world.settlement.split_sales([world.sale(100)]) for _ in range(40)),
        *(world.service.recover_debts() for _ in range(10)),
    )
    await world.service.recover_debts()

    balances = await world.balances()
    assert 0 == balances.get("debt", 0)
    assert 40 * 99 - 1_000 == balances["available"]


async def test_debt_taken_for_a_refund_that_failed_is_given_back(world):
    """A refund fails after its debt was recovered: the merchant has all their money again."""
    sale = await split(world, 1_000)
    await world.spend(990)
    refund = world.refund(sale, 1_000)
    await world.settlement.open_refunds([refund])
    await world.settlement.split_sales([world.sale(2_000)])
    assert 980 == (await world.balances())["available"]

    assert [POSTED] == await world.settlement.return_refunds([refund])
    await world.service.recover_debts()
    balances = await world.balances()
    assert 0 == balances.get("debt", 0)
    assert 1_980 == balances["available"]


async def test_a_crash_at_any_statement_is_healed_by_asking_again(fragile_world):
    """Broken off after any call, refunds end right when they are asked for again."""
    world = fragile_world
    sale = await split(world, 100_000, basis_points=500, is_fee_refunded=True)
    crashes = 0
    for ending in ("pay_refunds", "return_refunds"):
        for point in range(40):
            refund = world.refund(sale, 100, f"{ending}:{point}")
            await world.spend((await world.balances())["available"] - 40)
            with world.fuse.broken_after(point):
                try:
                    await world.settlement.open_refunds([refund])
                    await getattr(world.settlement, ending)([refund])
                except Broken:
                    crashes += 1
            assert {POSTED, EXISTS} >= set(await world.settlement.open_refunds([refund]))
            assert {POSTED, EXISTS} >= set(await getattr(world.settlement, ending)([refund]))
            assert 0 == (await world.balances()).get("clearing", 0)
            await world.settlement.split_sales([world.sale(5_000)])

    assert crashes > 20


async def test_only_the_order_own_money_is_refunded(world):
    """A refund in another currency, or of another merchant, finds nothing there to refund."""
    sale = await split(world, 1_000)
    abroad = replace(world.refund(sale, 100, "a"), currency="USD")
    foreign = world.refund(sale, 100, "b", merchant=new_id(world.clock.now()))
    suspense = world.refund(sale, 100, "c", merchant=None)
    own = world.refund(sale, 100, "d")

    statuses = await world.settlement.open_refunds([abroad, foreign, own, suspense])

    too_much = RefundPostingStatus.MORE_THAN_CAPTURED
    assert [too_much, too_much, POSTED, too_much] == statuses
    assert 100 == (await world.balances())["clearing"]
    [balance] = await world.ledger.read_balances([Chart("USD").refund_clearing().id])
    assert balance is None
