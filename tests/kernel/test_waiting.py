"""Waiting that forgets no cancellation."""

import asyncio

import pytest

from vendrail.kernel.waiting import end_tasks, wait_at_most


async def test_a_cancellation_beside_the_hint_is_not_forgotten():
    """A loop that is cancelled in the very turn its hint comes ends, and goes round no more."""
    hint = asyncio.Event()
    rounds = []

    async def loop():
        while True:
            await wait_at_most(hint, 10)
            rounds.append(1)
            hint.clear()

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    hint.set()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 1)

    assert [] == rounds


async def test_says_whether_the_hint_came():
    """A hint that is there counts as come; none within the time does not."""
    hint = asyncio.Event()
    late = await wait_at_most(hint, 0.01)
    hint.set()

    assert (False, True) == (late, await wait_at_most(hint, 0.01))


async def test_a_task_that_forgets_its_cancellation_is_told_again():
    """Tasks are cancelled until all have ended, also those that swallowed the first time."""
    told = []

    async def deaf():
        while len(told) < 2:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                told.append(1)

    async def failing():
        raise ValueError

    tasks = [asyncio.create_task(deaf()), asyncio.create_task(failing())]
    await asyncio.sleep(0)
    await end_tasks(tasks)

    assert all(task.done() for task in tasks)
    assert 2 == len(told)
