"""Which payout took an order's share: first in, first out over what became available."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.api.payouts.names import PayoutId
from vendrail.kernel.codec import Record


class TakenCode(StrEnum):
    """How what a payout took had become available."""

    SALE = "sale"  # One order's share.
    RELEASE = "release"  # Many orders' shares that fell due together.
    OTHER = "other"


class PaidOutQuery(Record, frozen=True):
    """An order whose share is looked for in its merchant's payouts."""

    order: UUID
    merchant: UUID
    currency: str


class PaidOut(Record, frozen=True):
    """What of an order's share went out with one payout."""

    payout: PayoutId
    at: datetime
    amount_minor: int


class Taken(Record, frozen=True):
    """What a payout took of one transfer that had made money available."""

    code: TakenCode
    subject: UUID  # Of a sale: the order.
    at: datetime
    amount_minor: int


class Traces(Protocol):
    """Where shares went."""

    async def find_paid_out(self, queries: Sequence[PaidOutQuery]) -> list[list[PaidOut]]:
        """Find the payouts that took orders' shares, oldest first; a minute after they ended."""
        ...

    async def find_taken(self, payouts: Sequence[PayoutId]) -> list[list[Taken]]:
        """Find what payouts were made of, the newest hundred first; after a minute as well."""
        ...
