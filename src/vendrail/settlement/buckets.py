"""What falls due later: found for each sale, kept in buckets, released when its moment has come.

A bucket is an account of the ledger, and releasing it moves whatever is left there: so a release is
harmless to repeat, and what refunds took from it before is not released. The row that tells of it
is written before money goes there. For what may come too late it is opened before, and left alone
by releases for a while: wherever that breaks off, no money lies where nobody will look.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.ledger import (
    AccountStatus,
    Chart,
    Ledger,
    Transfer,
    TransferCode,
    TransferId,
)
from vendrail.api.settlement import HoldTerms, HoldTermsStatus, RiskTier, Sale
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import derive
from vendrail.kernel.money import AMOUNT_MINOR_MAX
from vendrail.settlement.fees import LEAD
from vendrail.settlement.holding import (
    Bucket,
    Held,
    HoldVersion,
    find_hold,
    full_hour,
    hold,
    is_wellformed,
)
from vendrail.settlement.refunds import HeldBack
from vendrail.settlement.split import SplitFound
from vendrail.settlement.store.holding import Claim, HoldingStore
from vendrail.settlement.terms import TRUST

_CLAIMED_AT_ONCE = 2_048
_LEASE_S = 30.0
_AGAIN_S = 60.0  # What a reservation keeps in a bucket is looked at again.
_LATE = timedelta(minutes=1)  # A bucket this near to its moment may be closed by who has passed it.


class HoldBook:
    """Hold terms in memory, never stale: they too begin later than any memory of them lasts."""

    def __init__(self, store: HoldingStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._own: dict[UUID, list[HoldVersion]] = {}
        self._tiers: list[HoldVersion] = []
        self._number = 0
        self._trusted_until: datetime | None = None

    async def find(self, sales: Sequence[Sale]) -> dict[UUID, HoldVersion]:
        """Give by order the terms that it was placed under, where these keep anything back."""
        if not sales:
            return {}
        newest = max([sale.placed_at for sale in sales])
        if self._trusted_until is None or newest > self._trusted_until:
            await self._read()
        if not self._number:
            return {}
        found: dict[UUID, HoldVersion] = {}
        for sale in sales:
            version = find_hold(self._own.get(sale.merchant, ()), self._tiers, sale.placed_at)
            if version is not None and version.holds and sale.wallet is None:
                found[sale.order] = version
        return found

    async def _read(self) -> None:
        read_at = self._clock.now()
        for version in await self._store.load_versions_after(self._number):
            versions = (
                self._tiers
                if version.merchant is None
                else self._own.setdefault(version.merchant, [])
            )
            versions.append(version)
            versions.sort(key=lambda each: (each.valid_from, each.number), reverse=True)
            self._number = version.number
        self._trusted_until = read_at + TRUST

    async def read_terms(self, merchants: Sequence[UUID]) -> list[list[HoldTerms]]:
        """Give merchants' versions, newest first."""
        await self._read()
        return [[_terms(each) for each in self._own.get(merchant, ())] for merchant in merchants]

    async def read_tiers(self) -> list[HoldTerms]:
        """Give all versions of all tiers, newest first."""
        await self._read()
        return [_terms(each) for each in self._tiers]


class Buckets:
    """The buckets that this process knows, and how they are filled and released."""

    def __init__(self, store: HoldingStore, clock: Clock, ledger: Ledger) -> None:
        self._store = store
        self._clock = clock
        self._ledger = ledger
        self._book = HoldBook(store, clock)
        self._known: set[Bucket] = set()
        self.terms = self._book

    async def plan(self, sales: Sequence[Sale]) -> dict[UUID, Held]:
        """Say where shares go that are not available at once; costs nothing where none is."""
        found = await self._book.find(sales)
        if not found:
            return {}
        plans: dict[UUID, Held] = {}
        made: dict[tuple[int, UUID, str, int], Held] = {}  # A batch has few, whatever its size.
        for sale in sales:
            version = found.get(sale.order)
            if version is None:
                continue
            paid_at = sale.paid_at or sale.placed_at
            key = (version.number, sale.merchant, sale.currency, full_hour(paid_at))
            held = made.get(key)
            if held is None:
                held = made[key] = hold(version, sale.merchant, sale.currency, paid_at)
            plans[sale.order] = held
        buckets = {bucket for held in made.values() for bucket in held.buckets}
        await self._open(buckets)
        await self.expect(buckets)
        return plans

    async def _open(self, buckets: Collection[Bucket]) -> None:
        """Write down buckets and open their accounts, before any money goes there."""
        new = [bucket for bucket in buckets if bucket not in self._known]
        if not new:
            return
        await self._store.mark_buckets(new)
        wanted = {
            account.id: account
            for bucket in new
            for account in (
                bucket.ledger_account,
                Chart(bucket.currency).merchant(bucket.merchant, "available"),
            )
        }
        accounts = list(wanted.values())
        statuses = await self._ledger.open_accounts(accounts)
        for account, status in zip(accounts, statuses, strict=True):
            if status not in (AccountStatus.CREATED, AccountStatus.EXISTS):
                raise Broken(f"Account {account.name} in {account.currency} is {status}.")
        now = self._clock.now()
        self._known = {bucket for bucket in self._known if bucket.due_at > now}
        self._known.update(new)

    async def fill(self, plans: Mapping[UUID, Held]) -> None:
        """Open again what money has gone to so late that it may have been closed before."""
        made = {id(held): held for held in plans.values()}.values()  # `plan` has shared them.
        await self.reopen([bucket for held in made for bucket in held.buckets])

    async def expect(self, buckets: Collection[Bucket]) -> None:
        """Open buckets for money that is about to come so late that they may be closed.

        They are left alone for a while, or until `reopen` says that it has come.
        """
        if late := self._late(buckets):
            until = self._clock.now() + timedelta(seconds=_AGAIN_S)
            await self._store.mark_buckets(late, until)

    async def reopen(self, buckets: Collection[Bucket]) -> None:
        """Have buckets released once more, as far as their moment has come or is near."""
        if late := self._late(buckets):
            await self._store.mark_buckets(late)

    def _late(self, buckets: Collection[Bucket]) -> set[Bucket]:
        soon = self._clock.now() + _LATE
        return {bucket for bucket in buckets if bucket.due_at <= soon}

    async def release_due(self) -> tuple[int, set[tuple[UUID, str]]]:
        """Release buckets that are due; give how many, and whose money came free."""
        now = self._clock.now()
        claims = await self._store.claim_due(now, _LEASE_S, _CLAIMED_AT_ONCE)
        if not claims:
            return 0, set()
        accounts = [claim.bucket.account for claim in claims]
        balances = await self._ledger.read_balances(accounts)
        there = [0 if balance is None else balance.credit_minor for balance in balances]
        full = [claim for claim, minor in zip(claims, there, strict=True) if minor > 0]
        results = await self._ledger.post_transfers([_release(claim) for claim in full])
        moved = {
            claim.bucket: result.amount_minor if result.is_done else 0
            for claim, result in zip(full, results, strict=True)
        }
        ends = [
            (claim, moved.get(claim.bucket, 0), moved.get(claim.bucket, 0) >= minor)
            for claim, minor in zip(claims, there, strict=True)
        ]
        await self._store.end_claims(ends, self._clock.now(), _AGAIN_S)
        freed = {(bucket.merchant, bucket.currency) for bucket, minor in moved.items() if minor}
        return len(claims), freed


async def find_held_back(
    holding: HoldingStore, found: dict[UUID, SplitFound]
) -> dict[UUID, HeldBack]:
    """Find by refund, or freeze, what of its order's share was not available at once."""
    accounts = {account for split in found.values() for account, _ in split.held_back}
    if not accounts:
        return {}
    buckets = await holding.load_buckets(accounts)
    backs: dict[UUID, HeldBack] = {}
    for id, split in found.items():
        back = HeldBack()
        for account, minor in split.held_back:
            if account not in buckets:
                continue
            if buckets[account].bucket.part == "pending":
                back = back._replace(pending=account, pending_minor=minor)
            else:
                back = back._replace(reserve=account, reserve_minor=minor)
        backs[id] = back
    return backs


def _release(claim: Claim) -> Transfer:
    """Move whatever is left in a bucket."""
    bucket = claim.bucket
    return Transfer(
        TransferId(derive(bucket.id, f"release:{claim.turn}")),
        bucket.account,
        Chart(bucket.currency).merchant(bucket.merchant, "available").id,
        AMOUNT_MINOR_MAX,
        TransferCode.RELEASE,
        bucket.id,
        is_balancing=True,
    )


def _terms(version: HoldVersion) -> HoldTerms:
    return HoldTerms(
        version.merchant,
        version.tier,
        version.pending_hours,
        version.reserve_basis_points,
        version.reserve_days,
        version.valid_from,
    )


def decide_holds(
    terms: Sequence[HoldTerms], known: Sequence[HoldVersion], now: datetime
) -> tuple[list[HoldTermsStatus], list[HoldTerms]]:
    """Say how writing each of the terms ends, item k seeing k−1; give those to be added."""
    standing: dict[tuple[UUID | None, RiskTier | None], list[HoldVersion]] = {}
    for version in known:
        standing.setdefault(_key(version), []).append(version)
    statuses: list[HoldTermsStatus] = []
    added: list[HoldTerms] = []
    earliest = now + LEAD
    for term in terms:
        if not is_wellformed(term):
            statuses.append(HoldTermsStatus.FIELD_MALFORMED)
            continue
        valid_from = term.valid_from or earliest
        versions = standing.setdefault(_key(term), [])
        before = next((each for each in versions if each.valid_from <= valid_from), None)
        if before is not None and before.says(term):
            statuses.append(HoldTermsStatus.UNCHANGED)
        elif valid_from < earliest:
            statuses.append(HoldTermsStatus.BACKDATED)
        else:
            statuses.append(HoldTermsStatus.CREATED)
            added.append(replace(term, valid_from=valid_from))
            new = HoldVersion(
                0,
                term.merchant,
                term.tier,
                term.pending_hours,
                term.reserve_basis_points,
                term.reserve_days,
                valid_from,
            )
            versions.append(new)
            versions.sort(key=lambda each: each.valid_from, reverse=True)
    return statuses, added


def _key(of: HoldVersion | HoldTerms) -> tuple[UUID | None, RiskTier | None]:
    return of.merchant, of.tier if of.merchant is None else None
