"""Pure: where a unit of stock may stand, how it moves, and the tally of a batch's moves."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from vendrail.kernel.machine import IMPOSSIBLE, STAYS, Machine


class Place(StrEnum):
    """Where one unit of a variant stands."""

    FREE = "free"  # Anyone may have it.
    HELD = "held"  # Set aside for an unpaid order.
    ALLOCATED = "allocated"  # Picked for a paid order, still unreadable.
    SOLD = "sold"  # Readable by its buyer: never free again.
    VOID = "void"  # Refunded after it was readable, or withdrawn before anyone had it.


class Move(StrEnum):
    """What can happen to a unit."""

    HOLD = "hold"
    RELEASE = "release"
    ALLOCATE = "allocate"
    UNDO = "undo"
    SELL = "sell"
    VOID = "void"


UNIT = Machine(
    "a unit of stock",
    Place,
    Move,
    Place.FREE,
    {
        Place.FREE: {
            Move.HOLD: Place.HELD,
            Move.ALLOCATE: Place.ALLOCATED,  # A late payment, or no hold asked for.
            Move.VOID: Place.VOID,  # The merchant withdrew it.
        },
        Place.HELD: {Move.RELEASE: Place.FREE, Move.ALLOCATE: Place.ALLOCATED},
        Place.ALLOCATED: {
            Move.UNDO: Place.FREE,
            Move.SELL: Place.SOLD,
            Move.VOID: Place.VOID,  # A refund that comes before the sale was marked.
        },
        Place.SOLD: {Move.SELL: STAYS, Move.VOID: Place.VOID},
        Place.VOID: {Move.VOID: STAYS},
    },
    otherwise=IMPOSSIBLE,
)


@dataclass(slots=True)
class Tally:
    """How many units of one variant a batch moves: added to the variant's counters, once."""

    free: int = 0
    held: int = 0
    allocated: int = 0
    sold: int = 0
    void: int = 0

    def take_in(self, count: int) -> None:
        """Count new keys."""
        self.free += count

    def make(self, count: int) -> None:
        """Count units of a variant without end: they come into being when they are allocated."""
        self.allocated += count

    def unmake(self, count: int) -> None:
        """Take such units back, unsold."""
        self.allocated -= count

    def move(self, place: Place, by: Move, count: int) -> None:
        """Count units that move, as the table says; what it calls impossible is `Broken`."""
        target = UNIT.next(place, by)
        setattr(self, place.value, getattr(self, place.value) - count)
        setattr(self, target.value, getattr(self, target.value) + count)


class Tallies(dict[UUID, Tally]):
    """The tally of each variant that a batch touches."""

    def __missing__(self, variant: UUID) -> Tally:
        """Begin a tally at nothing."""
        tally = self[variant] = Tally()
        return tally
