"""Servers of the platform, as processes that a test starts, asks and kills."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from vendrail.app.bench.ground import free_port
from vendrail.app.bench.load import Connection, Reply, request

_READY_S = 20.0
_REPLY_S = 20.0


class Line(Connection):
    """A kept connection that knows when it was lost while nobody waited."""

    is_lost = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember it."""
        self.is_lost = True
        super().connection_lost(exc)

    async def send(self, request: bytes) -> Reply:
        """Send, or say that the server is gone."""
        if self.is_lost or self._transport is None or self._transport.is_closing():
            raise ConnectionError("The server hung up.")
        return await super().send(request)


class Forge:
    """The process that forks servers: everything is imported in it once."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forks.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._lock = threading.Lock()

    def _fork(self, environment: dict[str, str]) -> int:
        with self._lock:
            self._process.stdin.write(json.dumps({"environment": environment}).encode() + b"\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())

    async def fork(self, environment: dict[str, str]) -> int:
        """Fork a server; give its process id."""
        return await asyncio.to_thread(self._fork, environment)

    def close(self) -> None:
        """End it, and every server that still runs."""
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@dataclass
class Server:
    """One server process, started anew as often as it is killed; its port stays."""

    forge: Forge
    environment: dict[str, str]
    port: int = field(default_factory=free_port)
    pid: int = 0
    kills: int = 0
    up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_up(self) -> bool:
        """Whether it has said that it is ready, and has not been killed since."""
        return self.up.is_set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.pid = await self.forge.fork({**self.environment, "VENDRAIL_PORT": str(self.port)})
        await self.wait_ready()
        self.up.set()

    async def wait_ready(self) -> None:
        """Wait until it says that it is ready."""
        deadline = asyncio.get_running_loop().time() + _READY_S
        while asyncio.get_running_loop().time() < deadline:
            with contextlib.suppress(OSError, TimeoutError):
                if (await ask(self.port, "GET", "/readyz")).status == 200:
                    return
            await asyncio.sleep(0.02)
        raise TimeoutError(f"The server on port {self.port} was not ready in {_READY_S} s.")

    def kill(self) -> None:
        """SIGKILL, at once."""
        if self.pid:
            pid, self.pid = self.pid, 0
            self.up.clear()
            self.kills += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: it hangs, and still holds what it holds."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)


async def ask(
    port: int, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
) -> Reply:
    """Ask one thing over a connection of its own."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Line, "127.0.0.1", port)
    try:
        sent = connection.send(request(method, path, headers or {}, body))
        return await asyncio.wait_for(sent, _REPLY_S)
    finally:
        connection.close()
