"""Hints between processes: a wake-up here is a NOTIFY to the others on the same database.

Sent after the commit, by a transaction of its own that writes nothing: a NOTIFY inside the batch's
own transaction would make all commits of the platform queue for one lock. Many wake-ups close
together are one NOTIFY. A hint that is lost costs only the wait until the next poll.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from uuid import uuid4

import structlog

from vendrail.kernel.db import connect_once
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.outbox import Wakeups

_log = structlog.get_logger(__name__)

CHANNEL = "vendrail"
_QUIET_S = 0.005
_RETRY_S = 1.0


class Broadcast:
    """Carries the wake-ups of some topics to and from the other processes."""

    def __init__(self, dsn: str, wakeups: Wakeups, topics: Sequence[str]) -> None:
        self._dsn = dsn
        self._wakeups = wakeups
        self._topics = {topic: wakeups.subscribe(topic) for topic in topics}
        self._name = uuid4().hex[:12]

    async def run(self) -> None:
        """Carry until cancelled; a lost connection is made again."""
        while True:
            try:
                await self._carry()
            except (Unavailable, OSError) as error:
                _log.warning("broadcast.lost", error=str(error))
            await asyncio.sleep(_RETRY_S)

    async def _carry(self) -> None:
        connection = await connect_once(self._dsn, application_name="vendrail-broadcast")
        lost = asyncio.Event()
        connection.add_termination_listener(lambda *_: lost.set())
        try:
            await connection.add_listener(CHANNEL, self._hear)
            while not lost.is_set():
                woken = await self._next(lost)
                for topic in woken:
                    await connection.execute(
                        "select pg_notify($1, $2)", CHANNEL, f"{self._name}:{topic}"
                    )
                await asyncio.sleep(_QUIET_S)
        finally:
            with contextlib.suppress(Exception):
                await connection.close(timeout=1.0)

    async def _next(self, lost: asyncio.Event) -> list[str]:
        """Wait for a wake-up of this process; give all topics that were woken."""
        waits = [asyncio.create_task(each.wait()) for each in (*self._topics.values(), lost)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        woken = [topic for topic, event in self._topics.items() if event.is_set()]
        for topic in woken:
            self._topics[topic].clear()
        return woken

    def _hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        """Wake those here who wait for a topic that another process has woken."""
        sender, _, topic = str(payload).partition(":")
        if sender != self._name and topic in self._topics:
            self._wakeups.wake(topic, but=self._topics[topic])
