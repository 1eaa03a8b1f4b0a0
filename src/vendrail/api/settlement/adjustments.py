"""Adjustments: suggestions that are applied by themselves, only where the operator allows it."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.api.settlement.suggestions import FeePart
from vendrail.kernel.codec import Record


class FeeAllowance(Record, frozen=True):
    """Whether suggestions are applied by themselves: to a merchant or, without, to a tier's."""

    merchant: UUID | None
    tier: int | None = None
    is_allowed: bool | None = False  # None: a merchant without a word of its own, as its tier.
    notice_days: int = 14  # How long before it begins a merchant is told.


class FeeAllowanceStatus(StrEnum):
    """How writing one allowance ended."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    FIELD_MALFORMED = "field_malformed"


class FeeAdjustment(Record, frozen=True):
    """A suggestion that was applied by itself: the percentage of own terms, from a moment on."""

    id: UUID
    merchant: UUID
    currency: str
    before_basis_points: int
    basis_points: int
    parts: list[FeePart]
    made_at: datetime
    valid_from: datetime
    taken_back_at: datetime | None = None
    overtaken_at: datetime | None = None  # It never begins: people agreed on terms meanwhile.


class FeeAdjustmentQuery(Record, frozen=True):
    """A page of adjustments, the newest first; `merchant` None: everybody's."""

    merchant: UUID | None = None
    before: UUID | None = None
    adjustments_max: int = 50


class FeeAdjustmentStatus(StrEnum):
    """How taking one adjustment back ended. The first that fits is given."""

    TAKEN_BACK = "taken_back"
    EXISTS = "exists"  # It was taken back before.
    NOT_FOUND = "not_found"
    FOLLOWED = "followed"  # Other terms were written since: those are changed as terms are.


class Adjusting(Protocol):
    """Suggestions that are applied by themselves."""

    async def put_fee_allowances(
        self, allowances: Sequence[FeeAllowance]
    ) -> list[FeeAllowanceStatus]:
        """Say for whom suggestions are applied by themselves; for nobody until it is said."""
        ...

    async def read_fee_allowances(self, merchants: Sequence[UUID]) -> list[FeeAllowance]:
        """Read what holds for merchants: their own word, else their tier's, which is named then."""
        ...

    async def list_tier_allowances(self) -> list[FeeAllowance]:
        """List what was said of tiers, by tier."""
        ...

    async def list_fee_adjustments(
        self, queries: Sequence[FeeAdjustmentQuery]
    ) -> list[list[FeeAdjustment]]:
        """List what was applied, the newest first."""
        ...

    async def take_back_adjustments(self, ids: Sequence[UUID]) -> list[FeeAdjustmentStatus]:
        """Let what stood before count again; nothing is applied to that merchant any more."""
        ...
