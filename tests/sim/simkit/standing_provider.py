"""Serve the sandbox under the simulation's clock: home and clock file on the command line."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from simkit.shift import Shift, StandingClock  # Known from the line above on.
from vendrail.kernel.telemetry import init_logs
from vendrail.sandbox.app import serve


def tell(line: str) -> None:
    """Say one line to the tests."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main() -> None:
    """Serve until the pipe to the tests is closed."""
    init_logs("error")  # On standard error: nobody reads the pipe beyond the first line.
    clock = StandingClock(Shift(Path(sys.argv[2])))
    serving = asyncio.create_task(
        serve(Path(sys.argv[1]), "127.0.0.1", 0, clock=clock, on_ready=tell)
    )
    await asyncio.to_thread(sys.stdin.read)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


asyncio.run(main())
