"""Which channel takes a payment, and why: pure and seeded, the same question has one answer.

The chance of success of every channel is a distribution. How often each would have the best score,
were chances drawn from it (Thompson sampling), is found with a fixed table of draws; so the share
of each channel, its propensity, is known exactly, and kept with the decision.
"""

import random
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from itertools import accumulate
from typing import NamedTuple

from vendrail.api.payments import RouteFate as Fate
from vendrail.api.payments import RouteReason as Reason
from vendrail.payments.routing.segments import Estimate

DRAWS = 128
EXPLORED_MAX = 0.10  # All that are not the best have at most this share together,
EXPLORED_MIN = 0.01  # and at least this one: whoever is never asked is never known.


# The others come first where one of them can; whoever has another fate cannot take it at all.
_RANKS = {Fate.FREE: 0, Fate.CAPPED: 1, Fate.FAILING: 2, Fate.AWAY: 3, Fate.DEVICE: 4}

_AMISS = frozenset({Fate.AWAY, Fate.DEVICE})  # No pin sends a buyer where nothing opens.


class Candidate(NamedTuple):
    """A channel that offers the method, with what counts when it is chosen or passed over."""

    channel: str
    chance: Estimate
    fate: Fate = Fate.FREE
    cost: float = 0.0  # Of a success, as a share of the amount.
    cost_failed: float = 0.0  # Of a failure, as a share of the amount.
    weight: float = 1.0  # A person's thumb on the scales; 0: only when no other is left.
    price: float = 0.0  # What a use of it must be better by, so that its cap suffices.
    is_pinned: bool = False


class Option(NamedTuple):
    """How one candidate came off."""

    channel: str
    chance: float
    score: float
    share: float  # How likely it was to be chosen.
    fate: Fate


class Plan(NamedTuple):
    """What is decided for all payments that are alike, until more is known."""

    options: tuple[Option, ...]
    best: str  # "": nobody can take it.
    reason: Reason


class Decision(NamedTuple):
    """The channel of one payment; none where nobody can take it."""

    channel: str
    reason: Reason
    plan: Plan


@cache
def _table(width: int) -> list[tuple[float, ...]]:
    """Give the draws that every plan uses, so that plans differ only by what is known."""
    source = random.Random(width)  # noqa: S311  # No secret.
    return [tuple(source.gauss(0.0, 1.0) for _ in range(width)) for _ in range(DRAWS)]


def score(candidate: Candidate, chance: float) -> float:
    """Give what is left of one unit of money: expected success × (amount − cost)."""
    kept = chance * (1.0 - candidate.cost) - (1.0 - chance) * candidate.cost_failed
    return kept * candidate.weight - candidate.price


def plan(
    candidates: Sequence[Candidate],
    explored_max: float = EXPLORED_MAX,
    explored_min: float = EXPLORED_MIN,
) -> Plan:
    """Give every candidate its share."""
    means = {each.channel: score(each, each.chance.mean) for each in candidates}
    able = [each for each in candidates if each.fate in _RANKS]
    if not able:
        return Plan(_options(candidates, means, {}), "", Reason.ONLY)
    pinned = [each for each in able if each.is_pinned and each.fate not in _AMISS]
    rank = min((_RANKS[each.fate], each.weight <= 0.0) for each in able)
    rivals = pinned or [each for each in able if (_RANKS[each.fate], each.weight <= 0.0) == rank]
    best = max(rivals, key=lambda each: means[each.channel])
    if len(able) == 1:
        reason = Reason.ONLY
    elif pinned:
        reason = Reason.PINNED
    else:
        reason = Reason.BEST if rank[0] == 0 else Reason.LAST_RESORT
    shares = {best.channel: 1.0}
    if len(rivals) > 1 and not pinned:
        shares = _shares(rivals, best, explored_max, explored_min)
    return Plan(_options(candidates, means, shares), best.channel, reason)


def _shares(
    rivals: Sequence[Candidate], best: Candidate, explored_max: float, explored_min: float
) -> dict[str, float]:
    """Count how often each is best in the draws, then hold exploration within its bounds."""
    wins = dict.fromkeys((each.channel for each in rivals), 0)
    for row in _table(len(rivals)):
        drawn = (
            (score(each, min(max(each.chance.mean + each.chance.deviation * z, 0.0), 1.0)), each)
            for each, z in zip(rivals, row, strict=True)
        )
        wins[max(drawn, key=lambda entry: entry[0])[1].channel] += 1
    others = [each.channel for each in rivals if each is not best]
    found = sum(wins[each] for each in others) / DRAWS
    kept = min(max(found, explored_min), explored_max)
    even = explored_min / len(others)
    left = kept - explored_min
    shares = {each: even + (left * wins[each] / DRAWS / found if found else 0.0) for each in others}
    shares[best.channel] = 1.0 - sum(shares.values())
    return shares


def _options(
    candidates: Sequence[Candidate], means: dict[str, float], shares: dict[str, float]
) -> tuple[Option, ...]:
    return tuple(
        Option(
            each.channel,
            each.chance.mean,
            means[each.channel],
            shares.get(each.channel, 0.0),
            each.fate,
        )
        for each in candidates
    )


def choose(made: Plan, seed: bytes) -> Decision:
    """Choose by the plan's shares; the seed, an attempt's id, always gives the same one."""
    if not made.best:
        return Decision("", made.reason, made)
    point = int.from_bytes(blake2b(seed, digest_size=7).digest()) / (1 << 56)
    chosen = made.best
    for each, reached in zip(
        made.options, accumulate(each.share for each in made.options), strict=True
    ):
        if each.share > 0.0 and point < reached:
            chosen = each.channel
            break
    is_best = chosen == made.best or made.reason is not Reason.BEST
    return Decision(chosen, made.reason if is_best else Reason.EXPLORED, made)


def decide(candidates: Sequence[Candidate], seed: bytes) -> Decision:
    """Choose the channel of one payment."""
    return choose(plan(candidates), seed)
