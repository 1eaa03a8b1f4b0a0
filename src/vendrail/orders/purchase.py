"""The purchase saga as a table: state × event → next state. Pure; the service runs the states.

Before the pivot (`DELIVER`) a purchase may turn back; after it, it only goes forward. Booking the
money comes first on every way, for it did arrive: on the way to delivery it is booked in the same
ledger chain as the split, on every other way by `BOOK`.
"""

from enum import StrEnum

from vendrail.kernel.machine import IMPOSSIBLE, Machine


class Step(StrEnum):
    """What a purchase does next."""

    ASSESS = "assess"  # Risk's first answer.
    ALLOCATE = "allocate"  # Keys picked, still unreadable.
    SPLIT = "split"  # Money booked, fee taken, the rest the merchant's.
    DELIVER = "deliver"  # The pivot: keys become readable in that commit.
    BOOK_TO_REVIEW = "book_to_review"
    BOOK_TO_RESTOCK = "book_to_restock"
    BOOK_TO_TURN = "book_to_turn"
    WAIT_REVIEW = "wait_review"
    WAIT_RESTOCK = "wait_restock"
    TURN = "turn"  # The turn is committed before the first undo.
    UNDO = "undo"  # Keys freed, split reversed, hold released; tombstones left.
    GIVE_BACK = "give_back"  # The money, to where it came from.
    STICK = "stick"  # The books disagree: a case for a person.
    PARKED = "parked"  # Written down; looked at again when due.
    DONE = "done"  # Delivered.
    ENDED = "ended"  # Given back, or handed to a saga that gives it back.
    LOST = "lost"  # Another runner has it now.


class Event(StrEnum):
    """What happened at a step."""

    ALLOWED = "allowed"
    CHARGE_ALLOWED = "charge_allowed"  # The merchant delivers elsewhere: there is nothing to pick.
    REVIEW_ASKED = "review_asked"
    REFUSED = "refused"
    ALLOCATED = "allocated"
    SOLD_OUT = "sold_out"
    RESTOCK_AWAITED = "restock_awaited"
    CANCELLED = "cancelled"
    SPLIT_DONE = "split_done"
    NOT_HELD = "not_held"
    DELIVERED = "delivered"
    SURPLUS = "surplus"  # Another capture had filled the order: this one's money goes back.
    FENCED = "fenced"
    BOOKED = "booked"
    WRITTEN = "written"
    UNDONE = "undone"
    GIVEN_BACK = "given_back"
    UNDECIDED = "undecided"  # The provider has not said.
    PROVIDER_REFUSED = "provider_refused"
    RESUMED = "resumed"  # Due, or woken.
    RESUMED_TURNED = "resumed_turned"  # The same, with its turn committed.


PURCHASE = Machine(
    "a purchase",
    Step,
    Event,
    Step.ASSESS,
    {
        Step.ASSESS: {
            Event.ALLOWED: Step.ALLOCATE,
            Event.CHARGE_ALLOWED: Step.SPLIT,
            Event.REVIEW_ASKED: Step.BOOK_TO_REVIEW,
            Event.REFUSED: Step.BOOK_TO_TURN,
        },
        Step.ALLOCATE: {
            Event.ALLOCATED: Step.SPLIT,
            Event.SOLD_OUT: Step.BOOK_TO_TURN,
            Event.RESTOCK_AWAITED: Step.BOOK_TO_RESTOCK,
            Event.CANCELLED: Step.BOOK_TO_TURN,
        },
        Step.SPLIT: {
            Event.SPLIT_DONE: Step.DELIVER,
            Event.CANCELLED: Step.BOOK_TO_TURN,
            Event.REFUSED: Step.BOOK_TO_TURN,  # A top-up that came in beside another.
            Event.NOT_HELD: Step.STICK,
        },
        Step.DELIVER: {
            Event.DELIVERED: Step.DONE,
            Event.SURPLUS: Step.ENDED,
            Event.FENCED: Step.LOST,
        },
        Step.BOOK_TO_REVIEW: {
            Event.BOOKED: Step.WAIT_REVIEW,
        },
        Step.BOOK_TO_RESTOCK: {
            Event.BOOKED: Step.WAIT_RESTOCK,
        },
        Step.BOOK_TO_TURN: {
            Event.BOOKED: Step.TURN,
        },
        Step.WAIT_REVIEW: {
            Event.WRITTEN: Step.PARKED,
            Event.FENCED: Step.LOST,
        },
        Step.WAIT_RESTOCK: {
            Event.WRITTEN: Step.PARKED,
            Event.FENCED: Step.LOST,
        },
        Step.TURN: {
            Event.WRITTEN: Step.PARKED,  # The slow lane undoes: it calls a provider.
            Event.FENCED: Step.LOST,
        },
        Step.UNDO: {
            Event.UNDONE: Step.GIVE_BACK,
            Event.NOT_HELD: Step.STICK,
        },
        Step.GIVE_BACK: {
            Event.GIVEN_BACK: Step.ENDED,
            Event.UNDECIDED: Step.PARKED,
            Event.PROVIDER_REFUSED: Step.STICK,
            Event.FENCED: Step.LOST,
        },
        Step.STICK: {
            Event.WRITTEN: Step.PARKED,
            Event.FENCED: Step.LOST,
        },
        Step.PARKED: {
            Event.RESUMED: Step.ASSESS,
            Event.RESUMED_TURNED: Step.UNDO,
        },
    },
    otherwise=IMPOSSIBLE,
)

# Where a run ends: over, another runner's, or written down to be looked at again.
FINAL = frozenset({Step.PARKED, Step.DONE, Step.ENDED, Step.LOST})
