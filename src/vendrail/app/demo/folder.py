"""The demo's folder: whose it is, what the demo made in it, and that only one demo works there."""

import contextlib
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil

from vendrail.kernel.codec import Record, decode, encode, replace
from vendrail.kernel.embedded import open_server
from vendrail.kernel.embedded.postmaster import find_postmaster
from vendrail.kernel.errors import Malformed, Unavailable

# What may come to be in a home, and goes with --fresh if it came with the demo.
PARTS = ("postgres", "secrets", "sandbox", "mailbox", "media", "files")
_SIGNS = (*PARTS, "vendrail.toml", "bench", "demo.json")  # Any of them: a Vendrail home.
_MARKER = "demo.json"
_LOCK = "demo.lock"
OWNER_VARIABLE = "VENDRAIL_DEMO_HOME"  # The demo's processes carry it, so that orphans are found.
_PATIENCE_S = 8.0


class Marker(Record, frozen=True):
    """What the demo remembers of a folder."""

    made: tuple[str, ...]  # Parts that were not there before the demo came.
    public_key_pem: str = ""  # Ours, as the sandbox knows it.
    is_seeded: bool = False


def no_room(error: OSError, home: Path) -> Unavailable:
    """Say what a refused write means, and what to do."""
    place = error.filename or home
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable(f"The disk is full at {place}. Make room (df -h {home}), or use --home.")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return Unavailable(
            f"{place} cannot be written ({error.strerror})."
            " Give the demo a folder that you may write to: --home FOLDER."
        )
    return Unavailable(f"{place}: {error.strerror or error}. Try another folder: --home FOLDER.")


class Folder:
    """The home of one demo, locked while the demo runs."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._marker_file = home / _MARKER

    def check_ours(self) -> None:
        """Refuse a folder that holds something, and nothing of Vendrail: it may be anybody's."""
        if self.home.is_symlink() or not self.home.exists():
            return
        if not self.home.is_dir():
            raise Malformed(f"{self.home} is a file; the demo needs a folder: --home FOLDER.")
        try:
            names = {path.name for path in self.home.iterdir()} - {_LOCK}
        except OSError as error:
            raise no_room(error, self.home) from error
        if names and names.isdisjoint(_SIGNS):
            raise Malformed(
                f"{self.home} holds other things ({min(names)}, …) and is no Vendrail home."
                " Nothing was touched. Give the demo an empty folder: --home FOLDER."
            )

    @contextlib.contextmanager
    def locked(self) -> Iterator[IO[str]]:
        """Be the only demo on this folder; what is written to the file, others are told."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / _LOCK).open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                told = lock.read().strip() or "starting"
                raise Unavailable(
                    f"A demo is running on {self.home} already ({told}). Use that one; or stop it"
                    " with Ctrl-C, or give this one a folder and a port: --home FOLDER --port 8080."
                ) from None
            lock.truncate(0)
            yield lock

    def address(self) -> str:
        """Give where the demo that runs on this folder is open; empty: none runs."""
        with contextlib.suppress(OSError), (self.home / _LOCK).open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return lock.read().partition(",")[0].strip()
        return ""

    def read_marker(self) -> Marker | None:
        """Give what the demo remembers, if it was here before."""
        try:
            return decode(self._marker_file.read_bytes(), Marker)
        except FileNotFoundError:
            return None

    def mark(self) -> Marker:
        """Leave the marker before anything else is made; give it."""
        marker = self.read_marker()
        if marker is None:
            made = tuple(name for name in PARTS if not (self.home / name).exists())
            marker = Marker(made)
            self._write(marker)
        return marker

    def remember(self, marker: Marker, **changed: object) -> Marker:
        """Remember more."""
        marker = replace(marker, **changed)
        self._write(marker)
        return marker

    def _write(self, marker: Marker) -> None:
        aside = self._marker_file.with_suffix(".new")
        aside.write_bytes(encode(marker))
        aside.replace(self._marker_file)

    def clear(self) -> None:
        """Begin again: remove what the demo made here, and nothing else."""
        marker = self.read_marker()
        if marker is None and not any((self.home / name).exists() for name in PARTS):
            return
        if marker is None or "postgres" not in marker.made:
            raise Malformed(
                f"The demo did not make the data in {self.home}, so --fresh does not remove it."
                " Give the demo a folder of its own: --home FOLDER."
            )
        self._stop_server()
        for name in marker.made:
            path = self.home / name
            # The marker is the last to go, so that an end in the middle can be begun again.
            if path.is_symlink() or path.is_file():
                path.unlink()
            elif path.exists():
                shutil.rmtree(path)
        self._marker_file.unlink()

    def _stop_server(self) -> None:
        data = self.home / "postgres"
        due = time.monotonic() + _PATIENCE_S
        while find_postmaster(data / "cluster") is not None and not open_server(data).close():
            # Whatever was just killed gives the database up a moment later.
            if time.monotonic() > due:
                raise Unavailable(
                    f"Another Vendrail program still uses the database in {data}."
                    " End it, then begin again with --fresh."
                )
            time.sleep(0.1)

    def end_orphans(self) -> int:
        """End what a killed demo left running on this folder; give how many that were.

        Called under the lock: whoever carries our mark now has lost its demo. PostgreSQL is left
        alone: it is used again as it is.
        """
        orphans = [process for process in psutil.process_iter() if self._is_orphan(process)]
        for process in orphans:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        _, stubborn = psutil.wait_procs(orphans, timeout=_PATIENCE_S)
        for process in stubborn:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(stubborn, timeout=_PATIENCE_S)
        return len(orphans)

    def _is_orphan(self, process: psutil.Process) -> bool:
        try:
            if process.pid == os.getpid() or process.name() == "postgres":
                return False
            return process.environ().get(OWNER_VARIABLE) == str(self.home)
        except (psutil.Error, OSError):
            return False  # Somebody else's, or gone: none of ours.
