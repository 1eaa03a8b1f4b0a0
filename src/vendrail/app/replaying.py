"""What `vendrail routing replay` compares: the log, uniform, one channel for all, and ours."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from pathlib import Path

from vendrail.api.payments import Decision, DecisionOutcome
from vendrail.kernel.codec import Record
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import to_serial
from vendrail.payments.learning import SLOW_S
from vendrail.payments.routing.replay import (
    Figures,
    Learned,
    Policy,
    Terms,
    evaluate,
    fixed,
    logged_policy,
    mixed,
    read_log,
    uniform,
)

Spread = tuple[float, float, float]  # Low, middle, high.


class Line(Record, frozen=True):
    """What one choice brings; fees in minor units."""

    choice: str
    payments_count: int
    success: Spread
    failures_change: float  # Against the log: -0.1 are a tenth fewer.
    fee: Spread
    fee_of_success: Spread
    shares: dict[str, float]
    effective_count: float
    weight_max: float


def row_of(decision: Decision) -> tuple[object, ...]:
    """Give a line of a log, its columns as `replay` reads them."""
    return (
        decision.at.astimezone(UTC).isoformat(),
        to_serial(decision.order),
        decision.channel_name,
        decision.method,
        decision.country,
        decision.amount_minor,
        int(decision.outcome is DecisionOutcome.SUCCEEDED),
        f"{decision.propensity_ppm / 1_000_000:.6f}",
    )


def read_costs(costs: Sequence[str], caps: Sequence[str]) -> dict[str, Terms]:
    """Read `NAME=SUCCESS[,FAILURE]` and `NAME=PERCENT`."""
    found: dict[str, Terms] = {}
    try:
        for text in costs:
            name, _, fees = text.rpartition("=")
            success, _, failure = fees.partition(",")
            found[name] = Terms(int(success), int(failure or 0))
        for text in caps:
            name, _, percent = text.rpartition("=")
            found[name] = found.get(name, Terms())._replace(cap=int(percent) / 100)
    except ValueError as error:
        raise Malformed("Costs are NAME=SUCCESS[,FAILURE], caps NAME=PERCENT.") from error
    if not all(name and 0.0 < each.cap <= 1.0 for name, each in found.items()):
        raise Malformed("A cap is 1 to 100 percent, and each names its channel.")
    return found


def lines_of(file: Path, given: Mapping[str, Terms]) -> list[Line]:
    """Replay a log for every choice."""
    log = read_log(file)
    channels = sorted({each.channel for each in log})
    unknown = sorted(given.keys() - set(channels))
    if unknown:
        raise Malformed(f"The log has no channel {unknown[0]!r}; it has {', '.join(channels)}.")
    terms = {name: given.get(name, Terms()) for name in channels}
    lost = sum(not each.is_success for each in log) / len(log)
    lines = []
    for choice, policy in _choices(channels, terms):
        figures = evaluate(log, policy, terms)
        lines.append(_line(choice, len(log), lost, figures))
    return lines


def _choices(channels: Sequence[str], terms: Mapping[str, Terms]) -> Iterator[tuple[str, Policy]]:
    yield "as logged", logged_policy()
    yield "uniform", uniform(channels)
    for name in channels:
        yield f"always {name}", fixed(name)
    free = [name for name in channels if terms[name].cap >= 1.0]
    for capped in (name for name in channels if terms[name].cap < 1.0):
        for name in free:
            share = terms[capped].cap
            yield f"{name}, {100 * share:.0f} % {capped}", mixed(name, capped, share)
    yield "ours", Learned(terms, SLOW_S)


def _line(choice: str, count: int, lost: float, figures: Figures) -> Line:
    def spread(figure: tuple[float, float, float]) -> Spread:
        middle, low, high = figure
        return low, middle, high

    change = (1.0 - figures.success[0]) / lost - 1.0 if lost else 0.0
    return Line(
        choice,
        count,
        spread(figures.success),
        change,
        spread(figures.fee),
        spread(figures.fee_of_success),
        figures.shares,
        figures.effective_count,
        figures.weight_max,
    )
