"""Disputes over real books; payments tells, and orders answer, what the tests say."""

from datetime import timedelta
from uuid import UUID

import pytest

from vendrail.api.disputes import Disputes
from vendrail.api.ledger import Chart, Transfer, TransferCode
from vendrail.api.orders import OrderState, OrderView, RefundView
from vendrail.api.payments import (
    Capture,
    CaptureFit,
    CaptureId,
    CaptureSource,
    ChannelId,
    DisputeTold,
)
from vendrail.api.payments.disputes import DisputedCapture, DisputeOutcome, EvidenceStatus
from vendrail.api.settlement import CaptureBooking, FeeTerms, RefundPosting, Sale, SaleStatus
from vendrail.disputes.service import DisputesService
from vendrail.disputes.settings import DisputesSettings
from vendrail.kernel import rpc
from vendrail.kernel.codec import encode, replace
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import derive, new_id, to_serial
from vendrail.kernel.outbox import Cursor, EventPage, Wakeups
from vendrail.ledger.service import LedgerService
from vendrail.ledger.settings import LedgerSettings
from vendrail.settlement.service import SettlementService
from vendrail.settlement.settings import SettlementSettings
from vendrail.wallets.service import WalletsService

CHANNEL = ChannelId(UUID(int=7))
PRICE = 10_000
FEE = 1_500


class Told:
    """What payments tells and takes: the provider's side of it is the test's."""

    def __init__(self) -> None:
        self.batches: list[bytes] = []
        self.sent = []
        self.answer = EvidenceStatus.SENT

    async def read_events(self, cursors):
        """Read what was told since."""
        pages = []
        for cursor in cursors:
            new = self.batches[cursor.id :]
            pages.append(EventPage(new, Cursor(1 if new else cursor.xid, len(self.batches))))
        return pages

    async def send_evidence(self, evidence):
        """Take evidence, or as the test says."""
        self.sent += evidence
        return [self.answer] * len(evidence)


class Sold:
    """Orders as they stand."""

    def __init__(self) -> None:
        self.views: dict[UUID, OrderView] = {}
        self.refunds: dict[UUID, list[RefundView]] = {}

    async def read_orders(self, queries):
        """Read orders."""
        return [self.views.get(query.id) for query in queries]

    async def read_refunds(self, orders):
        """Read their refunds."""
        return [self.refunds.get(order, []) for order in orders]


class Line:
    """The way to settlement: what a test has broken does not get through, all else does."""

    def __init__(self, settlement) -> None:
        self._settlement = settlement
        self.broken = ""

    def __getattr__(self, name):
        """Give an operation of settlement's, or one that is broken."""
        if name != self.broken:
            return getattr(self._settlement, name)

        async def fail(*_):
            raise Broken(f"{name} is broken.")

        return fail


class World:
    """One merchant, one channel, and the books."""

    def __init__(self, clock, ledger, settlement, line, told, sold, service, disputes) -> None:
        self.clock = clock
        self.ledger = ledger
        self.settlement = settlement
        self.line = line
        self.told = told
        self.sold = sold
        self.service = service
        self.disputes: Disputes = disputes
        self.merchant = new_id(clock.now())
        self.has_terms = False

    async def sell(self, amount_minor: int = PRICE) -> Capture:
        """Sell something; the whole price is the merchant's."""
        capture = await self.sell_slowly(amount_minor)
        await self.deliver(capture)
        return capture

    async def sell_slowly(self, amount_minor: int = PRICE) -> Capture:
        """Take money for something that waits for a review before it is delivered."""
        if not self.has_terms:
            await self.settlement.put_fee_terms([FeeTerms(self.merchant, "SGD", 0)])
            self.clock.advance(60)
            self.has_terms = True
        now = self.clock.now()
        order = new_id(now)
        capture = Capture(
            CaptureId(derive(order, "capture")), CHANNEL, "stripe", f"pi_{order.hex[-8:]}", None,
            order, self.merchant, "card", amount_minor, "SGD", CaptureFit.FITS,
            CaptureSource.CALLBACK, now, now,
        )  # fmt: skip
        await self.book(capture)
        self.sold.views[order] = OrderView(
            order, to_serial(order), OrderState.PAID, "review", UUID(int=1), "shop", self.merchant,
            UUID(int=2), "sku", "A key", 1, amount_minor, "SGD", 0, now, now + timedelta(hours=1),
            now, None, [],
        )  # fmt: skip
        return capture

    async def book(self, capture: Capture) -> None:
        """Book money that came for an order."""
        booking = CaptureBooking(
            capture.id, capture.order, "stripe", self.merchant, capture.amount_minor, "SGD"
        )
        assert [True] == await self.settlement.book_captures([booking])

    async def deliver(self, capture: Capture) -> SaleStatus:
        """Split what came for an order, and deliver; say how splitting ended."""
        view = self.sold.views[capture.order]
        sale = Sale(view.id, self.merchant, view.amount_minor, "SGD", view.placed_at)
        [result] = await self.settlement.split_sales([sale])
        if result.status is SaleStatus.SPLIT:
            assert result.share_minor == view.amount_minor
            self.sold.views[view.id] = replace(
                view, state=OrderState.DELIVERED, delivered_at=self.clock.now(), capture=capture.id
            )
        return result.status

    def tell(self, capture: Capture, outcome: DisputeOutcome, amount_minor: int = 0, **more):
        """Let the provider tell of a dispute."""
        given = {
            "capture": DisputedCapture(
                capture.id,
                capture.channel,
                capture.channel_name,
                capture.provider_number,
                capture.order,
                capture.merchant,
                capture.amount_minor,
                capture.currency,
            ),
            "case_number": "du_1",
            "outcome": outcome,
            "amount_minor": amount_minor or capture.amount_minor,
            "currency": capture.currency,
            "at": self.clock.now(),
            "fee_minor": FEE,
            "reason": "fraudulent",
            "answer_by": self.clock.now() + timedelta(days=7),
            **more,
        }
        self.told.batches.append(encode([DisputeTold(**given)]))

    async def run(self, *, is_still: bool = False) -> None:
        """Let everything happen that is due; still: while others move money, time stands."""
        while await self.service.carrying.consume():
            pass
        for _ in range(1 if is_still else 3):
            await self.service.carrying.advance()
            self.clock.advance(0 if is_still else 60)

    def refund_of(self, capture: Capture, amount_minor: int, name: str) -> RefundPosting:
        """Say what a refund is for the books."""
        return RefundPosting(
            derive(capture.order, name), capture.order, self.merchant, "stripe", amount_minor,
            "SGD", capture.at, True, capture.amount_minor,
        )  # fmt: skip

    def note(self, posting: RefundPosting, state: str) -> None:
        """Let orders tell so of a refund."""
        views = self.sold.refunds.setdefault(posting.order, [])
        views[:] = [view for view in views if view.id != posting.refund]
        views.append(
            RefundView(
                posting.refund, posting.order, posting.amount_minor, "SGD", state, "",
                posting.placed_at,
            )
        )  # fmt: skip

    async def ask_refund(self, capture: Capture, amount_minor: int) -> RefundPosting:
        """Open a refund in the books, and ask its provider, who has not answered yet."""
        posting = self.refund_of(capture, amount_minor, "refund")
        self.note(posting, "asked")
        assert ["posted"] == await self.settlement.open_refunds([posting])
        return posting

    async def end_refund(self, posting: RefundPosting, *, is_paid: bool) -> None:
        """Let the provider answer."""
        end = self.settlement.pay_refunds if is_paid else self.settlement.return_refunds
        await end([posting])
        self.note(posting, "paid" if is_paid else "failed")

    async def refund(self, capture: Capture, amount_minor: int, name: str = "refund"):
        """Give money of an order back, as orders does when its provider agrees."""
        posting = self.refund_of(capture, amount_minor, name)
        self.note(posting, "asked")
        [status] = await self.settlement.open_refunds([posting])
        is_there = status in ("posted", "exists")
        if is_there:
            await self.settlement.pay_refunds([posting])
        self.note(posting, "paid" if is_there else "failed")
        return status

    async def spend(self, amount_minor: int) -> None:
        """Let the merchant take money away."""
        chart = Chart("SGD")
        await self.ledger.open_accounts([chart.promotion()])
        id = new_id(self.clock.now())
        source = chart.merchant(self.merchant, "available").id
        target = chart.promotion().id
        [result] = await self.ledger.post_transfers(
            [Transfer(id, source, target, amount_minor, TransferCode.PAYOUT, id)]
        )
        assert result.is_done

    async def balances(self) -> dict[str, int]:
        """What each account holds for its owner, zeros left out."""
        chart = Chart("SGD")
        accounts = {
            "provider": chart.provider("stripe"),
            "chargeback": chart.chargeback("stripe"),
            "held": chart.held(self.merchant),
            "available": chart.merchant(self.merchant, "available"),
            "frozen": chart.merchant(self.merchant, "frozen"),
            "debt": chart.merchant(self.merchant, "debt"),
            "cost": chart.platform_channel_cost(),
            "clearing": chart.refund_clearing(),
        }
        found = await self.ledger.read_balances([account.id for account in accounts.values()])
        return {
            name: balance.credit_minor
            for name, balance in zip(accounts, found, strict=True)
            if balance is not None and balance.credit_minor
        }


@pytest.fixture(params=["local", "remote"])
async def world(request, make_database, clock, vault):
    """The service as others meet it: the object itself, then over the wire."""
    ledger = LedgerService(await make_database("ledger"), clock, vault, LedgerSettings())
    settlement = SettlementService(
        await make_database("settlement"), clock, SettlementSettings(), ledger
    )
    told, sold, line = Told(), Sold(), Line(settlement)
    wallets = WalletsService(await make_database("wallets"), clock, ledger)
    service = DisputesService(
        await make_database("disputes"), vault, clock, Wakeups(),
        DisputesSettings(), told, sold, line, wallets,
    )  # fmt: skip
    remote = rpc.loopback(Disputes, service) if request.param == "remote" else service
    return World(clock, ledger, settlement, line, told, sold, service, remote)
