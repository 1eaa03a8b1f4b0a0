"""The SQL of what falls due later: versions of hold terms, and buckets."""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, cast
from uuid import UUID

from vendrail.api.ledger import BucketPart
from vendrail.api.settlement import HoldTerms, RiskTier, SettlementHealth
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database, Retry, Row, Transaction
from vendrail.settlement.holding import Bucket, HoldVersion

HoldDecision = Callable[[list[HoldVersion], datetime], list[HoldTerms]]
_VERSION = (
    "select version, merchant, tier, pending_hours, reserve_basis_points, reserve_days, valid_from"
    " from settlement.hold_terms"
)
_BUCKET = "merchant, currency, part, due_at"
_OVERDUE = timedelta(minutes=1)
_EVER = datetime.min.replace(tzinfo=UTC)

# Each goes by an index of open buckets alone: what is released costs nothing, however much it is.
CLAIM_DUE = f"""
    update settlement.bucket b set turn = b.turn + 1, claimed_until = $2
      from (select account from settlement.bucket
             where is_open and due_at <= $1 and (claimed_until is null or claimed_until <= $1)
             order by due_at limit $3 for update skip locked) due
     where b.account = due.account returning {_BUCKET}, turn
"""  # noqa: S608 - constants of this file
LIST_OPEN = f"""
    select {_BUCKET} from settlement.bucket
     where is_open and (merchant, currency, due_at) >= ($1, $2, $3)
       and (merchant, currency, due_at, part) > ($1, $2, $3, $4)
     order by merchant, currency, due_at, part limit $5
"""  # noqa: S608 - constants of this file
COUNT_OPEN = """
    select count(*), count(*) filter (where due_at <= $1), min(due_at) filter (where due_at <= $1)
      from settlement.bucket where is_open
"""


class Claim(NamedTuple):
    """A bucket that is due, and the turn at which it was taken."""

    bucket: Bucket
    turn: int


class KeptBucket(NamedTuple):
    """A bucket as it stands."""

    bucket: Bucket
    is_open: bool
    released_at: datetime | None


class HoldingStore:
    """Each method is one transaction, and none calls anyone while it is open."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def load_versions_after(self, number: int) -> list[HoldVersion]:
        """Load what was written since; writers take turns, so that none comes in between."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(f"{_VERSION} where version > $1 order by version", number)
        return [_version(row) for row in rows]

    async def add_hold_terms(self, decide: HoldDecision, write_s_max: float) -> None:
        """Show `decide` what stands, with nobody else writing, and add the versions it gives."""
        async with self._db.transaction() as tx:
            await tx.execute("lock table settlement.hold_terms in share row exclusive mode")
            began = self._clock.now()
            rows = await tx.fetch(f"{_VERSION} order by valid_from desc, version desc")
            added = decide([_version(row) for row in rows], began)
            await _insert_versions(tx, added, began)
            if (self._clock.now() - began).total_seconds() > write_s_max:
                raise Retry("Writing hold terms took too long to be safe; try again.")

    # Buckets.

    async def mark_buckets(
        self, buckets: Collection[Bucket], left_until: datetime | None = None
    ) -> None:
        """Make sure that buckets are there and will be looked at when they are due.

        What is due already is left alone until then, if that is said.
        """
        ordered = sorted(set(buckets))
        async with self._db.reading() as tx:
            await tx.execute(
                "insert into settlement.bucket as b (account, merchant, currency, part, due_at,"
                "  claimed_until)"
                " select *, $6 from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[],"
                " $5::timestamptz[]) as v (account, merchant, currency, part, due_at)"
                " order by account"
                " on conflict (account) do update"
                " set is_open = true, turn = b.turn + 1, claimed_until = $6",
                [bucket.account for bucket in ordered],
                [bucket.merchant for bucket in ordered],
                [bucket.currency for bucket in ordered],
                [bucket.part for bucket in ordered],
                [bucket.due_at for bucket in ordered],
                left_until,
            )

    async def claim_due(self, now: datetime, lease_s: float, buckets_max: int) -> list[Claim]:
        """Take buckets that are due, the oldest first; another process takes others."""
        async with self._db.transaction() as tx:
            until = now + timedelta(seconds=lease_s)
            rows = await tx.fetch(CLAIM_DUE, now, until, buckets_max)
        return [Claim(_bucket(row), row[4]) for row in rows]

    async def end_claims(
        self, ends: Sequence[tuple[Claim, int, bool]], now: datetime, again_s: float
    ) -> None:
        """Write what was released; close what is empty, unless something came meanwhile."""
        async with self._db.reading() as tx:
            await tx.execute(
                "update settlement.bucket b"
                " set released_minor = b.released_minor + v.moved,"
                "  released_at = case when v.moved > 0 then $5"
                "   else coalesce(b.released_at, $5) end,"
                "  is_open = b.is_open and (b.turn <> v.turn or not v.is_empty),"
                "  claimed_until = case when b.turn <> v.turn then b.claimed_until"
                "   when v.is_empty then null else $6 end"
                " from unnest($1::uuid[], $2::int[], $3::bigint[], $4::boolean[])"
                " as v (account, turn, moved, is_empty) where b.account = v.account",
                [claim.bucket.account for claim, _, _ in ends],
                [claim.turn for claim, _, _ in ends],
                [moved for _, moved, _ in ends],
                [is_empty for _, _, is_empty in ends],
                now,
                now + timedelta(seconds=again_s),
            )

    async def read_health(self, now: datetime) -> SettlementHealth:
        """Count what waits, and what waits beyond its moment."""
        async with self._db.reading() as tx:
            row = await tx.fetch_row(COUNT_OPEN, now - _OVERDUE)
        assert row is not None
        return SettlementHealth(*row)

    async def load_open_after(self, last: Bucket | None, buckets_max: int) -> list[Bucket]:
        """Load a page of all buckets that are not released, a merchant's together."""
        behind = last or Bucket(UUID(int=0), "", "pending", _EVER)
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                LIST_OPEN, behind.merchant, behind.currency, behind.due_at, behind.part, buckets_max
            )
        return [_bucket(row) for row in rows]

    async def load_buckets(self, accounts: Collection[UUID]) -> dict[UUID, KeptBucket]:
        """Load buckets by their accounts."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                f"select {_BUCKET}, is_open, released_at, account from settlement.bucket"  # noqa: S608
                " where account = any($1)",
                list(accounts),
            )
        return {row[6]: KeptBucket(_bucket(row), row[4], row[5]) for row in rows}

    async def load_open_buckets(
        self, keys: Collection[tuple[UUID, str]]
    ) -> dict[tuple[UUID, str], list[Bucket]]:
        """Load merchants' buckets that are not released, in the order in which they fall due."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                f"select {_BUCKET} from settlement.bucket where is_open"  # noqa: S608
                " and (merchant, currency) in (select * from unnest($1::uuid[], $2::text[]))"
                " order by due_at, part",
                [key[0] for key in keys],
                [key[1] for key in keys],
            )
        found: dict[tuple[UUID, str], list[Bucket]] = {}
        for row in rows:
            found.setdefault((row[0], row[1]), []).append(_bucket(row))
        return found


def _version(row: Row) -> HoldVersion:
    number, merchant, tier, *rest = row
    return HoldVersion(number, merchant, RiskTier(tier) if tier else None, *rest)


def _bucket(row: Row) -> Bucket:
    return Bucket(row[0], row[1], cast("BucketPart", row[2]), row[3])


async def _insert_versions(tx: Transaction, terms: Sequence[HoldTerms], made_at: datetime) -> None:
    await tx.execute(
        "insert into settlement.hold_terms (merchant, tier, pending_hours, reserve_basis_points,"
        " reserve_days, valid_from, made_at)"
        " select *, $7 from unnest($1::uuid[], $2::text[], $3::int[], $4::int[], $5::int[],"
        " $6::timestamptz[])",
        [term.merchant for term in terms],
        [None if term.tier is None else str(term.tier) for term in terms],
        [term.pending_hours for term in terms],
        [term.reserve_basis_points for term in terms],
        [term.reserve_days for term in terms],
        [term.valid_from for term in terms],
        made_at,
    )
