"""What a channel may do whose provider remembers how a buyer pays: we hold its names for that."""

from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar, runtime_checkable

from vendrail.api.payments import ActionKind, Device, PaymentAction
from vendrail.kernel.codec import Record
from vendrail.payments.channels.base import Account, Ask

Settings = TypeVar("Settings")


class SavedMethod(Record, frozen=True):
    """A way to pay that a provider remembers: its name for it, and what anybody may read of it."""

    reference: str
    label: str  # As `visa •••• 4242`.
    expires: str = ""  # As `2030-12`; then it pays no more.
    agreed_at: datetime | None = None  # When an agreement was signed, where the provider says so.


class SavedOutcome(StrEnum):
    """What came of paying with a way that was saved."""

    PAID = "paid"  # The provider says so; a query gives number and amount.
    PENDING = "pending"  # Told by a callback, or by asking.
    BUYER_NEEDED = "buyer_needed"  # Somebody wants to see the buyer first: the action says where.
    DECLINED = "declined"  # Nothing was taken, and this way will take nothing for this attempt.
    UNKNOWN = "unknown"  # Asked again under the same attempt, it moves money at most once.


class SavedAnswer(Record, frozen=True):
    """A provider's answer to paying with a saved way."""

    outcome: SavedOutcome
    reference: str = ""  # What the provider calls the attempt, as `Presentation.reference`.
    action: PaymentAction = PaymentAction(ActionKind.NONE)
    problem: str = ""  # The provider's code, where it declined.
    is_gone: bool = False  # This way never pays again: it ended at the provider.


@runtime_checkable
class SavingChannel(Protocol[Settings]):
    """A channel whose provider remembers how a buyer pays; we hold names of that and nothing more.

    How a buyer comes to be remembered is said by what else the channel is: a remembering channel,
    or an agreeing one.
    """

    async def list_saved(
        self, customer: str, account: Account[Settings], now: datetime
    ) -> list[SavedMethod] | None:
        """List what is remembered for a customer; None: it did not say."""
        ...

    async def pay_saved(
        self, ask: Ask, saved: str, account: Account[Settings], now: datetime
    ) -> SavedAnswer:
        """Pay an attempt of `Ask.customer` with a saved way, nobody being there."""
        ...

    async def forget_saved(
        self, customer: str, saved: str, account: Account[Settings], now: datetime
    ) -> bool:
        """Have a customer's saved way forgotten for good; true when it is.

        An agreement may be known by our number alone: then `saved` is the customer's name.
        """
        ...


@runtime_checkable
class RememberingChannel(SavingChannel[Settings], Protocol[Settings]):
    """What is paid with `Ask.customer` set is remembered for that customer from then on."""

    async def open_customer(self, buyer: str, account: Account[Settings], now: datetime) -> str:
        """Give the provider's name for a buyer, who is named by us; nothing when it is away."""
        ...


class AgreementAsk(Record, frozen=True):
    """A buyer is about to agree with a provider that we charge them from then on."""

    number: str  # Ours, of this one agreement: 32 letters and digits.
    notify_url: str
    return_url: str = ""
    device: Device = Device.DESKTOP
    shown_name: str = ""  # Whose account it is for, masked: shown where it is signed.


@runtime_checkable
class AgreeingChannel(SavingChannel[Settings], Protocol[Settings]):
    """Buyers agree on the provider's own page; each agreement is a customer with one saved way."""

    def agreed_method(self, settings: Settings) -> str:
        """Name the way to pay that agreements are for; nothing where none were granted."""
        ...

    async def open_agreement(
        self, ask: AgreementAsk, account: Account[Settings], now: datetime
    ) -> PaymentAction:
        """Give the page, or the code to scan, where the buyer agrees."""
        ...
