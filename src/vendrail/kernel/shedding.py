"""Turning new work away at once, when what is under way already takes too long.

A queue of seconds helps nobody: who is told "later" at once can come again; who waits for seconds
comes again anyway, and doubles the load. So the number that may be under way follows what it costs:
it shrinks when answers take longer than wanted, and grows while they do not. Only what begins
something new goes through here; callbacks, reads and refunds have queues of their own.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from vendrail.kernel.batcher import Batcher

Item = TypeVar("Item")
Result = TypeVar("Result")

_LIMIT_MIN = 16.0
_LIMIT_FIRST = 512.0  # One whole batch.
_LIMIT_MAX = 1_024.0  # One in flight and one that waits: more would only wait longer.
_SHRINK = 0.5
_GROW = 0.2  # For each answer in time, while the limit is near.
_BEAT_S = 0.05
_STRAIN_S = 10.0  # There is strain while so many were turned away in so long: one moment's
_STRAIN_COUNT = 32  # crowd, or a server that has just begun, is none.


class Shedder(Generic[Item, Result]):
    """Stands before a batcher; `owner` names whose share of what is under way an item takes."""

    def __init__(
        self,
        queue: Batcher[Item, Result],
        owner: Callable[[Item], Hashable],
        *,
        wanted_s: float = 0.3,
    ) -> None:
        self._queue = queue
        self._owner = owner
        self._wanted_s = wanted_s
        self._under_way: Counter[Hashable] = Counter()
        self._count = 0
        self._limit = _LIMIT_FIRST
        self._shrinks_at = 0.0  # Not before what was taken in under the last limit is through.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._beat_due = 0.0
        self._late_s = 0.0
        self._refused_at: deque[float] = deque(maxlen=_STRAIN_COUNT)

    def is_strained(self) -> bool:
        """Tell whether many were turned away in the last moments."""
        refused_at = self._refused_at
        is_many = len(refused_at) == _STRAIN_COUNT
        return is_many and time.monotonic() - refused_at[0] < _STRAIN_S

    def is_full(self) -> bool:
        """Tell, before anything is read or done, that nobody can be taken in; it is counted.

        The later the loop is, the fewer are taken in. While hardly anything is under way nobody is
        turned away: a server that has just begun, or lost its core for a moment, is not overloaded.
        """
        share = 1 - self._lateness_s() / self._wanted_s
        if self._count < max(self._limit * share, _LIMIT_MIN):
            return False
        self._refused_at.append(time.monotonic())
        self._queue.note_shed(1)
        return True

    async def submit(self, item: Item) -> Result:
        """Put one item in; when half is taken, only up to its owner's fair share."""
        owner = self._owner(item)
        under_way = self._under_way
        is_unfair = under_way[owner] * len(under_way) > self._count
        if self._count >= self._limit or (self._count * 2 > self._limit and is_unfair):
            self._refused_at.append(time.monotonic())
            self._queue.refuse(1)
        under_way[owner] += 1
        self._count += 1
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            return await self._queue.submit(item)
        finally:
            self._learn(began, loop.time())
            self._count -= 1
            under_way[owner] -= 1
            if not under_way[owner]:
                del under_way[owner]

    def _learn(self, began: float, now: float) -> None:
        """Let the limit follow how long answers take."""
        if now - began <= self._wanted_s:
            if self._count * 2 > self._limit:
                self._limit = min(self._limit + _GROW, _LIMIT_MAX)
        elif began >= self._shrinks_at:
            self._limit = max(min(self._limit, self._count) * _SHRINK, _LIMIT_MIN)
            self._shrinks_at = now

    def _lateness_s(self) -> float:
        """Say how late the event loop is: requests have waited as long before they are seen."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._beat_due = self._loop.time() + _BEAT_S
            self._loop.call_at(self._beat_due, self._beat)
        return max(self._late_s, self._loop.time() - self._beat_due)

    def _beat(self) -> None:
        """Note how late this turn of the loop is."""
        assert self._loop is not None
        now = self._loop.time()
        self._late_s = now - self._beat_due
        self._beat_due = now + _BEAT_S
        self._loop.call_at(self._beat_due, self._beat)
