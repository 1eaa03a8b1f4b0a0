"""A settlement over a real ledger, and short ways to say what happens to money."""

from uuid import UUID

import pytest

from vendrail.api.ledger import Chart, Ledger, Transfer, TransferCode
from vendrail.api.settlement import CaptureBooking, RefundPosting, Sale, Settlement
from vendrail.kernel import rpc
from vendrail.kernel.ids import derive, new_id
from vendrail.ledger.service import LedgerService
from vendrail.settlement.service import SettlementService
from vendrail.settlement.settings import SettlementSettings


class World:
    """One merchant with a shop, one channel, one currency, and the books."""

    def __init__(
        self, clock, ledger: Ledger, settlement: Settlement, service: SettlementService, db
    ) -> None:
        self.clock = clock
        self.ledger = ledger
        self.settlement = settlement
        self.service = service
        self.db = db
        self.merchant = new_id(clock.now())
        self.currency = "CNY"
        self.channel = "alipay"

    def sale(self, amount_minor: int, order: UUID | None = None, *, is_booked: bool = True) -> Sale:
        """A paid order of this moment, its money booked in the same chain unless said otherwise."""
        order = order or new_id(self.clock.now())
        return Sale(
            order,
            self.merchant,
            amount_minor,
            self.currency,
            self.clock.now(),
            self.booking(order, amount_minor) if is_booked else None,
        )

    def booking(self, order: UUID, amount_minor: int, capture: str = "capture") -> CaptureBooking:
        """The order's money as it arrived."""
        return CaptureBooking(
            derive(order, capture), order, self.channel, self.merchant, amount_minor, self.currency
        )

    def refund(
        self, sale: Sale, amount_minor: int, name: str = "refund", *, is_split: bool = True, **other
    ) -> RefundPosting:
        """A refund of a sale."""
        values = {
            "refund": derive(sale.order, name),
            "order": sale.order,
            "merchant": self.merchant,
            "channel": self.channel,
            "amount_minor": amount_minor,
            "currency": self.currency,
            "placed_at": sale.placed_at,
            "is_split": is_split,
            "captured_minor": sale.amount_minor,
        }
        return RefundPosting(**(values | other))

    async def balances(self) -> dict[str, int]:
        """What each account of the chart holds for its owner, zeros left out."""
        chart = Chart(self.currency)
        accounts = {
            "provider": chart.provider(self.channel),
            "held": chart.held(self.merchant),
            "available": chart.merchant(self.merchant, "available"),
            "debt": chart.merchant(self.merchant, "debt"),
            "fee": chart.platform_fee(),
            "clearing": chart.refund_clearing(),
            "suspense": chart.suspense_unmatched(),
            "sink": chart.promotion(),
        }
        found = await self.ledger.read_balances([account.id for account in accounts.values()])
        return {
            name: balance.credit_minor
            for name, balance in zip(accounts, found, strict=True)
            if balance is not None and balance.credit_minor
        }

    async def spend(self, amount_minor: int) -> None:
        """Let the merchant take money away, as a payout will."""
        chart = Chart(self.currency)
        await self.ledger.open_accounts([chart.promotion()])
        id = new_id(self.clock.now())
        [result] = await self.ledger.post_transfers(
            [
                Transfer(
                    id,
                    chart.merchant(self.merchant, "available").id,
                    chart.promotion().id,
                    amount_minor,
                    TransferCode.PAYOUT,
                    id,
                )
            ]
        )
        assert result.is_done


@pytest.fixture
async def ledger(make_database, clock) -> Ledger:
    """The real ledger."""
    return LedgerService(await make_database("ledger"), clock)


@pytest.fixture(params=["local", "remote"])
async def world(request, make_database, clock, ledger) -> World:
    """A settlement as the others meet it: the object itself, then over the wire."""
    db = await make_database("settlement")
    service = SettlementService(db, clock, SettlementSettings(), ledger)
    remote = rpc.loopback(Settlement, service) if request.param == "remote" else service
    return World(clock, ledger, remote, service, db)
