"""When a merchant's share becomes theirs to use: now, after hours, or after days. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from vendrail.api.ledger import Account, AccountId, BucketPart, Chart
from vendrail.api.settlement import HoldTerms, RiskTier
from vendrail.kernel.ids import derive, first_id_at, shard_of
from vendrail.kernel.money import portion

HOURS_MAX = 90 * 24
DAYS_MAX = 365
_BASIS_POINTS_MAX = 10_000
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_START = datetime(2020, 1, 1, tzinfo=UTC)  # Hours and days are counted from here.


class HoldVersion(NamedTuple):
    """One version of hold terms as it stands: a merchant's own, a merchant's tier, or a tier's."""

    number: int
    merchant: UUID | None
    tier: RiskTier | None
    pending_hours: int
    reserve_basis_points: int
    reserve_days: int
    valid_from: datetime

    @property
    def holds(self) -> bool:
        """Whether anything of a share is kept back."""
        return bool(self.pending_hours or self.reserve_basis_points)

    def says(self, terms: HoldTerms) -> bool:
        """Tell whether these terms would change nothing but the moment."""
        return (
            self.tier is terms.tier
            and self.pending_hours == terms.pending_hours
            and self.reserve_basis_points == terms.reserve_basis_points
            and self.reserve_days == terms.reserve_days
        )


class Bucket(NamedTuple):
    """Money of one merchant that falls due in one moment."""

    merchant: UUID
    currency: str
    part: BucketPart
    due_at: datetime

    @property
    def ledger_account(self) -> Account:
        """The account whose balance is what is left to release."""
        return Chart(self.currency).bucket(self.merchant, self.part, self.due_at)

    @property
    def account(self) -> AccountId:
        """That account's id."""
        return self.ledger_account.id

    @property
    def id(self) -> UUID:
        """What its releases are booked under: in the time order of the moment it falls due.

        By the account, not by its name: that is the same in every currency.
        """
        head = first_id_at(self.due_at).int | (7 << 12 | shard_of(self.merchant)) << 64
        return derive(UUID(int=head), str(self.account))


class Held(NamedTuple):
    """Where the share of a sale goes that is not all available at once."""

    version: HoldVersion
    pending: Bucket | None
    reserve: Bucket | None
    pending_account: AccountId | None  # Found once: many sales share them.
    reserve_account: AccountId | None

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """The buckets that it needs."""
        return tuple(bucket for bucket in (self.pending, self.reserve) if bucket is not None)


def is_wellformed(terms: HoldTerms) -> bool:
    """Tell whether terms can be kept: within bounds, and saying one thing."""
    if terms.merchant is None and terms.tier is None:
        return False
    figures = (terms.pending_hours, terms.reserve_basis_points, terms.reserve_days)
    if terms.merchant is not None and terms.tier is not None and any(figures):
        return False  # Whoever follows a tier has no figures of their own.
    return (
        0 <= terms.pending_hours <= HOURS_MAX
        and 0 <= terms.reserve_basis_points <= _BASIS_POINTS_MAX
        and 0 <= terms.reserve_days <= DAYS_MAX
        and (terms.reserve_basis_points == 0) == (terms.reserve_days == 0)
        and (terms.valid_from is None or terms.valid_from.tzinfo is not None)
    )


def hold(version: HoldVersion, merchant: UUID, currency: str, paid_at: datetime) -> Held:
    """Say when the parts of a sale's share fall due, counted from the payment.

    Hours end with the full hour, days with the full day (UTC), so that what ends together is
    released together: for all that was paid until one full hour, it is the same.
    """
    pending = reserve = None
    if version.pending_hours:
        due_at = _ceil(paid_at + version.pending_hours * _HOUR, _HOUR)
        pending = Bucket(merchant, currency, "pending", due_at)
    if version.reserve_basis_points:
        due_at = _ceil(paid_at + version.reserve_days * _DAY, _DAY)
        reserve = Bucket(merchant, currency, "reserve", due_at)
    return Held(
        version,
        pending,
        reserve,
        pending.account if pending is not None else None,
        reserve.account if reserve is not None else None,
    )


def divide(share_minor: int, held: Held, available: AccountId) -> list[tuple[AccountId, int]]:
    """Divide a share among its accounts; no part is zero, and the parts sum to the whole."""
    rest, reserve = held.pending_account or available, held.reserve_account
    if reserve is None:
        return [(rest, share_minor)] if share_minor else []
    reserve_minor = portion(share_minor, held.version.reserve_basis_points)
    parts = ((rest, share_minor - reserve_minor), (reserve, reserve_minor))
    return [part for part in parts if part[1]]


def find_hold(
    own: Sequence[HoldVersion], tiers: Sequence[HoldVersion], moment: datetime
) -> HoldVersion | None:
    """Choose the terms that were valid at the moment; both newest first. None: available now."""
    mine = next((version for version in own if version.valid_from <= moment), None)
    if mine is not None and mine.tier is None:
        return mine
    tier = mine.tier if mine is not None else RiskTier.STANDARD
    return next(
        (each for each in tiers if each.tier is tier and each.valid_from <= moment),
        None,
    )


def full_hour(moment: datetime) -> int:
    """Number the full hour that a moment comes before, or is."""
    return -((_START - moment) // _HOUR)


def _ceil(moment: datetime, step: timedelta) -> datetime:
    return _START + -((_START - moment) // step) * step
