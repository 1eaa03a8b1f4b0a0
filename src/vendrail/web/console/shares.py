"""Where the money of an order is, and when it becomes the merchant's: as both consoles tell it."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.orders import OrderView
from vendrail.api.payouts import PaidOut, PaidOutQuery, Payouts
from vendrail.api.settlement import HoldTerms, OrderShare, RiskTier, Settlement, ShareQuery


async def read_way(settlement: Settlement, order: OrderView) -> OrderShare | None:
    """Read where an order's share is; None: it is not split, or never will be."""
    query = ShareQuery(order.id, order.merchant, order.currency)
    [share] = await settlement.read_order_shares([query])
    return share if share.split_at is not None else None


async def read_paid_out(payouts: Payouts, order: OrderView) -> list[PaidOut]:
    """Read with which payouts an order's share went out."""
    query = PaidOutQuery(order.id, order.merchant, order.currency)
    [found] = await payouts.find_paid_out([query])
    return found


async def terms_now(settlement: Settlement, merchant: UUID, now: datetime) -> HoldTerms:
    """Give the terms that an order placed now would have."""
    [own] = await settlement.read_hold_terms([merchant])
    mine = _valid(own, now)
    if mine is not None and mine.tier is None:
        return mine
    tier = mine.tier if mine is not None else RiskTier.STANDARD
    tiers = [each for each in await settlement.read_tier_terms() if each.tier is tier]
    return _valid(tiers, now) or HoldTerms(None, tier)


def _valid(versions: Sequence[HoldTerms], now: datetime) -> HoldTerms | None:
    return next((each for each in versions if each.valid_from and each.valid_from <= now), None)
