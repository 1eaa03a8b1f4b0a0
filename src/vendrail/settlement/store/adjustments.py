"""All SQL of suggestions that are applied by themselves."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.api.settlement import (
    FeeAdjustment,
    FeeAdjustmentQuery,
    FeeAdjustmentStatus,
    FeeAllowance,
    FeePart,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.db import Database, Retry, Row, Transaction
from vendrail.kernel.ids import new_id
from vendrail.settlement.adjusting import Adjusted, Pending, find_allowance, take_back
from vendrail.settlement.fees import FeeVersion
from vendrail.settlement.store.versions import FeeKey, insert_fee_versions, load_fee_versions

_ADJUSTMENT = (
    "id, merchant, currency, before_basis_points, basis_points, parts::text, made_at, valid_from,"
    " taken_back_at, overtaken_at"
)
_LISTED_MAX = 200
Decision = Callable[[Mapping[FeeKey, Sequence[FeeVersion]], "Allowed", datetime], list[Adjusted]]


class Allowed(NamedTuple):
    """What was said of whom."""

    merchants: Mapping[UUID, FeeAllowance]
    tiers: Mapping[int, FeeAllowance]
    tier_of: Mapping[UUID, int]

    def find(self, merchant: UUID) -> FeeAllowance:
        """Give what holds for a merchant."""
        tier = self.tier_of.get(merchant, 0)
        return find_allowance(self.merchants.get(merchant), self.tiers, tier)


def _adjustment(row: Row) -> FeeAdjustment:
    values = list(row)
    values[5] = decode(values[5], list[FeePart])
    return FeeAdjustment(*values)


class AdjustmentStore:
    """Each method is one transaction; whoever writes versions of terms holds their table alone."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def put_allowance(self, allowance: FeeAllowance) -> bool:
        """Write what is said of a merchant or a tier; false: it stands so already."""
        async with self._db.transaction() as tx:
            return await _put_allowance(tx, allowance)

    async def load_allowed(self, merchants: Collection[UUID]) -> Allowed:
        """Load what was said of merchants, and of all tiers."""
        async with self._db.reading() as tx:
            return await _load_allowed(tx, merchants)

    async def is_any_allowed(self) -> bool:
        """Tell whether anybody's suggestions are applied at all."""
        async with self._db.reading() as tx:
            return bool(
                await tx.fetch_value(
                    "select exists (select 1 from settlement.fee_allowance where is_allowed)"
                )
            )

    async def add_adjustments(
        self, keys: Collection[FeeKey], decide: Decision, write_s_max: float
    ) -> int:
        """Show `decide` what stands, with nobody else writing, and apply what it gives."""
        async with self._db.transaction() as tx:
            await tx.execute("lock table settlement.fee_terms in share row exclusive mode")
            began = self._clock.now()
            allowed = await _load_allowed(tx, {merchant for merchant, _ in keys})
            added = decide(await load_fee_versions(tx, keys), allowed, began)
            await insert_fee_versions(tx, [each.terms for each in added], began)
            await tx.execute(
                "insert into settlement.fee_adjustment (id, merchant, currency,"
                " before_basis_points, basis_points, parts, made_at, valid_from)"
                " select id, merchant, currency, was, points, parts::jsonb, $8, valid_from"
                " from unnest($1::uuid[], $2::uuid[], $3::text[], $4::int[], $5::int[],"
                "  $6::text[], $7::timestamptz[])"
                " as v (id, merchant, currency, was, points, parts, valid_from)",
                [new_id(began) for _ in added],
                [each.terms.merchant for each in added],
                [each.terms.currency for each in added],
                [each.before.basis_points for each in added],
                [each.terms.basis_points for each in added],
                [encode(each.suggestion.parts).decode() for each in added],
                [each.terms.valid_from for each in added],
                began,
            )
            if (self._clock.now() - began).total_seconds() > write_s_max:
                raise Retry("Writing fee terms took too long to be safe; try again.")
        return len(added)

    async def list_adjustments(self, query: FeeAdjustmentQuery) -> list[FeeAdjustment]:
        """Read a page of what was applied, the newest first, by an index."""
        whose = "true" if query.merchant is None else "merchant = $3"
        values = [] if query.merchant is None else [query.merchant]
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                f"select {_ADJUSTMENT} from settlement.fee_adjustment"  # noqa: S608 - constants
                f" where ($1::uuid is null or id < $1) and {whose} order by id desc limit $2",
                query.before,
                max(0, min(query.adjustments_max, _LISTED_MAX)),
                *values,
            )
        return [_adjustment(row) for row in rows]

    async def list_untold(self, rows_max: int) -> list[FeeAdjustment]:
        """Read what nobody was told of, or not of its taking back, oldest first."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                f"select {_ADJUSTMENT} from settlement.fee_adjustment"  # noqa: S608 - a constant
                " where told_at is null order by id limit $1",
                rows_max,
            )
        return [_adjustment(row) for row in rows]

    async def note_told(self, told: Sequence[FeeAdjustment]) -> None:
        """Note that merchants were told; what was ended meanwhile is looked at again."""
        async with self._db.transaction() as tx:
            await tx.execute(
                "update settlement.fee_adjustment a set told_at = $4"
                " from unnest($1::uuid[], $2::boolean[], $3::boolean[]) as v (id, is_back, is_over)"
                " where a.id = v.id and told_at is null"
                "  and (a.taken_back_at is not null) = v.is_back"
                "  and (a.overtaken_at is not null) = v.is_over",
                [each.id for each in told],
                [each.taken_back_at is not None for each in told],
                [each.overtaken_at is not None for each in told],
                self._clock.now(),
            )

    async def take_back(self, id: UUID, write_s_max: float) -> FeeAdjustmentStatus:
        """Let what stood before count again, and apply nothing to that merchant any more."""
        async with self._db.transaction() as tx:
            await tx.execute("lock table settlement.fee_terms in share row exclusive mode")
            began = self._clock.now()
            rows = await tx.fetch(
                f"select {_ADJUSTMENT} from settlement.fee_adjustment"  # noqa: S608 - a constant
                " where id = $1 for update",
                id,
            )
            if not rows:
                return FeeAdjustmentStatus.NOT_FOUND
            made = _adjustment(rows[0])
            if made.taken_back_at is not None:
                return FeeAdjustmentStatus.EXISTS
            if made.overtaken_at is not None:
                return FeeAdjustmentStatus.FOLLOWED
            key = (made.merchant, made.currency)
            versions = (await load_fee_versions(tx, {key})).get(key, [])
            terms = take_back(made.valid_from, made.basis_points, key, versions, began)
            if terms is None:
                return FeeAdjustmentStatus.FOLLOWED
            await insert_fee_versions(tx, [terms], began)
            await tx.execute(
                "update settlement.fee_adjustment set taken_back_at = $2, told_at = null"
                " where id = $1",
                id,
                began,
            )
            allowed = await _load_allowed(tx, {made.merchant})
            days = allowed.find(made.merchant).notice_days
            await _put_allowance(
                tx, FeeAllowance(made.merchant, is_allowed=False, notice_days=days)
            )
            if (self._clock.now() - began).total_seconds() > write_s_max:
                raise Retry("Writing fee terms took too long to be safe; try again.")
        return FeeAdjustmentStatus.TAKEN_BACK


async def load_pending(
    tx: Transaction, keys: Collection[FeeKey], now: datetime
) -> dict[FeeKey, list[Pending]]:
    """Read what has not begun of the keys; whoever reads it holds the table of versions."""
    rows = await tx.fetch(
        "select merchant, currency, id, valid_from from settlement.fee_adjustment"
        " where (merchant, currency) in (select * from unnest($1::uuid[], $2::text[]))"
        " and valid_from > $3 and taken_back_at is null and overtaken_at is null"
        " order by valid_from",
        [key[0] for key in keys],
        [key[1] for key in keys],
        now,
    )
    found: dict[FeeKey, list[Pending]] = {}
    for row in rows:
        found.setdefault((row[0], row[1]), []).append(Pending(row[2], row[3]))
    return found


async def overtake(tx: Transaction, ids: Sequence[UUID], now: datetime) -> None:
    """Note which adjustments never begin."""
    await tx.execute(
        "update settlement.fee_adjustment set overtaken_at = $2 where id = any($1::uuid[])",
        list(ids),
        now,
    )


async def _put_allowance(tx: Transaction, allowance: FeeAllowance) -> bool:
    """Write one, or take a merchant's own word away; rivals take turns on its row."""
    if allowance.is_allowed is None:
        return bool(
            await tx.execute(
                "delete from settlement.fee_allowance where merchant = $1", allowance.merchant
            )
        )
    whose = "tier" if allowance.merchant is None else "merchant"
    rows = await tx.fetch(
        "insert into settlement.fee_allowance as a (merchant, tier, is_allowed, notice_days)"  # noqa: S608
        f" values ($1, $2, $3, $4) on conflict ({whose}) do update"
        " set is_allowed = $3, notice_days = $4"
        " where (a.is_allowed, a.notice_days) is distinct from ($3, $4) returning 1",
        allowance.merchant,
        allowance.tier,
        allowance.is_allowed,
        allowance.notice_days,
    )
    return bool(rows)


async def _load_allowed(tx: Transaction, merchants: Collection[UUID]) -> Allowed:
    rows = await tx.fetch(
        "select merchant, tier, is_allowed, notice_days from settlement.fee_allowance"
        " where tier is not null or merchant = any($1::uuid[])",
        list(merchants),
    )
    found = [FeeAllowance(*row) for row in rows]
    tiers = await tx.fetch(
        "select distinct on (merchant) merchant, tier from settlement.merchant_tier"
        " where merchant = any($1::uuid[]) order by merchant, valid_from desc",
        list(merchants),
    )
    return Allowed(
        {each.merchant: each for each in found if each.merchant is not None},
        {each.tier: each for each in found if each.tier is not None},
        {row[0]: row[1] for row in tiers},
    )
