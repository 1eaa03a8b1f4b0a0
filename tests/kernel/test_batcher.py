"""The batcher: many callers, few batches; one item's fault is nobody else's."""

import asyncio
import random

import pytest

from vendrail.kernel.batcher import Batcher
from vendrail.kernel.db import Retry, assert_no_transaction
from vendrail.kernel.errors import Broken, Malformed, Overloaded, Unavailable
from vendrail.kernel.telemetry import Metrics


class Service:
    """A batch operation that doubles numbers, notes its batches and can be held back."""

    def __init__(self):
        self.batches = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.poison = set()
        self.retries = 0

    async def double(self, items):
        self.batches.append(list(items))
        await self.gate.wait()
        await asyncio.sleep(0)
        if self.retries:
            self.retries -= 1
            raise Retry("Try again.")
        for item in items:
            if item in self.poison:
                raise ValueError(f"{item} is poison")
        return [item * 2 for item in items]


@pytest.fixture
async def service():
    return Service()


async def test_callers_of_one_turn_share_a_batch(service):
    """Calls that arrive together become one batch, and each gets its own result."""
    batcher = Batcher(service.double)

    results = await asyncio.gather(*(batcher.submit(number) for number in range(100)))

    assert [number * 2 for number in range(100)] == results
    assert [list(range(100))] == service.batches


async def test_a_lone_call_does_not_wait(service):
    """With nothing in flight a call goes at once, alone: there is no timer."""
    batcher = Batcher(service.double)

    assert 14 == await asyncio.wait_for(batcher.submit(7), timeout=1)
    assert [[7]] == service.batches


async def test_what_arrives_during_a_flight_shares_the_next(service):
    """While all flights are busy, calls gather; they leave together in batches of the size set."""
    batcher = Batcher(service.double, size_max=64, in_flight_max=1)
    service.gate.clear()
    first = asyncio.create_task(batcher.submit(0))
    await asyncio.sleep(0.01)
    later = [asyncio.create_task(batcher.submit(number)) for number in range(1, 101)]
    await asyncio.sleep(0.01)
    waiting = batcher.depth
    service.gate.set()
    await asyncio.gather(first, *later)

    assert 100 == waiting
    assert [1, 64, 36] == [len(batch) for batch in service.batches]


async def test_a_poison_item_of_512_fails_alone(service):
    """One poison item in a batch of 512 fails with its own error; the other 511 are done."""
    service.poison = {333}
    batcher = Batcher(service.double, size_max=512)

    results = await asyncio.gather(
        *(batcher.submit(number) for number in range(512)), return_exceptions=True
    )

    assert isinstance(results[333], ValueError)
    assert [n * 2 for n in range(512) if n != 333] == [r for r in results if isinstance(r, int)]
    assert len(service.batches) <= 1 + 2 * 9  # Halved, not tried one by one.


async def test_several_poison_items_fail_alone(service):
    """Whichever items are poison, exactly those fail."""
    chance = random.Random(11)
    service.poison = set(chance.sample(range(300), 17))
    batcher = Batcher(service.double, size_max=128)

    results = await asyncio.gather(
        *(batcher.submit(number) for number in range(300)), return_exceptions=True
    )

    assert service.poison == {n for n, r in enumerate(results) if isinstance(r, ValueError)}


async def test_a_batch_the_database_refused_is_run_again_whole(service):
    """On `Retry` the same batch is run again, not halved, and the callers notice nothing."""
    service.retries = 3
    batcher = Batcher(service.double)

    results = await asyncio.gather(*(batcher.submit(number) for number in range(10)))

    assert [number * 2 for number in range(10)] == results
    assert [list(range(10))] * 4 == service.batches


async def test_a_batch_that_cannot_run_fails_whole(service):
    """When the service stays unavailable, every caller is told so, after bounded attempts."""
    calls = []

    async def never(items):
        calls.append(len(items))
        raise Unavailable("Down.", retry_after_s=3)

    batcher = Batcher(never)
    results = await asyncio.gather(
        *(batcher.submit(number) for number in range(5)), return_exceptions=True
    )

    assert [5] == calls
    assert [3] * 5 == [error.retry_after_s for error in results]


@pytest.mark.parametrize("answer", [None, [1], [1, 2, 3]])
async def test_a_wrong_number_of_results_is_broken(answer):
    """A service that answers too few or too many results, or none, leaves nobody waiting."""

    async def wrong(_):
        return answer

    batcher = Batcher(wrong)
    waits = asyncio.gather(batcher.submit("a"), batcher.submit("b"), return_exceptions=True)
    results = await asyncio.wait_for(waits, timeout=5)

    assert all(isinstance(result, (Broken, TypeError)) for result in results)


async def test_one_key_is_never_in_two_flights():
    """Items that share a key never run at the same time, and run in the order they came."""
    running, seen, overlaps = set(), {}, []

    async def work(items):
        keys = {key for key, _ in items}
        overlaps.extend(keys & running)
        running.update(keys)
        await asyncio.sleep(0.001)
        for key, number in items:
            seen.setdefault(key, []).append(number)
        running.difference_update(keys)
        return [None] * len(items)

    batcher = Batcher(work, size_max=8, in_flight_max=3, key=lambda item: item[0])
    chance = random.Random(7)
    tasks = []
    for number in range(600):
        tasks.append(asyncio.create_task(batcher.submit((chance.randrange(12), number))))
        if number % 5 == 0:
            await asyncio.sleep(0)
    await asyncio.gather(*tasks)

    assert [] == overlaps
    assert 600 == sum(len(numbers) for numbers in seen.values())
    assert all(numbers == sorted(numbers) for numbers in seen.values())


async def test_a_busy_key_does_not_hold_up_others(service):
    """While one key's batch is in flight, items of other keys go on."""
    done = []

    async def work(items):
        if "slow" in items:
            await service.gate.wait()
        done.extend(items)
        return items

    service.gate.clear()
    batcher = Batcher(work, in_flight_max=2, key=lambda item: item)
    slow = asyncio.create_task(batcher.submit("slow"))
    await asyncio.sleep(0.01)
    again = asyncio.create_task(batcher.submit("slow"))
    await asyncio.wait_for(batcher.submit("fast"), timeout=1)
    before = list(done)
    service.gate.set()
    await asyncio.gather(slow, again)

    assert ["fast"] == before
    assert ["fast", "slow", "slow"] == done


async def test_a_full_queue_refuses_at_once(service):
    """What does not fit into the queue is refused, all of it, and what is in it is still done."""
    batcher = Batcher(service.double, queue_max=10, in_flight_max=1)
    service.gate.clear()
    first = asyncio.create_task(batcher.submit(0))
    await asyncio.sleep(0.01)
    waiting = [asyncio.create_task(batcher.submit(number)) for number in range(1, 9)]
    await asyncio.sleep(0.01)
    with pytest.raises(Overloaded):
        await batcher.submit_all([100, 101, 102])
    depth = batcher.depth
    service.gate.set()

    assert 8 == depth
    assert [number * 2 for number in range(9)] == await asyncio.gather(first, *waiting)
    assert not any(item >= 100 for batch in service.batches for item in batch)


async def test_a_caller_that_goes_away_undoes_nothing(service):
    """A cancelled caller's item is still done, and its neighbours get their results."""
    batcher = Batcher(service.double)
    service.gate.clear()
    waiting = [asyncio.create_task(batcher.submit(number)) for number in range(5)]
    queued = asyncio.create_task(batcher.submit_all([10, 11]))
    await asyncio.sleep(0.01)
    waiting[2].cancel()
    queued.cancel()
    await asyncio.sleep(0.01)
    service.gate.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    await batcher.drain()

    assert [0, 2, 6, 8] == [result for result in results if isinstance(result, int)]
    assert {0, 1, 2, 3, 4, 10, 11} == {item for batch in service.batches for item in batch}


async def test_an_empty_submission_is_no_batch(service):
    """Submitting nothing gives nothing and calls nobody."""
    assert [] == await Batcher(service.double).submit_all([])
    assert [] == service.batches


async def test_drain_waits_for_everything(service):
    """After `drain` nothing waits and nothing is in flight."""
    batcher = Batcher(service.double, size_max=4, in_flight_max=1)
    tasks = [asyncio.create_task(batcher.submit(number)) for number in range(30)]
    await asyncio.sleep(0)
    await batcher.drain()

    assert 0 == batcher.depth
    assert 30 == sum(len(batch) for batch in service.batches)
    await asyncio.gather(*tasks)


async def test_a_batch_is_of_no_callers_transaction(make_database, service):
    """A caller inside a transaction does not make the whole batch look as if it were."""

    async def work(items):
        assert_no_transaction()
        return await service.double(items)

    database = await make_database("limits")
    batcher = Batcher(work)
    async with database.transaction():
        task = asyncio.create_task(batcher.submit(4))
        result = await task

    assert 8 == result


async def test_a_stopped_flight_leaves_nobody_waiting(service):
    """When a flight is cancelled, its callers are told that it is unavailable."""
    batcher = Batcher(service.double)
    service.gate.clear()
    waiting = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0.01)
    for flight in set(batcher._flights):
        flight.cancel()

    with pytest.raises(Unavailable):
        await asyncio.wait_for(waiting, timeout=1)


async def test_errors_of_one_item_are_its_callers(service):
    """An error that the service raises for a lone item reaches its caller as it is."""

    async def refuse(_):
        raise Malformed("No.")

    with pytest.raises(Malformed, match="No"):
        await Batcher(refuse).submit(1)


async def test_sizes_are_told(service):
    """Each batch's size is told to whoever measures."""
    metrics = Metrics()
    batcher = Batcher(service.double, name="x", metrics=metrics)
    await asyncio.gather(*(batcher.submit(number) for number in range(3)))

    assert 1 == metrics.value("vendrail_batch_size", "x")
    assert 'vendrail_batch_size_sum{operation="x"} 3.0' in (await metrics.render()).decode()
