"""Forecasts of reserves: read from whole weeks, careful, and told before it is too late."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.payouts.test_payees import CLI

from vendrail.api.identity import Identity, Invitation, LinkUse, Role
from vendrail.api.notify import LetterQuery, Notify
from vendrail.kernel.ids import new_id
from vendrail.payouts.forecast import (
    HOURS,
    WEEKS_MAX,
    WEEKS_MIN,
    dry_in,
    foresee,
    round_up,
    suggest,
)

from tests.payouts.conftest import World  # isort: skip

NOW = 10_000 * HOURS


def habit(seed: int, weeks: int, jitter: float = 0.0) -> dict[int, int]:
    """Payouts each Friday evening and each morning, larger and smaller by chance."""
    chance = random.Random(f"habit {seed}")
    asked = {}
    for back in range(1, weeks + 1):
        for day in range(7):
            for hour, minor in ((9, 10_000), (20, 90_000 if day == 4 else 0)):
                if minor:
                    by = 1 + jitter * chance.uniform(-1, 1)
                    asked[NOW - back * HOURS + day * 24 + hour] = int(minor * by)
    return asked


def test_the_same_every_week_is_foreseen_to_the_unit() -> None:
    """Where every week was alike, the next one is foreseen as they were, hour by hour."""
    needs = foresee(habit(1, 9) | {NOW - 9 * HOURS: 1}, NOW)

    assert needs.usual_minor == needs.careful_minor
    assert [0, 10_000, 10_000] == [needs.careful_minor[hour] for hour in (8, 9, 23)]
    assert 7 * 10_000 + 90_000 == needs.careful_minor[-1]
    assert 4 * 24 + 20 == dry_in(needs.careful_minor, 50_000)
    assert WEEKS_MAX == needs.weeks_count


@pytest.mark.parametrize("seed", range(20))
def test_nine_of_ten_weeks_need_no_more(seed: int) -> None:
    """Fed with weeks that vary, the careful sum was exceeded by one of eight weeks at most."""
    asked = habit(seed, 8, 0.5)
    asked.setdefault(NOW - 8 * HOURS, 0)
    needs = foresee(asked, NOW)

    for end in (1, 24, 100, HOURS):
        sums = [
            sum(asked.get(NOW - back * HOURS + hour, 0) for hour in range(end))
            for back in range(1, 9)
        ]
        assert sum(each > needs.careful_minor[end - 1] for each in sums) <= 1
        assert sum(each > needs.usual_minor[end - 1] for each in sums) <= 4


_HISTORY = st.dictionaries(
    st.integers(NOW - (WEEKS_MAX + 1) * HOURS, NOW + HOURS), st.integers(0, 10**12), max_size=60
)


@given(_HISTORY, st.integers(-(10**12), 10**13), st.integers(1, 7))
def test_whatever_was_asked_for_a_forecast_is_sound(asked, there, days) -> None:
    """Sums never fall, the usual is never above the careful, and what is suggested is enough."""
    needs = foresee(asked, NOW)
    careful, usual = needs.careful_minor, needs.usual_minor

    assert sorted(careful) == careful
    assert sorted(usual) == usual
    assert all(low <= high for low, high in zip(usual, careful, strict=True))
    assert (HOURS if needs.weeks_count >= WEEKS_MIN else 0) == len(careful)
    more = suggest(careful, there, days * 24)
    after = dry_in(careful, there + more)
    assert after is None or after >= days * 24
    assert more == 0 or more < 2 * max(careful[days * 24 - 1] if careful else 0, -there) - 2 * there


@given(_HISTORY, st.integers(1, HOURS))
def test_what_comes_after_now_changes_nothing(asked, later) -> None:
    """A forecast knows only what was before."""
    assert foresee(asked, NOW) == foresee({h: m for h, m in asked.items() if h < NOW}, NOW)
    assert foresee(asked, NOW) == foresee(asked | {NOW + later: 10**9}, NOW)


def test_too_little_history_says_nothing() -> None:
    """With less than four whole weeks there is no sum, however much was paid out."""
    first = NOW - WEEKS_MIN * HOURS

    assert (WEEKS_MIN - 1, [], []) == foresee({first + 1: 10**6}, NOW)
    assert WEEKS_MIN == foresee({first: 10**6}, NOW).weeks_count
    assert (0, [], []) == foresee({}, NOW)


@given(st.integers(0, 10**15))
def test_suggestions_are_round(amount) -> None:
    """Rounded up, by less than a tenth, to two digits that count."""
    rounded = round_up(amount)

    assert amount <= rounded <= amount + amount // 10 + 1
    assert len(str(rounded).rstrip("0")) <= 2


async def weeks(world: World, count: int, amount_minor: int) -> None:
    """Let a payout go out each week, on the same hour."""
    for _ in range(count):
        await world.earn(amount_minor)
        await world.top_up(amount_minor)
        assert "taken" == await world.request(world.ask(amount_minor))
        await world.run()
        await world.later(7 * 86_400)


async def letters(world: World) -> int:
    """Count the letters about reserves."""
    [found] = await world.house.api(Notify).list_letters([LetterQuery()])
    return [each.template for each in found].count("reserve_low")


async def join(world: World, email: str, role: Role) -> None:
    """Let somebody work for the platform."""
    identity = world.house.api(Identity)
    [made] = await identity.invite_people(
        [Invitation(new_id(world.clock.now()), email, None, role, CLI)]
    )
    await identity.use_links([LinkUse(made.token, "a quiet lake at dawn", "Operator")])


async def test_a_reserve_is_looked_ahead_for_and_its_people_told(world: World) -> None:
    """After weeks of payouts it says when it will be dry and what to put in; letters come once."""
    service = world.house.services["payouts"]
    await weeks(world, 3, 30_000)
    [early] = await world.payouts.forecast_reserves()
    await weeks(world, 2, 30_000)
    await world.later(-3_600)
    [found] = await world.payouts.list_reserves()
    await world.top_up(5_000 - found.free_minor)
    [soon] = await world.payouts.forecast_reserves()
    await join(world, "fin@rail.example", Role.OPERATOR_FINANCE)
    await join(world, "sup@rail.example", Role.OPERATOR_SUPPORT)
    await service.look_ahead()
    await service.look_ahead()

    assert (3, [], None) == (early.weeks_count, early.careful_minor, early.dry_at)
    assert 4 == soon.weeks_count
    assert 30_000 == soon.careful_minor[23]
    assert soon.is_warned
    assert 0 <= (soon.dry_at - world.clock.now()).total_seconds() <= 3_600
    assert 25_000 == soon.suggested_minor
    assert 1 == await letters(world)
    await world.top_up(soon.suggested_minor)
    [after] = await world.payouts.forecast_reserves()
    assert (None, False, 0) == (after.dry_at, after.is_warned, after.suggested_minor)


async def test_what_waits_makes_it_dry_now(world: World) -> None:
    """More is waited for than is there: it is dry now, with or without history."""
    [found] = await world.payouts.list_reserves()
    await world.top_up(-found.free_minor)
    await world.earn(20_000)
    await world.request(world.ask(5_000))
    await world.run()

    [now] = await world.payouts.forecast_reserves()
    assert (world.clock.now(), True, 5_000) == (now.dry_at, now.is_warned, now.suggested_minor)
