"""Batches: what came in together, where it is now, and how what is unsold is withdrawn."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.api.catalog import BatchQuery, KeyBatch, KeyVoid, KeyVoidResult
from vendrail.catalog.service.keys import KeyService
from vendrail.catalog.stock import Move, Place, Tallies
from vendrail.catalog.store import batches as store
from vendrail.catalog.store import keys as key_store
from vendrail.catalog.store import stock as stock_store

_BATCHES_MAX = 100
_VOIDED_AT_ONCE = 2_000  # The variant's counters are locked so long: buyers wait for them.
_EVERYTHING = (UUID(int=0), UUID(int=(1 << 128) - 1))


class BatchService(KeyService):
    """Looks after keys by the files they came in."""

    async def list_batches(self, queries: Sequence[BatchQuery]) -> list[list[KeyBatch]]:
        """List variants' batches, newest first, with where their keys are now."""
        pages = []
        async with self._db.reading() as tx:
            variants = await key_store.read_variants(tx, [query.sku for query in queries])
            for query in queries:
                found = variants.get(query.sku)
                limit = max(0, min(query.batches_max, _BATCHES_MAX))
                rows = await store.read_batches(tx, found.id, query.before, limit) if found else []
                pages.append([KeyBatch(*row) for row in rows])
        return pages

    async def void_keys(self, requests: Sequence[KeyVoid]) -> list[KeyVoidResult | None]:
        """Void keys that are free, a few at a time; what unpaid orders hold is left."""
        async with self._db.reading() as tx:
            variants = await key_store.read_variants(tx, [request.sku for request in requests])
        results: list[KeyVoidResult | None] = []
        for request in requests:
            found = variants.get(request.sku)
            results.append(await self._void_keys(found.id, request.batch) if found else None)
        return results

    async def _void_keys(self, variant: UUID, batch: UUID | None) -> KeyVoidResult | None:
        between = _EVERYTHING
        if batch is not None:
            async with self._db.reading() as tx:
                row = await store.find_batch(tx, variant, batch)
            if row is None:
                return None
            between = (row["first_key"], row["last_key"])
        voided = 0
        while count := await self._void_some(variant, batch, between):
            voided += count
        async with self._db.reading() as tx:
            kept = await store.count_unsold(tx, variant, batch, between)
            orders = await store.read_orders_of(tx, variant, batch, between) if batch else []
        return KeyVoidResult(voided, kept, list(orders))

    async def _void_some(
        self, variant: UUID, batch: UUID | None, between: tuple[UUID, UUID]
    ) -> int:
        tallies = Tallies()
        async with self._db.transaction() as tx:
            # The counters first: whoever takes what is free waits for them. What is picked
            # meanwhile is held, and as many keys as are held stay.
            units = (await stock_store.lock_stock(tx, [variant])).get(variant)
            wanted = min(units.free if units else 0, _VOIDED_AT_ONCE)
            if not wanted:
                return 0
            count = await store.withdraw_keys(tx, variant, batch, between, wanted)
            if count:
                tallies[variant].move(Place.FREE, Move.VOID, count)
                await stock_store.add_tallies(tx, tallies.items())
        return count
