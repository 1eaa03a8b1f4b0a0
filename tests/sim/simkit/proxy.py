"""A TCP proxy between server and PostgreSQL that counts commits, and can cut at any of them.

A commit counts when it made something durable: the end of a transaction, or a single statement
outside one, that changed rows. To know that of a single statement before it is durable, the proxy
opens a transaction around it and commits it itself. It speaks PostgreSQL's own protocol (version
3), so the server under test is none the wiser.
"""

import asyncio
import re
import struct
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Self

_WRITES = re.compile(
    rb"^\s*(insert|update|delete|copy|with\b.*\b(insert|update|delete)\b)",
    re.IGNORECASE | re.DOTALL,
)
_FIRST_WORDS = re.compile(rb"\b(insert into|update|delete from|copy)\s+([\w.\"]+)", re.IGNORECASE)


class Cut(Exception):
    """The connection was cut here on purpose."""


class CommitProxy:
    """Forwards a local port to PostgreSQL's socket; calls `on_commit(n, before)` around commit n.

    `on_commit` is called with before=True when the commit is about to be sent, and with
    before=False when PostgreSQL has committed but its answer has not been passed on. When it
    returns True the connection is cut there.
    """

    def __init__(self, target: Path, on_commit: Callable[[int, bool], bool] | None = None) -> None:
        self.on_commit = on_commit or (lambda _n, _before: False)
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.labels: list[str] = []  # What each commit wrote, in order.
        self.port = 0

    @property
    def commit_count(self) -> int:
        """How many commits have been counted."""
        return len(self.labels)

    def forget(self) -> None:
        """Count from one again."""
        self.labels.clear()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.hang_up()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hang_up(self) -> None:
        """Cut every connection."""
        for task in list(self._tasks):
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        up_writer = None
        try:
            up_reader, up_writer = await asyncio.open_unix_connection(str(self._target))
            await _Link(self, reader, writer, up_reader, up_writer).run()
        except (OSError, EOFError, Cut, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for each in (writer, up_writer):
                if each is not None:
                    each.transport.abort()

    def count(self, label: str) -> int:
        """Count one more commit; give its number."""
        self.labels.append(label)
        return len(self.labels)


class _Link:
    """One connection, watched in both directions.

    `_awaited` holds one entry for each ReadyForQuery to come: what it answers. `pass` and `write`
    go to the client as they are; `begin` and `end` answer what the proxy itself has sent.
    """

    def __init__(self, proxy, reader, writer, up_reader, up_writer):
        self._proxy = proxy
        self._reader, self._writer = reader, writer
        self._up_reader, self._up_writer = up_reader, up_writer
        self._statements: dict[bytes, bytes] = {}
        self._portals: dict[bytes, bytes] = {}
        self._status = b"I"
        self._awaited: deque[tuple[str, int | None]] = deque()
        self._writes: list[bytes] = []  # The writing statements of the messages not yet synced.
        self._rows = 0  # Changed in the transaction that is open.
        self._what = b""  # The first statement in it that changed rows.

    async def run(self) -> None:
        await self._start_up()
        tasks = {asyncio.create_task(self._forward()), asyncio.create_task(self._back())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _start_up(self) -> None:
        while True:
            head = await self._reader.readexactly(4)
            (length,) = struct.unpack("!I", head)
            body = await self._reader.readexactly(length - 4)
            code = struct.unpack("!I", body[:4])[0]
            if code in (80877103, 80877104):  # No TLS, no GSS on a loopback of ours.
                self._writer.write(b"N")
                continue
            self._up_writer.write(head + body)
            self._awaited.append(("pass", None))  # The end of signing in.
            return

    async def _forward(self) -> None:
        group = bytearray()
        while True:
            kind, message = await _read(self._reader)
            self._watch(kind, message[5:])
            group += message
            if kind in b"PBDEC":  # Held until the sync that ends them.
                continue
            if kind == b"S":
                self._sync(group)
            elif kind == b"Q":
                self._query(group, message[5:])
            else:
                self._up_writer.write(bytes(group))
            group.clear()
            await self._up_writer.drain()

    def _watch(self, kind: bytes, body: bytes) -> None:
        """Follow which statements are run."""
        if kind == b"P":
            name, _, rest = body.partition(b"\0")
            self._statements[name] = rest.partition(b"\0")[0]
        elif kind == b"B":
            portal, name, _ = body.split(b"\0", 2)
            self._portals[portal] = self._statements.get(name, b"")
        elif kind == b"E":
            sql = self._portals.get(body.partition(b"\0")[0], b"")
            if _WRITES.match(sql):
                self._writes.append(sql)

    def _sync(self, group: bytearray) -> None:
        """Send what a sync ends; a single write gets a transaction around it."""
        is_write = bool(self._writes)
        if is_write and self._status == b"I":
            self._rows, self._what = 0, b""
            self._awaited.append(("begin", None))
            self._up_writer.write(_simple(b"begin"))
            self._awaited.append(("write", None))
        else:
            self._awaited.append(("pass", None))
        self._up_writer.write(bytes(group))

    def _query(self, group: bytearray, body: bytes) -> None:
        """Send a simple query; a commit that matters is a commit point."""
        sql = body.rstrip(b"\0").strip().rstrip(b";").lower()
        number = None
        if sql == b"commit":
            number = self._point()
        elif _WRITES.match(sql):
            self._writes.append(sql)
        self._awaited.append(("pass", number))
        self._up_writer.write(bytes(group))

    def _point(self) -> int | None:
        """The transaction is about to be committed: count it if it changed anything."""
        number = None
        if self._rows:
            found = _FIRST_WORDS.search(self._what)
            label = b" ".join(found.groups()) if found else self._what[:40]
            number = self._proxy.count(label.decode())
            if self._proxy.on_commit(number, True):
                raise Cut
        self._rows, self._what = 0, b""
        return number

    async def _back(self) -> None:
        while True:
            kind, message = await _read(self._up_reader)
            role, number = self._awaited[0] if self._awaited else ("pass", None)
            if kind == b"C" and self._writes and role in ("pass", "write"):
                last = message[5:].rstrip(b"\0").rsplit(b" ", 1)[-1]
                if last.isdigit() and int(last):
                    self._rows += int(last)
                    self._what = self._what or self._writes[0]
            if kind != b"Z":
                is_ours = role in ("begin", "end") and kind == b"C"
                if not is_ours:
                    self._writer.write(message)
                continue
            self._awaited.popleft()
            self._status = message[5:]
            if role == "begin":
                continue
            if role in ("pass", "write"):
                self._writes = []
            if role == "write":
                word = b"rollback" if self._status == b"E" else b"commit"
                self._awaited.appendleft(("end", self._point() if word == b"commit" else None))
                self._up_writer.write(_simple(word))
                continue
            if number is not None and self._proxy.on_commit(number, False):
                raise Cut
            self._writer.write(message)
            await self._writer.drain()


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read one message: its kind, and the whole of it."""
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


def _simple(sql: bytes) -> bytes:
    return b"Q" + struct.pack("!I", len(sql) + 5) + sql + b"\0"
