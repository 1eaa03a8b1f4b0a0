"""Time that a test moves: a file that every process reads, without a call to the system."""

import asyncio
import mmap
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT_S = 0.01


class Shift:
    """The seconds by which the processes' clocks are ahead of the machine's."""

    def __init__(self, file: Path) -> None:
        self.file = file
        if not file.exists():
            file.write_bytes(struct.pack("d", 0.0))
        with file.open("r+b") as handle:
            self._map = mmap.mmap(handle.fileno(), 8)

    def read_s(self) -> float:
        """Give the seconds."""
        (shift_s,) = struct.unpack("d", self._map[:8])
        return shift_s

    def add_s(self, more_s: float) -> None:
        """Move every clock on."""
        self._map[:8] = struct.pack("d", self.read_s() + more_s)


class ShiftedClock:
    """The machine's clock, moved on by a shift; waiting is real."""

    def __init__(self, shift: Shift) -> None:
        self._shift = shift

    def now(self) -> datetime:
        """Give the present moment and what the shift adds to it."""
        return datetime.now(UTC) + timedelta(seconds=self._shift.read_s())

    async def sleep(self, delay_s: float) -> None:
        """Wait for so many seconds."""
        await asyncio.sleep(delay_s)


class StandingClock:
    """Time that stands until a simulation moves it: the shift is the whole of it, since 1970."""

    def __init__(self, shift: Shift) -> None:
        self._shift = shift

    def now(self) -> datetime:
        """Give the moment the simulation has come to."""
        return _EPOCH + timedelta(seconds=self._shift.read_s())

    async def sleep(self, delay_s: float) -> None:
        """Let others run for a moment: who waits for long is not waited for."""
        await asyncio.sleep(min(delay_s, _MOMENT_S))
