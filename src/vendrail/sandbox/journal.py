"""A journal: what a provider remembers, each change one line of an append-only file."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import structlog

from vendrail.kernel.errors import Broken, Unavailable

Kept = TypeVar("Kept")

_log = structlog.get_logger(__name__)


class Journal(Generic[Kept]):
    """Gives back what was kept, then keeps more; it is written anew when it has grown enough."""

    def __init__(
        self,
        path: Path,
        kinds: Any,
        compact_bytes: int,
        records: Callable[[], Iterable[Kept]],
    ) -> None:
        self._path = path
        self._kinds = kinds
        self._compact_bytes = compact_bytes
        self._records = records  # All that is still worth keeping.
        self._encoder = msgspec.json.Encoder()
        self._written_bytes = 0
        self._handle = -1

    def read(self) -> Iterator[Kept]:
        """Give what was kept, oldest first."""
        if not self._path.exists():
            return
        decoder = msgspec.json.Decoder(self._kinds)
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield decoder.decode(line)
                except msgspec.MsgspecError as error:
                    if not line.endswith(b"\n"):
                        _log.warning("journal.cut", line=number)  # Killed while writing it.
                        return
                    raise Broken(
                        f"Line {number} of {self._path} cannot be read ({error}); remove the"
                        " line, or the file to begin again without trades."
                    ) from error

    def open(self) -> None:
        """Write what is still known into a new file, and go on in it."""
        part = self._path.with_suffix(".part")
        try:
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as file:
                for record in self._records():
                    file.write(self._encoder.encode(record) + b"\n")
            part.replace(self._path)
            self._handle = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            raise Unavailable(f"The sandbox cannot write {self._path}: {error}.") from error
        self._written_bytes = 0

    def append(self, records: Iterable[Kept]) -> None:
        """Keep new or changed records before returning."""
        data = b"".join(self._encoder.encode(record) + b"\n" for record in records)
        os.write(self._handle, data)
        self._written_bytes += len(data)
        if self._written_bytes > self._compact_bytes:
            os.close(self._handle)
            self.open()
            # The next one waits until as much again was written as is worth keeping.
            self._compact_bytes = max(self._compact_bytes, 2 * self._path.stat().st_size)

    def close(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(OSError):
            os.close(self._handle)
