"""Time is handed in, never taken from the air, so that tests and the simulation own it."""

import asyncio
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What tells the time and waits."""

    def now(self) -> datetime:
        """Give the present moment, aware, in UTC."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Wait for so many seconds."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Give the present moment, aware, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, delay_s: float) -> None:
        """Wait for so many seconds."""
        await asyncio.sleep(delay_s)
