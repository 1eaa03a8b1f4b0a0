"""Waiting for hints and ending tasks, so that a cancelled task always ends.

`asyncio.wait_for` of Python 3.11 forgets a cancellation that comes in the same turn as what is
waited for; a loop that waits with it may then run on for ever. What is here does not.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

_REPEAT_S = 0.5


async def wait_at_most(hint: asyncio.Event, delay_s: float | None) -> bool:
    """Wait for the hint, `delay_s` seconds at most; say whether it came."""
    try:
        async with asyncio.timeout(delay_s):
            await hint.wait()
    except TimeoutError:
        return False
    return True


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until all have ended; what they raise is nobody's any more.

    Libraries that a task is in may forget a cancellation: it is repeated until the task has ended.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        ended, left = await asyncio.wait(left, timeout=_REPEAT_S)
        for task in ended:
            if not task.cancelled():
                task.exception()  # Seen, so that nobody logs it as forgotten.
