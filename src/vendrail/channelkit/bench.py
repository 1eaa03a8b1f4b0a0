"""The bench: one channel, and the other side of it, a provider that tests order about.

The author of a channel writes one of these; the contract does the rest. The provider is an emulator
of the author's, as strict as the real one, reached over real HTTP.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import StrEnum

from vendrail.api.payments import ChannelId, PaymentAction, Payments
from vendrail.kernel.codec import Record
from vendrail.payments.channels.base import Payee


class Sale(Record, frozen=True):
    """One attempt that a buyer is about to pay."""

    number: str  # The `out_trade_no`.
    amount_minor: int
    currency: str
    method: str
    action: PaymentAction


class Message(Record, frozen=True):
    """What a provider sends to a callback address."""

    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = ()
    query: str = ""
    body: bytes = b""


class Twist(StrEnum):
    """In what a callback differs from the one that is expected, though the provider signed it."""

    NONE = "none"
    LESS = "less"  # One unit less was paid.
    MORE = "more"  # One unit more was paid.
    CURRENCY = "currency"  # It was paid in another currency.
    ACCOUNT = "account"  # It tells of another account's money.
    UNPAID = "unpaid"  # It tells of the order, but not that it is paid.


class Trouble(StrEnum):
    """What can be the matter with a provider."""

    AWAY = "away"  # It fails before it has done anything.
    LOST = "lost"  # It does what it was asked, and the answer is lost.
    UNCLEAR = "unclear"  # It answers something that says nothing.
    SLOW = "slow"  # It takes a second and a half.
    DENIES = "denies"  # Asked about a paid order, it says that nobody has paid.


class Operation(StrEnum):
    """What a channel asks a provider for."""

    PRESENT = "present"
    QUERY = "query"
    CLOSE = "close"
    REFUND = "refund"
    REFUND_QUERY = "refund_query"
    PAYOUT = "payout"
    PAYOUT_QUERY = "payout_query"
    STATEMENT = "statement"


class Bench(ABC):
    """What the contract needs to know of a channel and its emulated provider."""

    kind: str
    currency: str = "CNY"
    amount_minor: int = 1_230
    has_callbacks: bool = True  # The provider tells by itself; otherwise it is only asked.
    can_refund: bool = True  # The provider gives money back when a channel asks for it.
    is_chain: bool = False  # Money is seen before it is final, and may vanish in between.

    @abstractmethod
    async def settings(self) -> dict[str, str]:
        """Give the settings of an account at the emulator, always the same one."""
        ...

    @abstractmethod
    async def other_settings(self) -> dict[str, str]:
        """Give the settings of another account there."""
        ...

    @abstractmethod
    async def open(self, action: PaymentAction) -> bool:
        """Do what the buyer's browser does with a way to pay; tell whether the provider took it."""
        ...

    @abstractmethod
    async def pay(self, sale: Sale) -> None:
        """Let the buyer open a sale and pay it; whoever is told of it is not the test."""
        ...

    @abstractmethod
    async def paid(self, sale: Sale, twist: Twist = Twist.NONE) -> Message | None:
        """Let the buyer pay, and give the signed callback instead of sending it.

        Called again for the same sale it is told anew. None: this provider never sends such a one.
        """
        ...

    @abstractmethod
    def forgeries(self, message: Message) -> Sequence[Message]:
        """Make callbacks of a good one that must each be refused."""
        ...

    @abstractmethod
    async def known_minor(self, sale: Sale) -> int:
        """Give what the provider was told that an opened sale costs."""
        ...

    @abstractmethod
    async def returned_minor(self, sale: Sale) -> int:
        """Give what the provider has given back of a sale, in all."""
        ...

    @abstractmethod
    async def trouble(self, trouble: Trouble, operation: Operation, *, count: int = 1) -> bool:
        """Order trouble for the next so many askings, 0: all; False: there is no such asking."""
        ...

    @abstractmethod
    async def calm(self) -> None:
        """Take all trouble back."""
        ...

    async def carry_out(self, _payments: Payments, _channel: ChannelId) -> None:
        """Do what people do about refunds that wait for them: most wait for nobody."""
        return

    # Only for a channel that can do more.

    def move_time(self, offset_s: float) -> None:  # noqa: B027 - Most need no time.
        """Move the provider's time, where it signs moments: so far from the machine's."""

    async def payee(self) -> Payee | None:
        """Give somebody who can be paid out to."""
        return None

    async def paid_out_minor(self, payout_number: str) -> int:
        """Give what has gone out under a number, in all."""
        raise NotImplementedError(payout_number)

    async def see(self, sale: Sale) -> None:
        """Let money for a sale be seen, but not be final."""
        raise NotImplementedError(sale.number)

    async def settle(self, sale: Sale) -> None:
        """Let money that was seen become final."""
        raise NotImplementedError(sale.number)

    async def undo(self, sale: Sale) -> None:
        """Let money that was seen vanish, as if it had never been sent."""
        raise NotImplementedError(sale.number)
