"""What metrics say, read back for people: over all workers, with quantiles."""

import pytest
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import generate_latest

from vendrail.kernel.telemetry import Metrics, Readings
from vendrail.kernel.telemetry.siblings import merge


async def test_workers_are_put_together_as_asked():
    """Counters add up, of what every worker sees the largest counts, and one may be asked alone."""
    texts = []
    for number, age in ((1, 5.0), (2, 7.0)):
        metrics = Metrics()
        metrics.count("vendrail_shed_total", "place", by=number)
        metrics.put("vendrail_letter_age_seconds", age)
        metrics.put("vendrail_pool_connections", number, "orders", "open")
        texts.append((number, await metrics.render()))
    read = Readings(merge(texts))

    assert {("place",): 3.0} == read.gather("vendrail_shed_total", ("operation",))
    assert {(): 7.0} == read.gather("vendrail_letter_age_seconds", (), max)
    assert {("1", "open"): 1.0, ("2", "open"): 2.0} == read.gather(
        "vendrail_pool_connections", ("worker", "state")
    )
    assert {} == read.gather("vendrail_nothing", ("worker",))


async def test_histograms_of_workers_are_one():
    """Values that two workers saw have one count and mean; a series without values is left out."""
    texts = []
    for number in (1, 2):
        metrics = Metrics()
        for size in (4, 8) * number:
            metrics.observe_batch("place", size)
        metrics.observe("vendrail_http_request_seconds", 0.02, "GET", "/", "2xx")
        texts.append((number, await metrics.render()))
    read = Readings(merge(texts))
    [(key, spread)] = read.spread("vendrail_batch_size", ("operation",)).items()

    assert (("place",), 6, 6.0) == (key, spread.number, spread.mean)
    assert 2 < spread.p50 <= 4 < spread.p99 <= 8
    assert 2 == read.spread("vendrail_http_request_seconds", ("method",))["GET",].number
    assert {} == read.spread("vendrail_rpc_call_seconds", ("service",))


@pytest.mark.parametrize(
    "values, p50, p99",
    [([0.5] * 100, 0.5, 0.99), ([1.5] * 50 + [3.0] * 50, 2.0, 3.96), ([9.0], 4.0, 4.0)],
)
def test_quantiles_lie_within_their_buckets(values, p50, p99):
    """Values lie evenly in a bucket, as far as one can know; beyond the last its bound is told."""
    registry = CollectorRegistry()
    histogram = Histogram("x_seconds", "A test.", registry=registry, buckets=(1.0, 2.0, 4.0))
    for value in values:
        histogram.observe(value)
    spread = Readings(generate_latest(registry)).spread("x_seconds", ())[()]

    assert (p50, p99) == (pytest.approx(spread.p50), pytest.approx(spread.p99))
