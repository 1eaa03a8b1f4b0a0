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
from vendrail.catalog.stock import Move, Place, Tallies


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
    if shelf and (shelf.supply is Supply.ENDLESS or not shelf.is_held):
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


@dataclass(frozen=True, slots=True)
class Held:
    """What one order had set aside."""

    variant: UUID
    quantity: int


def is_covered(new: Allocation, held: Held | None) -> bool:
    """Whether an order's own hold is enough, so that nobody else's stock need be looked at."""
    return held is not None and held.variant == new.variant and held.quantity >= new.quantity


@dataclass(slots=True)
class Plan:
    """Which allocations are to be filled, how many keys that takes, and how the counters move."""

    filled: list[Allocation] = field(default_factory=list)
    refused: list[tuple[Allocation, AllocationStatus]] = field(default_factory=list)
    wanted: Counter[UUID] = field(default_factory=Counter)
    tallies: Tallies = field(default_factory=Tallies)


def plan_allocations(
    news: Iterable[Allocation],
    shelves: dict[UUID, Shelf],
    holds: dict[UUID, Held],
    free: dict[UUID, int],
) -> Plan:
    """Fill in order: from the order's own hold, which ends; beyond it only from what is free.

    `free` is needed (and changed) only for allocations that no hold covers: what is held for
    others is never taken.
    """
    plan = Plan()
    for new in news:
        variant, quantity = new.variant, new.quantity
        held = holds.pop(new.order, None)
        shelf = shelves.get(variant)
        if held is not None and is_covered(new, held) and shelf and shelf.supply is Supply.KEYS:
            tally = plan.tallies[variant]
            tally.held -= held.quantity
            tally.free += held.quantity - quantity
            tally.allocated += quantity
            if variant in free:
                free[variant] += held.quantity - quantity
            plan.filled.append(new)
            plan.wanted[variant] += quantity
            continue
        if held is not None:
            plan.tallies[held.variant].move(Place.HELD, Move.RELEASE, held.quantity)
            if held.variant in free:
                free[held.variant] += held.quantity
        if not shelf:
            plan.refused.append((new, AllocationStatus.VARIANT_NOT_FOUND))
        elif shelf.supply is Supply.ENDLESS:
            plan.tallies[variant].make(quantity)
            plan.filled.append(new)
        elif shelf.supply is Supply.EMPTY or free.get(variant, 0) < quantity:
            plan.refused.append((new, AllocationStatus.SOLD_OUT))
        else:
            free[variant] -= quantity
            plan.tallies[variant].move(Place.FREE, Move.ALLOCATE, quantity)
            plan.filled.append(new)
            plan.wanted[variant] += quantity
    return plan


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
    plan: Plan, shelves: dict[UUID, Shelf], picked: dict[UUID, list[KeyId]]
) -> tuple[dict[UUID, AllocationResult], list[AllocationRow]]:
    """Give the picked keys to the planned allocations: the whole quantity, or none.

    What is left in `picked` found no taker and goes back to the pool: that happens only where the
    pool held less than its counters said.
    """
    results: dict[UUID, AllocationResult] = {}
    rows: list[AllocationRow] = []
    at: Counter[UUID] = Counter()
    state = AllocationStatus.ALLOCATED.value
    refused = plan.refused
    for new in plan.filled:
        id, order, variant, quantity = new.id, new.order, new.variant, new.quantity
        if shelves[variant].supply is Supply.ENDLESS:
            rows.append(AllocationRow(id, order, variant, None, quantity, 0, state))
            results[id] = AllocationResult(AllocationStatus.ALLOCATED)
            continue
        start = at[variant]
        keys = picked.get(variant, [])[start : start + quantity]
        if len(keys) < quantity:
            plan.tallies[variant].move(Place.ALLOCATED, Move.UNDO, quantity)
            refused.append((new, AllocationStatus.SOLD_OUT))
            continue
        at[variant] += quantity
        rows += [
            AllocationRow(id, order, variant, key, 1, position, state)
            for position, key in enumerate(keys)
        ]
        results[id] = AllocationResult(AllocationStatus.ALLOCATED, keys)
    for new, status in refused:
        rows.append(AllocationRow(new.id, new.order, new.variant, None, 0, 0, status.value))
        results[new.id] = AllocationResult(status)
    for taken_of, count in at.items():
        del picked[taken_of][:count]
    return results, rows


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
