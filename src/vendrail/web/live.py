"""Live order pages: a hint wakes them at once, and once a second they look for themselves.

All pages look in the same tick, so that however many are open, they cost a batch or two a second.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from uuid import UUID

from vendrail.api.orders import OrderState, OrderView
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.waiting import wait_at_most

_TICK_S = 1.0
_TICK_SLOW_S = 5.0
_BEAT_TICKS = 15  # A sign of life, so that proxies keep the stream open.
_LIFE_TICKS = 900  # Then the browser connects again.
_OF_TOPIC_MAX = 4  # Pages of one thing for one side: more of them ask every few seconds.
_OF_ADDRESS_MAX = 20
_QUICK = (OrderState.PLACED, OrderState.PAID)


def version_of(view: OrderView) -> str:
    """Say in a word what of an order its page shows, so that a change can be seen."""
    return f"{view.state}.{len(view.timeline)}.{view.refunded_minor}.{view.waiting}"


class Watch:
    """One page that waits for its order to change."""

    def __init__(self, wakeups: Wakeups, hint: asyncio.Event, seen: str) -> None:
        self._wakeups = wakeups
        self._hint = hint
        self._seen = seen
        self._ticks = 0
        self._tick_s = _TICK_S
        self.view: OrderView | None = None

    async def until_changed(self, read: Callable[[], Awaitable[OrderView | None]]) -> bool:
        """Wait; `view` is the changed order, or None for a sign of life. False: it is over.

        It is over when the order cannot be read, after a quarter of an hour or so, and when the
        process stops: the browser connects again by itself, to whoever serves then.
        """
        self.view = None
        while self._ticks < _LIFE_TICKS and not self._wakeups.is_closing:
            self._hint.clear()  # Before reading: a hint that comes meanwhile must not be lost.
            try:
                view = await read()
            except Unavailable:
                view = None
                self._tick_s = _TICK_SLOW_S
            else:
                if view is None:
                    return False
                self._tick_s = _TICK_S if view.state in _QUICK else _TICK_SLOW_S
            if view is not None and version_of(view) != self._seen:
                self._seen = version_of(view)
                self.view = view
                return True
            await self._wait()
            self._ticks += 1
            if self._ticks % _BEAT_TICKS == 0:
                return True
        return False

    async def _wait(self) -> None:
        """Wait for a hint or the common tick."""
        delay_s = self._tick_s - asyncio.get_running_loop().time() % self._tick_s
        await wait_at_most(self._hint, delay_s)


class LivePages:
    """All pages that are live in this process; bounded."""

    def __init__(self, wakeups: Wakeups, pages_max: int) -> None:
        self._wakeups = wakeups
        self._pages_max = pages_max
        self.count = 0
        self._of: Counter[str] = Counter()

    @property
    def has_room(self) -> bool:
        """Whether one more page may be live; the others ask every few seconds instead."""
        return self.count < self._pages_max and not self._wakeups.is_closing

    def admits(self, topic: str, address: str) -> bool:
        """Whether one more page of a thing may be live, for one address: some, never all."""
        is_few = self._of[topic] < _OF_TOPIC_MAX and self._of[address] < _OF_ADDRESS_MAX
        return self.has_room and is_few

    @contextlib.contextmanager
    def admit(self, *keys: str) -> Iterator[None]:
        """Count a page for as long as it is open, by what it shows and by its address."""
        self._of.update(keys)
        try:
            yield
        finally:
            self._of.subtract(keys)
            for key in keys:
                if not self._of[key]:
                    del self._of[key]

    @property
    def is_closing(self) -> bool:
        """Whether the process is about to stop."""
        return self._wakeups.is_closing

    @contextlib.contextmanager
    def follow(self, topic: str) -> Iterator[asyncio.Event]:
        """Give the hint of a topic for as long as a page that follows it is open."""
        hint = self._wakeups.subscribe(topic)
        self.count += 1
        try:
            yield hint
        finally:
            self.count -= 1
            self._wakeups.unsubscribe(topic, hint)

    @contextlib.contextmanager
    def watch(self, order: UUID, seen: str) -> Iterator[Watch]:
        """Watch one order for as long as its page is open."""
        topic = f"order:{order}"
        hint = self._wakeups.subscribe(topic)
        self.count += 1
        try:
            yield Watch(self._wakeups, hint, seen)
        finally:
            self.count -= 1
            self._wakeups.unsubscribe(topic, hint)
