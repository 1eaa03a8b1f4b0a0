"""Filing: files against disputes are kept sealed, and stay as they are once they are sent."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.disputes import (
    DropEvidence,
    EvidenceFile,
    EvidenceKind,
    EvidenceQuery,
    EvidenceView,
    PutEvidence,
    PutEvidenceStatus,
)
from vendrail.api.payments.disputes import EvidencePaper
from vendrail.disputes import decide, store
from vendrail.disputes.decide import Paper
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database, Row
from vendrail.kernel.vault import Vault

_EVIDENCE = "disputes.evidence"


class Filing:
    """Keeps and opens files; few at once, so one by one."""

    def __init__(self, db: Database, vault: Vault, clock: Clock) -> None:
        self._db = db
        self._vault = vault
        self._clock = clock

    async def put_evidence(self, files: Sequence[PutEvidence]) -> list[PutEvidenceStatus]:
        """Keep files, each in place of the one of its kind."""
        return [await self._put(each) for each in files]

    async def _put(self, file: PutEvidence) -> PutEvidenceStatus:
        now = self._clock.now()
        async with self._db.transaction() as tx:
            row = await store.lock_dispute(tx, file.dispute)
            refusal = _refusal(row, file.merchant, now)
            if refusal is not None:
                return refusal
            rows = (await store.list_evidence(tx, [file.dispute])).get(file.dispute, [])
            known = [Paper(each["id"], each["kind"], each["size"]) for each in rows]
            status = decide.may_keep(file, known)
            if status is PutEvidenceStatus.KEPT:
                key = self._vault.new_data_key()
                sealed = self._vault.seal(key, _EVIDENCE, file.id, file.content)
                kind = decide.media_type(file.content)
                await store.put_evidence(tx, file, kind, sealed, key, now)
        return status

    async def drop_evidence(self, files: Sequence[DropEvidence]) -> list[PutEvidenceStatus]:
        """Take files away that were not sent."""
        return [await self._drop(each) for each in files]

    async def _drop(self, file: DropEvidence) -> PutEvidenceStatus:
        async with self._db.transaction() as tx:
            row = await store.lock_dispute(tx, file.dispute)
            refusal = _refusal(row, file.merchant, self._clock.now())
            if refusal is not None:
                return refusal
            is_there = await store.drop_evidence(tx, file.dispute, file.id)
        return PutEvidenceStatus.DROPPED if is_there else PutEvidenceStatus.EVIDENCE_NOT_FOUND

    async def read_evidence(self, queries: Sequence[EvidenceQuery]) -> list[EvidenceFile | None]:
        """Open files for whom they are of."""
        files = []
        for each in queries:
            async with self._db.reading() as tx:
                rows = await store.read_evidence(tx, each.dispute, each.id)
            found = next((row for row in rows if each.merchant in (None, row["merchant"])), None)
            files.append(self._open(found) if found is not None else None)
        return files

    async def papers(self, dispute: UUID) -> list[EvidencePaper]:
        """Open all files of a dispute, to be sent."""
        async with self._db.reading() as tx:
            rows = await store.read_evidence(tx, dispute, None)
        return [EvidencePaper(row["kind"], *_parts(self._open(row))) for row in rows]

    def _open(self, row: Row) -> EvidenceFile:
        key = self._vault.load_data_key(row["key_id"], row["key_sealed"])
        content = self._vault.unseal(key, _EVIDENCE, row["id"], row["sealed"])
        return EvidenceFile(row["name"], row["media_type"], content)


def evidence_view(row: Row) -> EvidenceView:
    """Name a file as pages do."""
    return EvidenceView(
        row["id"],
        EvidenceKind(row["kind"]),
        row["name"],
        row["media_type"],
        row["size"],
        row["person"],
        row["at"],
    )


def _refusal(row: Row | None, merchant: UUID | None, now: datetime) -> PutEvidenceStatus | None:
    if row is None or merchant not in (None, row["merchant"]):
        return PutEvidenceStatus.DISPUTE_NOT_FOUND
    state = decide.state_of(row["outcome"], is_answered=row["answered_at"] is not None)
    return decide.may_change(state, row["answer_by"], now, is_answering=row["is_answering"])


def _parts(file: EvidenceFile) -> tuple[str, str, bytes]:
    return file.name, file.media_type, file.content
