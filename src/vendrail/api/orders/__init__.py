"""Orders: a choice, a payment and a delivery, held together by the purchase saga."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.api.orders.charges import CHARGE as CHARGE
from vendrail.api.orders.charges import ChargePlacement as ChargePlacement
from vendrail.api.orders.charges import ChargeStatus as ChargeStatus
from vendrail.api.orders.charges import PlaceCharge as PlaceCharge
from vendrail.api.orders.exchanges import Exchange as Exchange
from vendrail.api.orders.lookups import BoughtQuery as BoughtQuery
from vendrail.api.orders.lookups import FoundOrder as FoundOrder
from vendrail.api.orders.lookups import LookupCode as LookupCode
from vendrail.api.orders.lookups import LookupRequest as LookupRequest
from vendrail.api.orders.placing import Discount as Discount
from vendrail.api.orders.placing import Placement as Placement
from vendrail.api.orders.placing import PlaceOrder as PlaceOrder
from vendrail.api.orders.placing import PlaceStatus as PlaceStatus
from vendrail.api.orders.refunds import RefundOrder as RefundOrder
from vendrail.api.orders.refunds import RefundOrderStatus as RefundOrderStatus
from vendrail.api.orders.refunds import RefundView as RefundView
from vendrail.api.orders.replacements import ReplacedItem as ReplacedItem
from vendrail.api.orders.replacements import ReplaceItems as ReplaceItems
from vendrail.api.orders.replacements import ReplacementView as ReplacementView
from vendrail.api.orders.replacements import ReplaceStatus as ReplaceStatus
from vendrail.api.orders.sagas import GiveUpStatus as GiveUpStatus
from vendrail.api.orders.sagas import SagaQuery as SagaQuery
from vendrail.api.orders.sagas import SagaView as SagaView
from vendrail.api.orders.sales import DeliveredOrder as DeliveredOrder
from vendrail.api.orders.sales import MerchantSales as MerchantSales
from vendrail.api.orders.sales import MerchantSalesQuery as MerchantSalesQuery
from vendrail.api.orders.sales import PastSaleQuery as PastSaleQuery
from vendrail.api.orders.sales import SalePart as SalePart
from vendrail.api.orders.sales import SaleParts as SaleParts
from vendrail.api.orders.sales import SalePartsQuery as SalePartsQuery
from vendrail.api.orders.sales import SalesQuery as SalesQuery
from vendrail.api.orders.sales import SalesSum as SalesSum
from vendrail.api.orders.saved import PaySaved as PaySaved
from vendrail.api.orders.saved import PaySavedResult as PaySavedResult
from vendrail.api.orders.saved import PaySavedStatus as PaySavedStatus
from vendrail.api.orders.states import OrderId as OrderId
from vendrail.api.orders.states import OrderState as OrderState
from vendrail.api.orders.supplies import SuppliedOrder as SuppliedOrder
from vendrail.api.orders.supplies import SuppliedQuery as SuppliedQuery
from vendrail.api.orders.supplies import SuppliedSum as SuppliedSum
from vendrail.api.orders.wallets import TOP_UP as TOP_UP
from vendrail.api.orders.wallets import FreeWalletPart as FreeWalletPart
from vendrail.api.orders.wallets import PayFromWallet as PayFromWallet
from vendrail.api.orders.wallets import PlaceTopUp as PlaceTopUp
from vendrail.api.orders.wallets import TopUpPlacement as TopUpPlacement
from vendrail.api.orders.wallets import TopUpPlaceStatus as TopUpPlaceStatus
from vendrail.api.orders.wallets import WalletPartState as WalletPartState
from vendrail.api.orders.wallets import WalletPartView as WalletPartView
from vendrail.api.orders.wallets import WalletPayStatus as WalletPayStatus
from vendrail.api.orders.warranties import Warranty as Warranty
from vendrail.kernel.codec import Record
from vendrail.kernel.numbers import Numbered
from vendrail.kernel.outbox import Cursor, EventPage
from vendrail.kernel.saga import SagaState


class TimelineStep(Record, frozen=True):
    """One step of the money: `placed, paid, held, delivered, released, refunded, …`."""

    kind: str
    at: datetime
    detail: str = ""


class OrderView(Record, frozen=True):
    """An order as its buyer may see it."""

    id: OrderId
    serial: str
    state: OrderState
    waiting: str  # Empty, or why the saga waits: `review`, `restock`, `provider`.
    shop: UUID  # Of a charge: all zeros, as its product, for it is of none …
    shop_slug: str  # … and empty, as its SKU.
    merchant: UUID
    product: UUID
    sku: str
    title: str
    quantity: int
    amount_minor: int
    currency: str
    refunded_minor: int
    placed_at: datetime
    expires_at: datetime
    paid_at: datetime | None
    delivered_at: datetime | None
    timeline: list[TimelineStep]
    items: list[str] = []  # The keys: only when delivered and asked for.
    trace_id: str = ""
    delivery: str = "unique_key"  # The kind of its items, as it was then; of a charge: `charge`.
    number: str = ""  # Of a charge: the merchant's own.
    replaced: list[ReplacedItem] = []  # Keys that were there before; only with the items.
    exchange: Exchange | None = None  # Where it is paid in another currency.
    returned_minor: int = 0  # What went back, in the currency that was paid.
    capture: UUID | None = None  # What filled it, of all that came; known when it is delivered.
    buyer: UUID | None = None  # Who was signed in when it was placed.
    wallet: UUID | None = None  # Of a top-up: whose wallet it is paid into.
    discount: Discount | None = None  # What a coupon has taken off its price.
    warranty: Warranty | None = None  # What was promised of its keys; None: as on the platform.

    @property
    def due_minor(self) -> int:
        """What the buyer pays."""
        return self.exchange.amount_minor if self.exchange else self.amount_minor

    @property
    def due_currency(self) -> str:
        """The currency that the buyer pays in."""
        return self.exchange.currency if self.exchange else self.currency

    @property
    def is_top_up(self) -> bool:
        """Whether its money is paid into a buyer's wallet."""
        return self.delivery == TOP_UP

    @property
    def is_charge(self) -> bool:
        """Whether the merchant delivers elsewhere."""
        return self.delivery == CHARGE

    def file_path(self, number: str) -> str | None:
        """Give the path of an item, counted from 1, where the items are files and are there."""
        if self.delivery != "file" or not (number.isascii() and number.isdecimal()):
            return None
        at = int(number[:9]) - 1
        return self.items[at] if 0 <= at < len(self.items) else None


class OrderQuery(Record, frozen=True):
    """Read one order; `secret` proves that it is the buyer's. None: a trusted service asks."""

    id: OrderId
    secret: str | None
    with_items: bool = False


class PayOrder(Record, frozen=True):
    """Pay again, or otherwise: opens one more attempt on an order."""

    order: OrderId
    secret: str
    method: str
    return_url: str = ""
    browser: str = ""  # Where the buyer's runs now, as payments names devices.
    country: str = ""
    # Who agrees that the provider remembers how they pay: only where the order is theirs.
    buyer: UUID | None = None


class PayStatus(StrEnum):
    """How opening one more attempt ended."""

    OPENED = "opened"
    ORDER_NOT_FOUND = "order_not_found"  # Also when the secret is wrong.
    PAID_ALREADY = "paid_already"
    ORDER_ENDED = "order_ended"
    METHOD_NOT_OFFERED = "method_not_offered"
    TOO_MANY_ATTEMPTS = "too_many_attempts"


class PayResult(Record, frozen=True):
    """The attempt that was opened (the open one of that method again, where there is one)."""

    status: PayStatus
    attempt: UUID | None = None


class CancelStatus(StrEnum):
    """How cancelling one order ended."""

    CANCELLED = "cancelled"
    EXISTS = "exists"
    ORDER_NOT_FOUND = "order_not_found"
    PAID_ALREADY = "paid_already"


class SoldOrderQuery(Record, frozen=True):
    """A page of one merchant's orders (None: everybody's), newest first."""

    merchant: UUID | None
    state: OrderState | None = None  # As it is shown: `paid` and `refunding` are on their way.
    variants: list[UUID] = []  # Only of these; none: of all.
    since: datetime | None = None  # Placed from then …
    until: datetime | None = None  # … and before then.
    before: OrderId | None = None  # The last order of the page before.
    orders_max: int = 50


class SoldOrder(Record, frozen=True):
    """An order as its merchant may see it: with the contact, never with the keys."""

    view: OrderView
    contact: str
    method: str
    has_wallet: bool = False  # Money can go into its buyer's: they were signed in.


class OrderSearch(Record, frozen=True):
    """Look for orders of one merchant (None: of all) by any number: order, payment or contact."""

    merchant: UUID | None
    words: str


class Addressee(Record, frozen=True):
    """Whom letters about an order go to, in which language, and the secret that opens the order."""

    order: OrderId
    contact: str
    locale: str
    secret: str


class OrderHeld(Record, frozen=True, tag="order.held"):
    """The order is paid, and waits: `review` or `restock`. Told once for each wait."""

    order: OrderId
    merchant: UUID
    reason: str
    version: int
    at: datetime
    trace_id: str = ""


class OrderDelivered(Record, frozen=True, tag="order.delivered"):
    """The keys are readable; of a charge: the merchant may be told."""

    order: OrderId
    merchant: UUID
    allocation: UUID | None  # None: a charge, which the merchant fills.
    version: int
    at: datetime
    trace_id: str = ""


class OrderRefunded(Record, frozen=True, tag="order.refunded"):
    """Money of the order has gone back."""

    order: OrderId
    merchant: UUID
    refund: UUID
    amount_minor: int  # Of the price, or of what was paid …
    version: int
    at: datetime
    trace_id: str = ""
    currency: str = ""  # … in this other currency.
    is_unfilled: bool = False  # Its payment went back whole, before anything was delivered.


class OrderItemsReplaced(Record, frozen=True, tag="order.replaced"):
    """Other keys have taken the place of some that did not work."""

    order: OrderId
    merchant: UUID
    replacement: UUID
    count: int
    version: int
    at: datetime
    trace_id: str = ""


OrderEvent = OrderHeld | OrderDelivered | OrderRefunded | OrderItemsReplaced


class Orders(Numbered, Protocol):
    """Place, pay, deliver, refund, in batches."""

    async def place_orders(self, orders: Sequence[PlaceOrder]) -> list[Placement]:
        """Screen, hold stock, write, and open the first attempt."""
        ...

    async def place_charges(self, charges: Sequence[PlaceCharge]) -> list[ChargePlacement]:
        """Screen, write, and open the first attempt; once for each merchant's number."""
        ...

    async def place_top_ups(self, top_ups: Sequence[PlaceTopUp]) -> list[TopUpPlacement]:
        """Judge by the wallets' terms, screen, write, and open the first attempt."""
        ...

    async def pay_from_wallets(self, requests: Sequence[PayFromWallet]) -> list[WalletPayStatus]:
        """Pay orders out of wallets, or reserve parts; asking again gives the same."""
        ...

    async def free_wallet_parts(self, requests: Sequence[FreeWalletPart]) -> list[bool]:
        """Give reserved parts of unpaid orders back; false: there is none, or it is spent."""
        ...

    async def read_wallet_parts(self, orders: Sequence[OrderId]) -> list[WalletPartView | None]:
        """Read what wallets pay of orders; None: nothing was ever asked of one."""
        ...

    async def pay_orders(self, requests: Sequence[PayOrder]) -> list[PayResult]:
        """Open further attempts; earlier ones stay payable and count if paid."""
        ...

    async def read_orders(self, queries: Sequence[OrderQuery]) -> list[OrderView | None]:
        """Read orders; None where there is none or the secret is wrong: nothing tells which."""
        ...

    async def list_orders(self, queries: Sequence[SoldOrderQuery]) -> list[list[SoldOrder]]:
        """List merchants' orders, newest first; a short page is the last."""
        ...

    async def list_supplied(self, queries: Sequence[SuppliedQuery]) -> list[list[SuppliedOrder]]:
        """List what agents have sold of suppliers' keys, newest first; a short page is the last."""
        ...

    async def sum_supplied(self, queries: Sequence[SuppliedQuery]) -> list[list[SuppliedSum]]:
        """Sum what agents have sold of suppliers' keys in thirty days, by agent and currency.

        The most first; of more than twenty thousand orders the newest.
        """
        ...

    async def find_orders(self, searches: Sequence[OrderSearch]) -> list[list[SoldOrder]]:
        """Find merchants' orders by what a person may have at hand, newest first."""
        ...

    async def sum_sales(self, queries: Sequence[SalesQuery]) -> list[list[SalesSum]]:
        """Sum merchants' orders by hours or days, oldest first; empty ones are left out."""
        ...

    async def pay_saved(self, requests: Sequence[PaySaved]) -> list[PaySavedResult]:
        """Pay with ways that providers remember for the buyers; nobody is led anywhere yet."""
        ...

    async def list_bought(self, queries: Sequence[BoughtQuery]) -> list[list[FoundOrder]]:
        """List buyers' orders with the secrets that open them; a short page is the last."""
        ...

    async def forget_buyers(self, buyers: Sequence[UUID]) -> list[bool]:
        """Cut orders loose from buyers whose accounts are deleted; false: wallet money moves yet.

        Unpaid top-ups end, what still comes goes to its source; no refund fills such a wallet.
        """
        ...

    async def sum_sale_parts(self, queries: Sequence[SalePartsQuery]) -> list[SaleParts]:
        """Sum merchants' delivered orders by variant, by method and by hour of the day.

        Only the newest are looked at, so that a busy merchant's page costs what others' do.
        """
        ...

    async def list_sales(self, queries: Sequence[PastSaleQuery]) -> list[list[DeliveredOrder]]:
        """List delivered orders of everybody in little, oldest first; a short page is the last."""
        ...

    async def count_sales(self, queries: Sequence[MerchantSalesQuery]) -> list[list[MerchantSales]]:
        """Count delivered orders by merchant and currency: a walk over all of the stretch."""
        ...

    async def cancel_orders(self, queries: Sequence[OrderQuery]) -> list[CancelStatus]:
        """Cancel unpaid orders by their secret: attempts are closed first."""
        ...

    async def refund_orders(self, refunds: Sequence[RefundOrder]) -> list[RefundOrderStatus]:
        """Start refunds; they run as sagas."""
        ...

    async def read_refunds(self, orders: Sequence[OrderId]) -> list[list[RefundView]]:
        """Read orders' refunds, first to last."""
        ...

    async def replace_items(self, requests: Sequence[ReplaceItems]) -> list[ReplaceStatus]:
        """Replace keys of delivered orders by free ones; the buyers see them and are told."""
        ...

    async def read_replacements(self, orders: Sequence[OrderId]) -> list[list[ReplacementView]]:
        """Read what was replaced of orders, first to last."""
        ...

    async def read_addressees(self, orders: Sequence[OrderId]) -> list[Addressee | None]:
        """Open orders' contacts, for letters. Only notify calls this."""
        ...

    async def wake_orders(self, orders: Sequence[OrderId]) -> list[bool]:
        """Let waiting sagas look again now (a review was settled, stock returned)."""
        ...

    async def wake_sagas(self, sagas: Sequence[UUID]) -> list[bool]:
        """Let waiting and stuck sagas look again now, by their own ids: also those of no order."""
        ...

    async def give_up_orders(self, orders: Sequence[OrderId]) -> list[GiveUpStatus]:
        """Give up purchases that are stuck: they end without delivery, and the money goes back."""
        ...

    async def read_sagas(self, sagas: Sequence[UUID]) -> list[SagaView | None]:
        """Read sagas by their own ids; None for one that has ended, or never was."""
        ...

    async def list_sagas(self, queries: Sequence[SagaQuery]) -> list[list[SagaView]]:
        """List sagas that have not ended, the oldest first; a short page is the last."""
        ...

    async def count_sagas(self, states: Sequence[SagaState]) -> list[int]:
        """Count sagas that have not ended by state, up to a thousand of each."""
        ...

    async def request_lookup_codes(self, requests: Sequence[LookupRequest]) -> list[bool]:
        """Send one-time codes; true when the request was taken, whether or not orders exist."""
        ...

    async def redeem_lookup_codes(
        self, codes: Sequence[LookupCode]
    ) -> list[list[FoundOrder] | None]:
        """Give the contact's recent orders for a right code; None for a wrong or used one."""
        ...

    async def read_events(self, cursors: Sequence[Cursor]) -> list[EventPage]:
        """Read `OrderEvent`s after a cursor."""
        ...
