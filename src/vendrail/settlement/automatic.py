"""Suggestions that are applied by themselves: every night, within bounds, where it is allowed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.identity import Identity
from vendrail.api.notify import Notify
from vendrail.api.settlement import (
    FeeAdjustment,
    FeeAdjustmentQuery,
    FeeAdjustmentStatus,
    FeeAllowance,
    FeeAllowanceStatus,
    FeeSuggestion,
    FeeSuggestionQuery,
    Suggesting,
)
from vendrail.settlement.adjusting import Adjusted, adjust, is_wellformed
from vendrail.settlement.fees import FeeVersion
from vendrail.settlement.store.adjustments import Allowed
from vendrail.settlement.store.fees import FeeStore
from vendrail.settlement.store.versions import FeeKey
from vendrail.settlement.telling import FeeTelling
from vendrail.settlement.terms import WRITE_S_MAX

_PAGE = 200
S = FeeAllowanceStatus


class Automatic(Suggesting):
    """The part of the service that applies suggestions, and takes that back."""

    _fees: FeeStore

    async def put_fee_allowances(
        self, allowances: Sequence[FeeAllowance]
    ) -> list[FeeAllowanceStatus]:
        """Say for whom suggestions are applied by themselves; few and each its own, one by one."""
        statuses = []
        for new in allowances:
            if not is_wellformed(new):
                statuses.append(S.FIELD_MALFORMED)
            else:
                is_new = await self._fees.adjustments.put_allowance(new)
                statuses.append(S.CHANGED if is_new else S.UNCHANGED)
        return statuses

    async def read_fee_allowances(self, merchants: Sequence[UUID]) -> list[FeeAllowance]:
        """Read what holds for merchants: their own word, else their tier's."""
        allowed = await self._fees.adjustments.load_allowed(merchants)
        return [allowed.find(merchant) for merchant in merchants]

    async def list_tier_allowances(self) -> list[FeeAllowance]:
        """List what was said of tiers, by tier."""
        allowed = await self._fees.adjustments.load_allowed(())
        return [allowed.tiers[tier] for tier in sorted(allowed.tiers)]

    async def list_fee_adjustments(
        self, queries: Sequence[FeeAdjustmentQuery]
    ) -> list[list[FeeAdjustment]]:
        """List what was applied, the newest first."""
        return [await self._fees.adjustments.list_adjustments(query) for query in queries]

    async def take_back_adjustments(self, ids: Sequence[UUID]) -> list[FeeAdjustmentStatus]:
        """Let what stood before count again; they are few, so one by one."""
        return [await self._fees.adjustments.take_back(id, WRITE_S_MAX) for id in ids]

    async def adjust_fees(self) -> int:
        """Apply what is suggested now, where it is allowed; give how many percentages change.

        Again on the same day, it changes nothing: what is on its way is left alone.
        """
        if not await self._fees.adjustments.is_any_allowed():
            return 0
        count = 0
        for bounds in await self.list_fee_bounds():
            after = None
            while True:
                [page] = await self.suggest_fees(
                    [FeeSuggestionQuery(bounds.currency, after, _PAGE)]
                )
                count += await self._adjust(page)
                if len(page) < _PAGE:
                    break
                after = page[-1].facts.merchant
        return count

    async def _adjust(self, page: Sequence[FeeSuggestion]) -> int:
        """Apply a page of suggestions, by what stands while nobody else writes terms."""
        allowed = await self._fees.adjustments.load_allowed([e.facts.merchant for e in page])
        asked = [each for each in page if allowed.find(each.facts.merchant).is_allowed]
        if not asked:
            return 0

        def decide(
            known: Mapping[FeeKey, Sequence[FeeVersion]], allowed: Allowed, now: datetime
        ) -> list[Adjusted]:
            found = []
            for each in asked:
                key = (each.facts.merchant, each.facts.currency)
                found.append(adjust(each, known.get(key, ()), allowed.find(key[0]), now))
            return [each for each in found if each is not None]

        keys = {(each.facts.merchant, each.facts.currency) for each in asked}
        return await self._fees.adjustments.add_adjustments(keys, decide, WRITE_S_MAX)

    def telling(self, identity: Identity, notify: Notify) -> FeeTelling:
        """Give what tells merchants of it."""
        return FeeTelling(self._fees.adjustments, identity, notify, self._fees.public_url)
