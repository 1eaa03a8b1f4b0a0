"""Suggestions applied by themselves: who may be, when, and how that is taken back. Pure.

What stands must have counted for as long as is counted before it is changed, and nothing may be on
its way: so no percentage moves twice in a month, and none that people have just agreed on.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from vendrail.api.settlement import FeeAllowance, FeeSuggestion, FeeTerms
from vendrail.settlement.fees import LEAD, FeeVersion
from vendrail.settlement.rules import TIER_MAX

NOTICE_DAYS_MAX = 90
REST = timedelta(days=30)  # As long as is counted.
NOT_ALLOWED = FeeAllowance(None, 0, is_allowed=False)


class Adjusted(NamedTuple):
    """A suggestion that is applied, and what stood before."""

    suggestion: FeeSuggestion
    before: FeeVersion
    terms: FeeTerms


class Pending(NamedTuple):
    """An adjustment that has not begun."""

    id: UUID
    valid_from: datetime


def is_wellformed(allowance: FeeAllowance) -> bool:
    """Tell whether an allowance can be: of a merchant or a tier, with time to be told."""
    is_of_tier = allowance.merchant is None
    tier = allowance.tier
    return 1 <= allowance.notice_days <= NOTICE_DAYS_MAX and (
        (tier is not None and 0 <= tier <= TIER_MAX and allowance.is_allowed is not None)
        if is_of_tier
        else tier is None
    )


def find_allowance(
    own: FeeAllowance | None, tiers: Mapping[int, FeeAllowance], tier: int
) -> FeeAllowance:
    """Give what holds for a merchant: its own word, else its tier's, else no."""
    return own or tiers.get(tier) or FeeAllowance(None, tier)


def adjust(
    suggestion: FeeSuggestion,
    versions: Sequence[FeeVersion],
    allowance: FeeAllowance,
    now: datetime,
) -> Adjusted | None:
    """Say what a suggestion changes, by versions of own terms, newest first; None: nothing.

    Who pays by the rules for everybody stays with them: the first own terms are for people.
    """
    if not allowance.is_allowed or not versions:
        return None
    newest, facts = versions[0], suggestion.facts
    is_same = newest.basis_points == suggestion.basis_points
    if is_same or newest.valid_from > now - REST:
        return None
    terms = FeeTerms(
        facts.merchant,
        facts.currency,
        suggestion.basis_points,
        newest.fixed_minor,
        newest.fee_minor_min,
        newest.is_fee_refunded,
        _begins(now, allowance.notice_days),
    )
    return Adjusted(suggestion, newest, terms)


def _begins(now: datetime, notice_days: int) -> datetime:
    """Give the first midnight (UTC) that is whole days of notice ahead."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=notice_days + (today < now))


def take_back(
    valid_from: datetime,
    basis_points: int,
    key: tuple[UUID, str],
    versions: Sequence[FeeVersion],
    now: datetime,
) -> FeeTerms | None:
    """Give the terms that let what stood before count again; None: others were written since."""
    if len(versions) < 2:
        return None
    newest, before = versions[0], versions[1]
    if (newest.valid_from, newest.basis_points) != (valid_from, basis_points):
        return None
    if any(each.number > newest.number for each in versions):
        return None
    return before.as_terms(*key, max(valid_from, now + LEAD))
