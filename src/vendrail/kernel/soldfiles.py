"""Files that are sold: sealed on disk piece by piece, and read as if they were not.

A sealed file has a key of its own, derived from its id by the vault. Its pieces are numbered and
the last one is marked, so that none can be left out, moved or cut off unseen. What lies in the
folder without our mark at its head was put there by hand, and is given as it is.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Self
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vendrail.kernel.errors import Broken
from vendrail.kernel.http import find_below
from vendrail.kernel.vault import Vault

_MARK = b"VRSEALED"
_HEAD_BYTES = len(_MARK) + 16
PIECE_BYTES = 65_536
_TAG_BYTES = 16
_PURPOSE = "sold_file"


def _cipher(vault: Vault, id: UUID) -> AESGCM:
    return AESGCM(vault.keyed_hash(_PURPOSE, id.bytes))


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")  # Never twice under one key: each file has its own.


def seal_file(source: IO[bytes], target: Path, vault: Vault) -> int:
    """Write a file sealed, whole or not at all; give how many bytes went in."""
    id, size, number = uuid4(), 0, 0
    cipher = _cipher(vault, id)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{id}.new")
    with fresh.open("wb") as file:
        file.write(_MARK + id.bytes)
        piece = source.read(PIECE_BYTES)
        while True:
            following = source.read(PIECE_BYTES)
            file.write(cipher.encrypt(_nonce(number), piece, b"" if following else b"last"))
            size, number = size + len(piece), number + 1
            if not following:
                break
            piece = following
    fresh.replace(target)
    return size


class SoldFile:
    """A file that is open to be read from its begin to its end."""

    def __init__(self, path: Path, vault: Vault) -> None:
        self.name = path.name
        self._file = path.open("rb")
        self._cipher: AESGCM | None = None
        self._number = self._pieces = 0
        whole = os.fstat(self._file.fileno()).st_size
        head = self._file.read(_HEAD_BYTES)
        if head.startswith(_MARK) and len(head) == _HEAD_BYTES:
            self._cipher = _cipher(vault, UUID(bytes=head[len(_MARK) :]))
            sealed = whole - _HEAD_BYTES
            self._pieces = max(1, -(-sealed // (PIECE_BYTES + _TAG_BYTES)))
            self.size = max(0, sealed - self._pieces * _TAG_BYTES)
        else:
            self._file.seek(0)
            self.size = whole
        self._left = self.size

    def __enter__(self) -> Self:
        """Give the file, to be closed at the end of the block."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the file."""
        self._file.close()

    def read(self) -> bytes:
        """Read the next piece; empty: that was all. `Broken` where it was altered."""
        if self._cipher is None:  # As long as it was when it was opened.
            piece = self._file.read(min(self._left, PIECE_BYTES))
        elif self._number == self._pieces:
            return b""
        else:
            piece = self._unseal(self._cipher, self._file.read(PIECE_BYTES + _TAG_BYTES))
        self._left -= len(piece)
        return piece

    def _unseal(self, cipher: AESGCM, sealed: bytes) -> bytes:
        mark = b"last" if self._number == self._pieces - 1 else b""
        try:
            piece = cipher.decrypt(_nonce(self._number), sealed, mark)
        except (InvalidTag, ValueError) as error:
            raise Broken(f"The sold file {self.name} is not as it was sealed.") from error
        self._number += 1
        return piece


class SoldFiles:
    """The folder of what is sold: never public, only an order that bought a file opens it."""

    def __init__(self, folder: Path, vault: Vault) -> None:
        self._folder = folder
        self._vault = vault

    def open(self, path: str) -> SoldFile | None:
        """Open a file by its path below the folder; None: it is not there."""
        found = find_below(self._folder, path)
        try:
            return SoldFile(found, self._vault) if found is not None else None
        except FileNotFoundError:
            return None

    def take_in(self, source: IO[bytes], path: str) -> int:
        """Keep a file, sealed, under a path that nothing else has; give its size."""
        return seal_file(source, self._folder / path, self._vault)

    def remove(self, path: str) -> None:
        """Take a file away; who is reading it reads on."""
        found = find_below(self._folder, path)
        if found is not None:
            found.unlink(missing_ok=True)
            with suppress(OSError):  # Others lie there.
                found.parent.rmdir()


def pieces_of(file: SoldFile) -> Iterator[bytes]:
    """Read all of a file, and close it."""
    with file:
        while piece := file.read():
            yield piece
