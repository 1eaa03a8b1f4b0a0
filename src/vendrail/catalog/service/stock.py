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
from vendrail.catalog.store import replacements
from vendrail.catalog.store import stock as store
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database, Retry, Transaction, is_duplicate

Result = TypeVar("Result")
_ATTEMPTS_MAX = 8
_TURN_MIN = 64  # So many at once are marked sold in turn; a page that reads one key does not wait.


class _RivalError(Exception):
    """Another writer wrote first, or not all is plain: load everything in a new transaction."""


async def try_again(work: Callable[[bool], Awaitable[Result]]) -> Result:
    """Try the plain way, on which nothing is repeated or short; then look at everything first."""
    for attempt in range(_ATTEMPTS_MAX):
        try:
            return await work(attempt == 0)
        except _RivalError:
            continue
        except Exception as error:
            if attempt or not is_duplicate(error):
                raise
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
            settings.holds_watched_percent,
            settings.holds_share_percent,
            settings.holds_share_stock_min,
        )

    async def hold_keys(self, holds: Sequence[Hold]) -> list[HoldStatus]:
        """Set stock aside; several holds of one variant in a batch see each other, in order."""
        return await try_again(lambda is_plain: self._hold(holds, is_plain=is_plain))

    async def _hold(self, holds: Sequence[Hold], *, is_plain: bool) -> list[HoldStatus]:
        variants = list({hold.variant for hold in holds})
        async with self._db.transaction() as tx:
            shelves = await store.read_shelves(tx, variants)
            if is_plain and len(shelves) == len(variants):
                wanted: Counter[UUID] = Counter()
                needed = [hold for hold in holds if shelves[hold.variant].needs_hold]
                for hold in needed:
                    wanted[hold.variant] += hold.quantity
                if all(
                    decide.is_plain(self._caps, shelves[variant], count)
                    for variant, count in wanted.items()
                ):
                    return await self._hold_plainly(tx, holds, needed, wanted, shelves)
            return await self._hold_carefully(tx, holds, shelves)

    async def _hold_plainly(
        self,
        tx: Transaction,
        holds: Sequence[Hold],
        needed: Sequence[Hold],
        wanted: dict[UUID, int],
        shelves: dict[UUID, decide.Shelf],
    ) -> list[HoldStatus]:
        """Hold all that need it: no order is known, there is enough, and little of it is held."""
        if needed:
            await store.insert_holds(tx, needed, is_plain=True)
            if not await store.hold_units(tx, wanted, self._caps.plain_percent):
                raise _RivalError
        return [
            HoldStatus.HELD if shelves[hold.variant].needs_hold else HoldStatus.NOT_NEEDED
            for hold in holds
        ]

    async def _hold_carefully(
        self, tx: Transaction, holds: Sequence[Hold], shelves: dict[UUID, decide.Shelf]
    ) -> list[HoldStatus]:
        """Lock the counters, then decide on each hold in order."""
        caps, tallies = self._caps, Tallies()
        if caps.is_any:
            await store.lock_caps(tx)
        kept = [variant for variant, shelf in shelves.items() if shelf.needs_hold]
        units = await store.lock_stock(tx, kept)
        orders = await store.read_held_orders(tx, [hold.order for hold in holds])
        book = decide.HoldBook(shelves, units, orders, caps)
        wanted: Counter[UUID] = Counter()
        for hold in holds:
            wanted[hold.variant] += hold.quantity
        pressed = [v for v in wanted if v in units and caps.are_watched(units[v], wanted[v])]
        await self._return_expired(tx, wanted, units, tallies, pressed)
        if pressed:
            await self._load_caps(tx, book, holds)
        statuses = [decide.hold(book, hold) for hold in holds]
        if book.held:
            for hold in book.held:
                tallies[hold.variant].move(Place.FREE, Move.HOLD, hold.quantity)
            _expect(await store.insert_holds(tx, book.held), len(book.held))
            if book.named:
                await store.name_holders(tx, book.named)
        await store.add_tallies(tx, tallies.items())
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
        units: dict[UUID, decide.Units],
        tallies: Tallies,
        pressed: Sequence[UUID] = (),
    ) -> None:
        """Before saying no, take back what expired holds keep; the counters are locked."""
        short = {v for v, quantity in wanted.items() if v in units and units[v].free < quantity}
        if not short and not pressed:
            return
        ended = await store.end_expired_holds(
            tx, list(short | set(pressed)), self._clock.now(), self._settings.expired_holds_max
        )
        for held in ended:
            there = units[held.variant]
            units[held.variant] = decide.Units(
                there.free + held.quantity, there.held - held.quantity
            )
            tallies[held.variant].move(Place.HELD, Move.RELEASE, held.quantity)

    async def release_holds(self, orders: Sequence[UUID]) -> list[bool]:
        """End orders' holds; true where one was there."""
        tallies = Tallies()
        async with self._db.transaction() as tx:
            ended = await store.end_holds(tx, orders)
            for held in ended.values():
                tallies[held.variant].move(Place.HELD, Move.RELEASE, held.quantity)
            await store.add_tallies(tx, tallies.items())
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
            await store.add_tallies(tx, tallies.items())
        return len(ended)

    async def allocate_keys(self, allocations: Sequence[Allocation]) -> list[AllocationResult]:
        """Pick keys for paid orders (ending their holds); all of the quantity, or none."""
        if not allocations:
            return []
        return await try_again(lambda is_plain: self._allocate(allocations, is_plain=is_plain))

    async def _allocate(
        self, allocations: Sequence[Allocation], *, is_plain: bool
    ) -> list[AllocationResult]:
        async with self._db.transaction() as tx:
            if is_plain:  # None has an outcome yet: else writing one fails, and we come again.
                return await self._fill(tx, allocations, is_plain=True)
            known = await store.read_allocations(tx, [new.id for new in allocations])
            results = {id: decide.outcome(rows) for id, rows in known.items()}
            news: dict[UUID, Allocation] = {}
            for new in allocations:
                if new.id not in known:
                    news.setdefault(new.id, new)
            if news:
                filled = await self._fill(tx, list(news.values()))
                results.update(zip(news, filled, strict=True))
        return [results[new.id] for new in allocations]

    async def _fill(
        self, tx: Transaction, news: Sequence[Allocation], *, is_plain: bool = False
    ) -> list[AllocationResult]:
        holds = await store.end_holds(tx, [new.order for new in news])
        variants = {new.variant for new in news}
        shelves = await store.read_shelves(tx, list(variants))
        touched: set[UUID] = variants | {held.variant for held in holds.values()}
        lanes = {variant: decide.Lane(variant, shelves.get(variant)) for variant in touched}
        if not decide.are_covered(news, shelves, holds):
            # All at once and in id order, so that no two batches wait for each other.
            units = await store.lock_stock(tx, list(touched))
            wanted: Counter[UUID] = Counter()
            for new in news:
                wanted[new.variant] += new.quantity
            returned = Tallies()
            await self._return_expired(tx, wanted, units, returned)
            for variant, there in units.items():
                lanes[variant].free = there.free
                lanes[variant].tally = returned[variant]
        statuses = decide.plan(lanes, news, holds)
        raise_to, lower_to = await self._pick(tx, lanes)
        results, rows = decide.hand_out(lanes, news, statuses)
        if spare := decide.spare_keys(lanes.values()):
            await store.insert_free_keys(tx, spare)
        _expect(await store.insert_allocations(tx, rows, is_plain=is_plain), len(rows))
        tallies = [(lane.variant, lane.tally) for lane in lanes.values()]
        await store.add_tallies(tx, tallies, raise_to, lower_to)
        return results

    async def _pick(
        self, tx: Transaction, lanes: dict[UUID, decide.Lane]
    ) -> tuple[dict[UUID, KeyId], dict[UUID, KeyId]]:
        """Take keys from the pool: past rivals first; waiting for them before there are too few."""
        raise_to: dict[UUID, KeyId] = {}
        lower_to: dict[UUID, KeyId] = {}
        for attempt in range(len(store.PICKS)):
            missing = {
                lane.variant: lane.wanted - len(lane.keys)
                for lane in lanes.values()
                if lane.wanted > len(lane.keys)
            }
            if not missing:
                break
            for variant, keys in (await store.pick_keys(tx, attempt, missing)).items():
                lanes[variant].keys += keys
                if attempt == 0:
                    raise_to[variant] = keys[-1]
                else:  # What lay before the hint: picking starts there from now on.
                    lower_to[variant] = min(keys[0], lower_to.get(variant, keys[0]))
        return raise_to, lower_to

    async def free_allocations(self, ids: Sequence[AllocationId]) -> list[UndoStatus]:
        """Undo allocations; leaves a tombstone on the id so that a late one is `cancelled`."""
        return await try_again(lambda _: self._free(ids))

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
            await store.add_tallies(tx, tallies.items(), lower_to=lower_to)
        return [decide.undo(known.get(id, [])) for id in ids]

    async def sell_allocations(self, ids: Sequence[AllocationId]) -> list[bool]:
        """Mark allocated keys sold: called after the order's pivot; idempotent."""
        if not ids:
            return []
        async with self._db.transaction() as tx:
            if len(ids) >= _TURN_MIN:
                await store.lock_sales(tx)
            if await store.sell(tx, ids) == len(ids):
                return [True] * len(ids)
            sold = await store.read_sold(tx, ids)
        return [id in sold for id in ids]

    async def void_allocations(self, ids: Sequence[AllocationId]) -> list[int]:
        """Void sold keys (a refund): they are never free again; gives how many are void."""
        tallies = Tallies()
        counts: dict[UUID, int] = {}
        async with self._db.transaction() as tx:
            known = await store.read_allocations(tx, ids, is_locking=True)
            # Read once their places are locked: nobody replaces a key of them any more.
            replaced = await replacements.read_replacements_of(tx, list(known))
            others = {each.id for rows in replaced.values() for each in rows}
            more = await store.read_allocations(tx, list(others), is_locking=True) if others else {}
            for row in (row for rows in (known | more).values() for row in rows):
                if row.state in ("allocated", "sold"):
                    assert row.variant is not None
                    tallies[row.variant].move(Place(row.state), Move.VOID, row.quantity)
                if row.id in known and row.state in ("allocated", "sold", "void"):
                    counts[row.id] = counts.get(row.id, 0) + row.quantity
            if tallies:
                await store.void(tx, [*known, *more])
            await store.add_tallies(tx, tallies.items())
        return [counts.get(id, 0) for id in ids]

    async def count_stock(self, skus: Sequence[str]) -> list[StockCount | None]:
        """Count keys by state, exactly."""
        async with self._db.reading() as tx:
            rows = await store.read_stock(tx, skus)
        counts = {row["sku"]: StockCount(*row) for row in rows}
        return [counts.get(sku) for sku in skus]
