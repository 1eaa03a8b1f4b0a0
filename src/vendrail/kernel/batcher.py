"""Single calls in, batches out: what arrives while earlier batches are being written goes as one.

Flush when idle or full. A small batch costs as many statements as a large one, so beside a batch in
flight a small one waits, but only a moment: long enough to grow or to find the way free, never so
long that a slow batch holds it up. An item fails alone: a batch broken by its data is halved until
the culprit stands alone; a batch that the database asks to repeat is repeated whole. Nobody is
answered before the batch is through, and a caller that goes away undoes nothing.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import Context
from typing import Generic, NoReturn, TypeVar

from vendrail.kernel.db import Retry
from vendrail.kernel.errors import Broken, Overloaded, Unavailable
from vendrail.kernel.telemetry.metrics import Metrics
from vendrail.kernel.telemetry.traces import sampled_trace_id, span_batch

Item = TypeVar("Item")
Result = TypeVar("Result")

_BESIDE_MIN = 64  # So many go at once beside a batch in flight; fewer wait first.
_BESIDE_WAIT_S = 0.05
_RETRY_DELAYS_S = (0.01, 0.05, 0.2, 0.5, 1.0, 2.0)


class _Waiting(Generic[Item, Result]):
    __slots__ = ("future", "item", "key", "trace_id")

    def __init__(self, item: Item, key: Hashable, future: "asyncio.Future[Result]") -> None:
        self.item = item
        self.key = key
        self.future = future
        self.trace_id = sampled_trace_id()


class Batcher(Generic[Item, Result]):
    """Gathers single calls of one batch operation.

    `key` names what may never be in two batches in flight at once (one saga, one order).
    """

    def __init__(
        self,
        call: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        name: str = "batch",
        size_max: int = 512,
        in_flight_max: int = 2,
        queue_max: int = 20_000,
        key: Callable[[Item], Hashable] | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._call = call
        self.name = name
        self._size_max = size_max
        self._in_flight_max = in_flight_max
        self._beside_min = min(_BESIDE_MIN, size_max)
        self._queue_max = queue_max
        self._key = key
        self._metrics = metrics
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._busy: set[Hashable] = set()
        self._flights: set[asyncio.Task[None]] = set()
        self._is_woken = False
        self._patience: asyncio.TimerHandle | None = None
        if metrics is not None:
            metrics.watch_queue(self)

    @property
    def depth(self) -> int:
        """Give how many items wait, for metrics and for shedding."""
        return len(self._queue)

    async def submit(self, item: Item) -> Result:
        """Put one item in; give its result when its batch is through."""
        if len(self._queue) >= self._queue_max:
            self.refuse(1)
        # A caller that goes away cancels its own future only; the item stays in its batch.
        return await self._put(item)

    async def submit_all(self, items: Sequence[Item]) -> list[Result]:
        """Put several items in, all or none; give their results in order."""
        if len(self._queue) + len(items) > self._queue_max:
            self.refuse(len(items))
        return list(await asyncio.gather(*[self._put(item) for item in items]))

    def note_shed(self, count: int) -> None:
        """Count items that were turned away, here or before they came."""
        if self._metrics is not None:
            self._metrics.count("vendrail_shed_total", self.name, by=count)

    def refuse(self, count: int) -> NoReturn:
        """Turn items away; they are counted."""
        self.note_shed(count)
        raise Overloaded(f"Too much is waiting for {self.name}; try again shortly.")

    def _put(self, item: Item) -> "asyncio.Future[Result]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        key = self._key(item) if self._key is not None else None
        entry: _Waiting[Item, Result] = _Waiting(item, key, future)
        self._queue.append(entry)
        if not self._is_woken:
            # One turn of the loop later, so that all who arrive in this turn share the batch.
            self._is_woken = True
            loop.call_soon(self._wake)
        return future

    def _wake(self, *, has_waited: bool = False) -> None:
        self._is_woken = False
        while self._queue and len(self._flights) < self._in_flight_max:
            if self._flights and len(self._queue) < self._beside_min and not has_waited:
                if self._patience is None:
                    loop = asyncio.get_running_loop()
                    self._patience = loop.call_later(_BESIDE_WAIT_S, self._lose_patience)
                return
            batch = self._take()
            if not batch:
                return
            # Of no caller's context: a batch is nobody's own request, trace or transaction.
            task = asyncio.create_task(self._fly(batch), context=Context())
            self._flights.add(task)
            task.add_done_callback(self._landed)

    def _take(self) -> list[_Waiting[Item, Result]]:
        """Take up to a batch, leaving in order what shares a key with a batch in flight."""
        if self._key is None:
            count = min(self._size_max, len(self._queue))
            return [self._queue.popleft() for _ in range(count)]
        batch: list[_Waiting[Item, Result]] = []
        skipped: list[_Waiting[Item, Result]] = []
        held_back: set[Hashable] = set()
        while self._queue and len(batch) < self._size_max and len(skipped) < self._size_max:
            entry = self._queue.popleft()
            if entry.key in self._busy or entry.key in held_back:
                held_back.add(entry.key)
                skipped.append(entry)
            else:
                batch.append(entry)
        self._queue.extendleft(reversed(skipped))
        self._busy.update(entry.key for entry in batch)
        return batch

    def _lose_patience(self) -> None:
        self._patience = None
        self._wake(has_waited=True)

    def _landed(self, task: "asyncio.Task[None]") -> None:
        self._flights.discard(task)
        self._wake()

    async def _fly(self, batch: list[_Waiting[Item, Result]]) -> None:
        try:
            with span_batch(self.name, [entry.trace_id for entry in batch], len(batch)):
                await self._run(batch)
        finally:
            if self._key is not None:
                self._busy.difference_update(entry.key for entry in batch)

    async def _run(self, batch: list[_Waiting[Item, Result]]) -> None:
        try:
            if self._metrics is not None:
                self._metrics.observe_batch(self.name, len(batch))
            results = await self._call_with_retry([entry.item for entry in batch])
            count = len(results)
        except Unavailable as error:
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001  # Any error may be one item's fault.
            if len(batch) == 1:
                _fail(batch, error)
            else:
                middle = len(batch) // 2
                await self._run(batch[:middle])
                await self._run(batch[middle:])
        except BaseException:
            _fail(batch, Unavailable(f"{self.name} was stopped before it ended."))
            raise
        else:
            if count != len(batch):
                message = f"{self.name} gave {count} results for {len(batch)} items."
                _fail(batch, Broken(message))
                return
            for entry, result in zip(batch, results, strict=True):
                if not entry.future.done():
                    entry.future.set_result(result)

    async def _call_with_retry(self, items: list[Item]) -> Sequence[Result]:
        for delay_s in _RETRY_DELAYS_S:
            try:
                return await self._call(items)
            except Retry:
                await asyncio.sleep(delay_s)
        return await self._call(items)

    async def drain(self) -> None:
        """Wait until nothing waits and nothing is in flight: before a stop."""
        while self._queue or self._flights:
            if self._flights:
                await asyncio.wait(set(self._flights))
            else:
                await asyncio.sleep(0)


def _fail(batch: Sequence[_Waiting[Item, Result]], error: Exception) -> None:
    for entry in batch:
        if not entry.future.done():
            entry.future.set_exception(error)
            # The waiter may be gone; a failure nobody awaits must not be logged as forgotten.
            entry.future.exception()
