"""Starts servers quickly: everything is imported once, and each server is a fork of this process.

One JSON line on stdin starts one: {"environment": {…}}; one line on stdout gives its process id.
Each is the platform's own application on the platform's own HTTP server, one process, so that one
SIGKILL takes all of it.
"""

import gc
import json
import os
import signal
import sys
from pathlib import Path

import uvloop
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server
from litestar import Litestar

sys.path.insert(0, str(Path(__file__).parents[1]))

from simkit.shift import Shift, ShiftedClock  # Known from the line above on.
from vendrail.app.serving import Application, assemble, split_names
from vendrail.app.wiring import build
from vendrail.kernel.config import load_platform
from vendrail.kernel.telemetry import SERVER_LOGS, init_logs, init_tracing


class ShiftedApplication(Application):
    """The platform's application under a clock that a test moves."""

    async def start(self) -> None:
        """Build the house on the clock of the test."""
        platform = self._platform
        init_logs(platform.log_level)
        init_tracing("vendrail", ratio=platform.trace_ratio, endpoint="")
        services, faces, peers = split_names(platform)
        clock = ShiftedClock(Shift(Path(self._environment["SIM_CLOCK_FILE"])))
        self.house = await build(
            platform, self._environment, only=services, peers=peers, clock=clock
        )
        self._inner = assemble(self.house, faces)
        self.house.start_jobs()


async def serve(environment: dict[str, str]) -> None:
    """Serve until killed."""
    platform = load_platform(environment)
    kind = ShiftedApplication if "SIM_CLOCK_FILE" in environment else Application
    application = kind(platform, environment)
    server = Server(
        application,
        address=platform.host,
        port=platform.port,
        interface=Interfaces.ASGI,
        websockets=False,
        backlog=2_048,
        backpressure=16_384,
        log_level=LogLevels.error,
        log_dictconfig=SERVER_LOGS,
    )
    await server.serve()


def main() -> None:
    """Fork a server for each line, until there are no more lines."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Nobody waits for them.
    Litestar([])  # The first one of a process imports what it may need.
    gc.freeze()
    children: list[int] = []
    while line := sys.stdin.buffer.raw.readline():
        environment = json.loads(line)["environment"]
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(0)
            os.dup2(2, 1)
            os.environ.clear()
            os.environ.update(environment)
            uvloop.run(serve(environment))
            os._exit(0)
        children.append(pid)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
    for pid in children:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    main()
