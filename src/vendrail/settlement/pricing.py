"""Everything of fees but their legs: terms and schedules written, told in full, tried on sales."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.settlement import (
    ChannelCost,
    FeeBounds,
    FeeBoundsStatus,
    FeeFacts,
    FeeSchedule,
    FeeScheduleStatus,
    FeeSuggestion,
    FeeSuggestionQuery,
    FeeTerms,
    FeeTermsStatus,
    FeeTold,
    FeeTrial,
    FeeTrialResult,
    Sale,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import replace
from vendrail.kernel.money import EXPONENTS
from vendrail.settlement import suggestions
from vendrail.settlement.adjusting import Pending
from vendrail.settlement.automatic import Automatic
from vendrail.settlement.fees import (
    BASIS_POINTS_MAX,
    LEAD,
    PLATFORM,
    FeeVersion,
    find_version,
    is_wellformed,
    read_memo,
)
from vendrail.settlement.rules import TIER_MAX, problem
from vendrail.settlement.store.fees import FeeStore
from vendrail.settlement.store.versions import FeeKey
from vendrail.settlement.terms import WRITE_S_MAX, FeeBook, decide_schedules, decide_terms


class Pricing:
    """What sales cost: by whom it is written, and what it was."""

    def __init__(self, store: FeeStore, clock: Clock) -> None:
        self._store = store
        self.book = FeeBook(store, clock)

    async def put_terms(self, terms: Sequence[FeeTerms]) -> list[FeeTermsStatus]:
        """Write new versions of merchants' terms."""
        statuses: list[FeeTermsStatus] = []

        def decide(
            known: Mapping[FeeKey, list[FeeVersion]],
            pending: Mapping[FeeKey, Sequence[Pending]],
            now: datetime,
        ) -> tuple[list[FeeTerms], list[UUID]]:
            decided = decide_terms(terms, known, pending, now)
            statuses[:] = decided.statuses
            return decided.added, decided.overtaken

        await self._store.add_fee_terms(terms, decide, WRITE_S_MAX)
        return statuses

    async def read_terms(self, merchants: Sequence[UUID]) -> list[list[FeeTerms]]:
        """Read all versions of merchants' terms, newest first."""
        found = await self._store.load_merchants_terms(merchants)
        return [found.get(merchant, []) for merchant in merchants]

    async def put_schedules(self, schedules: Sequence[FeeSchedule]) -> list[FeeScheduleStatus]:
        """Write new versions of the schedule."""
        statuses: list[FeeScheduleStatus] = []

        def decide(known: list[FeeSchedule], now: datetime) -> list[FeeSchedule]:
            decided, added = decide_schedules(schedules, known, now)
            statuses[:] = decided
            return added

        await self._store.add_schedules(decide, WRITE_S_MAX)
        return statuses

    async def put_facts(self, facts: Sequence[FeeFacts]) -> list[bool]:
        """Write what was counted, each merchant's last word of a batch."""
        good = {(each.merchant, each.currency): each for each in facts if _is_counted(each)}
        added = await self._store.add_facts(list(good.values()), LEAD, WRITE_S_MAX)
        return [
            (each.merchant, each.currency) in added
            and good.get((each.merchant, each.currency)) is each
            for each in facts
        ]

    async def put_tiers(self, tiers: Sequence[tuple[UUID, int]]) -> list[bool]:
        """Write tiers, each merchant's last word of a batch."""
        good = {merchant: tier for merchant, tier in tiers if 0 <= tier <= TIER_MAX}
        added = await self._store.add_tiers(list(good.items()), LEAD, WRITE_S_MAX)
        return [merchant in added and good.get(merchant) == tier for merchant, tier in tiers]

    async def put_costs(self, costs: Sequence[ChannelCost]) -> list[bool]:
        """Write channels' costs, each channel's last word of a batch."""
        good = {each.channel: each for each in costs if _is_cost(each)}
        added = await self._store.add_costs(list(good.values()), LEAD, WRITE_S_MAX)
        return [each.channel in added and good.get(each.channel) is each for each in costs]

    async def tell(self, memos: Sequence[str]) -> list[FeeTold | None]:
        """Find what fees were taken by."""
        names = [read_memo(memo) for memo in memos]
        found = await self._store.load_fees_named({name for name in names if name})
        told: list[FeeTold | None] = []
        for name in names:
            known = found.get(name) if name else None
            if name is None or known is None:
                told.append(None)
                continue
            merchant, rule, valid_from = known
            told.append(FeeTold(rule, name[1], valid_from, merchant != PLATFORM))
        return told

    async def attempt(self, trial: FeeTrial) -> FeeTrialResult:
        """Try rules on sales that were."""
        wrong = problem(trial.rules) if trial.rules or not trial.terms else None
        if not all(is_wellformed(each) for each in trial.terms):
            wrong = FeeScheduleStatus.FIELD_MALFORMED
        if wrong is not None:
            return FeeTrialResult(wrong)
        return FeeTrialResult(FeeScheduleStatus.CREATED, await self.book.try_rules(trial))


class Priced(Automatic):
    """The part of the service that is all about fees."""

    clock: Clock
    _fees: FeeStore
    _pricing: Pricing

    async def put_fee_schedules(self, schedules: Sequence[FeeSchedule]) -> list[FeeScheduleStatus]:
        """Write new versions of the schedule that merchants without their own terms pay by."""
        return await self._pricing.put_schedules(schedules)

    async def list_fee_schedules(self) -> list[FeeSchedule]:
        """List all versions of the schedule, newest first."""
        return await self._fees.load_schedules()

    async def put_fee_facts(self, facts: Sequence[FeeFacts]) -> list[bool]:
        """Write what was counted of merchants; false: it stands so already."""
        return await self._pricing.put_facts(facts)

    async def read_fee_facts(self, merchants: Sequence[UUID]) -> list[list[FeeFacts]]:
        """Read what counts of merchants now, in each of their currencies."""
        found = await self._fees.load_facts(merchants, self.clock.now())
        return [found.get(merchant, []) for merchant in merchants]

    async def put_merchant_tiers(self, tiers: Sequence[tuple[UUID, int]]) -> list[bool]:
        """Write merchants' tiers, which count in a moment; false: it is that already."""
        return await self._pricing.put_tiers(tiers)

    async def read_merchant_tiers(self, merchants: Sequence[UUID]) -> list[int]:
        """Read merchants' tiers; 0 where nobody has written any."""
        found = await self._fees.load_tiers(merchants)
        return [found.get(merchant, 0) for merchant in merchants]

    async def put_channel_costs(self, costs: Sequence[ChannelCost]) -> list[bool]:
        """Write what channels cost, where merchants bear it; false: it stands so already."""
        return await self._pricing.put_costs(costs)

    async def tell_fees(self, memos: Sequence[str]) -> list[FeeTold | None]:
        """Say where fees come from, by the memos of their transfers; None: that is none of fees."""
        return await self._pricing.tell(memos)

    async def put_fee_bounds(self, bounds: Sequence[FeeBounds]) -> list[FeeBoundsStatus]:
        """Write how fees are suggested; few and each its own, so one by one."""
        statuses = []
        for new in bounds:
            if not suggestions.is_wellformed(new):
                statuses.append(FeeBoundsStatus.FIELD_MALFORMED)
            elif new in await self._fees.load_bounds():
                statuses.append(FeeBoundsStatus.UNCHANGED)
            else:
                await self._fees.put_bounds(new)
                statuses.append(FeeBoundsStatus.CHANGED)
        return statuses

    async def list_fee_bounds(self) -> list[FeeBounds]:
        """List the bounds of all currencies that have any, by currency."""
        return await self._fees.load_bounds()

    async def suggest_fees(
        self, queries: Sequence[FeeSuggestionQuery]
    ) -> list[list[FeeSuggestion]]:
        """Suggest by what the last night has counted; too few sales or no bounds: nothing."""
        bounds = {each.currency: each for each in await self._fees.load_bounds()}
        costs = await self._fees.load_channel_costs()
        pages = []
        for query in queries:
            own = bounds.get(query.currency)
            facts = await self._fees.load_sellers(query, suggestions.SALES_MIN) if own else []
            cost = suggestions.average_cost(costs, query.currency)
            fixed_minor = suggestions.average_fixed(costs, query.currency)
            found = []
            bases = await self._read_bases(facts, cost, fixed_minor)
            for each, (base, is_own) in zip(facts, bases, strict=True):
                if own is None:
                    continue
                made = suggestions.suggest(each, cost, own, fixed_minor, base.fixed_minor)
                if made is not None:
                    found.append(replace(made, base=base, is_base_own=is_own))
            pages.append(found)
        return pages

    async def _read_bases(
        self, facts: Sequence[FeeFacts], cost_basis_points: int, fixed_minor: int
    ) -> list[tuple[FeeTerms, bool]]:
        """Read what merchants pay by now, and whether it is their own: terms, else rules.

        Of rules it is what they ask of an average sale of the merchant's, of no category and paid
        by no method in particular: what own terms say, they say of every sale. Where merchants
        bear channels' cost beside, it has that too, as it is on average: own terms take none.
        """
        keys = [(each.merchant, each.currency) for each in facts]
        known = await self._fees.load_fee_versions(keys) if keys else {}
        now = self.clock.now()
        sales = [
            Sale(PLATFORM, each.merchant, _average(each), each.currency, now) for each in facts
        ]
        fees = [each.version for each in await self._pricing.book.find_fees(sales)]
        rules = [
            version._replace(
                basis_points=min(version.basis_points + cost_basis_points, BASIS_POINTS_MAX),
                fixed_minor=version.fixed_minor + fixed_minor,
            )
            if version.is_cost_borne
            else version
            for version in fees
        ]
        return [
            (rule.as_terms(*key, None), False)
            if (own := find_version(known.get(key, ()), now)) is None
            else (own.as_terms(*key, None), True)
            for key, rule in zip(keys, rules, strict=True)
        ]

    async def try_fees(self, trials: Sequence[FeeTrial]) -> list[FeeTrialResult]:
        """Price sales that were by other rules, beside what counted then; nothing is written."""
        return [await self._pricing.attempt(trial) for trial in trials]


def _average(facts: FeeFacts) -> int:
    return max(1, facts.volume_minor // max(1, facts.sold_count))


def _is_counted(facts: FeeFacts) -> bool:
    counts = (facts.volume_minor, facts.sold_count, facts.refunded_count, facts.disputed_count)
    return facts.currency in EXPONENTS and min(counts) >= 0


def _is_cost(cost: ChannelCost) -> bool:
    return (
        0 <= cost.cost_permyriad <= BASIS_POINTS_MAX
        and cost.cost_minor >= 0
        and (cost.currency in EXPONENTS or not cost.cost_minor)
    )
