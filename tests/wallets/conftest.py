"""Wallets over a real ledger and a real settlement, and short ways to move a buyer's money."""

from uuid import UUID

import pytest

from vendrail.api.ledger import Chart, Ledger
from vendrail.api.settlement import (
    CaptureBooking,
    RefundPosting,
    Sale,
    SaleResult,
    Settlement,
    WalletPart,
)
from vendrail.api.wallets import (
    WALLET_DESK,
    Wallet,
    WalletHold,
    WalletHoldStatus,
    WalletKey,
    Wallets,
    WalletTerms,
)
from vendrail.kernel import rpc
from vendrail.kernel.ids import derive, new_id
from vendrail.ledger.service import LedgerService
from vendrail.ledger.settings import LedgerSettings
from vendrail.settlement.service import SettlementService
from vendrail.settlement.settings import SettlementSettings
from vendrail.wallets.service import WalletsService

CURRENCY = "CNY"


class World:
    """One buyer, one merchant, one channel, and the books."""

    def __init__(self, clock, ledger: Ledger, settlement: Settlement, wallets: Wallets) -> None:
        self.clock = clock
        self.ledger = ledger
        self.settlement = settlement
        self.wallets = wallets
        self.buyer = new_id(clock.now())
        self.merchant = new_id(clock.now())

    async def read(self) -> Wallet:
        """Read the buyer's wallet."""
        [wallet] = await self.wallets.read_wallets([WalletKey(self.buyer, CURRENCY)])
        return wallet

    def top_up_sale(self, amount_minor: int, order: UUID | None = None) -> Sale:
        """A top-up that was paid over the channel."""
        order = order or new_id(self.clock.now())
        booking = CaptureBooking(
            derive(order, "capture"), order, "alipay", WALLET_DESK, amount_minor, CURRENCY
        )
        return Sale(
            order,
            WALLET_DESK,
            amount_minor,
            CURRENCY,
            self.clock.now(),
            booking,
            wallet=self.buyer,
        )

    async def top_up(self, amount_minor: int) -> Sale:
        """Pay into the wallet."""
        sale = self.top_up_sale(amount_minor)
        await self.settlement.split_sales([sale])
        return sale

    def hold(self, amount_minor: int, order: UUID | None = None) -> WalletHold:
        """Money to be reserved for an order."""
        order = order or new_id(self.clock.now())
        id = derive(order, "wallet:1")
        return WalletHold(id, order, self.merchant, self.buyer, amount_minor, CURRENCY)

    async def reserve(self, hold: WalletHold) -> WalletHoldStatus:
        """Reserve it."""
        return (await self.wallets.hold_wallets([hold]))[0]

    def sale(self, hold: WalletHold, channel_minor: int = 0) -> Sale:
        """The order that a hold pays, the rest over the channel."""
        part = WalletPart(hold.id, hold.buyer, hold.amount_minor)
        booking = CaptureBooking(
            derive(hold.order, "capture"),
            hold.order,
            "alipay" if channel_minor else "wallet",
            self.merchant,
            channel_minor,
            CURRENCY,
            wallet=part,
        )
        total_minor = hold.amount_minor + channel_minor
        return Sale(hold.order, self.merchant, total_minor, CURRENCY, self.clock.now(), booking)

    async def split(self, sale: Sale) -> SaleResult:
        """Split one sale."""
        return (await self.settlement.split_sales([sale]))[0]

    def refund(self, sale: Sale, amount_minor: int, name: str = "refund", **more) -> RefundPosting:
        """A refund of a sale that was split."""
        given = {
            "refund": derive(sale.order, name),
            "order": sale.order,
            "merchant": sale.merchant,
            "channel": "alipay",
            "amount_minor": amount_minor,
            "currency": CURRENCY,
            "placed_at": sale.placed_at,
            "is_split": True,
            "captured_minor": sale.amount_minor,
        }
        return RefundPosting(**(given | more))

    async def balances(self) -> dict[str, int]:
        """What each account holds for its owner, zeros left out."""
        chart = Chart(CURRENCY)
        accounts = {
            "provider": chart.provider("alipay"),
            "held": chart.held(self.merchant),
            "desk": chart.held(WALLET_DESK),
            "available": chart.merchant(self.merchant, "available"),
            "debt": chart.merchant(self.merchant, "debt"),
            "fee": chart.platform_fee(),
            "clearing": chart.refund_clearing(),
            "wallet": chart.buyer_wallet(self.buyer),
        }
        found = await self.ledger.read_balances([account.id for account in accounts.values()])
        return {
            name: balance.credit_minor
            for name, balance in zip(accounts, found, strict=True)
            if balance is not None and balance.credit_minor
        }


@pytest.fixture
async def ledger(make_database, clock, vault) -> Ledger:
    """The real ledger."""
    return LedgerService(await make_database("ledger"), clock, vault, LedgerSettings())


@pytest.fixture(params=["local", "remote"])
async def world(request, make_database, clock, ledger) -> World:
    """Wallets as the others meet them: the object itself, then over the wire."""
    db = await make_database("settlement")
    settlement = SettlementService(db, clock, SettlementSettings(), ledger)
    service = WalletsService(await make_database("wallets"), clock, ledger)
    remote = rpc.loopback(Wallets, service) if request.param == "remote" else service
    await service.put_wallet_terms([WalletTerms(CURRENCY, True, 100, 50_000, 100_000, 20_000)])
    return World(clock, ledger, settlement, remote)
