"""Disputes by where a sale stands: under way, ended without delivery, paid twice."""

import pytest
from tests.disputes.conftest import FEE, PRICE

from vendrail.api.disputes import DisputeQuery, DisputeState
from vendrail.api.orders import OrderState
from vendrail.api.payments import CaptureId
from vendrail.api.payments.disputes import DisputeOutcome
from vendrail.api.settlement import RefundPosting, SaleStatus
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.ids import derive

OPEN, WON, LOST = DisputeOutcome.OPEN, DisputeOutcome.WON, DisputeOutcome.LOST


async def second_of(world, capture):
    """Let a second capture of the same order come, which the order does not take."""
    second = replace(
        capture, id=CaptureId(derive(capture.order, "second")), provider_number="pi_second"
    )
    await world.book(second)
    return second


async def give_back(world, second):
    """Give a second capture back, as orders does."""
    posting = RefundPosting(
        derive(second.id, "refund:surplus"), second.order, world.merchant, "stripe",
        second.amount_minor, "SGD", second.at, False, second.amount_minor,
    )  # fmt: skip
    [opened] = await world.settlement.open_refunds([posting])
    assert "posted" == opened
    await world.settlement.pay_refunds([posting])


@pytest.mark.parametrize("is_lost_early", [False, True])
async def test_a_sale_under_way_is_waited_for(world, is_lost_early):
    """Told during a review and delivered later, a lost dispute is borne by who was paid."""
    capture = await world.sell_slowly()
    world.tell(capture, OPEN, fee_minor=0)
    if is_lost_early:
        world.tell(capture, LOST, fee_minor=0)
    await world.run()
    during = await world.balances()
    status = await world.deliver(capture)
    await world.run()
    if not is_lost_early:
        delivered = await world.balances()
        world.tell(capture, LOST, fee_minor=0)
        await world.run()

        assert {"chargeback": -PRICE, "frozen": PRICE} == delivered

    assert {"chargeback": -PRICE, "held": PRICE} == during
    assert SaleStatus.SPLIT is status
    assert {} == await world.balances()


async def test_a_sale_under_way_costs_its_fee_at_once(world):
    """The provider's fee is in the books before it is known who bears it, and once."""
    capture = await world.sell_slowly()
    world.tell(capture, OPEN)
    await world.run()
    await world.run()

    assert {"provider": FEE, "chargeback": -PRICE, "held": PRICE, "cost": -FEE} == (
        await world.balances()
    )


async def test_a_sale_that_ends_without_delivery_gives_what_is_held(world):
    """Lost, and the order never delivered: the bank's money is what lay in held, and no other."""
    capture = await world.sell_slowly()
    world.tell(capture, OPEN, fee_minor=0)
    world.tell(capture, LOST, fee_minor=0)
    await world.run()
    view = world.sold.views[capture.order]
    world.sold.views[view.id] = replace(view, state=OrderState.CANCELLED)
    await world.run()

    assert {} == await world.balances()
    assert SaleStatus.NOT_HELD is await world.deliver(capture)
    assert {} == await world.balances()


async def test_a_second_capture_is_no_matter_of_the_sale(world):
    """Disputed and lost, money that came twice is taken out of held; the sale stays as it is."""
    capture = await world.sell()
    second = await second_of(world, capture)
    world.tell(second, OPEN, fee_minor=0)
    await world.run()
    during = await world.balances()
    world.tell(second, LOST, fee_minor=0)
    await world.run()

    assert PRICE == during["available"]
    assert "frozen" not in during
    assert {"provider": -PRICE, "available": PRICE} == await world.balances()


async def test_a_second_capture_that_was_given_back_is_our_loss(world):
    """Given back and then lost as well: nobody but the platform bears it."""
    capture = await world.sell()
    second = await second_of(world, capture)
    await give_back(world, second)
    world.tell(second, OPEN, fee_minor=0)
    world.tell(second, LOST, fee_minor=0)
    await world.run()

    assert {"available": PRICE, "cost": -PRICE} == await world.balances()


async def test_what_a_break_left_undone_is_taken_as_far_as_it_is_there(world):
    """Broken off before the books took it and refused later: what is left is taken after all."""
    capture = await world.sell()
    await world.refund(capture, 7_000)
    world.tell(capture, OPEN, fee_minor=0)
    await world.run()
    world.tell(capture, LOST, fee_minor=0)
    real = world.settlement.open_refunds

    async def away(_):
        raise Unavailable("The books are away.")

    world.settlement.open_refunds = away
    with pytest.raises(Unavailable):
        await world.run()
    world.settlement.open_refunds = real
    world.clock.advance(60)
    await world.run()

    assert {"provider": 7_000, "cost": -7_000} == await world.balances()


@pytest.mark.parametrize("when", ["frozen", "ended"])
async def test_a_fee_that_is_told_late_is_booked_once(world, when):
    """Told after the money was moved, or after all is over, a fee is booked and passed on."""
    capture = await world.sell()
    world.tell(capture, OPEN, fee_minor=0)
    await world.run()
    if when == "ended":
        world.tell(capture, LOST, fee_minor=0)
        await world.run()
    world.tell(capture, OPEN, fee_minor=FEE)
    world.tell(capture, OPEN, fee_minor=2 * FEE)
    await world.run()
    if when == "frozen":
        during = await world.balances()
        world.tell(capture, LOST, fee_minor=2 * FEE)
        await world.run()

        assert -FEE == during["cost"]

    [[found]] = await world.disputes.list_disputes([DisputeQuery(world.merchant)])

    assert {"provider": FEE, "debt": -FEE} == await world.balances()
    assert (DisputeState.LOST, FEE) == (found.state, found.fee_minor)


async def test_an_inquiry_that_ends_leaves_nothing(world):
    """A bank that only asked took no money: its end alone makes no dispute."""
    capture = await world.sell()
    world.tell(capture, WON, has_taken=False)
    await world.run()

    assert [[]] == await world.disputes.list_disputes([DisputeQuery(world.merchant)])
    assert {"provider": -PRICE, "available": PRICE} == await world.balances()


async def test_what_was_taken_for_an_inquiry_comes_back_with_its_end(world):
    """A dispute that stands ends with it, and all is the merchant's again."""
    capture = await world.sell()
    world.tell(capture, OPEN, fee_minor=0)
    await world.run()
    world.tell(capture, WON, has_taken=False)
    await world.run()
    [[found]] = await world.disputes.list_disputes([DisputeQuery(world.merchant)])

    assert DisputeState.WON is found.state
    assert {"provider": -PRICE, "available": PRICE} == await world.balances()
