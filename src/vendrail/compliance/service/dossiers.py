"""Dossiers: written and shown by merchants, looked at by people; few at once, so one by one."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.compliance import (
    DOCUMENTS,
    AddDocument,
    DecideStatus,
    DocumentFile,
    DocumentQuery,
    DocumentStatus,
    DocumentView,
    DossierDecision,
    DossierHead,
    DossierId,
    DossierState,
    DossierVerdict,
    DossierView,
    RemoveDocument,
    SaveDossier,
    SaveStatus,
    SubmitDossier,
    SubmitResult,
    SubmitStatus,
)
from vendrail.compliance import decide, store
from vendrail.compliance.fields import look_at
from vendrail.compliance.service import ground as grounds
from vendrail.compliance.service.ground import Ground, LetterFacts
from vendrail.compliance.store import NewDocument
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.db import Row, Transaction
from vendrail.kernel.locales import COUNTRIES
from vendrail.kernel.media import media_type

_MONTH = timedelta(days=30)
_SHOWN = ("image/png", "image/jpeg", "image/webp", "application/pdf")
_STEPS = {
    DossierDecision.ACCEPT: "accepted",
    DossierDecision.ASK_MORE: "more_asked",
    DossierDecision.REFUSE: "refused",
    DossierDecision.REVOKE: "revoked",
}


class Dossiers:
    """Keeps dossiers."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._db = ground.db

    async def save(self, new: SaveDossier) -> SaveStatus:
        """Begin a dossier, or write its fields."""
        status = decide.save(new, COUNTRIES)
        if status is not SaveStatus.SAVED:
            return status
        ground, now = self._ground, self._ground.clock.now()
        fields = {name: text.strip() for name, text in new.fields.items() if text.strip()}
        sealed = await ground.seal(grounds.FIELDS, new.id, encode(fields))
        async with self._db.transaction() as tx:
            await store.lock_merchant(tx, new.merchant)
            known = (await store.load_dossiers(tx, [new.id])).get(new.id)
            if known is None:
                if await store.find_open(tx, new.merchant) is not None:
                    return SaveStatus.ANOTHER_IS_OPEN
                begun = await store.count_since(tx, new.merchant, now - _MONTH)
                if begun >= decide.DOSSIERS_PER_MONTH_MAX:
                    return SaveStatus.TOO_MANY
            elif known["merchant"] != new.merchant or known["state"] not in decide.THEIRS:
                return SaveStatus.NOT_THEIR_TURN
            draft = (new.id, new.merchant, new.tier, new.country)
            await store.put_draft(tx, draft, sealed, now, self._draft_kept_until())
        return SaveStatus.SAVED

    def _draft_kept_until(self) -> datetime:
        return self._ground.kept_until(self._ground.settings.draft_kept_days)

    async def add_document(self, new: AddDocument) -> DocumentStatus:
        """Seal a document into a dossier of the merchant's."""
        ground, now = self._ground, self._ground.clock.now()
        kind = media_type(new.content)
        is_sound = 0 < len(new.content) <= decide.DOCUMENT_BYTES_MAX and kind in _SHOWN
        sealed = await ground.seal(grounds.DOCUMENTS, new.id, new.content) if is_sound else None
        async with self._db.transaction() as tx:
            await store.lock_merchant(tx, new.merchant)
            known = await self._theirs(tx, new.dossier, new.merchant)
            if known is None:
                return DocumentStatus.NOT_THEIR_TURN
            if new.kind not in decide.names(DOCUMENTS[known["tier"]]):
                return DocumentStatus.KIND_UNKNOWN
            if sealed is None:
                return DocumentStatus.CONTENT_REFUSED
            there = await store.list_documents(tx, [new.dossier])
            if any(row["id"] == new.id for row in there):
                return DocumentStatus.EXISTS
            size = sum(row["size"] for row in there) + len(new.content)
            if len(there) >= decide.DOCUMENTS_MAX or size > decide.DOSSIER_BYTES_MAX:
                return DocumentStatus.FULL
            document = NewDocument(new.id, new.dossier, new.kind, kind, len(new.content), sealed)
            await store.add_document(tx, document, now)
            await store.touch(tx, new.dossier, now, self._draft_kept_until())
        return DocumentStatus.ADDED

    async def _theirs(self, tx: Transaction, dossier: UUID, merchant: UUID) -> Row | None:
        """Read a dossier, if it is the merchant's and their turn."""
        known = (await store.load_dossiers(tx, [dossier])).get(dossier)
        if known is None or known["merchant"] != merchant or known["state"] not in decide.THEIRS:
            return None
        return known

    async def remove_document(self, old: RemoveDocument) -> bool:
        """Delete a document, while it is the merchant's turn."""
        async with self._db.transaction() as tx:
            await store.lock_merchant(tx, old.merchant)
            if await self._theirs(tx, old.dossier, old.merchant) is None:
                return False
            is_gone = await store.remove_document(tx, old.id, old.dossier)
            if is_gone:
                now = self._ground.clock.now()
                await store.touch(tx, old.dossier, now, self._draft_kept_until())
        return is_gone

    async def submit(self, asked: SubmitDossier) -> SubmitResult:
        """Hand a dossier in, if it is whole."""
        ground, now = self._ground, self._ground.clock.now()
        async with self._db.transaction() as tx:
            await store.lock_merchant(tx, asked.merchant)
            known = await self._theirs(tx, asked.id, asked.merchant)
            if known is None:
                is_repeat = await store.is_submitted(tx, asked)
                return SubmitResult(
                    SubmitStatus.SUBMITTED if is_repeat else SubmitStatus.NOT_THEIR_TURN
                )
            if known["version"] != asked.version:
                return SubmitResult(SubmitStatus.CHANGED_SINCE)
            fields = await self._open(known, tx)
            problems = look_at(known["tier"], known["country"], fields, now.date())
            there = await store.list_documents(tx, [asked.id])
            missing = decide.missing(known["tier"], {row["kind"] for row in there})
            if problems or missing:
                status = SubmitStatus.FIELDS_WRONG if problems else SubmitStatus.DOCUMENT_MISSING
                return SubmitResult(status, problems, missing)
            decide.DOSSIER.next(DossierState(known["state"]), decide.Event.SUBMITTED)
            await store.submit(tx, asked.id, now)
        ground.metrics.count("vendrail_dossiers_total", "submitted")
        return SubmitResult(SubmitStatus.SUBMITTED)

    async def decide(self, verdict: DossierVerdict) -> DecideStatus:
        """Write a decision; what was accepted counts at once, and what counted before ends."""
        ground, settings, now = self._ground, self._ground.settings, self._ground.clock.now()
        async with self._db.reading() as tx:
            found = (await store.load_dossiers(tx, [verdict.id])).get(verdict.id)
        if found is None:
            return DecideStatus.DOSSIER_NOT_FOUND
        async with self._db.transaction() as tx:
            await store.lock_merchant(tx, found["merchant"])
            row = (await store.load_dossiers(tx, [verdict.id])).get(verdict.id)
            if row is not None and _is_repeat(row, verdict):
                return DecideStatus.EXISTS
            known = (
                decide.Known(row["tier"], DossierState(row["state"]), row["version"])
                if row is not None
                else None
            )
            status = decide.judge(verdict, known, now.date())
            if status is not DecideStatus.DECIDED or row is None or known is None:
                return status
            state = decide.DOSSIER.next(known.state, decide.EVENTS[verdict.decision])
            ended_kept = ground.kept_until(settings.ended_kept_days)
            expires_on = None
            if state is DossierState.ACCEPTED:
                await store.replace_counting(tx, found["merchant"], now, ended_kept)
                default = now.date() + timedelta(days=settings.valid_days)
                expires_on = verdict.expires_on or default
            await store.settle(
                tx,
                verdict.id,
                state,
                now=now,
                person=verdict.person,
                reasons=verdict.reasons,
                note="" if state is DossierState.ACCEPTED else verdict.note.strip(),
                checks=verdict.checks if state is DossierState.ACCEPTED else row["checks"],
                expires_on=expires_on,
                erase_at={
                    DossierState.MORE_ASKED: self._draft_kept_until(),
                    DossierState.REFUSED: ground.kept_until(settings.refused_kept_days),
                    DossierState.REVOKED: ended_kept,
                }.get(state),
            )
            day = expires_on.isoformat() if expires_on else ""
            facts = LetterFacts(day, verdict.note.strip() if not day else "")
            step = _STEPS[verdict.decision]
            await ground.tell(tx, verdict.id, verdict.version, found["merchant"], step, facts)
        ground.metrics.count("vendrail_dossiers_total", step)
        ground.wakeups.wake(grounds.TOPIC)
        return DecideStatus.DECIDED

    async def read(
        self, asked: Sequence[tuple[DossierId, UUID | None]]
    ) -> list[DossierView | None]:
        """Read dossiers whole."""
        async with self._db.reading() as tx:
            rows = await store.load_dossiers(tx, {id for id, _ in asked})
            documents = await store.list_documents(tx, rows)
        views: list[DossierView | None] = []
        for id, merchant in asked:
            row = rows.get(id)
            if row is None or (merchant is not None and row["merchant"] != merchant):
                views.append(None)
                continue
            own = [each for each in documents if each["dossier"] == id]
            views.append(_view(row, await self._open(row), own))
        return views

    async def _open(self, row: Row, tx: Transaction | None = None) -> dict[str, str]:
        if row["sealed"] is None:
            return {}
        [plain] = await self._ground.unseal(
            grounds.FIELDS, [(row["id"], row["data_key"], row["sealed"])], tx
        )
        return decode(plain, dict[str, str])

    @staticmethod
    def head(row: Row) -> DossierHead:
        """Give a row as lists show it."""
        return DossierHead(
            row["id"],
            row["merchant"],
            row["tier"],
            row["country"],
            DossierState(row["state"]),
            row["submitted_at"],
            row["decided_at"],
            row["expires_on"],
        )

    async def read_document(self, asked: DocumentQuery) -> DocumentFile | None:
        """Open a document for its merchant, or for the operator."""
        async with self._db.reading() as tx:
            row = await store.load_document(tx, asked.id, asked.dossier)
        if row is None or (asked.merchant is not None and row["merchant"] != asked.merchant):
            return None
        [content] = await self._ground.unseal(
            grounds.DOCUMENTS, [(row["id"], row["data_key"], row["sealed"])]
        )
        return DocumentFile(row["kind"], row["media_type"], content)


def _is_repeat(row: Row, verdict: DossierVerdict) -> bool:
    """Whether a decision is the one that was written last, by the same person."""
    state = decide.EVENTS[verdict.decision].value
    return bool(
        row["version"] == verdict.version + 1
        and row["state"] == state
        and row["decided_by"] == verdict.person
    )


def _view(row: Row, fields: dict[str, str], documents: Sequence[Row]) -> DossierView:
    return DossierView(
        row["id"],
        row["merchant"],
        row["tier"],
        row["country"],
        DossierState(row["state"]),
        row["version"],
        row["made_at"],
        fields,
        [
            DocumentView(d["id"], d["kind"], d["media_type"], d["size"], d["added_at"])
            for d in documents
        ],
        row["submitted_at"],
        row["decided_at"],
        row["reasons"],
        row["note"],
        row["checks"],
        row["expires_on"],
        row["sealed"] is None,
    )
