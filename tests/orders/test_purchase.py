"""The purchase saga's table: complete, without dead ends, turning back only before the pivot."""

from pathlib import Path

import pytest

from vendrail.kernel.errors import Broken
from vendrail.orders.purchase import FINAL, PURCHASE, Event, Step

PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "orders.md"


def test_every_step_can_still_end():
    """From every step some way leads to an end: no purchase can run in circles for ever."""
    ends = {Step.DONE, Step.ENDED, Step.LOST}
    while more := {step for step, _, after in PURCHASE.moves() if after in ends} - ends:
        ends |= more

    assert set(Step) == ends
    assert {Step.DONE, Step.ENDED, Step.LOST} == set(PURCHASE.ends())


def test_money_is_booked_on_every_way_that_waits_or_turns():
    """No purchase waits or turns back before its money stands in the books."""
    before = {
        step
        for step, _, after in PURCHASE.moves()
        if after in (Step.WAIT_REVIEW, Step.WAIT_RESTOCK, Step.TURN)
    }

    assert {Step.BOOK_TO_REVIEW, Step.BOOK_TO_RESTOCK, Step.BOOK_TO_TURN} == before


def test_an_undo_comes_only_after_a_committed_turn():
    """What undoes is reached from a saga that was written as turned, and from nowhere else."""
    assert [(Step.PARKED, Event.RESUMED_TURNED)] == [
        (step, event) for step, event, after in PURCHASE.moves() if after is Step.UNDO
    ]


def test_nothing_turns_back_after_the_pivot():
    """Once delivered a purchase is over: no event leads from DONE to an undo."""
    assert Step.DONE in FINAL
    assert not [event for step, event, _ in PURCHASE.moves() if step is Step.DONE]


def test_an_unforeseen_pair_is_broken():
    """A pair of step and event outside the table is our fault, and is said so at once."""
    with pytest.raises(Broken):
        PURCHASE.next(Step.DELIVER, Event.SOLD_OUT)


def test_the_drawn_table_is_the_real_one():
    """The diagram in the docs is drawn from the table and is current."""
    assert f"```mermaid\n{PURCHASE.draw()}```" in PAGE.read_text("utf-8")
