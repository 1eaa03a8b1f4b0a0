"""Pure: where a unit of stock may stand, how it moves, and the tally of a batch's moves."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Place(StrEnum):
    """Where one unit of a variant stands."""

    FREE = "free"  # Anyone may have it.
    HELD = "held"  # Set aside for an unpaid order.
    ALLOCATED = "allocated"  # Picked for a paid order, still unreadable.
    SOLD = "sold"  # Readable by its buyer: never free again.
    VOID = "void"  # Refunded after it was readable.


class Move(StrEnum):
    """What can happen to a unit."""

    HOLD = "hold"
    RELEASE = "release"
    ALLOCATE = "allocate"
    UNDO = "undo"
    SELL = "sell"
    VOID = "void"


# Every pair of place and move is answered: where the unit goes, or None where the move is refused.
MOVES: dict[tuple[Place, Move], Place | None] = {
    (Place.FREE, Move.HOLD): Place.HELD,
    (Place.FREE, Move.RELEASE): None,
    (Place.FREE, Move.ALLOCATE): Place.ALLOCATED,  # A late payment, or no hold asked for.
    (Place.FREE, Move.UNDO): None,
    (Place.FREE, Move.SELL): None,
    (Place.FREE, Move.VOID): None,
    (Place.HELD, Move.HOLD): None,
    (Place.HELD, Move.RELEASE): Place.FREE,
    (Place.HELD, Move.ALLOCATE): Place.ALLOCATED,
    (Place.HELD, Move.UNDO): None,
    (Place.HELD, Move.SELL): None,
    (Place.HELD, Move.VOID): None,
    (Place.ALLOCATED, Move.HOLD): None,
    (Place.ALLOCATED, Move.RELEASE): None,
    (Place.ALLOCATED, Move.ALLOCATE): None,
    (Place.ALLOCATED, Move.UNDO): Place.FREE,
    (Place.ALLOCATED, Move.SELL): Place.SOLD,
    (Place.ALLOCATED, Move.VOID): Place.VOID,  # A refund that comes before the sale was marked.
    (Place.SOLD, Move.HOLD): None,
    (Place.SOLD, Move.RELEASE): None,
    (Place.SOLD, Move.ALLOCATE): None,
    (Place.SOLD, Move.UNDO): None,
    (Place.SOLD, Move.SELL): Place.SOLD,
    (Place.SOLD, Move.VOID): Place.VOID,
    (Place.VOID, Move.HOLD): None,
    (Place.VOID, Move.RELEASE): None,
    (Place.VOID, Move.ALLOCATE): None,
    (Place.VOID, Move.UNDO): None,
    (Place.VOID, Move.SELL): None,
    (Place.VOID, Move.VOID): Place.VOID,
}


def move(place: Place, by: Move) -> Place | None:
    """Tell where a unit goes, or None where that may not happen to it."""
    return MOVES[place, by]


def draw() -> str:
    """Draw the places and moves as a Mermaid diagram, for the docs."""
    lines = ["stateDiagram-v2", "    [*] --> free: intake"]
    lines += [
        f"    {place} --> {target}: {by}"
        for (place, by), target in MOVES.items()
        if target is not None and target is not place
    ]
    return "\n".join([*lines, "    sold --> [*]", "    void --> [*]"])


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
        """Count units that move; a move that the table refuses is a fault of ours."""
        target = MOVES[place, by]
        assert target is not None, f"A {place} unit cannot {by}."
        setattr(self, place.value, getattr(self, place.value) - count)
        setattr(self, target.value, getattr(self, target.value) + count)


class Tallies(dict[UUID, Tally]):
    """The tally of each variant that a batch touches."""

    def __missing__(self, variant: UUID) -> Tally:
        """Begin a tally at nothing."""
        tally = self[variant] = Tally()
        return tally
