"""All SQL of fees: versions of terms and schedules, and what their rules ask for."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from vendrail.api.settlement import ChannelCost, FeeFacts, FeeRule, FeeSchedule, FeeTerms
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, encode, replace
from vendrail.kernel.db import Database, Retry, Transaction
from vendrail.settlement.adjusting import Pending
from vendrail.settlement.fees import ANY_CURRENCY, PLATFORM, FeeVersion
from vendrail.settlement.rules import asks_facts
from vendrail.settlement.settings import SettlementSettings
from vendrail.settlement.store.adjustments import AdjustmentStore, load_pending, overtake
from vendrail.settlement.store.bounds import BoundsStore
from vendrail.settlement.store.versions import FeeKey, insert_fee_versions, load_fee_versions

FeeName = tuple[int, int]  # A version of the schedule and a rule of it, or of terms and 0.
T = TypeVar("T")
FeeDecision = Callable[
    [Mapping[FeeKey, list[FeeVersion]], Mapping[FeeKey, Sequence[Pending]], datetime],
    tuple[list[FeeTerms], list[UUID]],
]
ScheduleDecision = Callable[[list[FeeSchedule], datetime], list[FeeSchedule]]
_EPOCH = datetime.fromtimestamp(0, UTC)


class Since(NamedTuple, Generic[T]):
    """A value, and from when on it counts."""

    valid_from: datetime
    value: T


class FeeReading(NamedTuple):
    """What sales are priced by, as it was read; each list newest first."""

    terms: dict[FeeKey, list[FeeVersion]]
    schedules: list[FeeSchedule]
    facts: dict[FeeKey, list[FeeFacts]]
    tiers: dict[UUID, list[Since[int]]]
    costs: dict[str, list[Since[ChannelCost]]]


def since(values: Sequence[Since[T]], moment: datetime) -> T | None:
    """Choose from values, newest first, the one that counted at the moment."""
    return next((each.value for each in values if each.valid_from <= moment), None)


def begins(each: FeeSchedule | FeeFacts) -> datetime:
    """Say from when on something counts that was read."""
    assert each.valid_from is not None
    return each.valid_from


class FeeStore(BoundsStore):
    """Each method is one transaction; whoever writes versions holds their table alone."""

    def __init__(self, db: Database, clock: Clock, settings: SettlementSettings) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings
        self._has_default = False
        self.public_url = settings.public_url
        self.adjustments = AdjustmentStore(db, clock)

    # Fee terms.

    async def load_fee_versions(self, keys: Collection[FeeKey]) -> dict[FeeKey, list[FeeVersion]]:
        """Load all versions of the keys and of the platform's defaults, newest first."""
        await self._ensure_default()
        async with self._db.reading() as tx:
            return await load_fee_versions(tx, keys)

    async def load_merchants_terms(self, merchants: Sequence[UUID]) -> dict[UUID, list[FeeTerms]]:
        """Load all versions of merchants' terms in all currencies, newest first."""
        await self._ensure_default()
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                "select merchant, currency, basis_points, fixed_minor, fee_minor_min,"
                " is_fee_refunded, valid_from"
                " from settlement.fee_terms where merchant = any($1)"
                " order by valid_from desc, version desc",
                list(merchants),
            )
        found: dict[UUID, list[FeeTerms]] = {}
        for row in rows:
            found.setdefault(row[0], []).append(FeeTerms(*row))
        return found

    async def load_fees_named(
        self, names: Collection[FeeName]
    ) -> dict[FeeName, tuple[UUID, FeeRule, datetime]]:
        """Load what fees were taken by, with whose terms they are: a schedule is the platform's."""
        terms = [number for number, rule in names if not rule]
        ruled = {number for number, rule in names if rule}
        found: dict[FeeName, tuple[UUID, FeeRule, datetime]] = {}
        async with self._db.reading() as tx:
            for row in await tx.fetch(
                "select version, merchant, currency, basis_points, fixed_minor, fee_minor_min,"
                " is_fee_refunded, valid_from from settlement.fee_terms"
                " where version = any($1::bigint[])",
                terms,
            ):
                rule = FeeRule(
                    row["basis_points"],
                    row["fixed_minor"],
                    row["fee_minor_min"],
                    is_fee_refunded=row["is_fee_refunded"],
                    currency="" if row["currency"] == ANY_CURRENCY else row["currency"],
                )
                found[row["version"], 0] = (row["merchant"], rule, row["valid_from"])
            if ruled:
                for each in await _load_schedules(tx, ruled):
                    for number, rule in enumerate(each.rules, 1):
                        found[each.version, number] = (PLATFORM, rule, begins(each))
        return found

    async def add_fee_terms(
        self,
        terms: Sequence[FeeTerms],
        decide: FeeDecision,
        write_s_max: float,
    ) -> None:
        """Show `decide` what stands, with nobody else writing, and add the versions it gives."""
        await self._ensure_default()
        async with self._db.transaction() as tx:
            await tx.execute("lock table settlement.fee_terms in share row exclusive mode")
            began = self._clock.now()
            keys = {(term.merchant, term.currency) for term in terms}
            known = await load_fee_versions(tx, keys)
            added, overtaken = decide(known, await load_pending(tx, keys, began), began)
            await insert_fee_versions(tx, added, began)
            await overtake(tx, overtaken, began)
            if (self._clock.now() - began).total_seconds() > write_s_max:
                raise Retry("Writing fee terms took too long to be safe; try again.")

    # Schedules, and what their rules ask for.

    async def load_fee_reading(
        self, keys: Collection[FeeKey], horizon: datetime, *, is_whole: bool = False
    ) -> FeeReading:
        """Load all that sales of the keys are priced by; what no schedule asks for is left out."""
        await self._ensure_default()
        async with self._db.reading() as tx:
            terms = await load_fee_versions(tx, keys)
            schedules = await _load_schedules(tx)
            rules = [rule for schedule in schedules for rule in schedule.rules]
            found = FeeReading(terms, schedules, {}, {}, {})
            if is_whole or any(asks_facts(rule) for rule in rules):
                found = found._replace(
                    facts=await _load_facts(tx, keys, horizon),
                    tiers=await _load_tiers(tx, {merchant for merchant, _ in keys}),
                )
            if is_whole or any(rule.is_cost_borne for rule in rules):
                found = found._replace(costs=await _load_costs(tx))
            return found

    async def load_schedules(self) -> list[FeeSchedule]:
        """Load all versions of the schedule, newest first."""
        async with self._db.reading() as tx:
            return await _load_schedules(tx)

    async def add_schedules(self, decide: ScheduleDecision, write_s_max: float) -> None:
        """Show `decide` what stands, with nobody else writing, and add the versions it gives."""
        async with self._writing("fee_schedule", write_s_max) as (tx, began):
            added = decide(await _load_schedules(tx), began)
            await tx.execute(
                "insert into settlement.fee_schedule"
                " (id, rules, valid_from, person, reason, made_at)"
                " select id, rules::jsonb, valid_from, person, reason, $6 from unnest($1::uuid[],"
                "  $2::text[], $3::timestamptz[], $4::text[], $5::text[])"
                " as v (id, rules, valid_from, person, reason)",
                [each.id for each in added],
                [encode(each.rules).decode() for each in added],
                [each.valid_from for each in added],
                [each.person for each in added],
                [each.reason for each in added],
                began,
            )

    async def load_facts(
        self, merchants: Sequence[UUID], now: datetime
    ) -> dict[UUID, list[FeeFacts]]:
        """Load what counts of merchants now, by currency."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                "select distinct on (merchant, currency) merchant, currency, volume_minor,"
                " sold_count, refunded_count, disputed_count, 0, valid_from"
                " from settlement.fee_facts where merchant = any($1) and valid_from <= $2"
                " order by merchant, currency, valid_from desc",
                list(merchants),
                now,
            )
            tiers = await _load_tiers(tx, merchants)
        found: dict[UUID, list[FeeFacts]] = {}
        for row in rows:
            tier = since(tiers.get(row[0], ()), now) or 0
            found.setdefault(row[0], []).append(replace(FeeFacts(*row), tier=tier))
        return found

    async def load_counted(self) -> set[FeeKey]:
        """Load of whom something was counted last that is not nothing."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                "select merchant, currency from (select distinct on (merchant, currency)"
                "  merchant, currency, sold_count from settlement.fee_facts"
                "  order by merchant, currency, valid_from desc) f where sold_count > 0"
            )
        return {(row[0], row[1]) for row in rows}

    async def add_facts(
        self, facts: Sequence[FeeFacts], lead: timedelta, write_s_max: float
    ) -> set[FeeKey]:
        """Write what was counted where it differs from what stood; give the keys of it."""
        async with self._writing("fee_facts", write_s_max) as (tx, began):
            rows = await tx.fetch(
                "insert into settlement.fee_facts"
                " select v.merchant, v.currency, $7, v.volume, v.sold, v.refunded, v.disputed"
                " from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[],"
                "  $6::bigint[]) as v (merchant, currency, volume, sold, refunded, disputed)"
                " left join lateral (select * from settlement.fee_facts f"
                "  where f.merchant = v.merchant and f.currency = v.currency"
                "  order by f.valid_from desc limit 1) f on true"
                " where (f.volume_minor, f.sold_count, f.refunded_count, f.disputed_count)"
                "  is distinct from (v.volume, v.sold, v.refunded, v.disputed)"
                " on conflict do nothing returning merchant, currency",
                [each.merchant for each in facts],
                [each.currency for each in facts],
                [each.volume_minor for each in facts],
                [each.sold_count for each in facts],
                [each.refunded_count for each in facts],
                [each.disputed_count for each in facts],
                began + lead,
            )
        return {(row[0], row[1]) for row in rows}

    async def load_tiers(self, merchants: Sequence[UUID]) -> dict[UUID, int]:
        """Load the tiers that were written last."""
        async with self._db.reading() as tx:
            found = await _load_tiers(tx, merchants)
        return {merchant: tiers[0].value for merchant, tiers in found.items()}

    async def add_tiers(
        self, tiers: Sequence[tuple[UUID, int]], lead: timedelta, write_s_max: float
    ) -> set[UUID]:
        """Write tiers where they differ from what stood; give whose."""
        async with self._writing("merchant_tier", write_s_max) as (tx, began):
            rows = await tx.fetch(
                "insert into settlement.merchant_tier as t"
                " select v.merchant, $3, v.tier from unnest($1::uuid[], $2::int[])"
                "  as v (merchant, tier)"
                " left join lateral (select tier from settlement.merchant_tier f"
                "  where f.merchant = v.merchant order by f.valid_from desc limit 1) f on true"
                " where v.tier <> coalesce(f.tier, 0)"
                " on conflict (merchant, valid_from) do update set tier = excluded.tier"
                " returning merchant",
                [merchant for merchant, _ in tiers],
                [tier for _, tier in tiers],
                began + lead,
            )
        return {row[0] for row in rows}

    async def add_costs(
        self, costs: Sequence[ChannelCost], lead: timedelta, write_s_max: float
    ) -> set[str]:
        """Write channels' costs where they differ from what stood; give whose."""
        async with self._writing("channel_cost", write_s_max) as (tx, began):
            rows = await tx.fetch(
                "insert into settlement.channel_cost"
                " select v.channel, $6, v.part, v.fixed, v.currency, v.currencies"
                " from unnest($1::text[], $2::int[], $3::bigint[], $4::text[], $5::text[])"
                "  as v (channel, part, fixed, currency, currencies)"
                " left join lateral (select * from settlement.channel_cost f"
                "  where f.channel = v.channel order by f.valid_from desc limit 1) f on true"
                " where (f.cost_permyriad, f.cost_minor, f.currency, f.currencies)"
                "  is distinct from (v.part, v.fixed, v.currency, v.currencies)"
                " on conflict do nothing returning channel",
                [each.channel for each in costs],
                [each.cost_permyriad for each in costs],
                [each.cost_minor for each in costs],
                [each.currency for each in costs],
                [",".join(each.currencies) for each in costs],
                began + lead,
            )
        return {row[0] for row in rows}

    @asynccontextmanager
    async def _writing(
        self, table: str, write_s_max: float
    ) -> AsyncIterator[tuple[Transaction, datetime]]:
        """Hold a table of versions alone, and roll back what takes too long to be safe."""
        async with self._db.transaction() as tx:
            await tx.execute(f"lock table settlement.{table} in share row exclusive mode")
            began = self._clock.now()
            yield tx, began
            if (self._clock.now() - began).total_seconds() > write_s_max:
                raise Retry("Writing what fees go by took too long to be safe; try again.")

    async def _ensure_default(self) -> None:
        """Write the platform's first default, from the settings, where there is none yet."""
        if self._has_default:
            return
        async with self._db.transaction() as tx:
            known = await load_fee_versions(tx, ())
            if (PLATFORM, ANY_CURRENCY) not in known:
                await tx.execute("lock table settlement.fee_terms in share row exclusive mode")
                known = await load_fee_versions(tx, ())
            if (PLATFORM, ANY_CURRENCY) not in known:
                first = FeeTerms(
                    PLATFORM,
                    ANY_CURRENCY,
                    self._settings.default_basis_points,
                    is_fee_refunded=self._settings.is_default_fee_refunded,
                    valid_from=_EPOCH,
                )
                await insert_fee_versions(tx, [first], self._clock.now())
        self._has_default = True


async def _load_schedules(
    tx: Transaction, versions: Collection[int] | None = None
) -> list[FeeSchedule]:
    rows = await tx.fetch(
        "select id, rules::text, valid_from, person, reason, version, made_at"
        " from settlement.fee_schedule where $1::bigint[] is null or version = any($1)"
        " order by valid_from desc, version desc",
        None if versions is None else list(versions),
    )
    return [FeeSchedule(row[0], decode(row[1], list[FeeRule]), *row[2:]) for row in rows]


async def _load_facts(
    tx: Transaction, keys: Collection[FeeKey], horizon: datetime
) -> dict[FeeKey, list[FeeFacts]]:
    """Load what was counted since the horizon, and what counted at it; newest first."""
    rows = await tx.fetch(
        "select f.merchant, f.currency, f.volume_minor, f.sold_count, f.refunded_count,"
        " f.disputed_count, 0, f.valid_from"
        " from unnest($1::uuid[], $2::text[]) as k (merchant, currency)"
        " join settlement.fee_facts f on f.merchant = k.merchant and f.currency = k.currency"
        " where f.valid_from >= coalesce((select max(b.valid_from) from settlement.fee_facts b"
        "  where b.merchant = k.merchant and b.currency = k.currency and b.valid_from <= $3),"
        "  '-infinity')"
        " order by f.valid_from desc",
        [key[0] for key in keys],
        [key[1] for key in keys],
        horizon,
    )
    found: dict[FeeKey, list[FeeFacts]] = {}
    for row in rows:
        found.setdefault((row[0], row[1]), []).append(FeeFacts(*row))
    return found


async def _load_tiers(tx: Transaction, merchants: Collection[UUID]) -> dict[UUID, list[Since[int]]]:
    rows = await tx.fetch(
        "select merchant, valid_from, tier from settlement.merchant_tier"
        " where merchant = any($1::uuid[]) order by valid_from desc",
        list(merchants),
    )
    found: dict[UUID, list[Since[int]]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(Since(row[1], row[2]))
    return found


async def _load_costs(tx: Transaction) -> dict[str, list[Since[ChannelCost]]]:
    rows = await tx.fetch(
        "select valid_from, channel, cost_permyriad, cost_minor, currency"
        " from settlement.channel_cost order by valid_from desc"
    )
    found: dict[str, list[Since[ChannelCost]]] = {}
    for row in rows:
        found.setdefault(row[1], []).append(Since(row[0], ChannelCost(*row[1:])))
    return found
