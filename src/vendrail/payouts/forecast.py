"""What a reserve will be asked for: each week before, from the same hour of the week on. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

HOURS = 168
WEEKS_MAX = 8
WEEKS_MIN = 4  # Fewer say nothing about the next one.
_USUAL, _CAREFUL = 50, 90  # Percent of the weeks that needed no more.


class Needs(NamedTuple):
    """What was asked for by the end of each of the next hours, in weeks like those before."""

    weeks_count: int
    usual_minor: list[int]
    careful_minor: list[int]


def foresee(asked_minor: Mapping[int, int], hour: int) -> Needs:
    """Read the weeks before an hour (counted since 1970) from what was asked for in each hour.

    A week of before is followed from the same hour of the week on, as one path: rushes that come
    after one another in truth are never added up as if they came together.
    """
    first = min((each for each in asked_minor if each < hour), default=hour)
    weeks = min(WEEKS_MAX, (hour - first) // HOURS)
    if weeks < WEEKS_MIN:
        return Needs(weeks, [], [])
    paths = [_path(asked_minor, hour - HOURS * back) for back in range(1, weeks + 1)]
    columns = [sorted(column) for column in zip(*paths, strict=True)]
    return Needs(
        weeks,
        [column[_rank(_USUAL, weeks)] for column in columns],
        [column[_rank(_CAREFUL, weeks)] for column in columns],
    )


def _path(asked_minor: Mapping[int, int], begin: int) -> list[int]:
    sums, so_far = [], 0
    for hour in range(begin, begin + HOURS):
        so_far += asked_minor.get(hour, 0)
        sums.append(so_far)
    return sums


def _rank(percent: int, count: int) -> int:
    """Give the place of the least value that so many percent do not exceed."""
    return math.ceil(count * percent / 100) - 1


def dry_in(careful_minor: Sequence[int], there_minor: int) -> int | None:
    """Say in which hour from now on it may not be enough; 0: in this one; None: in none."""
    if there_minor < 0:
        return 0
    for place, need in enumerate(careful_minor):
        if need > there_minor:
            return place
    return None


def suggest(careful_minor: Sequence[int], there_minor: int, hours: int) -> int:
    """Say what to put in so that it is enough for some hours, rounded up to two digits."""
    need = careful_minor[hours - 1] if careful_minor else 0
    return round_up(max(0, need - there_minor))


def round_up(amount_minor: int) -> int:
    """Round up to two digits that count: 123,456 is 130,000."""
    step = int(10 ** max(0, len(str(amount_minor)) - 2))
    return -(-amount_minor // step) * step
