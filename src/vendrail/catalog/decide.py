"""Pure: which holds are granted, which allocations are filled, and what can be undone."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
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

    @property
    def needs_hold(self) -> bool:
        """Whether an unpaid order sets stock aside."""
        return self.is_held and self.supply is not Supply.ENDLESS


@dataclass(frozen=True, slots=True)
class Caps:
    """The most live holds of one buyer, address, device; 0: any number."""

    buyer: int = 0
    address: int = 0
    device: int = 0

    @property
    def is_any(self) -> bool:
        """Whether there is anything to count."""
        return bool(self.buyer or self.address or self.device)


@dataclass(slots=True)
class HoldBook:
    """What is loaded to decide on holds, and what was decided."""

    shelves: dict[UUID, Shelf]
    free: dict[UUID, int]
    orders: set[UUID]  # Those that hold something already.
    caps: Caps = Caps()
    buyers: Counter[str] = field(default_factory=Counter)
    addresses: Counter[str] = field(default_factory=Counter)
    devices: Counter[str] = field(default_factory=Counter)
    held: list[Hold] = field(default_factory=list)


def hold(book: HoldBook, new: Hold) -> HoldStatus:
    """Set stock aside for one order in the loaded book, or leave it untouched and say why."""
    if new.order in book.orders:
        return HoldStatus.EXISTS
    shelf = book.shelves.get(new.variant)
    if shelf and not shelf.needs_hold:
        return HoldStatus.NOT_NEEDED
    if not shelf:
        return HoldStatus.VARIANT_NOT_FOUND
    caps = book.caps
    if caps.buyer and new.buyer and book.buyers[new.buyer] >= caps.buyer:
        return HoldStatus.BUYER_CAP_REACHED
    if caps.address and new.address and book.addresses[new.address] >= caps.address:
        return HoldStatus.ADDRESS_CAP_REACHED
    if caps.device and new.device and book.devices[new.device] >= caps.device:
        return HoldStatus.DEVICE_CAP_REACHED
    if shelf.supply is Supply.EMPTY or book.free.get(new.variant, 0) < new.quantity:
        return HoldStatus.SOLD_OUT
    book.free[new.variant] -= new.quantity
    book.orders.add(new.order)
    if caps.is_any:
        book.buyers[new.buyer] += 1
        book.addresses[new.address] += 1
        book.devices[new.device] += 1
    book.held.append(new)
    return HoldStatus.HELD


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
