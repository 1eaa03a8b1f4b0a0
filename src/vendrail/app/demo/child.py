"""The demo's two processes beside itself: the site, and the sandbox. Neither outlives the demo.

`python -m vendrail.app.demo.child site` or `… sandbox HOME HOST PORT`, from the demo only.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

PARENT_VARIABLE = "VENDRAIL_DEMO_PROCESS"
_PR_SET_PDEATHSIG = 1


def follow_parent() -> None:
    """Ask the kernel to tell us when the demo dies, however it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if str(os.getppid()) != os.environ.get(PARENT_VARIABLE):
        sys.exit("This is a part of `vendrail demo`; start that.")


def serve_site() -> None:
    """Serve the platform as `vendrail serve` does, with a page for its mailbox."""
    from vendrail.app.demo.site import FACTORY  # noqa: PLC0415
    from vendrail.app.serving import serve  # noqa: PLC0415  # The other child does not need it.
    from vendrail.kernel.config import load_platform  # noqa: PLC0415

    serve(load_platform(), FACTORY)


async def serve_sandbox(home: Path, host: str, port: int) -> None:
    """Serve the emulated provider until told to stop."""
    from vendrail.kernel.telemetry import init_logs  # noqa: PLC0415
    from vendrail.sandbox.app import serve  # noqa: PLC0415
    from vendrail.sandbox.settings import Settings  # noqa: PLC0415

    init_logs(os.environ.get("VENDRAIL_LOG_LEVEL", "warning"))
    # A bill of the running day, so that reconciliation has something to show at once.
    serving = asyncio.ensure_future(serve(home, host, port, settings=Settings(has_bill_today=True)))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def main(words: list[str]) -> None:
    """Be one of the two."""
    follow_parent()
    match words:
        case ["site"]:
            serve_site()
        case ["sandbox", home, host, port]:
            asyncio.run(serve_sandbox(Path(home), host, int(port)))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
