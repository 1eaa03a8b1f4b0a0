"""Replay: what a policy would have brought, from a log of what another one did.

Each logged payment weighs as much more or less as the policy would have sent it there more or less
often than the log did, and the weights are divided by their sum (SNIPS). A learning policy decides
each payment by the outcomes logged before it. The interval is a bootstrap over groups of purchases.
"""

import csv
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from vendrail.api.payments import RouteFate as Fate
from vendrail.kernel.errors import Malformed
from vendrail.kernel.money import AMOUNT_MINOR_MAX
from vendrail.payments.routing.caps import Gauges
from vendrail.payments.routing.decide import Candidate, Plan, plan
from vendrail.payments.routing.filters import cost_share
from vendrail.payments.routing.segments import Book, Segment, amount_of, band_of

COLUMNS = ("at", "purchase", "channel", "method", "country", "amount_minor", "is_success")
PROPENSITY = "propensity"
GROUPS = 500
RESAMPLES = 1_000
_PLAN_KEPT_S = 900.0
_CAPPED_PLAN_USES = 50


class Logged(NamedTuple):
    """One payment of a log."""

    at_s: float
    purchase: str
    channel: str
    method: str
    country: str
    amount_minor: int
    is_success: bool
    propensity: float


class Terms(NamedTuple):
    """What a channel costs, in minor units, and the share it may take."""

    cost_minor: int = 0
    cost_failed_minor: int = 0
    cap: float = 1.0


class Figures(NamedTuple):
    """What a policy brings, each with its interval of 95 %."""

    success: tuple[float, float, float]
    fee: tuple[float, float, float]  # Of a payment, in minor units.
    fee_of_success: tuple[float, float, float]
    shares: dict[str, float]  # Of each channel, in all payments.
    weight_max: float
    effective_count: float  # So many payments, all alike in weight, would say as much.


Policy = Callable[[Logged], Mapping[str, float]]


def read_log(path: Path) -> list[Logged]:
    """Read a log: CSV with a head of `COLUMNS`, and `propensity` where the log knows it.

    Else the propensity is how often the log chose the channel for its method: fair only where it
    chose by nothing else.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Malformed(f"{path} cannot be read: {error}.") from error
    missing = [name for name in COLUMNS if not rows or name not in rows[0]]
    if missing:
        raise Malformed(f"{path} needs a line and the columns {', '.join(COLUMNS)}.")
    try:
        logged = sorted((_logged(row) for row in rows), key=lambda each: each.at_s)
    except (ValueError, KeyError, TypeError) as error:
        raise Malformed(f"{path}: {error}.") from error
    if PROPENSITY in rows[0]:
        return logged
    chosen = Counter((each.method, each.channel) for each in logged)
    all_of = Counter(each.method for each in logged)
    return [
        each._replace(propensity=chosen[each.method, each.channel] / all_of[each.method])
        for each in logged
    ]


def _logged(row: Mapping[str, str]) -> Logged:
    propensity = float(row.get(PROPENSITY) or 1.0)
    amount_minor = int(row["amount_minor"])
    if not 0.0 < propensity <= 1.0:
        raise ValueError(f"a propensity of {propensity} is none")
    if not 0 < amount_minor <= AMOUNT_MINOR_MAX:
        raise ValueError(f"an amount of {amount_minor} is none")
    if row["is_success"] not in {"0", "1"}:
        raise ValueError("is_success is 0 or 1")
    return Logged(
        datetime.fromisoformat(row["at"]).timestamp(),
        row["purchase"],
        row["channel"],
        row["method"],
        row["country"],
        amount_minor,
        row["is_success"] == "1",
        propensity,
    )


# Policies.


def uniform(channels: Sequence[str]) -> Policy:
    """Every channel as often as every other."""
    shares = dict.fromkeys(channels, 1.0 / len(channels))
    return lambda _: shares


def fixed(channel: str) -> Policy:
    """Always the same channel."""
    shares = {channel: 1.0}
    return lambda _: shares


def mixed(main: str, other: str, share: float) -> Policy:
    """One channel, and another for a share of all payments, whichever they are."""
    shares = {main: 1.0 - share, other: share}
    return lambda _: shares


class Learned:
    """Our own policy, learning as it goes."""

    def __init__(self, terms: Mapping[str, Terms], half_life_s: float) -> None:
        self._terms = terms
        self._book = Book(half_life_s)
        self._gauges = Gauges()
        self._gauges.set({name: each.cap for name, each in terms.items() if each.cap < 1.0})
        self._plans: dict[tuple[str, str, int], tuple[float, Plan]] = {}
        self._uses = 0

    def __call__(self, payment: Logged) -> Mapping[str, float]:
        """Give each channel's share of such payments now, then learn how this one ended."""
        band = band_of(payment.amount_minor)
        key = (payment.method, payment.country, band)
        planned_s, made = self._plans.get(key, (float("-inf"), None))
        if made is None or payment.at_s - planned_s > _PLAN_KEPT_S:
            made = plan(list(self._candidates(payment, band)))
            self._plans[key] = (payment.at_s, made)
        shares = {each.channel: each.share for each in made.options}
        if self._gauges.is_needed:
            self._gauges.note(shares)
            self._uses += 1
            if self._uses % _CAPPED_PLAN_USES == 0:
                self._plans.clear()
        segment = Segment(payment.channel, *key)
        won = float(payment.is_success)
        self._book.note(segment, won, 1.0 - won, payment.at_s)
        return shares

    def _candidates(self, payment: Logged, band: int) -> Iterator[Candidate]:
        amount_minor = amount_of(band)
        for name, terms in self._terms.items():
            segment = Segment(name, payment.method, payment.country, band)
            yield Candidate(
                name,
                self._book.estimate(segment, payment.at_s),
                Fate.CAPPED if self._gauges.is_full(name) else Fate.FREE,
                cost_share(terms.cost_minor, amount_minor),
                cost_share(terms.cost_failed_minor, amount_minor),
                price=self._gauges.price(name),
            )


# What they bring.


class _Sums(NamedTuple):
    weight: float = 0.0
    success: float = 0.0
    fee: float = 0.0


def evaluate(log: Sequence[Logged], policy: Policy, terms: Mapping[str, Terms]) -> Figures:
    """Say what a policy would have brought on a log."""
    groups: dict[int, _Sums] = defaultdict(_Sums)
    shares: dict[str, float] = dict.fromkeys(terms, 0.0)
    weights: list[float] = []
    places: dict[str, int] = {}
    for each in log:
        wanted = policy(each)
        weight = wanted.get(each.channel, 0.0) / each.propensity
        is_whole = math.isclose(sum(wanted.values()), 1.0)
        for channel, share in wanted.items():  # Of the log only the share of one is known.
            shares[channel] += share if is_whole else weight
        weights.append(weight)
        known = terms[each.channel]
        fee = known.cost_minor if each.is_success else known.cost_failed_minor
        place = places.setdefault(each.purchase, len(places) % GROUPS)
        sums = groups[place]
        groups[place] = _Sums(
            sums.weight + weight,
            sums.success + weight * each.is_success,
            sums.fee + weight * fee,
        )
    found = list(groups.values())
    drawn = list(_resampled(found))
    squares = sum(weight * weight for weight in weights)
    return Figures(
        _interval(_success, found, drawn),
        _interval(_fee, found, drawn),
        _interval(_fee_of_success, found, drawn),
        {channel: share / len(log) for channel, share in shares.items()},
        max(weights),
        sum(weights) ** 2 / squares if squares else 0.0,
    )


def logged_policy() -> Policy:
    """What the log did: every payment weighs one."""
    return lambda payment: {payment.channel: payment.propensity}


def _resampled(groups: Sequence[_Sums]) -> Iterator[_Sums]:
    source = random.Random(1)  # noqa: S311  # The same log has the same interval.
    for _ in range(RESAMPLES):
        yield _summed(source.choices(groups, k=len(groups)))


def _summed(groups: Iterable[_Sums]) -> _Sums:
    weights, successes, fees = zip(*groups, strict=True)
    return _Sums(sum(weights), sum(successes), sum(fees))


def _success(sums: _Sums) -> float:
    return sums.success / sums.weight if sums.weight else 0.0


def _fee(sums: _Sums) -> float:
    return sums.fee / sums.weight if sums.weight else 0.0


def _fee_of_success(sums: _Sums) -> float:
    return sums.fee / sums.success if sums.success else 0.0


def _interval(
    figure: Callable[[_Sums], float], groups: Sequence[_Sums], drawn: Sequence[_Sums]
) -> tuple[float, float, float]:
    spread = sorted(figure(each) for each in drawn)
    low, high = spread[int(0.025 * RESAMPLES)], spread[int(0.975 * RESAMPLES) - 1]
    return figure(_summed(groups)), low, high
