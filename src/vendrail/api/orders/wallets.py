"""Wallets of buyers in orders: topping up, and paying with what is there, whole or in part."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from vendrail.api.orders.states import OrderId, OrderState
from vendrail.kernel.codec import Record

TOP_UP = "top_up"  # What the delivery of a top-up is called, beside charges and the catalog's.


class PlaceTopUp(Record, frozen=True):
    """Money to be paid into a buyer's wallet, over any channel; the id is chosen as an order's.

    A top-up is an order without a variant, as a charge is: what it delivers is its own money.
    """

    id: OrderId
    buyer: UUID
    title: str  # What a provider shows the buyer.
    amount_minor: int
    currency: str
    method: str = ""  # The first way to pay; empty: chosen on the pay page.
    address: str = ""
    device: str = ""
    locale: str = "zh-Hans"
    return_url: str = ""
    trace_id: str = ""


class TopUpPlaceStatus(StrEnum):
    """How placing one top-up ended. Where several would fit, the first listed is given."""

    PLACED = "placed"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"
    ID_NOT_OF_NOW = "id_not_of_now"
    TITLE_MALFORMED = "title_malformed"
    WALLET_OFF = "wallet_off"
    AMOUNT_TOO_SMALL = "amount_too_small"
    AMOUNT_TOO_LARGE = "amount_too_large"
    BALANCE_TOO_HIGH = "balance_too_high"  # The wallet would hold more than it may.
    RISK_REFUSED = "risk_refused"
    METHOD_NOT_OFFERED = "method_not_offered"


class TopUpPlacement(Record, frozen=True):
    """What placing a top-up gave: the secret opens it for its buyer, as an order's does."""

    status: TopUpPlaceStatus
    order: OrderId | None = None
    secret: str = ""
    state: OrderState = OrderState.PLACED
    expires_at: datetime | None = None
    attempt: UUID | None = None


class PayFromWallet(Record, frozen=True):
    """Pay an order out of a buyer's wallet: whole, or a part of it, the rest over a channel.

    Only who the buyer is signed in as may ask; the secret shows that the order is theirs to pay.
    """

    order: OrderId
    secret: str
    buyer: UUID
    amount_minor: int  # As it was shown: all of the order's price, or the part to be reserved.


class WalletPayStatus(StrEnum):
    """How paying from one wallet ended. Where several would fit, the first listed is given."""

    PAID = "paid"  # All of it: the order is filled.
    RESERVED = "reserved"  # A part: it counts when the rest has come over a channel.
    ORDER_NOT_FOUND = "order_not_found"  # Also when the secret is wrong.
    PAID_ALREADY = "paid_already"
    ORDER_ENDED = "order_ended"
    NOT_OFFERED = "not_offered"  # A top-up, or an order that is paid in another currency.
    AMOUNT_OUT_OF_RANGE = "amount_out_of_range"
    RESERVED_DIFFERENT = "reserved_different"  # Another part stands; take it back first.
    BALANCE_TOO_LOW = "balance_too_low"


class FreeWalletPart(Record, frozen=True):
    """Take a reserved part back out of an order that is not paid."""

    order: OrderId
    secret: str


class WalletPartState(StrEnum):
    """Where a wallet's part of an order stands."""

    ASKED = "asked"
    HELD = "held"
    SPENT = "spent"  # The order's purchase has taken it.
    FREEING = "freeing"
    FREED = "freed"
    REFUSED = "refused"  # There was not so much in the wallet.


class WalletPartView(Record, frozen=True):
    """What a wallet pays, or was to pay, of an order."""

    order: OrderId
    buyer: UUID
    amount_minor: int
    state: WalletPartState
    is_whole: bool

    @property
    def counted_minor(self) -> int:
        """What of the order's price it stands for now."""
        is_standing = self.state in (WalletPartState.HELD, WalletPartState.SPENT)
        return self.amount_minor if is_standing else 0
