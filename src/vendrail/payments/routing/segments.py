"""Segments: what is alike enough to learn from, and how much was learned of it, discounted."""

import math
from collections.abc import Iterator
from typing import NamedTuple

ANY_BAND = -1
STRENGTH = 20.0  # So many outcomes of its own outweigh what a segment's parent says.
PRIOR_MEAN = 0.9  # Of a channel nobody knows: good enough to be tried.
PRIOR_STRENGTH = 8.0


class Segment(NamedTuple):
    """A channel's payments that are alike; its parents leave the last fields open, one by one."""

    channel: str
    method: str = ""
    country: str = ""
    band: int = ANY_BAND


class Estimate(NamedTuple):
    """How likely a payment succeeds, and how sure that is."""

    mean: float
    deviation: float


def band_of(amount_minor: int) -> int:
    """Give an amount's band: two for each power of ten, so that 10 and 30 differ, 40 and 60 not."""
    digits = len(str(max(amount_minor, 1)))
    power: int = 10 ** (digits - 1)
    return 2 * digits + (amount_minor >= 3 * power)


def amount_of(band: int) -> int:
    """Give an amount in the middle of a band, for costs that are not in proportion."""
    power: int = 10 ** max(band // 2 - 1, 0)
    return power * (55 if band % 2 else 17) // 10


def lineage(segment: Segment) -> Iterator[Segment]:
    """Give a segment's parents and itself, the widest first."""
    yield Segment(segment.channel)
    if segment.method:
        yield Segment(segment.channel, segment.method)
        if segment.country:
            yield Segment(segment.channel, segment.method, segment.country)
        if segment.band != ANY_BAND:
            yield segment


class Book:
    """Counts of successes and failures that fade: after each half-life they weigh half."""

    def __init__(self, half_life_s: float) -> None:
        self.half_life_s = half_life_s
        self._counts: dict[Segment, tuple[float, float, float]] = {}

    def note(self, segment: Segment, successes: float, failures: float, at_s: float) -> None:
        """Add outcomes to a segment and to its parents."""
        for each in lineage(segment):
            had, lost, noted_s = self._counts.get(each, (0.0, 0.0, at_s))
            if at_s >= noted_s:
                faded = self.fading(at_s - noted_s)
                self._counts[each] = (had * faded + successes, lost * faded + failures, at_s)
            else:  # It comes late: it has faded meanwhile, and the rest has not.
                faded = self.fading(noted_s - at_s)
                self._counts[each] = (had + successes * faded, lost + failures * faded, noted_s)

    def fading(self, age_s: float) -> float:
        """Say how much of a count is left at an age."""
        return math.pow(0.5, age_s / self.half_life_s)

    def counts(self, segment: Segment, at_s: float) -> tuple[float, float]:
        """Give successes and failures as they weigh at a moment."""
        known = self._counts.get(segment)
        if known is None:
            return 0.0, 0.0
        faded = self.fading(max(at_s - known[2], 0.0))
        return known[0] * faded, known[1] * faded

    def segments(self) -> list[Segment]:
        """List what is known, parents too."""
        return list(self._counts)

    def estimate(self, segment: Segment, at_s: float) -> Estimate:
        """Estimate success: a segment's own outcomes, shrunk to what its parents say."""
        mean, strength = PRIOR_MEAN, PRIOR_STRENGTH
        total = strength
        for each in lineage(segment):
            successes, failures = self.counts(each, at_s)
            total = successes + failures + strength
            mean = (successes + strength * mean) / total
            strength = STRENGTH
        return Estimate(mean, math.sqrt(mean * (1.0 - mean) / (total + 1.0)))
