"""Pure: which holds are granted, which allocations are filled, and what can be undone."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from vendrail.api.catalog import (
    Allocation,
    AllocationResult,
    AllocationStatus,
    Hold,
    HoldStatus,
    KeyId,
    KeyReplacement,
    KeyReplacementStatus,
    UndoStatus,
)
from vendrail.catalog.stock import Move, Place, Tally


class Supply(StrEnum):
    """How a variant's units come about."""

    KEYS = "keys"  # From the pool, each once.
    ENDLESS = "endless"  # The same content again and again.
    EMPTY = "empty"  # The same content again and again, but none was given yet.


@dataclass(frozen=True, slots=True)
class Shelf:
    """What a hold or an allocation must know of a variant."""

    supply: Supply
    is_held: bool = True  # Whether unpaid orders set stock aside.
    free: int = 0  # How many were free when it was read: a hint, until the counters are locked.
    held: int = 0  # The same of those that were set aside.

    @property
    def needs_hold(self) -> bool:
        """Whether an unpaid order sets stock aside."""
        return self.is_held and self.supply is not Supply.ENDLESS


class Units(NamedTuple):
    """A variant's units that are not sold: anybody's, and those set aside for unpaid orders."""

    free: int
    held: int


@dataclass(frozen=True, slots=True)
class Caps:
    """What unpaid orders may set aside; a number of 0: any number."""

    buyer: int = 0  # Live holds of one buyer, address, device: counted where they are watched.
    address: int = 0
    device: int = 0
    watched_percent: int = 0  # Of the stock: what is held beyond it is watched.
    share_percent: int = 100  # Of the stock: beyond it, nothing is set aside.
    share_stock_min: int = 0  # Smaller stocks may be held whole.

    @property
    def is_any(self) -> bool:
        """Whether there is anything to count."""
        return bool(self.buyer or self.address or self.device)

    @property
    def plain_percent(self) -> int:
        """The share of a stock that may be held without a look at who holds it."""
        return min(self.share_percent, self.watched_percent if self.is_any else 100)

    def are_watched(self, units: Units, wanted: int) -> bool:
        """Whether buyers are counted when so many more are set aside."""
        return self.is_any and _is_beyond(units, wanted, self.watched_percent)

    def is_share_reached(self, units: Units, wanted: int) -> bool:
        """Whether so many more would be a larger share of the stock than unpaid orders may have."""
        return sum(units) >= self.share_stock_min and _is_beyond(units, wanted, self.share_percent)


def _is_beyond(units: Units, wanted: int, percent: int) -> bool:
    return (units.held + wanted) * 100 > sum(units) * percent


def is_plain(caps: Caps, shelf: Shelf, wanted: int) -> bool:
    """Whether there is enough, and so little set aside that nobody need be counted."""
    units = Units(shelf.free, shelf.held)
    return units.free >= wanted and not _is_beyond(units, wanted, caps.plain_percent)


@dataclass(slots=True)
class HoldBook:
    """What is loaded to decide on holds, and what was decided."""

    shelves: dict[UUID, Shelf]
    units: dict[UUID, Units]
    orders: set[UUID]  # Those that hold something already.
    caps: Caps = Caps()
    buyers: Counter[str] = field(default_factory=Counter)
    addresses: Counter[str] = field(default_factory=Counter)
    devices: Counter[str] = field(default_factory=Counter)
    held: list[Hold] = field(default_factory=list)
    named: list[Hold] = field(default_factory=list)  # Those whose holder is written down.


def hold(book: HoldBook, new: Hold) -> HoldStatus:
    """Set stock aside for one order in the loaded book, or leave it untouched and say why."""
    if new.order in book.orders:
        return HoldStatus.EXISTS
    shelf = book.shelves.get(new.variant)
    if shelf and not shelf.needs_hold:
        return HoldStatus.NOT_NEEDED
    if not shelf:
        return HoldStatus.VARIANT_NOT_FOUND
    caps, quantity = book.caps, new.quantity
    units = book.units.get(new.variant, Units(0, 0))
    is_watched = caps.are_watched(units, quantity)
    if is_watched and (refusal := _find_cap(book, new)) is not None:
        return refusal
    if shelf.supply is Supply.EMPTY or units.free < quantity:
        return HoldStatus.SOLD_OUT
    if caps.is_share_reached(units, quantity):
        return HoldStatus.SHARE_REACHED
    book.units[new.variant] = Units(units.free - quantity, units.held + quantity)
    book.orders.add(new.order)
    if is_watched:
        book.buyers[new.buyer] += 1
        book.addresses[new.address] += 1
        book.devices[new.device] += 1
        book.named.append(new)
    book.held.append(new)
    return HoldStatus.HELD


def _find_cap(book: HoldBook, new: Hold) -> HoldStatus | None:
    """Find the cap that stands against one more hold of its buyer, address or device."""
    caps = book.caps
    if caps.buyer and new.buyer and book.buyers[new.buyer] >= caps.buyer:
        return HoldStatus.BUYER_CAP_REACHED
    if caps.address and new.address and book.addresses[new.address] >= caps.address:
        return HoldStatus.ADDRESS_CAP_REACHED
    if caps.device and new.device and book.devices[new.device] >= caps.device:
        return HoldStatus.DEVICE_CAP_REACHED
    return None


@dataclass(slots=True)
class Lane:
    """One variant in a batch of allocations: what is known of it, and what the batch moves."""

    variant: UUID
    shelf: Shelf | None
    free: int = 0  # Known (and locked) only where an allocation has no hold that covers it.
    wanted: int = 0  # Keys to take from the pool.
    tally: Tally = field(default_factory=Tally)
    keys: list[KeyId] = field(default_factory=list)  # Those that were taken.
    at: int = 0  # How many of them were given away.


class Held(NamedTuple):
    """What one order had set aside."""

    variant: UUID
    quantity: int


def are_covered(
    news: Sequence[Allocation], shelves: dict[UUID, Shelf], holds: dict[UUID, Held]
) -> bool:
    """Whether every order's own hold is enough, so that nobody else's stock need be looked at."""
    rest = holds.copy()
    for new in news:
        held = rest.pop(new.order, None)
        if held is None or held.quantity < new.quantity or held.variant != new.variant:
            shelf = shelves.get(new.variant)
            if shelf is not None and shelf.supply is Supply.KEYS:
                return False
    return True


def plan(
    lanes: dict[UUID, Lane], news: Sequence[Allocation], holds: dict[UUID, Held]
) -> list[AllocationStatus]:
    """Fill in order: from the order's own hold, which ends; beyond it only from what is free.

    What is held for others is never taken. `holds` is used up.
    """
    return [_plan_one(lanes, new, holds.pop(new.order, None)) for new in news]


def _plan_one(lanes: dict[UUID, Lane], new: Allocation, held: Held | None) -> AllocationStatus:
    lane, quantity = lanes[new.variant], new.quantity
    shelf, tally = lane.shelf, lane.tally
    is_from_pool = shelf is not None and shelf.supply is Supply.KEYS
    if held is not None:
        if is_from_pool and held.quantity == quantity and held.variant == lane.variant:
            tally.held -= quantity
            tally.allocated += quantity
            lane.wanted += quantity
            return AllocationStatus.ALLOCATED
        source = lanes[held.variant]
        source.tally.move(Place.HELD, Move.RELEASE, held.quantity)
        source.free += held.quantity
    if shelf is None:
        return AllocationStatus.VARIANT_NOT_FOUND
    if shelf.supply is Supply.ENDLESS:
        tally.make(quantity)
        return AllocationStatus.ALLOCATED
    if not is_from_pool or lane.free < quantity:
        return AllocationStatus.SOLD_OUT
    lane.free -= quantity
    lane.wanted += quantity
    tally.move(Place.FREE, Move.ALLOCATE, quantity)
    return AllocationStatus.ALLOCATED


class AllocationRow(NamedTuple):
    """One row of `catalog.allocation`."""

    id: UUID
    order: UUID | None
    variant: UUID | None
    key: UUID | None
    quantity: int
    position: int
    state: str


def hand_out(
    lanes: dict[UUID, Lane], news: Sequence[Allocation], statuses: Sequence[AllocationStatus]
) -> tuple[list[AllocationResult], list[AllocationRow]]:
    """Give the taken keys to the planned allocations: the whole quantity, or none.

    What is left in a lane found no taker and goes back to the pool: that happens only where the
    pool held less than its counters said.
    """
    results: list[AllocationResult] = []
    rows: list[AllocationRow] = []
    allocated = AllocationStatus.ALLOCATED
    for new, status in zip(news, statuses, strict=True):
        id, order, variant, quantity = new.id, new.order, new.variant, new.quantity
        if status is not allocated:
            rows.append(AllocationRow(id, order, variant, None, 0, 0, status.value))
            results.append(AllocationResult(status))
            continue
        lane = lanes[variant]
        if lane.shelf is not None and lane.shelf.supply is Supply.ENDLESS:
            rows.append(AllocationRow(id, order, variant, None, quantity, 0, "allocated"))
            results.append(AllocationResult(allocated))
            continue
        keys = lane.keys[lane.at : lane.at + quantity]
        if len(keys) < quantity:
            lane.tally.move(Place.ALLOCATED, Move.UNDO, quantity)
            rows.append(AllocationRow(id, order, variant, None, 0, 0, "sold_out"))
            results.append(AllocationResult(AllocationStatus.SOLD_OUT))
            continue
        lane.at += quantity
        for position, key in enumerate(keys):
            rows.append(AllocationRow(id, order, variant, key, 1, position, "allocated"))
        results.append(AllocationResult(allocated, keys))
    return results, rows


def spare_keys(lanes: Iterable[Lane]) -> list[tuple[UUID, KeyId]]:
    """Give the keys (variant, key) that were taken and found no taker."""
    return [(lane.variant, key) for lane in lanes for key in lane.keys[lane.at :]]


def outcome(rows: Sequence[AllocationRow]) -> AllocationResult:
    """Read the kept outcome of one allocation back from its rows (in order of position)."""
    match rows[0].state:
        case "sold_out":
            return AllocationResult(AllocationStatus.SOLD_OUT)
        case "variant_not_found":
            return AllocationResult(AllocationStatus.VARIANT_NOT_FOUND)
        case "freed" | "cancelled":
            return AllocationResult(AllocationStatus.CANCELLED)
        case _:
            keys = [KeyId(row.key) for row in rows if row.key is not None]
            return AllocationResult(AllocationStatus.ALLOCATED, keys)


def undo(rows: Sequence[AllocationRow]) -> UndoStatus:
    """Tell how undoing one allocation ends, from its rows; none at all: a tombstone is left."""
    if not rows:
        return UndoStatus.TOMBSTONE_LEFT
    match rows[0].state:
        case "allocated" | "freed":
            return UndoStatus.FREED
        case "sold" | "void":
            return UndoStatus.SOLD
        case _:
            return UndoStatus.TOMBSTONE_LEFT


class Swap(NamedTuple):
    """One row of `catalog.replacement`: a key that took another's place."""

    id: UUID
    position: int
    allocation: UUID
    slot: int
    old_key: UUID
    new_key: UUID
    reason: str
    at: datetime


def standing_rows(
    rows: Sequence[AllocationRow], others: Iterable[AllocationRow], swaps: Iterable[Swap]
) -> list[AllocationRow]:
    """Give what stands in each place of a delivery now: its own row, or that of the newest key."""
    by_key = {row.key: row for row in others}
    newest = {each.slot: by_key[each.new_key] for each in swaps}
    return [newest.get(row.position, row) for row in rows]


def replace_keys(
    asked: KeyReplacement,
    standing: Sequence[AllocationRow],
    before: Sequence[Swap],
    swaps: Sequence[Swap],
) -> KeyReplacementStatus:
    """Say whether keys may be replaced, given what stands in each place of their delivery.

    `before` is what this very request has done, `swaps` all that was replaced of the delivery.
    """
    if before:
        is_same = before[0].allocation == asked.allocation and asked.positions == [
            each.slot + 1 for each in before
        ]
        return KeyReplacementStatus.EXISTS if is_same else KeyReplacementStatus.EXISTS_DIFFERENT
    if not standing:
        return KeyReplacementStatus.ALLOCATION_NOT_FOUND
    if any(row.state != "sold" or row.order is None for row in standing):
        return KeyReplacementStatus.NOT_SOLD
    if any(row.key is None for row in standing):
        return KeyReplacementStatus.NOT_UNIQUE
    slots = set(asked.positions)
    if (
        not slots
        or len(slots) < len(asked.positions)
        or not slots <= {*range(1, len(standing) + 1)}
    ):
        return KeyReplacementStatus.POSITIONS_MALFORMED
    if len({each.id for each in swaps}) != asked.seen:
        return KeyReplacementStatus.CHANGED_SINCE
    return KeyReplacementStatus.REPLACED
