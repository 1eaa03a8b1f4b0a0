"""Disputes of top-ups: a wallet gives what is in it, and never owes; the rest is our loss."""

from datetime import timedelta

import pytest
from tests.disputes.conftest import CHANNEL, FEE, PRICE

from vendrail.api.ledger import Chart, Transfer, TransferCode
from vendrail.api.orders import OrderState, OrderView
from vendrail.api.payments import Capture, CaptureFit, CaptureId, CaptureSource
from vendrail.api.payments.disputes import DisputeOutcome
from vendrail.api.settlement import CaptureBooking, RefundPosting, Sale
from vendrail.api.wallets import WALLET_DESK
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import derive, new_id, to_serial

OPEN, WON, LOST = DisputeOutcome.OPEN, DisputeOutcome.WON, DisputeOutcome.LOST


class Purse:
    """A buyer whose wallet was topped up."""

    def __init__(self, world) -> None:
        self.world = world
        self.buyer = new_id(world.clock.now())
        self.account = Chart("SGD").buyer_wallet(self.buyer)
        world.merchant = WALLET_DESK

    async def top_up(self) -> Capture:
        """Pay into the wallet."""
        now = self.world.clock.now()
        order = new_id(now)
        capture = Capture(
            CaptureId(derive(order, "capture")), CHANNEL, "stripe", f"pi_{order.hex[-8:]}", None,
            order, WALLET_DESK, "card", PRICE, "SGD", CaptureFit.FITS, CaptureSource.CALLBACK, now,
            now,
        )  # fmt: skip
        booking = CaptureBooking(capture.id, order, "stripe", WALLET_DESK, PRICE, "SGD")
        sale = Sale(order, WALLET_DESK, PRICE, "SGD", now, booking, wallet=self.buyer)
        assert ["split"] == [
            each.status for each in await self.world.settlement.split_sales([sale])
        ]
        self.world.sold.views[order] = OrderView(
            order, to_serial(order), OrderState.DELIVERED, "", order, "", WALLET_DESK, order, "",
            "Top-up", 1, PRICE, "SGD", 0, now, now + timedelta(hours=1), now, now, [],
            capture=capture.id, wallet=self.buyer,
        )  # fmt: skip
        return capture

    async def spend(self, amount_minor: int) -> str:
        """Spend of it; say how that ended."""
        chart = Chart("SGD")
        await self.world.ledger.open_accounts([chart.promotion()])
        id = new_id(self.world.clock.now())
        spent = Transfer(
            id, self.account.id, chart.promotion().id, amount_minor, TransferCode.PAYOUT, id
        )
        return (await self.world.ledger.post_transfers([spent]))[0].status

    def refund_of(self, capture: Capture, amount_minor: int) -> RefundPosting:
        """Say what a refund of a top-up is for the books."""
        posting = self.world.refund_of(capture, amount_minor, "refund")
        return replace(posting, from_wallet=self.buyer)

    async def holds(self) -> tuple[int, int]:
        """Read what is in it, and what of that is reserved."""
        [found] = await self.world.ledger.read_balances([self.account.id])
        return found.credit_minor, found.debits_pending


@pytest.fixture
def purse(world):
    """A buyer."""
    return Purse(world)


async def test_a_disputed_top_up_cannot_be_spent(purse, world):
    """Disputed, it stays in the wallet and is not refunded; won, it is the buyer's to spend."""
    capture = await purse.top_up()
    world.tell(capture, OPEN, fee_minor=0)
    await world.run()
    during = await purse.holds()
    refused = await purse.spend(1)
    refund = await world.refund(capture, 1)
    world.tell(capture, WON, fee_minor=0)
    await world.run()

    assert (PRICE, PRICE) == during
    assert ("balance_too_low", "disputed") == (refused, refund)
    assert (PRICE, 0) == await purse.holds()
    assert "created" == await purse.spend(PRICE)


async def test_a_lost_top_up_leaves_the_wallet(purse, world):
    """What is there goes back to the bank; the fee is ours, and the desk owes nothing."""
    capture = await purse.top_up()
    world.tell(capture, OPEN)
    await world.run()
    world.tell(capture, LOST)
    await world.run()

    assert (0, 0) == await purse.holds()
    assert {"provider": FEE, "cost": -FEE} == await world.balances()


async def test_what_was_spent_of_a_lost_top_up_is_our_loss(purse, world):
    """A wallet gives what is left in it; nobody owes the rest."""
    capture = await purse.top_up()
    await purse.spend(7_000)
    world.tell(capture, OPEN, fee_minor=0)
    await world.run()
    during = await purse.holds()
    world.tell(capture, LOST, fee_minor=0)
    await world.run()

    assert (3_000, 3_000) == during
    assert (0, 0) == await purse.holds()
    assert {"cost": -7_000} == await world.balances()


async def test_a_lost_top_up_takes_later_money_too(purse, world):
    """What the wallet has when it is lost counts, up to what is disputed."""
    capture = await purse.top_up()
    await purse.spend(PRICE)
    world.tell(capture, OPEN, fee_minor=0)
    await world.run()
    await purse.top_up()
    world.tell(capture, LOST, fee_minor=0)
    world.tell(capture, LOST, fee_minor=0)
    await world.run()

    assert (0, 0) == await purse.holds()
    assert {"provider": -PRICE} == await world.balances()


@pytest.mark.parametrize("is_paid", [False, True])
async def test_a_refund_of_a_top_up_that_is_under_way_ends_first(purse, world, is_paid):
    """Refused, its money is back in the wallet, and the lost dispute takes that; paid, we lose."""
    capture = await purse.top_up()
    posting = purse.refund_of(capture, 4_000)
    world.note(posting, "asked")
    opened = await world.settlement.open_refunds([posting])
    for outcome in (OPEN, LOST):
        world.tell(capture, outcome, fee_minor=0)
        await world.run()
    during = await purse.holds()
    await world.end_refund(posting, is_paid=is_paid)
    await world.run()

    assert ["posted"] == opened
    assert (6_000, 6_000) == during  # It stays kept until the refund has ended.
    assert (0, 0) == await purse.holds()
    assert ({"provider": 4_000, "cost": -4_000} if is_paid else {}) == await world.balances()


@pytest.mark.parametrize("spent_minor", [0, 3_000, PRICE])
async def test_a_refund_that_waits_for_the_dispute_of_a_top_up_takes_nothing(
    purse, world, spent_minor
):
    """Asked for before the dispute was known, it comes too late; the bank has the money."""
    capture = await purse.top_up()
    if spent_minor:
        await purse.spend(spent_minor)
    posting = purse.refund_of(capture, PRICE)
    world.note(posting, "asked")
    world.tell(capture, OPEN, fee_minor=0)
    await world.run()
    during = await world.settlement.open_refunds([posting])
    world.tell(capture, LOST, fee_minor=0)
    await world.run()
    after = await world.settlement.open_refunds([posting])

    assert ["disputed"] == during
    assert ["posted"] != after
    assert (0, 0) == await purse.holds()
    assert ({"cost": -spent_minor} if spent_minor else {}) == await world.balances()
