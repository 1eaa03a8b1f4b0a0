"""When letters about a dispute are due: each once, in order, and none that was missed. Pure."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from vendrail.disputes import decide
from vendrail.disputes.decide import Telling

NOW = datetime(2026, 11, 29, tzinfo=UTC)
SOON, LAST = timedelta(hours=72), timedelta(hours=24)
ORDER = ["opened", "soon", "last", "won", "lost"]


def live(hours, limit_hours, answered_at, ended_at, outcome):
    """Look at a dispute after so many hours each; give what was told."""
    told, said = "", []
    for at in hours:
        is_ended = ended_at is not None and at >= ended_at
        dispute = Telling(
            outcome if is_ended else "open",
            told,
            answered_at is not None and at >= answered_at,
            NOW + timedelta(hours=limit_hours) if limit_hours else None,
        )
        step = decide.letter(dispute, NOW + timedelta(hours=at), SOON, LAST)
        if step:
            said.append((at, step))
            told = step
    return said


looks = st.lists(st.integers(0, 400), min_size=1, max_size=30).map(sorted)
moments = st.none() | st.integers(0, 400)


@given(looks, st.none() | st.integers(1, 300), moments, moments, st.sampled_from(["won", "lost"]))
def test_each_letter_is_due_once_and_in_order(hours, limit, answered, ended, outcome):
    """However often it is looked at, nothing is told twice, late, or after an answer."""
    said = live(hours, limit, answered, ended, outcome)
    steps = [step for _, step in said]
    reminders = [at for at, step in said if step in ("soon", "last")]

    assert sorted(steps, key=ORDER.index) == steps
    assert len(set(steps)) == len(steps)
    assert all(limit is not None and limit - 72 <= at <= limit for at in reminders)
    assert all(answered is None or at < answered for at in reminders)
    assert (ended is not None and hours[-1] >= ended) == (steps[-1:] == [outcome])


def test_a_dispute_is_told_of_before_its_limit_and_before_the_last_day():
    """Looked at every hour, a week's dispute is told of four times when nobody answers it."""
    said = live(range(200), 168, None, 180, "lost")

    assert [(0, "opened"), (96, "soon"), (144, "last"), (180, "lost")] == said
