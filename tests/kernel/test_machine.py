"""State tables: every pair is answered, and the picture is drawn from the table."""

from enum import StrEnum

import pytest

from vendrail.kernel.errors import Broken
from vendrail.kernel.machine import IMPOSSIBLE, STAYS, Machine


class State(StrEnum):
    OPEN = "open"
    PAID = "paid"
    CLOSED = "closed"


class Event(StrEnum):
    PAY = "pay"
    CLOSE = "close"


TABLE = {
    State.OPEN: {Event.PAY: State.PAID, Event.CLOSE: State.CLOSED},
    State.PAID: {Event.PAY: STAYS, Event.CLOSE: IMPOSSIBLE},
    State.CLOSED: {Event.PAY: State.PAID, Event.CLOSE: STAYS},
}


def machine(table=None, **options):
    return Machine("attempt", State, Event, State.OPEN, table or TABLE, **options)


def test_every_pair_has_its_answer():
    """A move, a repeat that changes nothing, and what cannot be."""
    attempt = machine()

    assert State.PAID is attempt.next(State.OPEN, Event.PAY)
    assert State.PAID is attempt.next(State.PAID, Event.PAY)
    assert not attempt.is_possible(State.PAID, Event.CLOSE)
    with pytest.raises(Broken, match="cannot meet close"):
        attempt.next(State.PAID, Event.CLOSE)


def test_a_pair_without_an_answer_is_noticed():
    """A table that forgets a pair cannot be declared; `otherwise` answers all the rest at once."""
    table = {State.OPEN: TABLE[State.OPEN], State.PAID: {Event.PAY: STAYS}}

    with pytest.raises(Broken, match="paid × close, closed × pay"):
        machine(table)
    assert machine(table, otherwise=STAYS).next(State.CLOSED, Event.PAY) is State.CLOSED


def test_a_state_that_nothing_leads_to_is_noticed():
    """Each state can be reached from the first."""
    table = {state: dict.fromkeys(Event, STAYS) for state in State}

    with pytest.raises(Broken, match="nothing leads to paid, closed"):
        machine(table)


def test_the_table_draws_itself():
    """The picture has each move once, where it begins and where it ends."""
    drawn = machine().draw()

    assert "stateDiagram-v2" == drawn.splitlines()[0]
    assert {
        "    [*] --> open",
        "    open --> paid: pay",
        "    open --> closed: close",
        "    closed --> paid: pay",
        "    paid --> [*]",
    } == set(drawn.splitlines()[1:])
    assert [State.PAID] == machine().ends()
