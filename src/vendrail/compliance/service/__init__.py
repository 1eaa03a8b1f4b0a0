"""The service: terms in versions, tiers, and the rooms of dossiers, ends and letters."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.compliance import (
    TIERS,
    UNKNOWN,
    AddDocument,
    ComplianceTerms,
    DecideStatus,
    DocumentFile,
    DocumentQuery,
    DocumentStatus,
    DossierHead,
    DossierId,
    DossierQuery,
    DossierVerdict,
    DossierView,
    RemoveDocument,
    SalesBound,
    SaveDossier,
    SaveStatus,
    Standing,
    SubmitDossier,
    SubmitResult,
    TermsChange,
    TermsChangeStatus,
    TierBound,
)
from vendrail.api.identity import Identity
from vendrail.api.notify import Notify
from vendrail.compliance import decide, store
from vendrail.compliance.service.dossiers import Dossiers
from vendrail.compliance.service.ending import Ending
from vendrail.compliance.service.ground import Ground
from vendrail.compliance.service.telling import Telling
from vendrail.compliance.settings import ComplianceSettings
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.datakeys import DataKeys
from vendrail.kernel.db import Database, Row, Transaction
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.telemetry import Metrics
from vendrail.kernel.vault import Vault

_KEY_LIFE = timedelta(minutes=10)
_LISTED_MAX = 200
_EVERYBODY = UUID(int=0)


class ComplianceService:
    """Fulfils `api.compliance.Compliance`."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        wakeups: Wakeups,
        metrics: Metrics,
        settings: ComplianceSettings,
    ) -> None:
        self._db = db
        self.clock = clock
        self.wakeups = wakeups
        keys = DataKeys(db, vault, clock, life=_KEY_LIFE)
        self._ground = Ground(db, clock, wakeups, metrics, vault, keys, settings)
        self._dossiers = Dossiers(self._ground)
        self.ending = Ending(self._ground)

    def telling(self, notify: Notify, identity: Identity) -> Telling:
        """Give the room that hands letters on."""
        return Telling(self._ground, notify, identity)

    async def change_terms(self, changes: Sequence[TermsChange]) -> list[TermsChangeStatus]:
        """Write the next version of what is asked of merchants."""
        statuses = []
        async with self._db.transaction() as tx:
            await store.lock_terms(tx)
            for each in changes:
                newest = await self._newest(tx)
                status = _compare(each, newest)
                if status is TermsChangeStatus.CHANGED:
                    await store.add_terms(
                        tx,
                        newest.version + 1,
                        encode(each.bounds),
                        self.clock.now(),
                        is_asked=each.is_asked,
                        currency=each.currency,
                        person=each.person,
                        reason=each.reason,
                    )
                statuses.append(status)
        return statuses

    async def list_terms(self, versions_max: int) -> list[ComplianceTerms]:
        """Give the newest versions, the one that counts first; there always is one."""
        async with self._db.reading() as tx:
            rows = await store.list_terms(tx, min(versions_max, _LISTED_MAX))
        return [_terms(row) for row in rows] or [_NONE]

    async def _newest(self, tx: Transaction) -> ComplianceTerms:
        rows = await store.list_terms(tx, 1)
        return _terms(rows[0]) if rows else _NONE

    async def read_standings(self, merchants: Sequence[UUID]) -> list[Standing]:
        """Say what merchants are known to be now: what is over counts no more, ended or not."""
        async with self._db.reading() as tx:
            terms = await self._newest(tx)
            rows = await store.read_counting(tx, set(merchants))
        known = {row["merchant"]: row for row in rows if self._counts(row)}
        return [
            Standing(id, known[id]["tier"], terms.is_asked, known[id]["expires_on"])
            if id in known
            else Standing(id, UNKNOWN, terms.is_asked)
            for id in merchants
        ]

    async def list_bounds(self) -> list[SalesBound]:
        """Say how much merchants may sell by their tiers; nothing where nobody is asked."""
        async with self._db.reading() as tx:
            terms = await self._newest(tx)
            rows = await store.read_counting(tx, None) if terms.is_asked else []
        if not terms.is_asked:
            return []
        tiers = {row["merchant"]: row["tier"] for row in rows if self._counts(row)}
        return [
            SalesBound(
                merchant,
                terms.currency,
                terms.bounds[tier].order_minor_max,
                terms.bounds[tier].month_minor_max,
            )
            for merchant, tier in {_EVERYBODY: UNKNOWN, **tiers}.items()
        ]

    def _counts(self, row: Row) -> bool:
        return bool(row["expires_on"] >= self.clock.now().date())

    async def save_dossiers(self, dossiers: Sequence[SaveDossier]) -> list[SaveStatus]:
        """Begin dossiers, or write what is in them."""
        return [await self._dossiers.save(each) for each in dossiers]

    async def add_documents(self, documents: Sequence[AddDocument]) -> list[DocumentStatus]:
        """Seal documents into dossiers."""
        return [await self._dossiers.add_document(each) for each in documents]

    async def remove_documents(self, documents: Sequence[RemoveDocument]) -> list[bool]:
        """Delete documents, while their merchant may; says of each whether it is gone by this."""
        return [await self._dossiers.remove_document(each) for each in documents]

    async def submit_dossiers(self, dossiers: Sequence[SubmitDossier]) -> list[SubmitResult]:
        """Hand dossiers to the people who look at them, if they are whole."""
        return [await self._dossiers.submit(each) for each in dossiers]

    async def decide_dossiers(self, verdicts: Sequence[DossierVerdict]) -> list[DecideStatus]:
        """Write what a person has made of dossiers; tiers rise and fall with it."""
        return [await self._dossiers.decide(each) for each in verdicts]

    async def read_dossiers(
        self, dossiers: Sequence[tuple[DossierId, UUID | None]]
    ) -> list[DossierView | None]:
        """Read dossiers whole, each (dossier, its merchant; None: for the operator)."""
        return await self._dossiers.read(dossiers)

    async def list_dossiers(self, queries: Sequence[DossierQuery]) -> list[list[DossierHead]]:
        """List dossiers."""
        async with self._db.reading() as tx:
            found = [
                await store.list_dossiers(tx, each, min(each.dossiers_max, _LISTED_MAX))
                for each in queries
            ]
        return [[self._dossiers.head(row) for row in rows] for rows in found]

    async def read_documents(self, queries: Sequence[DocumentQuery]) -> list[DocumentFile | None]:
        """Open documents."""
        return [await self._dossiers.read_document(each) for each in queries]

    async def measure(self) -> tuple[int, datetime | None, dict[int, int]]:
        """Count what waits and since when, and the merchants of each tier."""
        async with self._db.reading() as tx:
            count, since = await store.count_waiting(tx)
            return count, since, await store.count_tiers(tx)


_NONE = ComplianceTerms(0, False, "", [TierBound() for _ in TIERS])  # noqa: FBT003


def _terms(row: Row) -> ComplianceTerms:
    return ComplianceTerms(
        row["version"],
        row["is_asked"],
        row["currency"],
        decode(row["bounds"], list[TierBound]),
        row["made_at"],
        row["person"],
        row["reason"],
    )


def _compare(new: TermsChange, newest: ComplianceTerms) -> TermsChangeStatus:
    told = (new.is_asked, new.currency, new.bounds)
    if told == (newest.is_asked, newest.currency, newest.bounds):
        return TermsChangeStatus.UNCHANGED
    if new.after != newest.version:
        return TermsChangeStatus.CHANGED_SINCE
    is_sound = decide.are_sound(new)
    return TermsChangeStatus.CHANGED if is_sound else TermsChangeStatus.FIELD_MALFORMED
