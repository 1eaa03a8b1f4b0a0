"""Suggestions: what each merchant might pay, by what was counted of it, within bounds."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.api.settlement.fees import FeeFacts, FeeTerms
from vendrail.kernel.codec import Record


class FeeBounds(Record, frozen=True):
    """How fees in one currency are suggested, and between what; hundredths of a percent all."""

    currency: str
    least_basis_points: int
    most_basis_points: int
    margin_basis_points: int  # What the platform wants beside the channels' cost.
    volume_minor_from: int = 0  # Above it, each doubling of what was sold in 30 days takes off …
    volume_basis_points: int = 0  # … so much; 0: nothing.
    refund_basis_points: int = 0  # For each whole percent of sales that were refunded.
    dispute_basis_points: int = 0  # For each whole tenth of a percent that was disputed.


class FeeBoundsStatus(StrEnum):
    """How writing one currency's bounds ended."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    FIELD_MALFORMED = "field_malformed"


class FeeCause(StrEnum):
    """Why a suggestion is what it is."""

    COST = "cost"  # What channels cost on average, by the terms of routing.
    MARGIN = "margin"
    VOLUME = "volume"
    REFUNDS = "refunds"
    DISPUTES = "disputes"
    FIXED = "fixed"  # What terms take of each sale beside their percentage, which stays.
    LEAST = "least"  # Held at the lower bound.
    MOST = "most"  # Held at the upper bound.


class FeePart(Record, frozen=True):
    """One part of a suggestion; below zero: taken off."""

    cause: FeeCause
    basis_points: int


class FeeSuggestion(Record, frozen=True):
    """What a merchant might pay in one currency; its parts sum to it."""

    facts: FeeFacts
    basis_points: int
    parts: list[FeePart]
    base: FeeTerms | None = None  # What counts now; all of it but the percentage stays.
    is_base_own: bool = False  # They are own terms; else what rules ask of an average sale.


class FeeSuggestionQuery(Record, frozen=True):
    """A page of suggestions in one currency, by merchant, after one (exclusive)."""

    currency: str
    after: UUID | None = None
    suggestions_max: int = 50


class Suggesting(Protocol):
    """What merchants might pay."""

    async def put_fee_bounds(self, bounds: Sequence[FeeBounds]) -> list[FeeBoundsStatus]:
        """Write how fees are suggested; nothing that merchants pay changes by it."""
        ...

    async def list_fee_bounds(self) -> list[FeeBounds]:
        """List the bounds of all currencies that have any, by currency."""
        ...

    async def suggest_fees(
        self, queries: Sequence[FeeSuggestionQuery]
    ) -> list[list[FeeSuggestion]]:
        """Suggest by what the last night has counted; too few sales or no bounds: nothing."""
        ...
