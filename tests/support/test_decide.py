"""The table of complaints: every pair answered, every state left, by property."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendrail.api.support import ComplaintState, ComplaintStep, Party, Remedy, Side, StepKind
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import new_id
from vendrail.support import decide
from vendrail.support.decide import COMPLAINT, Event, Limits, Move, Standing

NOW = datetime(2026, 11, 23, tzinfo=UTC)
LIMITS = Limits(*(timedelta(days=number) for number in range(1, 6)))
LIVE = (ComplaintState.OPEN, ComplaintState.ANSWERED, ComplaintState.ESCALATED)
SIDES = {StepKind.ANSWER: Side.MERCHANT, StepKind.RULE: Side.OPERATOR}


def test_only_an_end_is_left_by_nothing() -> None:
    """Whatever happens, a complaint can still be ended, until it has."""
    assert [ComplaintState.CLOSED] == COMPLAINT.ends()
    for event in Event:
        with pytest.raises(Broken):
            COMPLAINT.next(ComplaintState.CLOSED, event)


def test_someone_has_a_turn_while_nothing_is_carried_out() -> None:
    """Each state in which somebody must act has a limit, and no other state has."""
    assert {*LIVE} == {state for state in ComplaintState if LIMITS.due_at(state, NOW) is not None}


standings = st.builds(
    Standing,
    st.sampled_from(ComplaintState),
    st.integers(1, 10_000),
    st.booleans(),
    st.none() | st.sampled_from(Remedy),
    st.integers(0, 10_000),
)


@given(
    standings,
    st.sampled_from(StepKind),
    st.none() | st.sampled_from(Remedy),
    st.integers(-5, 20_000),
    st.sampled_from(["", "because"]),
)
def test_what_is_taken_is_possible_and_never_gives_more_than_is_disputed(
    standing: Standing, kind: StepKind, remedy: Remedy | None, amount_minor: int, text: str
) -> None:
    """A step that is taken moves the table, by its own side, and offers no more than there is."""
    side = SIDES.get(kind, Side.BUYER)
    step = ComplaintStep(new_id(NOW), new_id(NOW), Party(side), kind, remedy, amount_minor, text)
    move = decide.take(step, standing)
    if isinstance(move, Move):
        state = COMPLAINT.next(standing.state, move.event)
        is_own = kind in (StepKind.ANSWER, StepKind.RULE)

        assert move.by is side
        assert not is_own or 0 <= move.offer_minor <= standing.amount_minor
        assert (state is ComplaintState.CLOSED) == (decide.outcome(move, state) is not None)


@given(st.sampled_from((ComplaintState.OPEN, ComplaintState.ANSWERED)), st.sampled_from(Remedy))
def test_silence_always_moves_on(state: ComplaintState, remedy: Remedy) -> None:
    """Where the limit strikes, the table has an answer: nothing waits for ever."""
    move = decide.lapse(Standing(state, 100, True, remedy, 50))

    assert Side.LIMIT is move.by
    assert state is not COMPLAINT.next(state, move.event)


@given(st.text(max_size=300))
def test_names_of_files_are_plain(name: str) -> None:
    """Whatever a file is called: no path, no quote, no control character, and the right ending."""
    cleaned = decide.clean_name(name, "image/png")

    assert cleaned.endswith(".png")
    assert not set(cleaned) & set("/\\\"'<>:;\r\n\0")
    assert 5 <= len(cleaned) <= 104
