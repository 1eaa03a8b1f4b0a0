"""What metrics say, read back from the text of a scrape: for people, without a Prometheus."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[str, ...]


class Spread(NamedTuple):
    """What a histogram holds: how many values, their mean, and bounds that hold most of them."""

    number: int
    mean: float
    p50: float
    p99: float


class Readings:
    """The series of one scrape; those of several workers are put together by each question."""

    def __init__(self, text: bytes) -> None:
        self._samples: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                self._samples.setdefault(sample.name, []).append((sample.labels, sample.value))

    def gather(
        self,
        name: str,
        labels: Sequence[str],
        put_together: Callable[[Iterable[float]], float] = sum,
    ) -> dict[Labels, float]:
        """Give values by some labels, put together over all others, in the labels' order."""
        found: dict[Labels, list[float]] = {}
        for given, value in self._samples.get(name, ()):
            found.setdefault(tuple(given.get(label, "") for label in labels), []).append(value)
        return {key: put_together(found[key]) for key in sorted(found)}

    def spread(self, name: str, labels: Sequence[str]) -> dict[Labels, Spread]:
        """Give what a histogram holds by some labels; series that hold nothing are left out."""
        sums = self.gather(f"{name}_sum", labels)
        below: dict[Labels, dict[float, float]] = {}
        for key, count in self.gather(f"{name}_bucket", (*labels, "le")).items():
            below.setdefault(key[:-1], {})[float(key[-1])] = count
        return {
            key: _spread(sorted(counts.items()), sums.get(key, 0.0))
            for key, counts in below.items()
            if counts.get(inf)
        }


def _spread(below: Sequence[tuple[float, float]], total: float) -> Spread:
    count = below[-1][1]
    return Spread(int(count), total / count, _quantile(below, 0.50), _quantile(below, 0.99))


def _quantile(below: Sequence[tuple[float, float]], share: float) -> float:
    """Give where such a share of the values ends; within a bucket they are taken to lie evenly."""
    wanted = share * below[-1][1]
    place = bisect_left([count for _, count in below], wanted)
    bound, count = below[place]
    before_bound, before = below[place - 1] if place else (0.0, 0.0)
    if bound == inf:
        return before_bound
    return before_bound + (bound - before_bound) * (wanted - before) / (count - before)
