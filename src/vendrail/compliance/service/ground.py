"""What every room of compliance works with: sealed content, and letters about what happened."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.compliance import store
from vendrail.compliance.settings import ComplianceSettings
from vendrail.compliance.store import Sealed
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import Record, encode
from vendrail.kernel.datakeys import DataKeys
from vendrail.kernel.db import Database, Transaction
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import derive
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.telemetry import Metrics
from vendrail.kernel.vault import Vault

TOPIC = "compliance"
FIELDS, DOCUMENTS = "compliance.fields", "compliance.document"


class LetterFacts(Record, frozen=True):
    """What a letter tells beside its step; never anything of the dossier itself."""

    day: str = ""
    note: str = ""


@dataclass(frozen=True)
class Ground:
    """Handed from the service to its rooms, as it is."""

    db: Database
    clock: Clock
    wakeups: Wakeups
    metrics: Metrics
    vault: Vault
    data_keys: DataKeys
    settings: ComplianceSettings

    def kept_until(self, days: int) -> datetime:
        """Say until when something is kept from now on."""
        return self.clock.now() + timedelta(days=days)

    async def seal(self, purpose: str, id: UUID, content: bytes) -> Sealed:
        """Seal fields or a document, bound to their row."""
        key = await self.data_keys.newest()
        return Sealed(self.vault.seal(key, purpose, id, content), key.id)

    async def unseal(
        self,
        purpose: str,
        rows: Sequence[tuple[UUID, UUID, bytes]],
        tx: Transaction | None = None,
    ) -> list[bytes]:
        """Open what is sealed: (row, data key, sealed); inside a transaction, within it."""
        keys = await self.data_keys.load((row[1] for row in rows), tx)
        opened = []
        for id, key, sealed in rows:
            if key not in keys:
                raise Broken(f"The data key {key} of {purpose} {id} is missing.")
            opened.append(self.vault.unseal(keys[key], purpose, id, sealed))
        return opened

    async def tell(
        self, tx: Transaction, dossier: UUID, version: int, merchant: UUID, step: str,
        facts: LetterFacts,
    ) -> None:  # fmt: skip
        """Keep a letter about a dossier, in the commit in which it came to that."""
        id = derive(dossier, f"letter:{step}:{version}")
        await store.add_letter(tx, id, merchant, step, encode(facts), self.clock.now())
