"""Who may be paid out now: merchants whose tier has payouts, asked again before money leaves."""

from collections.abc import Collection
from uuid import UUID

from vendrail.api.compliance import Compliance

UNKNOWN = "merchant_unverified"  # Why a payout waits.


class Knowing:
    """Asks who merchants are known to be."""

    def __init__(self, compliance: Compliance) -> None:
        self._compliance = compliance

    async def unknown(self, merchants: Collection[UUID]) -> set[UUID]:
        """Give those whose tier has no payouts, or none any more."""
        if not merchants:
            return set()
        standings = await self._compliance.read_standings(sorted(set(merchants)))
        return {each.merchant for each in standings if not each.has_payouts}
