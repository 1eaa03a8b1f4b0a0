"""A TCP proxy between server and PostgreSQL that counts commits, and can cut at any of them.

A commit point is a frontend message that makes changes durable: `COMMIT` of a transaction, or a
single statement outside one that writes. The proxy reads PostgreSQL's own protocol (version 3), so
the server under test is none the wiser.
"""

import asyncio
import re
import struct
from collections.abc import Callable
from pathlib import Path

_WRITES = re.compile(rb"^\s*(insert|update|delete|with\b.*\b(insert|update|delete)\b)", re.I | re.S)


class Cut(Exception):
    """The connection was cut here on purpose."""


class CommitProxy:
    """Forwards a local port to PostgreSQL's socket; calls `on_commit(n, before)` around commit n.

    `on_commit` is called with before=True when the commit is about to be sent, and with
    before=False when PostgreSQL has committed but its answer has not been passed on. When it
    returns True the connection is cut there.
    """

    def __init__(self, target: Path, on_commit: Callable[[int, bool], bool] | None = None) -> None:
        self._target = target
        self._on_commit = on_commit or (lambda _n, _before: False)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.commit_count = 0
        self.port = 0

    async def __aenter__(self) -> "CommitProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            up_reader, up_writer = await asyncio.open_unix_connection(str(self._target))
        except OSError:
            writer.close()
            return
        link = _Link(self, reader, writer, up_reader, up_writer)
        try:
            await link.run()
        finally:
            writer.close()
            up_writer.close()

    def next_commit(self) -> int:
        """Count one more commit."""
        self.commit_count += 1
        return self.commit_count

    def is_cut(self, number: int, *, before: bool) -> bool:
        """Ask whether to cut here."""
        return self._on_commit(number, before)


class _Link:
    """One connection, watched in both directions."""

    def __init__(self, proxy, reader, writer, up_reader, up_writer):
        self._proxy = proxy
        self._reader, self._writer = reader, writer
        self._up_reader, self._up_writer = up_reader, up_writer
        self._statements: dict[bytes, bytes] = {}
        self._bound: bytes = b""
        self._is_in_transaction = False
        self._awaited: list[int | None] = []  # One entry a sync or query: the commit it carries.
        self._pending_write = False

    async def run(self) -> None:
        await self._start_up()
        forward = asyncio.create_task(self._forward())
        back = asyncio.create_task(self._back())
        done, rest = await asyncio.wait({forward, back}, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for task in done:
            task.exception()

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
            return

    async def _forward(self) -> None:
        while True:
            kind = await self._reader.readexactly(1)
            head = await self._reader.readexactly(4)
            body = await self._reader.readexactly(struct.unpack("!I", head)[0] - 4)
            commit = self._watch(kind, body)
            if commit is not None and self._proxy.is_cut(commit, before=True):
                raise Cut
            self._up_writer.write(kind + head + body)
            if self._reader._buffer == b"":
                await self._up_writer.drain()

    def _watch(self, kind: bytes, body: bytes) -> int | None:
        """Follow the protocol; give the number of the commit that this message asks for, if any."""
        if kind == b"P":
            name, _, rest = body.partition(b"\0")
            self._statements[name] = rest.partition(b"\0")[0]
        elif kind == b"B":
            self._bound = body.split(b"\0", 2)[1]
        elif kind == b"E":
            sql = self._statements.get(self._bound, b"")
            self._pending_write = self._pending_write or bool(_WRITES.match(sql))
        elif kind == b"S":
            is_commit = self._pending_write and not self._is_in_transaction
            self._pending_write = False
            number = self._proxy.next_commit() if is_commit else None
            self._awaited.append(number)
            return number
        elif kind == b"Q":
            sql = body.rstrip(b"\0").strip().rstrip(b";").lower()
            is_commit = sql == b"commit" or (
                not self._is_in_transaction and bool(_WRITES.match(sql))
            )
            number = self._proxy.next_commit() if is_commit else None
            self._awaited.append(number)
            return number
        return None

    async def _back(self) -> None:
        while True:
            kind = await self._up_reader.readexactly(1)
            head = await self._up_reader.readexactly(4)
            body = await self._up_reader.readexactly(struct.unpack("!I", head)[0] - 4)
            if kind == b"Z":
                self._is_in_transaction = body in (b"T", b"E")
                number = self._awaited.pop(0) if self._awaited else None
                if number is not None and self._proxy.is_cut(number, before=False):
                    raise Cut
            self._writer.write(kind + head + body)
            await self._writer.drain()
