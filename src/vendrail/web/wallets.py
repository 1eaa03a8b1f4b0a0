"""A signed-in buyer's wallet, as the pages of the storefront ask for it."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog

from vendrail.api.buyers import BuyerId, BuyerSession
from vendrail.api.orders import Orders, OrderView, WalletPartState, WalletPartView
from vendrail.api.wallets import Wallet, WalletKey, Wallets, WalletTerms
from vendrail.kernel.errors import Unavailable
from vendrail.web.calls import Memory
from vendrail.web.signedin import SignedIn
from vendrail.web.visitor import Visitor

_log = structlog.get_logger(__name__)


class PayBox(NamedTuple):
    """What an order's page says of the wallet: the part that stands, and what could be paid."""

    part: WalletPartView | None = None
    wallet: Wallet | None = None  # Of who is signed in, where it can be spent on this order.
    due_minor: int = 0  # What is left to pay over a channel.
    has_accounts: bool = True  # No: on a shop's own domain, where nobody is signed in.

    @property
    def reserved_minor(self) -> int:
        """What of the price is reserved, or was paid, by a wallet."""
        return self.part.counted_minor if self.part is not None else 0

    @property
    def is_held(self) -> bool:
        """Whether a part is reserved."""
        return self.part is not None and self.part.state is WalletPartState.HELD

    @property
    def can_free(self) -> bool:
        """Whether the reserved part can be taken back here."""
        return self.is_held and self.has_accounts

    @property
    def can_pay_minor(self) -> int:
        """What the wallet could pay now: all of what is due, or what there is."""
        if self.wallet is None or self.is_held:
            return 0
        return max(0, min(self.wallet.free_minor, self.due_minor))

    @property
    def is_enough(self) -> bool:
        """Whether it could pay all of it."""
        return 0 < self.due_minor == self.can_pay_minor


class BuyerWallets:
    """Reads wallets; where no currency has any, nothing is asked."""

    def __init__(self, wallets: Wallets, orders: Orders, signed_in: SignedIn) -> None:
        self.wallets = wallets
        self.orders = orders
        self._signed_in = signed_in
        self._terms: Callable[[tuple[()]], Awaitable[dict[str, WalletTerms]]] = Memory(
            self._read_terms, 2.0
        ).get

    async def _read_terms(self, _: tuple[()]) -> dict[str, WalletTerms]:
        return {each.currency: each for each in await self.wallets.list_wallet_terms()}

    async def terms(self) -> dict[str, WalletTerms]:
        """Give the terms of all currencies, a moment old at most."""
        return await self._terms(())

    async def of_buyer(self, buyer: BuyerId) -> list[Wallet]:
        """Give a buyer's wallets: of currencies that are on, and those that hold anything."""
        terms = await self.terms()
        if not terms:
            return []
        found = await self.wallets.read_wallets([WalletKey(buyer, each) for each in terms])
        return [each for each in found if terms[each.currency].is_on or each.balance_minor]

    async def holds_money(self, buyer: BuyerId) -> bool:
        """Tell whether anything of theirs would be lost with the account."""
        return any(each.balance_minor for each in await self.of_buyer(buyer))

    async def box(self, visitor: Visitor, view: OrderView) -> PayBox:
        """Say what a wallet pays of an order, and what the one who is signed in could pay."""
        due_minor = view.due_minor
        try:
            if not await self.terms() or view.exchange is not None or view.is_top_up:
                return PayBox(due_minor=due_minor)
            [part] = await self.orders.read_wallet_parts([view.id])
            session = await self._signed_in.session(visitor)
            wallet = await self._wallet(session, view) if session is not None else None
        except Unavailable as error:  # An order can be paid also while wallets are away.
            _log.warning("web.wallets_away", error=str(error))
            return PayBox(due_minor=due_minor)
        reserved_minor = part.counted_minor if part is not None else 0
        has_accounts = visitor.domain is None
        return PayBox(part, wallet, due_minor - reserved_minor, has_accounts)

    async def _wallet(self, session: BuyerSession, view: OrderView) -> Wallet | None:
        [wallet] = await self.wallets.read_wallets([WalletKey(session.buyer.id, view.currency)])
        return wallet if wallet.balance_minor else None
