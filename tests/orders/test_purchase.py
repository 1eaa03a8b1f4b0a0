"""The purchase saga's table: complete, without dead ends, turning back only before the pivot."""

import pytest

from vendrail.kernel.errors import Broken
from vendrail.orders.purchase import FINAL, TABLE, Event, Step, next_step


def test_every_step_is_reached_and_left():
    """Every step can be reached from the first, and every step but the final ones goes on."""
    reached = {Step.ASSESS, Step.UNDO}  # A saga begins at one of the two: the turn parks it.
    while True:
        more = reached | {after for (step, _), after in TABLE.items() if step in reached}
        if more == reached:
            break
        reached = more
    left = {step for step, _ in TABLE}

    assert set(Step) == reached
    assert set(Step) - FINAL == left


def test_every_step_can_still_end():
    """From every step some way leads to an end: no purchase can run in circles for ever."""
    ends = set(FINAL)
    while True:
        more = ends | {step for (step, _), after in TABLE.items() if after in ends}
        if more == ends:
            break
        ends = more

    assert set(Step) == ends


def test_money_is_booked_on_every_way_that_waits_or_turns():
    """No purchase waits or turns back before its money stands in the books."""
    before_park = {
        step
        for (step, _), after in TABLE.items()
        if after in (Step.WAIT_REVIEW, Step.WAIT_RESTOCK, Step.TURN)
    }

    assert {Step.BOOK_TO_REVIEW, Step.BOOK_TO_RESTOCK, Step.BOOK_TO_TURN} == before_park


def test_nothing_turns_back_after_the_pivot():
    """Once delivered a purchase is over: no event leads from DONE to an undo."""
    assert Step.DONE in FINAL
    assert not [pair for pair in TABLE if pair[0] is Step.DONE]


def test_an_unforeseen_pair_is_broken():
    """A pair of step and event outside the table is our fault, and is said so at once."""
    with pytest.raises(Broken):
        next_step(Step.DELIVER, Event.SOLD_OUT)
