"""Holds, allocations, their undoing, and what becomes of a key once it is sold."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

from vendrail.api.catalog import (
    Allocation,
    AllocationId,
    AllocationResult,
    Hold,
    HoldStatus,
    KeyId,
    StockCount,
    UndoStatus,
)
from vendrail.catalog import decide
from vendrail.catalog.settings import CatalogSettings
from vendrail.catalog.stock import Move, Place, Tallies
from vendrail.catalog.store import keys as store
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database, Retry, Transaction

Result = TypeVar("Result")
_RIVALS_MAX = 8


class _RivalError(Exception):
    """Another writer wrote an outcome first: load again in a new transaction to find it."""


async def _again(work: Callable[[], Awaitable[Result]]) -> Result:
    for _ in range(_RIVALS_MAX):
        try:
            return await work()
        except _RivalError:
            continue
    raise Retry("Others keep writing the same orders; the batch may be run again.")


def _expect(written: int, wanted: int) -> None:
    if written != wanted:
        raise _RivalError


class StockService:
    """How much is left, and who may have it."""

    def __init__(self, db: Database, clock: Clock, settings: CatalogSettings) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings
        self._caps = decide.Caps(
            settings.holds_per_buyer_max,
            settings.holds_per_address_max,
            settings.holds_per_device_max,
        )

    async def hold_keys(self, holds: Sequence[Hold]) -> list[HoldStatus]:
        """Set stock aside; several holds of one variant in a batch see each other, in order."""
        return await _again(lambda: self._hold(holds))

    async def _hold(self, holds: Sequence[Hold]) -> list[HoldStatus]:
        variants = list({hold.variant for hold in holds})
        tallies = Tallies()
        async with self._db.transaction() as tx:
            shelves = await store.read_shelves(tx, variants)
            caps = self._caps
            if caps.is_any:
                await store.lock_caps(tx)
            # Endless variants have nothing to lock; nobody waits for them.
            kept = [v for v, s in shelves.items() if s.is_held and s.supply is decide.Supply.KEYS]
            free = await store.lock_stock(tx, kept)
            book = decide.HoldBook(
                shelves,
                free,
                await store.read_held_orders(tx, [hold.order for hold in holds]),
                caps,
            )
            if caps.is_any:
                await self._load_caps(tx, book, holds)
            wanted: Counter[UUID] = Counter()
            for hold in holds:
                wanted[hold.variant] += hold.quantity
            await self._return_expired(tx, wanted, free, tallies)
            statuses = [decide.hold(book, hold) for hold in holds]
            if book.held:
                for hold in book.held:
                    tallies[hold.variant].move(Place.FREE, Move.HOLD, hold.quantity)
                written = await store.insert_holds(tx, book.held, with_hashes=caps.is_any)
                _expect(written, len(book.held))
            await store.add_tallies(tx, tallies)
        return statuses

    async def _load_caps(
        self, tx: Transaction, book: decide.HoldBook, holds: Sequence[Hold]
    ) -> None:
        counts = await store.count_holds(
            tx,
            self._clock.now(),
            list({hold.buyer for hold in holds if hold.buyer}),
            list({hold.address for hold in holds if hold.address}),
            list({hold.device for hold in holds if hold.device}),
        )
        book.buyers.update(counts["buyer"])
        book.addresses.update(counts["address"])
        book.devices.update(counts["device"])

    async def _return_expired(
        self,
        tx: Transaction,
        wanted: dict[UUID, int],
        free: dict[UUID, int],
        tallies: Tallies,
    ) -> None:
        """Before saying sold out, take back what expired holds keep; the counters are locked."""
        short = [v for v, quantity in wanted.items() if v in free and free[v] < quantity]
        if not short:
            return
        ended = await store.end_expired_holds(
            tx, short, self._clock.now(), self._settings.expired_holds_max
        )
        for held in ended:
            free[held.variant] += held.quantity
            tallies[held.variant].move(Place.HELD, Move.RELEASE, held.quantity)

    async def release_holds(self, orders: Sequence[UUID]) -> list[bool]:
        """End orders' holds; true where one was there."""
        tallies = Tallies()
        async with self._db.transaction() as tx:
            ended = await store.end_holds(tx, orders)
            for held in ended.values():
                tallies[held.variant].move(Place.HELD, Move.RELEASE, held.quantity)
            await store.add_tallies(tx, tallies)
        return [order in ended for order in orders]

    async def end_expired_holds(self) -> int:
        """Return what expired holds keep to the stock; gives how many ended."""
        tallies = Tallies()
        async with self._db.transaction() as tx:
            variants = await store.read_holding_variants(tx)
            ended = await store.end_expired_holds(
                tx, variants, self._clock.now(), self._settings.expired_holds_max
            )
            for held in ended:
                tallies[held.variant].move(Place.HELD, Move.RELEASE, held.quantity)
            await store.add_tallies(tx, tallies)
        return len(ended)

    async def allocate_keys(self, allocations: Sequence[Allocation]) -> list[AllocationResult]:
        """Pick keys for paid orders (ending their holds); all of the quantity, or none."""
        return await _again(lambda: self._allocate(allocations))

    async def _allocate(self, allocations: Sequence[Allocation]) -> list[AllocationResult]:
        ids = [new.id for new in allocations]
        async with self._db.transaction() as tx:
            known = await store.read_allocations(tx, ids)
            results = {id: decide.outcome(rows) for id, rows in known.items()}
            news: dict[UUID, Allocation] = {}
            for new in allocations:
                if new.id not in known:
                    news.setdefault(new.id, new)
            if news:
                results.update(await self._fill(tx, list(news.values())))
        return [results[id] for id in ids]

    async def _fill(
        self, tx: Transaction, news: Sequence[Allocation]
    ) -> dict[UUID, AllocationResult]:
        holds = await store.end_holds(tx, [new.order for new in news])
        shelves = await store.read_shelves(tx, list({new.variant for new in news}))
        late: Counter[UUID] = Counter()
        for new in news:
            shelf = shelves.get(new.variant)
            is_from_pool = shelf is not None and shelf.supply is decide.Supply.KEYS
            if is_from_pool and not decide.is_covered(new, holds.get(new.order)):
                late[new.variant] += new.quantity
        free: dict[UUID, int] = {}
        returned = Tallies()
        if late:
            # All at once and in id order, so that no two batches wait for each other.
            touched = {new.variant for new in news} | {held.variant for held in holds.values()}
            free = await store.lock_stock(tx, list(touched))
            await self._return_expired(tx, late, free, returned)
        plan = decide.plan_allocations(news, shelves, holds, free)
        for variant, tally in returned.items():
            plan.tallies[variant].free += tally.free
            plan.tallies[variant].held += tally.held
        picked, raise_to, lower_to = await self._pick(tx, plan.wanted)
        results, rows = decide.hand_out(plan, shelves, picked)
        spare = [(variant, key) for variant, keys in picked.items() for key in keys]
        if spare:
            await store.insert_free_keys(tx, spare)
        _expect(await store.insert_allocations(tx, rows), len(rows))
        await store.add_tallies(tx, plan.tallies, raise_to, lower_to)
        return results

    async def _pick(
        self, tx: Transaction, wanted: dict[UUID, int]
    ) -> tuple[dict[UUID, list[KeyId]], dict[UUID, KeyId], dict[UUID, KeyId]]:
        """Take keys from the pool: past rivals first; waiting for them before there are too few."""
        picked: dict[UUID, list[KeyId]] = {}
        raise_to: dict[UUID, KeyId] = {}
        lower_to: dict[UUID, KeyId] = {}
        missing = wanted
        for attempt in range(len(store.PICKS)):
            if not missing:
                break
            found = await store.pick_keys(tx, attempt, missing)
            for variant, keys in found.items():
                keys.sort()
                picked.setdefault(variant, []).extend(keys)
                if attempt == 0:
                    raise_to[variant] = keys[-1]
                else:  # What lay before the hint: picking starts there from now on.
                    lower_to[variant] = min(keys[0], lower_to.get(variant, keys[0]))
            missing = {
                variant: quantity - len(picked.get(variant, ()))
                for variant, quantity in wanted.items()
                if quantity > len(picked.get(variant, ()))
            }
        return picked, raise_to, lower_to

    async def free_allocations(self, ids: Sequence[AllocationId]) -> list[UndoStatus]:
        """Undo allocations; leaves a tombstone on the id so that a late one is `cancelled`."""
        return await _again(lambda: self._free(ids))

    async def _free(self, ids: Sequence[AllocationId]) -> list[UndoStatus]:
        tallies = Tallies()
        lower_to: dict[UUID, KeyId] = {}
        async with self._db.transaction() as tx:
            known = await store.read_allocations(tx, ids, is_locking=True)
            freed = [row for rows in known.values() for row in rows if row.state == "allocated"]
            pooled = []
            for row in freed:
                assert row.variant is not None
                if row.key is None:
                    tallies[row.variant].unmake(row.quantity)
                    continue
                tallies[row.variant].move(Place.ALLOCATED, Move.UNDO, 1)
                pooled.append((row.variant, row.key))
                first = lower_to.get(row.variant, row.key)
                lower_to[row.variant] = KeyId(min(first, row.key))
            if freed:
                await store.free(tx, list({row.id for row in freed}))
                await store.insert_free_keys(tx, pooled)
            stones = [
                decide.AllocationRow(id, None, None, None, 0, 0, "cancelled")
                for id in dict.fromkeys(ids)
                if id not in known
            ]
            if stones:
                _expect(await store.insert_allocations(tx, stones), len(stones))
            await store.add_tallies(tx, tallies, lower_to=lower_to)
        return [decide.undo(known.get(id, [])) for id in ids]

    async def sell_allocations(self, ids: Sequence[AllocationId]) -> list[bool]:
        """Mark allocated keys sold: called after the order's pivot; idempotent."""
        if not ids:
            return []
        tallies = Tallies()
        async with self._db.transaction() as tx:
            changed = await store.sell(tx, ids)
            units: Counter[UUID] = Counter()
            for _, variant, count in changed:
                units[variant] += count
            for variant, count in units.items():
                tallies[variant].move(Place.ALLOCATED, Move.SELL, count)
            sold = {id for id, _, _ in changed}
            rest = [id for id in ids if id not in sold]
            known = await store.read_allocations(tx, rest) if rest else {}
            sold |= {id for id, rows in known.items() if rows[0].state in ("sold", "void")}
            await store.add_tallies(tx, tallies)
        return [id in sold for id in ids]

    async def void_allocations(self, ids: Sequence[AllocationId]) -> list[int]:
        """Void sold keys (a refund): they are never free again; gives how many are void."""
        tallies = Tallies()
        counts: dict[UUID, int] = {}
        async with self._db.transaction() as tx:
            known = await store.read_allocations(tx, ids, is_locking=True)
            for id, rows in known.items():
                for row in rows:
                    if row.state in ("allocated", "sold"):
                        assert row.variant is not None
                        tallies[row.variant].move(Place(row.state), Move.VOID, row.quantity)
                    if row.state in ("allocated", "sold", "void"):
                        counts[id] = counts.get(id, 0) + row.quantity
            if tallies:
                await store.void(tx, list(known))
            await store.add_tallies(tx, tallies)
        return [counts.get(id, 0) for id in ids]

    async def count_stock(self, skus: Sequence[str]) -> list[StockCount | None]:
        """Count keys by state, exactly."""
        async with self._db.reading() as tx:
            rows = await store.read_stock(tx, skus)
        counts = {row["sku"]: StockCount(*row) for row in rows}
        return [counts.get(sku) for sku in skus]
