"""The keys themselves: taken in, sealed, delivered, exported."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from vendrail.api.catalog import (
    AllocationId,
    Delivery,
    DeliveryKind,
    KeyId,
    KeyIntake,
    KeyIntakeResult,
    KeyReject,
    KeyState,
    PutStatus,
    ReplacedKey,
    VariantId,
)
from vendrail.catalog import shelves
from vendrail.catalog.intake import clean
from vendrail.catalog.service.stock import StockService
from vendrail.catalog.settings import CatalogSettings
from vendrail.catalog.stock import Tallies
from vendrail.catalog.store import batches as batch_store
from vendrail.catalog.store import keys as store
from vendrail.catalog.store import replacements as replacement_store
from vendrail.catalog.store import shelves as shelf_store
from vendrail.catalog.store import stock as stock_store
from vendrail.kernel.clock import Clock
from vendrail.kernel.datakeys import DataKeys
from vendrail.kernel.db import Database
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import new_id
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.vault import DataKey, Vault

RESTOCKED = "catalog.restocked"  # The wake-up topic of keys that came in.
_KEY = "catalog.key"
_CONTENT = "catalog.content"
_EXPORT_MAX = 10_000
_ANALYZE_FROM = 2_000  # Then after twice as many: autovacuum comes too late for a first intake.
_HEADROOM = ~(1 << 61)  # A run of ids counts up from its first; this keeps room above it.


@dataclass(slots=True)
class _Sealed:
    """One intake, ready to be written: cleaned, hashed, sealed."""

    keys: list[tuple[str, int, UUID, bytes]]  # fingerprint, line, id, sealed
    rejects: list[KeyReject]


def _is_sound_content(row: store.VariantRow, text: str) -> bool:
    if row.delivery == DeliveryKind.FILE:
        return shelves.is_file_path(text)
    return bool(text.strip()) and shelves.is_prose(text)


class KeyService(StockService):
    """Seals keys when they come in and opens them when they are delivered."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        wakeups: Wakeups,
        settings: CatalogSettings,
    ) -> None:
        super().__init__(db, clock, settings)
        self._vault = vault
        self._wakeups = wakeups
        self._data_keys = DataKeys(db, vault, clock, life=timedelta(seconds=settings.data_key_s))
        self._key_last = 0
        self._unplanned = 0
        self._analyze_from = _ANALYZE_FROM

    async def add_keys(self, intakes: Sequence[KeyIntake]) -> list[KeyIntakeResult]:
        """Take in keys: cleaned, de-duplicated by keyed hash within the product, sealed."""
        # Before anything is waited for: a file's parts keep their order, however they overtake.
        runs = [self._run_of_ids(len(intake.lines)) for intake in intakes]
        async with self._db.reading() as tx:
            variants = await store.read_variants(tx, [intake.sku for intake in intakes])
        data_key = await self._data_keys.newest()
        results = []
        for intake, first in zip(intakes, runs, strict=True):
            found = variants.get(intake.sku)
            if found is None:
                results.append(KeyIntakeResult(sku_found=False, added_count=0, rejects=[]))
                continue
            # Off the loop: sealing a long intake must not keep a buyer waiting.
            sealed = await asyncio.to_thread(self._seal, intake, found.product, data_key, first)
            results.append(await self._take_in(intake, found, data_key, sealed))
        if any(result.added_count for result in results):
            self._wakeups.wake(RESTOCKED)
        return results

    def _run_of_ids(self, count: int) -> int:
        """Give the first of as many ids as there are lines: keys are sold in the file's order."""
        first = max(new_id(self._clock.now()).int & _HEADROOM, self._key_last + 1)
        self._key_last = first + count
        return first

    def _seal(self, intake: KeyIntake, product: UUID, data_key: DataKey, first: int) -> _Sealed:
        keys = []
        rejects = []
        prefix, vault, length_max = product.bytes, self._vault, self._settings.key_length_max
        for line in intake.lines:
            text, reason = clean(line.text, length_max)
            if reason:
                rejects.append(KeyReject(line.number, reason))
                continue
            plaintext = text.encode()
            fingerprint = vault.keyed_hash(_KEY, prefix + plaintext)[:16].hex()
            id = UUID(int=first)
            first += 1
            keys.append((fingerprint, line.number, id, vault.seal(data_key, _KEY, id, plaintext)))
        # In the order of the unique index: two intakes of one file never wait for each other.
        keys.sort()
        return _Sealed(keys, rejects)

    async def _take_in(
        self, intake: KeyIntake, found: store.VariantRow, data_key: DataKey, sealed: _Sealed
    ) -> KeyIntakeResult:
        tallies = Tallies()
        keys, rejects = sealed.keys, sealed.rejects
        async with self._db.transaction() as tx:
            known = await store.insert_keys(
                tx, found.id, found.product, intake.batch, data_key.id, keys
            )
            # A line that this very intake took in before is not a duplicate: the call is repeated.
            repeated = (
                await store.read_lines_of(
                    tx, found.product, intake.batch, [fingerprint for _, fingerprint in known]
                )
                if known
                else set()
            )
            duplicates = [key[0] for key in known if key not in repeated]
            rejects += [KeyReject(line, "duplicate") for line in duplicates]
            taken_count = len(keys) - len(known)
            if taken_count:
                tallies[found.id].take_in(taken_count)
                ids = [key[2] for key in keys]
                first = KeyId(min(ids))
                await batch_store.add_to_batch(
                    tx, found.id, intake.batch, taken_count, (first, max(ids)), self._clock.now()
                )
                await stock_store.add_tallies(tx, tallies.items(), lower_to={found.id: first})
            self._unplanned += taken_count
            if self._unplanned >= self._analyze_from:
                await store.analyze_keys(tx)
                self._unplanned, self._analyze_from = 0, self._analyze_from * 2
        rejects.sort(key=lambda reject: reject.number)
        return KeyIntakeResult(
            sku_found=True, added_count=len(keys) - len(duplicates), rejects=rejects
        )

    async def put_contents(self, contents: Sequence[tuple[str, str]]) -> list[PutStatus]:
        """Set (sku, text) that REUSABLE_KEY, TEXT and FILE variants deliver; sealed at rest."""
        data_key = await self._data_keys.newest()
        statuses = []
        written: dict[UUID, str] = {}
        async with self._db.transaction() as tx:
            await shelf_store.lock(tx)
            variants = await store.read_variants(tx, [sku for sku, _ in contents])
            rows = await store.read_contents(tx, [row.id for row in variants.values()])
            ciphers = await self._data_keys.load([row["data_key"] for row in rows], tx)
            known = {
                row["variant"]: self._open(ciphers, _CONTENT, row["variant"], row) for row in rows
            }
            for sku, text in contents:
                row = variants.get(sku)
                if row is None or not _is_sound_content(row, text):
                    statuses.append(PutStatus.FIELD_MALFORMED)
                elif known.get(row.id) == text:
                    statuses.append(PutStatus.UNCHANGED)
                else:
                    has_content = row.id in known
                    statuses.append(PutStatus.CHANGED if has_content else PutStatus.CREATED)
                    known[row.id] = written[row.id] = text
            if written:
                sealed = [
                    (id, self._vault.seal(data_key, _CONTENT, id, text.encode()))
                    for id, text in written.items()
                ]
                await store.put_contents(tx, data_key.id, sealed)
        return statuses

    async def read_paths(self, skus: Sequence[str]) -> list[str]:
        """Read where the files of FILE variants are, for their merchants; empty: none is set."""
        async with self._db.reading() as tx:
            variants = await store.read_variants(tx, skus)
            files = [row.id for row in variants.values() if row.delivery == DeliveryKind.FILE]
            rows = await store.read_contents(tx, files)
        ciphers = await self._data_keys.load(row["data_key"] for row in rows)
        paths = {row["variant"]: self._open(ciphers, _CONTENT, row["variant"], row) for row in rows}
        return [paths.get(variants[sku].id, "") if sku in variants else "" for sku in skus]

    async def read_deliveries(self, ids: Sequence[AllocationId]) -> list[Delivery | None]:
        """Open the sealed keys of allocations. Only orders calls this, and only after its pivot.

        What is read is sold: an allocation that was not marked yet is marked first.
        """
        async with self._db.reading() as tx:
            rows = await store.read_delivery_rows(tx, ids)
        unmarked = {row["id"] for row in rows if row["state"] == "allocated"}
        if unmarked:
            await self.sell_allocations([AllocationId(id) for id in unmarked])
            async with self._db.reading() as tx:
                rows = await store.read_delivery_rows(tx, ids)
        ciphers = await self._data_keys.load(row["data_key"] for row in rows)
        deliveries: dict[UUID, Delivery] = {}
        for row in rows:
            if row["state"] == "allocated":
                continue
            if row["key"] is not None:
                items = [self._open(ciphers, _KEY, row["key"], row)]
            else:
                items = [self._open(ciphers, _CONTENT, row["variant"], row)] * row["quantity"]
            delivery = deliveries.setdefault(row["id"], Delivery(row["order"], [], []))
            delivery.items.extend(items)
        variants = {row["id"]: row["variant"] for row in rows if row["is_replaced"]}
        if variants:
            await self._put_replacements(deliveries, variants)
        return [deliveries.get(id) for id in ids]

    async def _put_replacements(
        self, deliveries: dict[UUID, Delivery], variants: dict[UUID, UUID]
    ) -> None:
        """Put the newest key in each place; what stood there before is told beside it."""
        async with self._db.reading() as tx:
            swaps = await replacement_store.read_replacements_of(tx, list(variants))
            news = [(variants[id], each.new_key) for id, some in swaps.items() for each in some]
            keys = await replacement_store.read_sealed_keys(tx, news)
        ciphers = await self._data_keys.load(row["data_key"] for row in keys.values())
        for id, some in swaps.items():
            delivery = deliveries[id]
            for each in some:
                before = ReplacedKey(each.slot + 1, delivery.items[each.slot], each.at)
                delivery.replaced.append(before)
                delivery.items[each.slot] = self._open(
                    ciphers, _KEY, each.new_key, keys[each.new_key]
                )

    async def export_keys(
        self, sku: str, state: KeyState, after: KeyId | None, keys_max: int
    ) -> list[tuple[KeyId, str]]:
        """Read the plaintext of a variant's keys in one state, page by page: callers audit it."""
        limit = max(0, min(keys_max, _EXPORT_MAX))
        async with self._db.reading() as tx:
            found = (await store.read_variants(tx, [sku])).get(sku)
            if found is None:
                return []
            if state is KeyState.FREE:
                rows = await store.read_free_keys(tx, VariantId(found.id), after, limit)
            else:
                rows = await store.read_taken_keys(tx, found.id, state.value, after, limit)
        ciphers = await self._data_keys.load(row["data_key"] for row in rows)
        return [(KeyId(row["id"]), self._open(ciphers, _KEY, row["id"], row)) for row in rows]

    def _open(
        self, ciphers: dict[UUID, DataKey], purpose: str, id: UUID, row: store.SealedRow
    ) -> str:
        data_key = ciphers.get(row["data_key"])
        if data_key is None:
            raise Broken(f"What {purpose} {id} holds, or the data key that seals it, is gone.")
        return self._vault.unseal(data_key, purpose, id, row["sealed"]).decode()
