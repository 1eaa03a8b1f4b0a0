"""Fee versions in memory, never stale: terms begin later than any memory of them lasts.

New terms begin at least `LEAD` after they are written, and a reading is trusted for sales placed at
most `TRUST` after it, in every process; the rest is room for slow commits and clocks that differ.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from vendrail.api.settlement import FeeTerms, FeeTermsStatus, Sale
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import replace
from vendrail.settlement.fees import (
    ANY_CURRENCY,
    PLATFORM,
    FeeVersion,
    find_version,
    is_wellformed,
)
from vendrail.settlement.store import FeeKey, Store

LEAD = timedelta(seconds=10)
TRUST = timedelta(seconds=3)
WRITE_S_MAX = 3.0  # Writing that takes longer is rolled back.


class _Known(NamedTuple):
    versions: Sequence[FeeVersion]  # The merchant's own, newest first, then the defaults.
    trusted_until: datetime


class FeeBook:
    """Finds the version of a sale's fee terms; reads each merchant's anew every few seconds."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[FeeKey, _Known] = {}

    async def find_versions(self, sales: Sequence[Sale]) -> list[FeeVersion]:
        """Give the version each sale was placed under."""
        known = self._known
        unread: set[FeeKey] = set()
        for sale in sales:
            key = (sale.merchant, sale.currency)
            entry = known.get(key)
            if entry is None or sale.placed_at > entry.trusted_until:
                unread.add(key)
        if unread:
            await self._read(unread)
        return [
            self._find(known[sale.merchant, sale.currency].versions, sale.placed_at)
            for sale in sales
        ]

    def _find(self, versions: Sequence[FeeVersion], moment: datetime) -> FeeVersion:
        found = find_version(versions, moment)
        # The first default has been valid from 1970 on: there is always one.
        assert found is not None
        return found

    async def _read(self, keys: Collection[FeeKey]) -> None:
        read_at = self._clock.now()
        own = await self._store.load_fee_versions(keys)
        for merchant, currency in keys:
            ladder = ((merchant, currency), (PLATFORM, currency), (PLATFORM, ANY_CURRENCY))
            versions = [version for key in ladder for version in own.get(key, ())]
            self._known[merchant, currency] = _Known(versions, read_at + TRUST)


def decide_terms(
    terms: Sequence[FeeTerms], known: Mapping[FeeKey, list[FeeVersion]], now: datetime
) -> tuple[list[FeeTermsStatus], list[FeeTerms]]:
    """Say how writing each of the terms ends, item k seeing k−1; give those to be added."""
    standing = {key: list(versions) for key, versions in known.items()}
    statuses: list[FeeTermsStatus] = []
    added: list[FeeTerms] = []
    earliest = now + LEAD
    for term in terms:
        if not is_wellformed(term):
            statuses.append(FeeTermsStatus.FIELD_MALFORMED)
            continue
        valid_from = term.valid_from or earliest
        versions = standing.setdefault((term.merchant, term.currency), [])
        before = find_version(versions, valid_from)
        if before is not None and before.says(term):
            statuses.append(FeeTermsStatus.UNCHANGED)
        elif valid_from < earliest:
            statuses.append(FeeTermsStatus.BACKDATED)
        else:
            statuses.append(FeeTermsStatus.CREATED)
            added.append(replace(term, valid_from=valid_from))
            place = next(
                (at for at, each in enumerate(versions) if each.valid_from <= valid_from),
                len(versions),
            )
            versions.insert(
                place,
                FeeVersion(
                    0,
                    term.basis_points,
                    term.fixed_minor,
                    term.fee_minor_min,
                    term.is_fee_refunded,
                    valid_from,
                ),
            )
    return statuses, added
