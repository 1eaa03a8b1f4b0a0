"""What a merchant might pay: cost, margin, less for volume, more for risk, in bounds. Pure."""

from collections.abc import Sequence

from vendrail.api.settlement import (
    ChannelCost,
    FeeBounds,
    FeeCause,
    FeeFacts,
    FeePart,
    FeeSuggestion,
)
from vendrail.kernel.money import AMOUNT_MINOR_MAX, EXPONENTS
from vendrail.settlement.fees import BASIS_POINTS_MAX

SALES_MIN = 20  # Fewer in 30 days say nothing about a merchant.


def is_wellformed(bounds: FeeBounds) -> bool:
    """Tell whether bounds can be."""
    parts = (
        bounds.margin_basis_points,
        bounds.volume_basis_points,
        bounds.refund_basis_points,
        bounds.dispute_basis_points,
    )
    return (
        bounds.currency in EXPONENTS
        and 0 <= bounds.least_basis_points <= bounds.most_basis_points <= BASIS_POINTS_MAX
        and all(0 <= each <= BASIS_POINTS_MAX for each in parts)
        and 0 <= bounds.volume_minor_from <= AMOUNT_MINOR_MAX
    )


def average_cost(costs: Sequence[ChannelCost], currency: str) -> int:
    """Give what channels that take a currency cost on average, rounded up.

    Which of them a merchant uses may change.
    """
    costs = [each for each in costs if _takes(each, currency)]
    return -(-sum(each.cost_permyriad for each in costs) // len(costs)) if costs else 0


def average_fixed(costs: Sequence[ChannelCost], currency: str) -> int:
    """Give what channels take of each payment in a currency beside it, on average, rounded up."""
    costs = [each for each in costs if _takes(each, currency)]
    fixed_minor = sum(each.cost_minor for each in costs if each.currency == currency)
    return -(-fixed_minor // len(costs)) if costs else 0


def _takes(cost: ChannelCost, currency: str) -> bool:
    return not cost.currencies or currency in cost.currencies


def suggest(
    facts: FeeFacts,
    cost_basis_points: int,
    bounds: FeeBounds,
    fixed_minor: int = 0,
    taken_minor: int = 0,
) -> FeeSuggestion | None:
    """Suggest what one merchant might pay; None: too little was sold to say.

    What each payment costs beside the percentage counts by what the merchant sells: many small
    sales cost a larger part of their sum than a few large ones. What own terms take of each sale
    beside their percentage stays, so it is no part of the percentage again.
    """
    if facts.sold_count < SALES_MIN:
        return None
    parts = [
        FeePart(FeeCause.COST, cost_basis_points - _fixed_part(facts, -fixed_minor)),
        FeePart(FeeCause.MARGIN, bounds.margin_basis_points),
        FeePart(FeeCause.VOLUME, -bounds.volume_basis_points * _doublings(facts, bounds)),
        FeePart(FeeCause.REFUNDS, bounds.refund_basis_points * (facts.refund_permyriad // 100)),
        FeePart(FeeCause.DISPUTES, bounds.dispute_basis_points * (facts.dispute_permyriad // 10)),
        FeePart(FeeCause.FIXED, -_fixed_part(facts, taken_minor)),
    ]
    whole = sum(each.basis_points for each in parts)
    held = min(max(whole, bounds.least_basis_points), bounds.most_basis_points)
    if held != whole:
        cause = FeeCause.LEAST if held > whole else FeeCause.MOST
        parts.append(FeePart(cause, held - whole))
    return FeeSuggestion(facts, held, [each for each in parts if each.basis_points])


def _fixed_part(facts: FeeFacts, fixed_minor: int) -> int:
    """Give what is fixed for each sale as a part of all that was sold, rounded down."""
    if not facts.volume_minor:
        return 0
    return fixed_minor * facts.sold_count * 10_000 // facts.volume_minor


def _doublings(facts: FeeFacts, bounds: FeeBounds) -> int:
    """Count how often the volume is twice, four times, … what it is taken off from."""
    if not bounds.volume_minor_from:
        return 0
    return max(0, (facts.volume_minor // bounds.volume_minor_from).bit_length() - 1)
