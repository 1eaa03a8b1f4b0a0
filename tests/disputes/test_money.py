"""The money of disputes: frozen to the cent, gone when lost, back when won, whatever the order."""

import asyncio
import itertools
import random

import pytest
from tests.disputes.conftest import FEE, PRICE

from vendrail.api.disputes import DisputeMoved, DisputeQuery, DisputeState
from vendrail.api.ledger import Chart, Transfer, TransferCode, TransferId
from vendrail.api.payments.disputes import DisputeOutcome
from vendrail.kernel.codec import decode
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import derive
from vendrail.kernel.outbox import Cursor

OPEN, WON, LOST = DisputeOutcome.OPEN, DisputeOutcome.WON, DisputeOutcome.LOST


async def the_dispute(world):
    """Read the one dispute there is."""
    [[found]] = await world.disputes.list_disputes([DisputeQuery(world.merchant)])
    return found


async def test_exactly_the_disputed_money_is_frozen(world):
    """The disputed part of one sale is out of reach; the provider has taken it, and its fee."""
    capture = await world.sell()
    await world.sell()
    world.tell(capture, OPEN, 4_000)
    await world.run()
    found = await the_dispute(world)

    assert {
        "provider": -(2 * PRICE - 4_000 - FEE),
        "chargeback": -4_000,
        "frozen": 4_000,
        "available": 2 * PRICE - 4_000,
        "cost": -FEE,
    } == await world.balances()
    assert (DisputeState.OPEN, 4_000, 4_000) == (
        found.state,
        found.amount_minor,
        found.frozen_minor,
    )


async def test_a_won_dispute_gives_all_back(world):
    """Won: the merchant's money is as it was before; the provider keeps its fee, we bear it."""
    capture = await world.sell()
    world.tell(capture, OPEN)
    await world.run()
    world.tell(capture, WON)
    await world.run()

    assert {
        "provider": -(PRICE - FEE),
        "available": PRICE,
        "cost": -FEE,
    } == await world.balances()
    assert DisputeState.WON is (await the_dispute(world)).state


async def test_a_lost_dispute_takes_the_money_and_the_fee(world):
    """Lost: what was frozen leaves; the merchant bears the fee, as debt where nothing is there."""
    capture = await world.sell()
    world.tell(capture, OPEN)
    await world.run()
    world.tell(capture, LOST)
    await world.run()

    assert {"provider": FEE, "debt": -FEE} == await world.balances()
    assert DisputeState.LOST is (await the_dispute(world)).state


async def test_what_is_not_there_becomes_debt_only_when_lost(world):
    """Money that was paid out is not frozen; lost, it is owed."""
    capture = await world.sell()
    await world.spend(9_000)
    world.tell(capture, OPEN)
    await world.run()
    during = await world.balances()
    world.tell(capture, LOST)
    await world.run()
    after = await world.balances()

    assert 1_000 == during["frozen"]
    assert "debt" not in during
    assert -(9_000 + FEE) == after["debt"]
    assert {"frozen", "available", "chargeback", "clearing", "cost"}.isdisjoint(after)


@pytest.mark.parametrize("order", list(itertools.permutations((OPEN, OPEN, LOST))))
async def test_what_is_told_again_or_in_another_order_moves_nothing_else(world, order):
    """The end may come first, and all of it twice: the books are the same."""
    capture = await world.sell()
    for outcome in order:
        world.tell(capture, outcome)
        await world.run()
    for outcome in order:
        world.tell(capture, outcome)
    await world.run()

    assert {"provider": FEE, "debt": -FEE} == await world.balances()


async def test_the_first_end_stands(world):
    """A provider that says won after lost changes nothing any more."""
    capture = await world.sell()
    for outcome in (OPEN, LOST, WON):
        world.tell(capture, outcome)
        await world.run()

    assert DisputeState.LOST is (await the_dispute(world)).state
    assert {"provider": FEE, "debt": -FEE} == await world.balances()


async def test_what_was_refunded_before_is_not_taken_twice(world):
    """A refund and then a lost dispute of all: the merchant loses the price, we lose the rest."""
    capture = await world.sell()
    await world.refund(capture, 7_000)
    world.tell(capture, OPEN, fee_minor=0)
    await world.run()
    world.tell(capture, LOST, fee_minor=0)
    await world.run()
    found = await the_dispute(world)

    # The provider paid 7 000 and then took 10 000 of a capture of 10 000.
    assert {"provider": 7_000, "cost": -7_000} == await world.balances()
    assert "refunded_before" == found.problem


@pytest.mark.parametrize("is_paid", [False, True])
async def test_a_refund_that_is_under_way_when_a_dispute_is_lost_ends_first(world, is_paid):
    """What it leaves is known when its provider has answered: refused, the merchant loses once."""
    capture = await world.sell()
    posting = await world.ask_refund(capture, 4_000)
    for outcome in (OPEN, LOST):
        world.tell(capture, outcome, fee_minor=0)
        await world.run()
    during = (await world.balances())["chargeback"]
    await world.end_refund(posting, is_paid=is_paid)
    await world.run()
    lost = {"provider": 4_000, "cost": -4_000} if is_paid else {}

    assert -PRICE == during
    assert lost == await world.balances()
    assert is_paid == ("refunded_before" == (await the_dispute(world)).problem)


async def test_while_a_bank_decides_nothing_goes_back_by_another_way(world):
    """A refund is refused while the dispute stands: the bank gives the money back only once."""
    capture = await world.sell()
    world.tell(capture, OPEN, fee_minor=0)
    await world.run()
    status = await world.refund(capture, PRICE)
    world.tell(capture, LOST, fee_minor=0)
    await world.run()

    assert "disputed" == status
    assert {} == await world.balances()  # What came in has gone back, once; nobody owes anything.


async def test_after_a_won_dispute_it_can_be_refunded_again(world):
    """The bank has decided for the merchant: the order is as any other."""
    capture = await world.sell()
    world.tell(capture, OPEN, fee_minor=0)
    world.tell(capture, WON, fee_minor=0)
    await world.run()

    assert "posted" == await world.refund(capture, PRICE)


async def test_after_a_lost_dispute_nothing_is_left_to_refund(world):
    """What the bank has given back is not given back again."""
    capture = await world.sell()
    world.tell(capture, OPEN)
    world.tell(capture, LOST)
    await world.run()

    assert "more_than_captured" == await world.refund(capture, 1)


@pytest.mark.parametrize("seed", range(12))
async def test_refunds_and_disputes_that_race_never_take_more_than_was_captured(world, seed):
    """Whatever comes first: the merchant loses at most the price, and the books add up."""
    chance = random.Random(seed)
    capture = await world.sell()
    disputed = chance.choice((PRICE, 6_000, 2_500))
    refunds = [chance.randint(1, 6_000) for _ in range(3)]
    outcome = chance.choice((WON, LOST, LOST))
    world.tell(capture, OPEN, disputed, fee_minor=0)

    async def dispute():
        await world.run(is_still=True)
        world.tell(capture, outcome, disputed, fee_minor=0)
        await world.run(is_still=True)

    async def give(number, amount_minor):
        await asyncio.sleep(chance.random() / 20)
        return await world.refund(capture, amount_minor, f"refund:{number}")

    works = [dispute(), *(give(number, each) for number, each in enumerate(refunds))]
    _, *statuses = await asyncio.gather(*works)
    await world.run()
    given = sum(
        each
        for each, status in zip(refunds, statuses, strict=True)
        if status in ("posted", "exists")
    )
    books = await world.balances()
    lost = PRICE - books.get("available", 0) - books.get("debt", 0)
    taken = disputed if outcome is LOST else 0

    assert lost <= PRICE
    assert given <= lost
    assert {"frozen", "chargeback", "clearing"}.isdisjoint(books)
    # All that left the provider was borne: by the merchant, or by us where it was beyond the price.
    assert given + taken == lost - books.get("cost", 0)


async def lose_twice(world, capture):
    """Let two disputes of one sale be lost, which together are more than its price."""
    for outcome in (OPEN, LOST):
        for case_number in ("du_1", "du_2"):
            world.tell(capture, outcome, 6_000, case_number=case_number, fee_minor=0)
        if outcome is OPEN:
            await world.run()


async def test_two_lost_disputes_of_one_sale_take_its_price_once(world):
    """The second takes what the first has left; what is beyond the price is our loss."""
    capture = await world.sell()
    await lose_twice(world, capture)
    await world.run()

    assert {"provider": 2_000, "cost": -2_000} == await world.balances()


async def test_a_refund_that_waits_for_disputes_does_not_hold_them_up(world):
    """It is in no books: both end, and nothing is left for it."""
    capture = await world.sell()
    posting = world.refund_of(capture, 1_000, "refund")
    world.note(posting, "asked")
    await lose_twice(world, capture)
    await world.run()

    assert {"provider": 2_000, "cost": -2_000} == await world.balances()
    assert ["more_than_captured"] == await world.settlement.open_refunds([posting])


@pytest.mark.parametrize("is_paid", [False, True])
async def test_a_refund_under_way_and_two_lost_disputes_take_the_price_once(world, is_paid):
    """Whichever way the refund ends, the merchant loses the price, and no more."""
    capture = await world.sell()
    posting = await world.ask_refund(capture, 5_000)
    await lose_twice(world, capture)
    await world.run()
    await world.end_refund(posting, is_paid=is_paid)
    await world.run()
    beyond = 7_000 if is_paid else 2_000

    assert {"provider": beyond, "cost": -beyond} == await world.balances()


async def test_a_dispute_that_the_books_refuse_holds_no_other_up(world):
    """Its step is another's in the books: it waits for a person; all beside it go on at once."""
    broken, *others = [await world.sell() for _ in range(8)]
    dispute = derive(broken.id, "dispute:du_1")
    chart = Chart("SGD")
    await world.ledger.open_accounts([chart.chargeback("stripe"), chart.provider("stripe")])
    sides = [chart.chargeback("stripe").id, chart.provider("stripe").id]
    id = TransferId(derive(dispute, "taken"))
    wrong = Transfer(id, *sides, 1, TransferCode.CHARGEBACK, broken.order)
    await world.ledger.post_transfers([wrong])
    for number, each in enumerate((broken, *others), 1):
        world.tell(each, OPEN, case_number=f"du_{number}")
    while await world.service.carrying.consume():
        pass
    with pytest.raises(Broken, match=str(dispute)):
        await world.service.carrying.advance()
    [found] = await world.disputes.list_disputes([DisputeQuery(world.merchant)])
    frozen = {each.order: each.frozen_minor for each in found}

    assert {broken.order: 0} | {each.order: PRICE for each in others} == frozen


async def test_a_loss_whose_books_are_broken_for_a_while_is_taken_once(world):
    """However often its refund could not be opened, it goes on by itself, and no step is twice."""
    capture = await world.sell()
    world.tell(capture, OPEN)
    await world.run()
    world.tell(capture, LOST)
    while await world.service.carrying.consume():
        pass
    world.line.broken = "open_refunds"
    for _ in range(5):
        with pytest.raises(Broken):
            await world.service.carrying.advance()
        world.clock.advance(60)
    world.line.broken = ""
    during = await world.balances()
    await world.run()

    assert {"chargeback", "frozen"} <= set(during)
    assert {"provider": FEE, "debt": -FEE} == await world.balances()
    assert DisputeState.LOST is (await the_dispute(world)).state


async def test_only_a_change_is_told(world):
    """What is told again, or against the end that stands, is no news for who reads along."""
    capture = await world.sell()
    for outcome in (OPEN, OPEN, WON, LOST, WON):
        world.tell(capture, outcome, fee_minor=0)
        await world.run()
    [page] = await world.disputes.read_events([Cursor()])
    told = [each for batch in page.batches for each in decode(batch, list[DisputeMoved])]

    assert [DisputeState.OPEN, DisputeState.WON] == [each.state for each in told]
    assert DisputeState.WON is (await the_dispute(world)).state
