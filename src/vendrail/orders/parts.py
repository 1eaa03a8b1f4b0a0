"""What wallets pay of orders: which part may be reserved, and where a refund of it goes. Pure."""

from typing import NamedTuple
from uuid import UUID

from vendrail.api.orders import OrderState, PayFromWallet, WalletPartState, WalletPayStatus
from vendrail.api.settlement import WalletPart
from vendrail.api.wallets import WalletHold
from vendrail.kernel.ids import derive
from vendrail.orders.decide import FILLABLE, OrderFacts


class Part(NamedTuple):
    """What a wallet pays of an order, as it is kept."""

    order: UUID
    buyer: UUID
    number: int  # Counts up with each that was refused or let go: a hold's id is used once.
    amount_minor: int
    state: WalletPartState

    @property
    def hold(self) -> UUID:
        """The id of the pending transfer that reserves it."""
        return derive(self.order, f"wallet:{self.number}")

    @property
    def paid(self) -> WalletPart:
        """The part as settlement takes it."""
        return WalletPart(self.hold, self.buyer, self.amount_minor)

    def reservation(self, merchant: UUID, currency: str) -> WalletHold:
        """What is asked of the wallet."""
        return WalletHold(self.hold, self.order, merchant, self.buyer, self.amount_minor, currency)

    @property
    def is_held(self) -> bool:
        """Tell whether it stands, and nothing has taken it."""
        return self.state is WalletPartState.HELD

    def fills(self, came_minor: int, price_minor: int) -> bool:
        """Tell whether it stands, and is what is missing of a price."""
        return self.is_held and self.amount_minor == price_minor - came_minor

    def fits(self, request: PayFromWallet) -> bool:
        """Tell whether a repeat asks for the same."""
        return (self.buyer, self.amount_minor) == (request.buyer, request.amount_minor)


_OVER = frozenset({WalletPartState.FREED, WalletPartState.REFUSED})


def pay_from_wallet(
    request: PayFromWallet,
    state: OrderState,
    facts: OrderFacts,
    amount_minor: int,
    before: Part | None,
    *,
    is_over: bool,
    is_running: bool,
) -> tuple[WalletPayStatus | None, Part | None]:
    """Say how paying from a wallet ends at once, or which part is to be reserved.

    A part that is being freed is given back as it is: until it is free, none takes its place, and
    its hold is nobody's to count on.
    """
    is_whole = request.amount_minor == amount_minor
    if before is not None and before.state is WalletPartState.SPENT:
        is_same = before.fits(request) and is_whole
        return (WalletPayStatus.PAID if is_same else WalletPayStatus.PAID_ALREADY), None
    if is_running or state not in FILLABLE:
        return WalletPayStatus.PAID_ALREADY, None
    if state is not OrderState.PLACED or is_over:
        return WalletPayStatus.ORDER_ENDED, None
    if facts.wallet is not None or facts.exchange is not None:
        return WalletPayStatus.NOT_OFFERED, None
    if not 0 < request.amount_minor <= amount_minor:
        return WalletPayStatus.AMOUNT_OUT_OF_RANGE, None
    number = 1
    if before is not None:
        if before.state is WalletPartState.FREEING:
            return None, before
        if before.state not in _OVER and not before.fits(request):
            return WalletPayStatus.RESERVED_DIFFERENT, None
        if before.state is WalletPartState.HELD and not is_whole:
            return WalletPayStatus.RESERVED, None
        number = before.number + (before.state in _OVER)
    part = Part(request.order, request.buyer, number, request.amount_minor, WalletPartState.ASKED)
    return None, part


def split_refund(wanted_minor: int, channel_minor: int, before_minor: int) -> tuple[int, int]:
    """Say what of a refund goes over the channel, and what into the wallet: the channel first.

    `channel_minor` is what came over it, `before_minor` what went back over it before.
    """
    over_minor = max(0, min(wanted_minor, channel_minor - before_minor))
    return over_minor, wanted_minor - over_minor
