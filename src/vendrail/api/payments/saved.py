"""Saved ways to pay: a provider remembers them for a buyer; we hold its names, and show none."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NewType, Protocol
from uuid import UUID

from vendrail.api.payments.actions import ActionKind, PaymentAction
from vendrail.api.payments.channels import ChannelId, Device
from vendrail.kernel.codec import Record

SavedId = NewType("SavedId", UUID)


class SavedWay(Record, frozen=True):
    """A way to pay that a provider remembers for a buyer, as the buyer may read of it."""

    id: SavedId
    method: str
    channel: ChannelId
    label: str  # As `visa •••• 4242`.
    expires: str  # As `2030-12`; empty: it does not.
    currencies: list[str]


class SavedQuery(Record, frozen=True):
    """Ask for a buyer's saved ways."""

    buyer: UUID
    is_fresh: bool = False  # Ask providers first, where something new is expected.


class SavedPayment(Record, frozen=True):
    """Pay an attempt with a saved way; the attempt is the idempotency key."""

    attempt: UUID
    saved: SavedId
    buyer: UUID  # Whose it must be.
    return_url: str = ""  # Where a bank sends the buyer back to, should it want to see them.


class SavedPayStatus(StrEnum):
    """How paying with a saved way ended. Where several would fit, the first listed is given."""

    PAID = "paid"
    PENDING = "pending"  # Told by a callback, or by asking; asked again it pays nothing more.
    BUYER_NEEDED = "buyer_needed"  # Their bank wants to see them: the action says where.
    DECLINED = "declined"  # Nothing was taken; the attempt has failed.
    SAVED_NOT_FOUND = "saved_not_found"  # Also when it is somebody else's.
    ATTEMPT_NOT_FOUND = "attempt_not_found"
    ATTEMPT_ENDED = "attempt_ended"  # Paid, closed or failed.
    CHANNEL_DIFFERS = "channel_differs"
    SHOWN = "shown"  # It was shown as a page of its provider's, where it can still be paid.
    TAKEN = "taken"  # The attempt is being paid with another saved way.
    PROVIDER_AWAY = "provider_away"  # It was told nothing.


class SavedPayResult(Record, frozen=True):
    """What came of paying with a saved way."""

    status: SavedPayStatus
    action: PaymentAction = PaymentAction(ActionKind.NONE)
    problem: str = ""  # The provider's code, where it declined.


class SavedDrop(Record, frozen=True):
    """A buyer wants a saved way forgotten."""

    saved: SavedId
    buyer: UUID


class AgreementOffer(Record, frozen=True):
    """A way to pay that a buyer can agree to be charged by, and has not."""

    method: str
    title: str  # What buyers see, where the method has no name of its own.


class AgreementOpening(Record, frozen=True):
    """A buyer wants to agree that what they order is charged without the provider's page."""

    buyer: UUID
    method: str
    device: Device = Device.DESKTOP
    return_url: str = ""  # Where the provider leads them back to, in the browser where they agree.
    shown_name: str = ""  # Whose account it is for, masked, as the provider's page shows it.


class AgreementStatus(StrEnum):
    """How opening an agreement ended. Where several would fit, the first listed is given."""

    SAVED = "saved"  # They have agreed: the way is among their saved ones.
    OPENED = "opened"  # The action says where they agree, and is nobody else's.
    NOT_OFFERED = "not_offered"  # No account's provider has granted agreements for that way.
    PROVIDER_AWAY = "provider_away"


class AgreementOpened(Record, frozen=True):
    """What came of opening an agreement."""

    status: AgreementStatus
    action: PaymentAction = PaymentAction(ActionKind.NONE)


class Saving(Protocol):
    """Saved ways to pay, in batches."""

    async def offer_agreements(self, buyers: Sequence[UUID]) -> list[list[AgreementOffer]]:
        """List the ways that each can agree to be charged by, and has not yet."""
        ...

    async def open_agreements(self, openings: Sequence[AgreementOpening]) -> list[AgreementOpened]:
        """Say where buyers agree; asked again, it is the same agreement, signed once at most.

        What is signed long after its page was opened counts for nothing, and is ended.
        """
        ...

    async def list_saved(self, queries: Sequence[SavedQuery]) -> list[list[SavedWay]]:
        """List the ways that can be paid with now, the last used first."""
        ...

    async def pay_saved(self, payments: Sequence[SavedPayment]) -> list[SavedPayResult]:
        """Pay with saved ways, nobody being there."""
        ...

    async def forget_saved(self, drops: Sequence[SavedDrop]) -> list[bool]:
        """Forget ways at once, and have providers forget them too; false: not theirs, or gone."""
        ...

    async def forget_customers(self, buyers: Sequence[UUID]) -> None:
        """Forget all ways of buyers, those too that a provider has not told of yet."""
        ...
