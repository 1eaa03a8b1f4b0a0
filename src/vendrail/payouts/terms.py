"""What payouts cost and when a person looks at them: what was written, else the settings."""

from collections.abc import Sequence

from vendrail.api.payouts import PayoutTerms, ScheduleKind, TermsPutStatus
from vendrail.kernel.money import AMOUNT_MINOR_MAX, EXPONENTS
from vendrail.payouts.settings import PayoutsSettings
from vendrail.payouts.store import Database
from vendrail.payouts.store import terms as terms_store

LOOK_MINUTES_MAX = 24 * 60


class Terms:
    """The terms of each currency."""

    def __init__(self, db: Database, settings: PayoutsSettings) -> None:
        self._db = db
        self._settings = settings

    async def read(self, currencies: Sequence[str]) -> list[PayoutTerms]:
        """Read the terms of currencies."""
        async with self._db.reading() as tx:
            known = await terms_store.load_terms(tx, set(currencies))
        return [known.get(each) or self._default(each) for each in currencies]

    def _default(self, currency: str) -> PayoutTerms:
        own = self._settings
        return PayoutTerms(currency, own.amount_minor_min, own.fee_minor, own.review_above_minor)

    async def put(self, terms: Sequence[PayoutTerms]) -> list[TermsPutStatus]:
        """Write terms of currencies, each by itself."""
        statuses = []
        for new in terms:
            if not _is_wellformed(new):
                statuses.append(TermsPutStatus.FIELD_MALFORMED)
                continue
            [standing] = await self.read([new.currency])
            if standing == new:
                statuses.append(TermsPutStatus.UNCHANGED)
                continue
            async with self._db.transaction() as tx:
                await terms_store.put_terms(tx, new)
            statuses.append(TermsPutStatus.CHANGED)
        return statuses


def _is_wellformed(terms: PayoutTerms) -> bool:
    return (
        terms.currency in EXPONENTS
        and 1 <= terms.amount_minor_min <= AMOUNT_MINOR_MAX
        and 0 <= terms.fee_minor <= AMOUNT_MINOR_MAX
        and 0 <= terms.review_above_minor <= AMOUNT_MINOR_MAX
        and ScheduleKind.MANUAL in terms.kinds
        and len(set(terms.kinds)) == len(terms.kinds)
        and 1 <= terms.look_minutes <= LOOK_MINUTES_MAX
    )
