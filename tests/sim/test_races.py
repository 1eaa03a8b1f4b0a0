"""Refunds, payouts, complaints and banks race fifty-fold for the money of one order."""

import asyncio
import random

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from monthkit.race import WAVES, Race, Racer, Wish

_RACERS = 50
_MUST = (Wish.REFUND, Wish.PAYOUT, Wish.COMPLAINT, Wish.CHARGEBACK)
_EXAMPLES = 5
_EXAMPLES_WHOLE = 100

percents, waves = st.integers(3, 100), st.integers(0, WAVES - 1)
racers = st.builds(Racer, st.sampled_from(list(Wish)), percents, waves)
holds = st.sampled_from([(0, 0, 0), (24, 0, 0), (0, 2_000, 3), (12, 1_000, 5)])

# Everybody has some of it: refunds and payouts arrive before the buyer complains, and the bank.
SHARED = [
    *[Racer(Wish.REFUND, 4)] * 10, *[Racer(Wish.PAYOUT, 6)] * 10, *[Racer(Wish.TURN, wave=1)] * 6,
    *[Racer(Wish.SAME_REFUND, wave=1)] * 4, *[Racer(Wish.TURN, wave=2)] * 4,
    *[Racer(Wish.COMPLAINT, wave=2)] * 6, *[Racer(Wish.CHARGEBACK, wave=3)] * 4,
    *[Racer(Wish.PAYOUT, 20, wave=3)] * 4, *[Racer(Wish.VERDICT, wave=3)] * 2,
]  # fmt: skip


@st.composite
def fields(draw):
    """Fifty racers, in some order: of each kind one at least."""
    field = [Racer(wish, draw(percents), draw(waves)) for wish in _MUST]
    field += draw(st.lists(racers, min_size=_RACERS - len(_MUST), max_size=_RACERS - len(_MUST)))
    random.Random(draw(st.integers(0, 1_000_000))).shuffle(field)
    return field


@pytest.mark.slow
@pytest.mark.timeout(0)
# A house that was killed has closed nothing: its sockets are found when memory is cleared.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_fifty_race_for_one_order(platform_url, tmp_path, is_whole, tell):
    """Whoever is first, and whenever the house dies: nothing goes out twice, all is booked."""
    with asyncio.Runner() as runner:
        race = Race(platform_url, tmp_path)
        runner.run(race.open())

        @settings(
            max_examples=_EXAMPLES_WHOLE if is_whole else _EXAMPLES,
            deadline=None,
            database=None,
            # A race is not run the same way twice: nothing can be made smaller.
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @example(SHARED, (0, 0, 0), 0, False)
        @given(fields(), holds, st.one_of(st.just(0), st.integers(1, 400)), st.booleans())
        def run(field, terms, crash_after, is_won):
            runner.run(race.run(field, terms, crash_after, is_won=is_won))

        try:
            run()
        finally:
            runner.run(race.close())
    tell(*(f"  {name:30} {count}" for name, count in sorted(race.tally.items()) if "race" in name))

    assert race.tally["race: paid out"]
    assert race.tally["race: refunded"]
    assert race.tally["race: complained"]
