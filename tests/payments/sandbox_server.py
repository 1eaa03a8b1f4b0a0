"""Serve the sandbox in a process of its own, for a whole test run: home on the command line."""

import asyncio
import os
import sys
import traceback
from pathlib import Path

from vendrail.kernel.telemetry import init_logs
from vendrail.kernel.waiting import end_tasks
from vendrail.sandbox.app import serve
from vendrail.sandbox.settings import Settings


def tell(line: str) -> None:
    """Say one line to the tests."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def fail_aloud(serving: asyncio.Task[None]) -> None:
    """End the process where serving failed: the tests then see the end of its output, and why."""
    if not serving.cancelled() and (error := serving.exception()) is not None:
        traceback.print_exception(error)
        os._exit(1)


async def main() -> None:
    """Serve until the pipe to the tests is closed."""
    init_logs("error")  # On standard error: nobody reads the pipe beyond the first line.
    # Tests move their own clock by days; the provider's stays, so its window must be wide.
    settings = Settings(timestamp_window_s=10**8, notify_ladder_scale=0.001, has_bill_today=True)
    serving = asyncio.create_task(
        serve(
            Path(sys.argv[1]),
            "127.0.0.1",
            0,
            settings=settings,
            on_ready=tell,
        )
    )
    serving.add_done_callback(fail_aloud)
    await asyncio.to_thread(sys.stdin.read)
    await end_tasks([serving])


asyncio.run(main())
