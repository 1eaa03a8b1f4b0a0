"""Replacements: a sold key that does not work makes room for another, of the same variant."""

from collections.abc import Sequence
from functools import partial
from itertools import chain

from vendrail.api.catalog import (
    Allocation,
    AllocationId,
    AllocationStatus,
    KeyReplacement,
    KeyReplacementStatus,
    VariantId,
)
from vendrail.catalog import decide
from vendrail.catalog.service.batches import BatchService
from vendrail.catalog.service.stock import try_again
from vendrail.catalog.stock import Move, Place, Tallies
from vendrail.catalog.store import replacements as store
from vendrail.catalog.store import stock as stock_store
from vendrail.kernel.db import Transaction
from vendrail.kernel.errors import Broken


class ReplacementService(BatchService):
    """Takes keys from the pool in place of those that buyers complain about."""

    async def replace_keys(
        self, replacements: Sequence[KeyReplacement]
    ) -> list[KeyReplacementStatus]:
        """Replace sold keys, all that one request names or none; few at once, so one by one."""
        return [await try_again(partial(self._replace, asked)) for asked in replacements]

    async def _replace(
        self,
        asked: KeyReplacement,
        _is_first: bool,  # noqa: FBT001  # Nothing is done otherwise the second time.
    ) -> KeyReplacementStatus:
        async with self._db.transaction() as tx:
            # Whoever replaces or voids keys of this allocation waits here for its turn.
            known = await stock_store.read_allocations(tx, [asked.allocation], is_locking=True)
            before = await store.read_replacements(tx, asked.id)
            swaps = (await store.read_replacements_of(tx, list(known))).get(asked.allocation, [])
            others = await stock_store.read_allocations(tx, [each.id for each in swaps])
            standing = decide.standing_rows(
                known.get(asked.allocation, []), chain.from_iterable(others.values()), swaps
            )
            status = decide.replace_keys(asked, standing, before, swaps)
            if status is not KeyReplacementStatus.REPLACED:
                return status
            return await self._swap(tx, asked, standing)

    async def _swap(
        self,
        tx: Transaction,
        asked: KeyReplacement,
        standing: Sequence[decide.AllocationRow],
    ) -> KeyReplacementStatus:
        """Pick new keys, sell them to the order, and void the old ones, in one commit."""
        variant, order, count = standing[0].variant, standing[0].order, len(asked.positions)
        assert variant is not None
        assert order is not None
        shelves = await stock_store.read_shelves(tx, [variant])
        if variant not in shelves or shelves[variant].supply is not decide.Supply.KEYS:
            return KeyReplacementStatus.NOT_UNIQUE  # It delivers otherwise by now.
        new = Allocation(AllocationId(asked.id), order, VariantId(variant), count)
        [result] = await self._fill(tx, [new])
        if result.status is not AllocationStatus.ALLOCATED:
            await store.forget_refused(tx, asked.id)
            return KeyReplacementStatus.SOLD_OUT
        await stock_store.sell(tx, [asked.id])
        now = self._clock.now()
        swaps = []
        for at, (number, new_key) in enumerate(zip(asked.positions, result.keys, strict=True)):
            old_key = standing[number - 1].key
            assert old_key is not None
            swaps.append(
                decide.Swap(
                    asked.id, at, asked.allocation, number - 1, old_key, new_key, asked.reason, now
                )
            )
        if await store.void_keys(tx, [each.old_key for each in swaps]) != count:
            raise Broken(f"A key of the allocation {asked.allocation} stands and is not sold.")
        await store.insert_replacements(tx, swaps)
        tallies = Tallies()
        tallies[variant].move(Place.SOLD, Move.VOID, count)
        await stock_store.add_tallies(tx, tallies.items())
        return KeyReplacementStatus.REPLACED
