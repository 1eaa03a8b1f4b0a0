"""Forbidden goods: rules of words and categories, and what of the shelves they have found."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.api.catalog.names import MerchantId
from vendrail.kernel.codec import Record


class GoodsVerdict(StrEnum):
    """What a rule does with what it finds."""

    BLOCK = "block"  # It is not sold until its text is another, or a person allows it.
    REVIEW = "review"  # It is sold, and a person looks at it.


class GoodsRule(Record, frozen=True):
    """One thing that may not be sold, or is looked at: a word anywhere, or a category whole."""

    text: str
    verdict: GoodsVerdict = GoodsVerdict.BLOCK
    is_category: bool = False


class GoodsRules(Record, frozen=True):
    """One version of the rules: each is whole, and the newest counts."""

    rules: list[GoodsRule]
    version: int = 0
    written_at: datetime | None = None
    written_by: str = ""


class GoodsRulesStatus(StrEnum):
    """How writing a version of the rules ended."""

    CREATED = "created"
    UNCHANGED = "unchanged"
    MALFORMED = "malformed"


class GoodsState(StrEnum):
    """Where what was found stands."""

    OPEN = "open"  # A person looks at it.
    ALLOWED = "allowed"  # By a person, for these rules.
    TAKEN_DOWN = "taken_down"  # By a person; its text must be another before it is looked at.
    ENDED = "ended"  # Its text is another, and nothing is found any more.


class GoodsCase(Record, frozen=True):
    """A product or a shop that rules have found, or a person has taken down."""

    subject: UUID  # The product's id, or the shop's.
    merchant: MerchantId
    title: str
    state: GoodsState
    found: list[GoodsRule] = []
    is_shop: bool = False
    is_blocked: bool = False  # It is not sold. Shops are not blocked: their texts are refused.
    is_appealed: bool = False  # It was taken down, and its text is another since.
    rules_version: int = 0
    changed_at: datetime | None = None
    decided_by: str = ""
    reason: str = ""  # Why a person decided so, as the merchant reads it.
    seen: str = ""  # The text that was judged, as a fingerprint.


class GoodsQuery(Record, frozen=True):
    """Cases in one state, those that changed last first; before a moment, for the next page.

    With `before_subject`, the last one of the page before, also those that changed at that moment.
    """

    state: GoodsState = GoodsState.OPEN
    cases_max: int = 50
    before: datetime | None = None
    before_subject: UUID | None = None


class GoodsDecision(Record, frozen=True):
    """A person allows what was found, or takes a product down, found or not.

    What is allowed is the text that the person has seen; a takedown is of the product.
    """

    subject: UUID
    is_allowed: bool
    by: str
    reason: str
    seen: str | None = None  # The text that the person judged; None: whichever it is.
    rules_version: int | None = None  # And by which rules it was found.


class GoodsDecisionStatus(StrEnum):
    """How deciding about goods ended."""

    DECIDED = "decided"
    UNCHANGED = "unchanged"
    NOT_FOUND = "not_found"
    CHANGED_SINCE = "changed_since"  # Its text is another than was judged, or its rules are.


class GoodsWatch(Protocol):
    """What may not be sold is found, stopped and looked at."""

    async def put_goods_rules(self, versions: Sequence[GoodsRules]) -> list[GoodsRulesStatus]:
        """Write the next versions; what is on the shelves is looked through by and by."""
        ...

    async def list_goods_rules(self, versions_max: int) -> list[GoodsRules]:
        """List versions of the rules, the newest first."""
        ...

    async def list_goods_cases(self, queries: Sequence[GoodsQuery]) -> list[list[GoodsCase]]:
        """List what was found."""
        ...

    async def read_goods_cases(self, subjects: Sequence[UUID]) -> list[GoodsCase | None]:
        """Read what was found of products and shops."""
        ...

    async def decide_goods(self, decisions: Sequence[GoodsDecision]) -> list[GoodsDecisionStatus]:
        """Allow what was found, or take products down: they are not sold from then on."""
        ...
