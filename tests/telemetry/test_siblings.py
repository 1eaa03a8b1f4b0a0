"""The workers of one server answer a scrape together."""

import shutil
import tempfile
from pathlib import Path

import pytest

from vendrail.kernel.telemetry import Metrics
from vendrail.kernel.telemetry.siblings import Siblings


@pytest.fixture
def folder():
    """A folder whose path is short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="vendrail-"))
    yield path
    shutil.rmtree(path)


async def open_worker(folder, orders):
    """Begin a worker that has placed so many orders."""
    metrics = Metrics()
    metrics.count("vendrail_orders_total", "placed", by=orders)
    worker = Siblings(folder, metrics)
    await worker.open()
    return worker


def placed(text):
    """Read the lines about orders that were placed."""
    return [line for line in text.decode().splitlines() if line.startswith("vendrail_orders_total")]


async def test_whichever_is_asked_tells_of_all(folder):
    """Each worker gives the same series: its own and the others', told apart by a label."""
    workers = [await open_worker(folder, orders) for orders in (3, 4)]
    texts = [await worker.render() for worker in workers]
    for worker in workers:
        await worker.close()

    assert [sorted(placed(text)) for text in texts] == [
        [
            'vendrail_orders_total{outcome="placed",worker="1"} 3.0',
            'vendrail_orders_total{outcome="placed",worker="2"} 4.0',
        ]
    ] * 2
    assert all(text.count(b"# TYPE vendrail_orders_total counter") == 1 for text in texts)
    assert b'vendrail_batch_size_bucket{le="1.0"' not in texts[0]
    assert [] == list(folder.iterdir())


async def test_a_dead_worker_leaves_its_number_to_the_next(folder):
    """A socket nobody answers hides nothing, and the worker that comes next takes its place."""
    first, second = [await open_worker(folder, orders) for orders in (1, 2)]
    dead = folder / "1.sock"
    await first.close()
    dead.touch()  # As a worker leaves it that was killed.
    alone = placed(await second.render())
    third = await open_worker(folder, 5)
    both = placed(await second.render())
    for worker in (second, third):
        await worker.close()

    assert ['vendrail_orders_total{outcome="placed",worker="2"} 2.0'] == alone
    assert {
        'vendrail_orders_total{outcome="placed",worker="1"} 5.0',
        'vendrail_orders_total{outcome="placed",worker="2"} 2.0',
    } == set(both)
