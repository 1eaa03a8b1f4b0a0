"""Disputes of top-ups: a wallet gives what is in it, and never owes; the rest is our loss."""

from datetime import timedelta

import pytest
from tests.disputes.conftest import CHANNEL, FEE, PRICE

from vendrail.api.ledger import Chart, Transfer, TransferCode
from vendrail.api.orders import OrderState, OrderView
from vendrail.api.payments import Capture, CaptureFit, CaptureId, CaptureSource
from vendrail.api.payments.disputes import DisputeOutcome
from vendrail.api.settlement import CaptureBooking, Sale
from vendrail.api.wallets import WALLET_DESK
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
