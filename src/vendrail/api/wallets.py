"""Wallets: what buyers have paid in, spend on orders, and get back; per currency, never below zero.

A wallet is an account of the ledger. This service says what is allowed, reserves what is spent, and
tells each movement in a word; settlement moves the money.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.kernel.codec import Record
from vendrail.kernel.ids import named_id

WALLET = "wallet"  # What the way to pay is called, where those of channels have their names.

# Whose sales top-ups are: the platform's own, for they are nobody's revenue.
WALLET_DESK: UUID = named_id("wallet desk")


class WalletTerms(Record, frozen=True):
    """What wallets of a currency may hold; written whole. What is off takes in nothing more."""

    currency: str
    is_on: bool = False
    top_up_minor_min: int = 1
    top_up_minor_max: int = 0
    balance_minor_max: int = 0  # What the law, or the platform, lets a wallet hold.
    step_up_minor: int = 0  # Above this, a payment is confirmed anew by its buyer; 0: never.


class WalletTermsStatus(StrEnum):
    """How writing the terms of one currency ended."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    CURRENCY_UNKNOWN = "currency_unknown"
    LIMITS_MALFORMED = "limits_malformed"  # Below one, too large, or a top-up beyond the balance.


class WalletKey(Record, frozen=True):
    """One wallet: whose, and in which currency."""

    buyer: UUID
    currency: str


class Wallet(Record, frozen=True):
    """What a wallet holds now."""

    buyer: UUID
    currency: str
    balance_minor: int
    held_minor: int = 0  # Reserved for orders that are not paid yet.

    @property
    def free_minor(self) -> int:
        """What can be spent."""
        return self.balance_minor - self.held_minor


class TopUpQuestion(Record, frozen=True):
    """May so much be paid into a wallet?"""

    buyer: UUID
    currency: str
    amount_minor: int
    order: UUID | None = None  # Where it has one: what stands in the wallet counts once.


class TopUpStatus(StrEnum):
    """Whether a top-up is taken. Where several would fit, the first listed is given."""

    ALLOWED = "allowed"
    WALLET_OFF = "wallet_off"
    AMOUNT_TOO_SMALL = "amount_too_small"
    AMOUNT_TOO_LARGE = "amount_too_large"
    BALANCE_TOO_HIGH = "balance_too_high"  # The wallet would hold more than it may.


class WalletHold(Record, frozen=True):
    """Reserve money of a wallet for an order: the id is a pending transfer's, and never reused."""

    id: UUID
    order: UUID
    merchant: UUID
    buyer: UUID
    amount_minor: int
    currency: str


class WalletHoldStatus(StrEnum):
    """How reserving ended. Where several would fit, the first listed is given."""

    HELD = "held"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"  # The id stands for another hold, or was let go.
    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    BALANCE_TOO_LOW = "balance_too_low"


class WalletMovement(StrEnum):
    """What one movement of a wallet was."""

    TOPPED_UP = "topped_up"
    PAID = "paid"
    REFUNDED = "refunded"
    TOP_UP_RETURNED = "top_up_returned"
    OTHER = "other"


class WalletEntry(Record, frozen=True):
    """One movement of a wallet: above zero where it came in, and what was there afterwards."""

    transfer: UUID
    at: datetime
    movement: WalletMovement
    order: UUID
    amount_minor: int
    balance_minor: int


class WalletQuery(Record, frozen=True):
    """A page of a wallet's movements, newest first, before one of them."""

    buyer: UUID
    currency: str
    before: UUID | None = None
    entries_max: int = 50


class WalletSum(Record, frozen=True):
    """What all wallets of a currency hold: the platform owes it to buyers."""

    currency: str
    wallets_count: int
    balance_minor: int


class Wallets(Protocol):
    """Terms, balances, reservations and movements of buyers' wallets."""

    async def put_wallet_terms(self, terms: Sequence[WalletTerms]) -> list[WalletTermsStatus]:
        """Write what wallets may hold, whole, by currency."""
        ...

    async def list_wallet_terms(self) -> list[WalletTerms]:
        """List the terms of every currency that has any."""
        ...

    async def read_wallets(self, keys: Sequence[WalletKey]) -> list[Wallet]:
        """Read what wallets hold; one that was never used holds nothing."""
        ...

    async def judge_top_ups(self, questions: Sequence[TopUpQuestion]) -> list[TopUpStatus]:
        """Say whether top-ups are taken; later ones of a wallet see earlier ones."""
        ...

    async def hold_wallets(self, holds: Sequence[WalletHold]) -> list[WalletHoldStatus]:
        """Reserve money for orders: of many that ask at once, as many as there is money for."""
        ...

    async def free_wallets(self, holds: Sequence[WalletHold]) -> list[bool]:
        """Let go of reservations, also of what never arrived; false: it was spent."""
        ...

    async def read_wallet_entries(self, queries: Sequence[WalletQuery]) -> list[list[WalletEntry]]:
        """Read wallets' movements, newest first; a short page is the last."""
        ...

    async def sum_wallets(self) -> list[WalletSum]:
        """Sum what wallets hold, by currency."""
        ...
