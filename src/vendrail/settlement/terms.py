"""Fee versions in memory, never stale: they begin later than any memory of them lasts.

New terms and schedules, and what rules ask of merchants and channels, begin at least `LEAD` after
they are written, and a reading is trusted for sales placed at most `TRUST` after it, in every
process; the rest is room for slow commits and clocks that differ.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from vendrail.api.settlement import (
    ChannelCost,
    FeeFacts,
    FeeSchedule,
    FeeScheduleStatus,
    FeeTerms,
    FeeTermsStatus,
    FeeTrial,
    PastSale,
    Sale,
    TriedFee,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Broken
from vendrail.settlement.adjusting import Pending
from vendrail.settlement.fees import (
    ANY_CURRENCY,
    LEAD,
    PLATFORM,
    FeeVersion,
    cost_minor,
    fee_minor,
    find_version,
    is_wellformed,
)
from vendrail.settlement.rules import RuledSale, Schedule, compile_schedule, problem
from vendrail.settlement.store.fees import FeeStore, Since, begins, since
from vendrail.settlement.store.versions import FeeKey

TRUST = timedelta(seconds=3)
WRITE_S_MAX = 3.0  # Writing that takes longer is rolled back.
FACTS_KEPT = timedelta(days=31)  # How far back what was counted is read: late money is later.
_NOTHING_COUNTED = FeeFacts(PLATFORM, "")
PricedSale = Sale | PastSale


class SaleFee(NamedTuple):
    """What one sale is priced by."""

    version: FeeVersion
    cost: ChannelCost | None = None  # Of its channel, where some rule asks for it.


class Knowledge(NamedTuple):
    """What was read for some merchants and currencies; each list newest first."""

    terms: Mapping[FeeKey, Sequence[FeeVersion]]
    schedules: Sequence[Schedule]
    facts: Mapping[FeeKey, Sequence[FeeFacts]]
    tiers: Mapping[UUID, Sequence[Since[int]]]
    costs: Mapping[str, Sequence[Since[ChannelCost]]]

    def find(self, sale: PricedSale) -> SaleFee:
        """Give what counts for a sale: own terms, else the schedule, else the defaults."""
        moment, currency = sale.placed_at, sale.currency
        own = self.terms.get((sale.merchant, currency))
        if own:
            version = find_version(own, moment)
            if version is not None:
                return SaleFee(version)
        for schedule in self.schedules:
            if schedule.valid_from <= moment:
                return self.decide(schedule, sale)
        for key in ((PLATFORM, currency), (PLATFORM, ANY_CURRENCY)):
            version = find_version(self.terms.get(key, ()), moment)
            if version is not None:
                return SaleFee(version)
        raise Broken("The first default has been valid from 1970 on: there is always one.")

    def decide(self, schedule: Schedule, sale: PricedSale) -> SaleFee:
        """Give what a schedule says of a sale, by what was known when it was placed."""
        facts, tier = _NOTHING_COUNTED, 0
        if schedule.asks_facts:
            facts = self._facts_of(sale) or facts
            tier = since(self.tiers.get(sale.merchant, ()), sale.placed_at) or 0
        cost = None
        if schedule.asks_cost:
            cost = since(self.costs.get(sale.channel, ()), sale.placed_at)
        amount = sale.amount_minor
        asked = RuledSale(amount, sale.currency, sale.method, sale.category, tier, facts)
        return SaleFee(schedule.decide(asked), cost)

    def _facts_of(self, sale: PricedSale) -> FeeFacts | None:
        counted = self.facts.get((sale.merchant, sale.currency), ())
        return next((each for each in counted if begins(each) <= sale.placed_at), None)

    def reach_back(self) -> "Knowledge":
        """Let what was counted first hold before it too: for trials on sales that were."""
        first = datetime.fromtimestamp(0, UTC)
        return self._replace(
            facts={
                key: [*each, replace(each[-1], valid_from=first)]
                for key, each in self.facts.items()
            },
            tiers={key: [*each, Since(first, each[-1].value)] for key, each in self.tiers.items()},
            costs={key: [*each, Since(first, each[-1].value)] for key, each in self.costs.items()},
        )


class FeeBook:
    """Finds what sales are priced by; reads each merchant's anew every few seconds."""

    def __init__(self, store: FeeStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._trusted_until: dict[FeeKey, datetime] = {}
        self._terms: dict[FeeKey, Sequence[FeeVersion]] = {}
        self._facts: dict[FeeKey, Sequence[FeeFacts]] = {}
        self._tiers: dict[UUID, Sequence[Since[int]]] = {}
        self._known = Knowledge(self._terms, (), self._facts, self._tiers, {})

    async def find_fees(self, sales: Sequence[Sale], *, is_dearest: bool = False) -> list[SaleFee]:
        """Give what each sale is priced by: as it stood when the sale was placed.

        Nobody knows a channel yet where none is named; `is_dearest` asks for the most it may cost.
        """
        unread: set[FeeKey] = set()
        for sale in sales:
            key = (sale.merchant, sale.currency)
            trusted_until = self._trusted_until.get(key)
            if trusted_until is None or sale.placed_at > trusted_until:
                unread.add(key)
        if unread:
            await self._read(unread)
        find = self._known.find
        fees = [find(sale) for sale in sales]
        if not is_dearest:
            return fees
        pairs = zip(sales, fees, strict=True)
        return [fee if sale.channel else self._with_dearest(sale, fee) for sale, fee in pairs]

    def _with_dearest(self, sale: Sale, fee: SaleFee) -> SaleFee:
        """Add the cost of the channel, of all that are known, that would take most of a sale."""
        known = (since(each, sale.placed_at) for each in self._known.costs.values())
        costs = [each for each in known if each is not None]
        version, amount = fee.version, (sale.amount_minor, sale.currency)
        dearest = max(costs, key=lambda each: cost_minor(version, *amount, each), default=None)
        return fee._replace(cost=dearest)

    async def _read(self, keys: Collection[FeeKey]) -> None:
        read_at = self._clock.now()
        found = await self._store.load_fee_reading(keys, read_at - FACTS_KEPT)
        defaults = {key: each for key, each in found.terms.items() if key[0] == PLATFORM}
        self._terms.update(defaults)
        for key in keys:
            self._terms[key] = found.terms.get(key, ())
            self._facts[key] = found.facts.get(key, ())
            self._tiers[key[0]] = found.tiers.get(key[0], ())
            self._trusted_until[key] = read_at + TRUST
        schedules = [compile_schedule(each) for each in found.schedules]
        self._known = self._known._replace(schedules=schedules, costs=found.costs)

    async def try_rules(self, trial: FeeTrial) -> list[TriedFee]:
        """Price sales that were as they were, and as the rules would have."""
        keys = {(sale.merchant, sale.currency) for sale in trial.sales}
        if not keys:
            return []
        oldest = min(sale.placed_at for sale in trial.sales)
        found = await self._store.load_fee_reading(keys, oldest - FACTS_KEPT, is_whole=True)
        known = Knowledge(
            found.terms,
            [compile_schedule(each) for each in found.schedules],
            found.facts,
            found.tiers,
            found.costs,
        )
        reaching = known.reach_back()
        rules = trial.rules
        tried = compile_schedule(FeeSchedule(PLATFORM, rules, oldest)) if rules else None
        own = {
            (each.merchant, each.currency): SaleFee(_version(each, oldest)) for each in trial.terms
        }
        fees = []
        for sale in trial.sales:
            was, key = known.find(sale), (sale.merchant, sale.currency)
            is_own = key in own or (
                not was.version.rule
                and bool(find_version(found.terms.get(key, ()), sale.placed_at))
            )
            would = own.get(key, was)
            if not is_own and tried is not None:
                would = reaching.decide(tried, sale)
            number = 0 if is_own else would.version.rule
            fees.append(TriedFee(*_amounts(was, sale), *_amounts(would, sale), number))
        return fees


def _version(terms: FeeTerms, valid_from: datetime) -> FeeVersion:
    return FeeVersion(
        0,
        terms.basis_points,
        terms.fixed_minor,
        terms.fee_minor_min,
        terms.is_fee_refunded,
        valid_from,
    )


def _amounts(fee: SaleFee, sale: PastSale) -> tuple[int, int]:
    amount, version = sale.amount_minor, fee.version
    return fee_minor(version, amount), cost_minor(version, amount, sale.currency, fee.cost)


def decide_schedules(
    schedules: Sequence[FeeSchedule], known: Sequence[FeeSchedule], now: datetime
) -> tuple[list[FeeScheduleStatus], list[FeeSchedule]]:
    """Say how writing each schedule ends, item k seeing k−1; give those to be added."""
    standing = list(known)
    statuses: list[FeeScheduleStatus] = []
    added: list[FeeSchedule] = []
    earliest = now + LEAD
    for new in schedules:
        valid_from = new.valid_from or earliest
        same = next((each for each in standing if each.id == new.id), None)
        wrong = problem(new.rules)
        is_naive = valid_from.tzinfo is None
        if same is not None:
            is_same = same.rules == new.rules
            statuses.append(
                FeeScheduleStatus.EXISTS if is_same else FeeScheduleStatus.EXISTS_DIFFERENT
            )
            continue
        if wrong is not None or is_naive:
            statuses.append(wrong or FeeScheduleStatus.FIELD_MALFORMED)
            continue
        before = next((each for each in standing if begins(each) <= valid_from), None)
        if before is not None and before.rules == new.rules:
            statuses.append(FeeScheduleStatus.UNCHANGED)
        elif valid_from < earliest:
            statuses.append(FeeScheduleStatus.BACKDATED)
        else:
            statuses.append(FeeScheduleStatus.CREATED)
            added.append(replace(new, valid_from=valid_from))
            standing.append(added[-1])
            standing.sort(key=begins, reverse=True)
    return statuses, added


class DecidedTerms(NamedTuple):
    """How writing terms ends: what is added, and which adjustments never begin by it."""

    statuses: list[FeeTermsStatus]
    added: list[FeeTerms]
    overtaken: list[UUID]


def decide_terms(
    terms: Sequence[FeeTerms],
    known: Mapping[FeeKey, list[FeeVersion]],
    pending: Mapping[FeeKey, Sequence[Pending]],
    now: datetime,
) -> DecidedTerms:
    """Say how writing each of the terms ends, item k seeing k−1; give those to be added.

    What follows by itself and has not begun would count over them from its day on: it is
    overtaken, and what counts before that day is written again for it.
    """
    standing = {key: list(versions) for key, versions in known.items()}
    coming = {key: list(each) for key, each in pending.items()}
    statuses: list[FeeTermsStatus] = []
    added: list[FeeTerms] = []
    overtaken: list[UUID] = []
    earliest = now + LEAD
    for term in terms:
        if not is_wellformed(term):
            statuses.append(FeeTermsStatus.FIELD_MALFORMED)
            continue
        valid_from = term.valid_from or earliest
        key = (term.merchant, term.currency)
        versions = standing.setdefault(key, [])
        before = find_version(versions, valid_from)
        over = [each for each in coming.get(key, ()) if each.valid_from >= valid_from]
        is_last_word = all(each.valid_from == valid_from for each in over)
        if before is not None and before.says(term) and is_last_word:
            statuses.append(FeeTermsStatus.UNCHANGED)
        elif valid_from < earliest:
            statuses.append(FeeTermsStatus.BACKDATED)
        else:
            statuses.append(FeeTermsStatus.CREATED)
            added.append(replace(term, valid_from=valid_from))
            _insert(versions, _version(term, valid_from))
            for each in over:
                overtaken.append(each.id)
                coming[key].remove(each)
                if each.valid_from > valid_from:
                    stands = next(e for e in versions if e.valid_from < each.valid_from)
                    added.append(stands.as_terms(*key, each.valid_from))
                    _insert(versions, stands._replace(valid_from=each.valid_from))
    return DecidedTerms(statuses, added, overtaken)


def _insert(versions: list[FeeVersion], new: FeeVersion) -> None:
    """Put a version where it belongs, before those that begin with it."""
    place = (at for at, each in enumerate(versions) if each.valid_from <= new.valid_from)
    versions.insert(next(place, len(versions)), new)
