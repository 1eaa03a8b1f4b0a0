"""A load generator that costs little: HTTP/1.1, kept connections, one request in flight on each.

Loopback only. The generator shares the cores with what it measures, so each microsecond counts.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Reply:
    """Status, body and head of one answer."""

    status: int
    body: bytes
    head: bytes = b""

    @property
    def cookies(self) -> str:
        """Give what a browser would send back, as one header's value."""
        lines = self.head.split(b"\r\n")
        set_ = [line[11:] for line in lines if line[:11].lower() == b"set-cookie:"]
        return "; ".join(each.split(b";", 1)[0].strip().decode("latin-1") for each in set_)

    @property
    def retry_after_s(self) -> float:
        """Give how long the server asks to wait, or 0."""
        mark = self.head.lower().find(b"\r\nretry-after:")
        return float(self.head[mark + 14 :].split(b"\r\n", 1)[0]) if mark >= 0 else 0.0


class Connection(asyncio.Protocol):
    """One kept connection; requests are bytes made beforehand."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._head_end = -1
        self._length = 0
        self._head = b""
        self._waiting: asyncio.Future[Reply] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        # Not every loop's transports inherit from asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the request that waits."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError(f"The server closed: {exc}"))

    def data_received(self, data: bytes) -> None:
        """Put the answer together; headers are read only as far as the length."""
        self._buffer += data
        if self._head_end < 0:
            self._head_end = self._buffer.find(b"\r\n\r\n")
            if self._head_end < 0:
                return
            self._head = bytes(self._buffer[: self._head_end])
            head = self._head.lower()
            mark = head.find(b"content-length:")
            self._length = int(head[mark + 15 :].split(b"\r\n", 1)[0]) if mark >= 0 else 0
        end = self._head_end + 4 + self._length
        if len(self._buffer) < end:
            return
        status = int(self._buffer[9:12])
        body = bytes(self._buffer[self._head_end + 4 : end])
        del self._buffer[:end]
        self._head_end = -1
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(Reply(status, body, self._head))

    async def send(self, request: bytes) -> Reply:
        """Send one request; give its answer."""
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiting

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Write one request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body or method == "POST":
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def spread(
    port: int,
    jobs: int,
    connections: int,
    work: Callable[[Connection, int], Awaitable[None]],
    finish: Callable[[Connection], Awaitable[None]] | None = None,
) -> None:
    """Run `work(connection, number)` for every number below `jobs`, over so many connections."""
    loop = asyncio.get_running_loop()
    numbers = iter(range(jobs))

    async def worker() -> None:
        _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
        try:
            for number in numbers:
                async with asyncio.timeout(_TIMEOUT_S):
                    await work(connection, number)
            if finish is not None:
                async with asyncio.timeout(_TIMEOUT_S):
                    await finish(connection)
        finally:
            connection.close()

    await asyncio.gather(*(worker() for _ in range(connections)))
