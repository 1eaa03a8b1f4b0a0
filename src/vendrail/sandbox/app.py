"""The sandbox as a web application, and as a server on a port of its own."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import structlog
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server
from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import State

from vendrail.kernel.clock import Clock, SystemClock
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.errors import Error, Malformed, Unavailable
from vendrail.kernel.http import is_hang_up
from vendrail.kernel.telemetry import SERVER_LOGS
from vendrail.sandbox.emulations import (
    Emulation,
    Place,
    answer_json,
    emulate,
    read_control_token,
    require_token,
)
from vendrail.sandbox.pages import PAGES
from vendrail.sandbox.rates import RATES, RateSheets
from vendrail.sandbox.settings import Settings

_log = structlog.get_logger(__name__)

_BODY_BYTES_MAX = 64_000_000  # Callbacks of a whole load test are signed in one request.


def _tell_error(_: Request[Any, Any, Any], error: Error) -> Response[bytes]:
    status = 400 if isinstance(error, Malformed) else 503
    body = encode({"title": type(error).__name__, "status": status, "detail": error.message})
    return Response(body, status_code=status, media_type="application/problem+json")


def _tell_failure(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    if is_hang_up(error):
        return _tell_error(request, Malformed("The request ended before it was whole."))
    _log.error("request.failed", path=request.url.path, exc_info=error)
    detail = "The sandbox failed; its log says why."
    body = encode({"title": "Internal Server Error", "status": 500, "detail": detail})
    return Response(body, status_code=500, media_type="application/problem+json")


@get("/healthz")
async def show_health() -> Response[bytes]:
    """Tell that the sandbox is up."""
    return answer_json({"ok": True})


@post("/sandbox/accounts", guards=[require_token])
async def open_accounts(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Open an account at each provider that needs no contract; the same ones again each time."""
    wanted = decode(await request.body() or b'""', str)  # Where buyers reach the sandbox.
    base_url = wanted or str(request.base_url).rstrip("/")
    emulations: list[Emulation] = request.app.state.emulations
    opened = [emulation.open_account(base_url) for emulation in emulations]
    return answer_json({"accounts": [account for account in opened if account is not None]}, 201)


def build(home: Path, *, clock: Clock | None = None, settings: Settings | None = None) -> Litestar:
    """Build the application; its folder and keys are made if they are not there."""
    token = read_control_token(home)
    place = Place(home, clock or SystemClock(), settings or Settings(), token)
    emulations = emulate(place)

    @contextlib.asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as running:
            for emulation in emulations:
                await running.enter_async_context(emulation.running())
            yield

    state: dict[str, Any] = {
        "control_token": token,
        "emulations": emulations,
        "rates": RateSheets(place.clock),
    }
    for emulation in emulations:
        state |= emulation.state
    return Litestar(
        route_handlers=[
            show_health,
            open_accounts,
            *PAGES,
            *RATES,
            *(route for emulation in emulations for route in emulation.routes),
        ],
        lifespan=[lifespan],
        state=State(state),
        exception_handlers={Error: _tell_error, 500: _tell_failure},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=_BODY_BYTES_MAX,
    )


def pick_port(host: str, port: int) -> int:
    """Give the port, or a free one for 0; refuse at once if it is taken."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Unavailable(
                f"The sandbox cannot listen on {host}:{port} ({error.strerror});"
                " choose another port."
            ) from error
        chosen: int = probe.getsockname()[1]
        return chosen


async def serve(
    home: Path,
    host: str,
    port: int,
    *,
    settings: Settings | None = None,
    clock: Clock | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until cancelled; `on_ready` is told the address, also when port 0 picked one."""
    chosen = pick_port(host, port)
    application = build(home, settings=settings, clock=clock)
    server = Server(
        application,
        address=host,
        port=chosen,
        interface=Interfaces.ASGI,
        websockets=False,
        log_level=LogLevels.error,
        log_dictconfig=SERVER_LOGS,
    )
    serving = asyncio.create_task(server.serve())
    try:
        await _wait_until_open(host, chosen, serving)
        if on_ready is not None:
            on_ready(f"http://{host}:{chosen}")
        await asyncio.shield(serving)
    finally:
        stop: Callable[[], None] = server.stop
        stop()
        await asyncio.gather(serving, return_exceptions=True)


async def _wait_until_open(host: str, port: int, serving: "asyncio.Task[None]") -> None:
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        return
