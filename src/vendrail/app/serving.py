"""Serving: one ASGI application of what runs in this process, and the server that carries it."""

import asyncio
import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
from granian import Granian
from granian.constants import Interfaces, Loops
from granian.log import LogLevels
from litestar.exceptions import HTTPException

from vendrail import __version__
from vendrail.app.faces import Faces
from vendrail.app.gauges import Gauges
from vendrail.app.process import tune_process
from vendrail.app.services import FACES, SCHEMAS, SERVICES
from vendrail.app.wiring import House, build
from vendrail.gateway.http import Doors, Turnstile
from vendrail.gateway.merchant.door import KEY_FILES
from vendrail.gateway.settings import GatewaySettings
from vendrail.kernel import rpc
from vendrail.kernel.codec import replace
from vendrail.kernel.config import PlatformSettings, load_platform
from vendrail.kernel.db import connect_once
from vendrail.kernel.embedded import open_server
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.http.edge import Edge
from vendrail.kernel.http.problems import PROBLEM_HANDLERS, new_application
from vendrail.kernel.migrate import migrate
from vendrail.kernel.telemetry import (
    SERVER_LOGS,
    count_masked_cards,
    init_logs,
    init_tracing,
    stop_tracing,
)
from vendrail.kernel.telemetry.probes import probes
from vendrail.kernel.telemetry.siblings import Siblings
from vendrail.web.app import MorePages
from vendrail.web.hosts import HostDoor, ShopHosts, later
from vendrail.web.merchant.keys import FILES, UPLOADS
from vendrail.web.merchant.verification import SENT_BYTES_MAX, SHOWN
from vendrail.web.settings import WebSettings

_log = structlog.get_logger(__name__)

_CONNECTIONS_MAX = 16_384
_STOPS = (signal.SIGINT, signal.SIGTERM)
_LAST_CALL = signal.SIGUSR1  # The server is about to stop: end what would stay open for long.
_WORKERS_FOLDER = "_VENDRAIL_WORKERS_FOLDER"  # Where the workers of this server meet.
_FORM_BYTES_MAX = 100_000  # What a form has around its file.
# Where goods are given in, and where payments go by others' numbers, some look like a card's.
_CARD_LIKE_BELOW = (
    "/rpc/", "/callbacks/", UPLOADS, FILES, KEY_FILES, "/merchant/products/",
    "/submit.php", "/mapi.php", "/api.php",
)  # fmt: skip
_RPC_BYTES_MAX = 32_000_000  # The edge keeps what comes from outside far smaller.

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def split_names(platform: PlatformSettings) -> tuple[list[str], list[str], dict[str, str]]:
    """Read what runs here: services, faces, and the peers that run the rest."""
    peers = {}
    for text in platform.peers:
        name, sign, url = text.partition("=")
        if not (name and sign and url.startswith(("http://", "https://"))):
            raise Malformed(f"A peer is name=url, as orders=http://10.0.0.7:8000; not {text!r}.")
        peers[name] = url
    known = [entry.name for entry in SERVICES]
    wanted = list(platform.only) or [*known, *FACES]
    unknown = set(wanted) - set(known) - set(FACES)
    if unknown:
        raise Malformed(
            f"No such service or face: {sorted(unknown)}; there are {[*known, *FACES]}."
        )
    return (
        [name for name in wanted if name in known],
        [name for name in wanted if name in FACES],
        peers,
    )


class Application:
    """Builds the house when the server starts, answers while it runs, stops it with the server."""

    def __init__(
        self,
        platform: PlatformSettings,
        environment: Mapping[str, str],
        *,
        more: MorePages | None = None,
    ) -> None:
        self._platform = platform
        self._environment = environment
        self._more = more  # Pages beside those of every site: the demo's.
        self._inner: Edge | HostDoor | Turnstile | None = None
        self._siblings: Siblings | None = None
        self.house: House | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak ASGI: the life span here, everything else in the application built by it."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._inner is not None:
            await self._inner(scope, receive, send)  # type: ignore[arg-type]

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.start()
                except Exception as error:
                    _log.exception("serving.failed")
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    raise
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def start(self) -> None:
        """Build the house, its routes, and start its loops."""
        platform = self._platform
        init_logs(platform.log_level, is_json=platform.is_log_json)
        init_tracing("vendrail", ratio=platform.trace_ratio, endpoint=platform.otlp_endpoint)
        services, faces, peers = split_names(platform)
        tune_process()
        self.house = await build(platform, self._environment, only=services, peers=peers)
        asyncio.get_running_loop().add_signal_handler(_LAST_CALL, self.house.wakeups.close)
        render_metrics = self.house.metrics.render
        if folder := self._environment.get(_WORKERS_FOLDER):
            self._siblings = Siblings(Path(folder), self.house.metrics)
            await self._siblings.open()
            render_metrics = self._siblings.render
        self._inner = assemble(self.house, faces, render_metrics, self._more)
        self.house.start_jobs()
        _take_stops()
        _log.info("serving.ready", services=services, faces=faces, peers=sorted(peers))

    async def stop(self) -> None:
        """Stop what start began: loops, connections, traces."""
        if self._siblings is not None:
            await self._siblings.close()
        if self.house is not None:
            await self.house.stop()
        stop_tracing()


def assemble(
    house: House,
    faces: Sequence[str],
    render_metrics: Callable[[], Awaitable[bytes]] | None = None,
    more: MorePages | None = None,
) -> Edge | HostDoor | Turnstile:
    """Put the routes of this process together: faces, rpc of its services, probes."""
    metrics = house.metrics
    count_masked_cards(lambda: metrics.count("vendrail_card_numbers_total", "log"))
    metrics.put("vendrail_info", 1, __version__)
    gauges = Gauges(house)
    metrics.ask_at_scrape(gauges.refresh)
    handlers: list[Any] = [
        *probes(render_metrics or metrics.render, gauges.readiness(), house.platform.metrics_token)
    ]
    secret = rpc.load_secret(house.platform.home, house.platform.rpc_secret_file)
    handlers += [
        rpc.serve(entry.api, house.services[entry.name], secret)
        for entry in SERVICES
        if entry.name in house.services
    ]
    platform = house.platform
    options: dict[str, Any] = {}
    built = Faces(house, render_metrics) if faces else None
    hosts: ShopHosts | None = None
    if built is not None and "web" in faces:
        web = built.web(more)
        hosts = web.hosts
        handlers += web.handlers
        # What matches no route is a page too, where pages are served.
        options["exception_handlers"] = {**PROBLEM_HANDLERS, HTTPException: web.answer_error}
    elif built is not None:
        hosts = built.hosts()
        handlers.append(later())
    web_settings: WebSettings = house.settings(WebSettings, "web")
    file_bytes_max = web_settings.sold_file_bytes_max + _FORM_BYTES_MAX
    bytes_max = max(_RPC_BYTES_MAX, file_bytes_max)
    inner: Any = new_application(handlers, body_bytes_max=bytes_max, **options)
    gateway = built.gateway() if built is not None and "gateway" in faces else None
    if gateway is not None:
        inner = Doors(gateway, inner)
    edge = Edge(
        inner,
        is_https=platform.public_url.startswith("https://"),
        proxies=platform.trusted_proxies,
        body_bytes_max=platform.body_bytes_max,
        body_bytes_max_below={
            "/rpc/": _RPC_BYTES_MAX,
            UPLOADS: _RPC_BYTES_MAX,
            FILES: file_bytes_max,
            SHOWN: SENT_BYTES_MAX + _FORM_BYTES_MAX,
            KEY_FILES: house.settings(GatewaySettings, "gateway").key_file_bytes_max,
        },
        cards_below=_CARD_LIKE_BELOW,
        metrics=metrics,
    )
    # Outside of the edge: what the edge promises of the platform's host is narrowed for a shop's.
    door = HostDoor(hosts, edge, has_pages="web" in faces) if hosts is not None else edge
    return door if gateway is None else Turnstile(gateway, door)


def create_app() -> Application:
    """Make the application of this process from its environment: what the server loads."""
    return Application(load_platform(), dict(os.environ))


def check_port(host: str, port: int) -> None:
    """Refuse at once, with advice, when the port is taken."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Unavailable(
                f"Cannot listen on {host}:{port} ({error.strerror}). Choose another with --port,"
                " or end the program that has it."
            ) from error


async def prepare(platform: PlatformSettings) -> None:
    """Bring the schemas up to date, before any process serves."""
    await migrate(platform.database_url, SCHEMAS)
    connection = await connect_once(platform.database_url)
    try:
        version = connection.get_server_version()
    finally:
        await connection.close()
    if version.major < 16:
        raise Malformed(f"PostgreSQL {version.major} is too old; Vendrail needs 16 or newer.")


def call_last_orders() -> None:
    """Have the workers told of a stop before it begins: they end live pages, which last for long.

    The server lets every request end before it stops, and a stream of events is one that does not.
    A browser connects again by itself.
    """
    for number in _STOPS:
        stop = signal.getsignal(number)

        def tell(signum: int, frame: FrameType | None, stop: Any = stop) -> None:
            for worker in multiprocessing.active_children():
                if worker.pid:
                    os.kill(worker.pid, _LAST_CALL)
            stop(signum, frame)

        signal.signal(number, tell)


def hold_stops_of_workers() -> None:
    """Let a worker hear that it shall stop only when it has started, and once.

    Before its server listens for it, a stop is lost, and the second one of two blocks it for good:
    Ctrl-C and systemd tell the workers as well as us, who tell them again.
    """
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS),
    )


def _take_stops() -> None:
    """Hear in a worker what was held since it began; Ctrl-C is for the server, which tells us."""
    if asyncio.get_running_loop().remove_signal_handler(signal.SIGINT):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does: in good order, where the default would end us without a word."""
    signal.raise_signal(signal.SIGINT)


def serve(platform: PlatformSettings, factory: str = "vendrail.app.serving:create_app") -> None:
    """Serve until told to stop; with the embedded database unless another is named."""
    init_logs(platform.log_level, is_json=platform.is_log_json)
    check_port(platform.host, platform.port)
    split_names(platform)
    platform.home.mkdir(parents=True, exist_ok=True)
    server = None
    # A short path, as sockets need.
    meeting = tempfile.mkdtemp(prefix="vendrail-") if platform.workers > 1 else ""
    # Until Granian takes their place; whoever was begun in the background ignores SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _leave)
    try:
        if not platform.database_url:
            server = open_server(platform.home / "postgres")
            platform = replace(platform, database_url=server.dsn)
        asyncio.run(prepare(platform))
        # The workers read their settings from the environment, as every process does.
        os.environ["VENDRAIL_HOME"] = str(platform.home)
        os.environ["VENDRAIL_DATABASE_URL"] = platform.database_url
        os.environ["VENDRAIL_HOST"] = platform.host
        os.environ["VENDRAIL_PORT"] = str(platform.port)
        os.environ["VENDRAIL_PUBLIC_URL"] = platform.public_url
        os.environ["VENDRAIL_ONLY"] = ",".join(platform.only)
        os.environ["VENDRAIL_PEERS"] = ",".join(platform.peers)
        os.environ[_WORKERS_FOLDER] = meeting
        signal.signal(_LAST_CALL, signal.SIG_IGN)  # Deadly to a worker that still starts.
        granian = Granian(
            factory,
            address=platform.host,
            port=platform.port,
            interface=Interfaces.ASGI,
            workers=platform.workers,
            factory=True,
            loop=Loops.uvloop,
            websockets=False,
            backlog=2_048,
            # Counts connections, idle ones too: what is above waits unseen in the kernel.
            backpressure=_CONNECTIONS_MAX,
            respawn_failed_workers=True,
            workers_kill_timeout=20,
            log_level=LogLevels.warning,
            log_dictconfig=SERVER_LOGS,
        )
        granian.on_startup(call_last_orders)
        hold_stops_of_workers()
        granian.serve()
    finally:
        if meeting:
            shutil.rmtree(meeting, ignore_errors=True)
        if server is not None:
            server.close()
