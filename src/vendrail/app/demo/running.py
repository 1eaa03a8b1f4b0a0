"""Running the demo: database, sandbox, marketplace, site; and all of it stopped in order."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import httpx
from rich.console import Console

from vendrail.app.demo.child import PARENT_VARIABLE
from vendrail.app.demo.door import open_door
from vendrail.app.demo.folder import OWNER_VARIABLE, Folder, no_room
from vendrail.app.demo.operator import invite_operator
from vendrail.app.demo.seeding import seed
from vendrail.app.demo.till import open_till
from vendrail.app.demo.words import Places, Tongue
from vendrail.app.serving import check_port, prepare
from vendrail.app.wiring import build
from vendrail.kernel.codec import replace
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.embedded import EmbeddedServer, open_server
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.telemetry import init_logs
from vendrail.sandbox.rates import APP_ID
from vendrail.sandbox.telegram import TOKEN as TELEGRAM_TOKEN

ASSETS = Path(__file__).parents[2] / "web/assets/dist/manifest.json"
_DEFAULT = PlatformSettings()
_PORTS_TRIED = 50
_OPEN_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = {"site": 8.0, "sandbox": 4.0}
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # Compared, not bound.

Process = subprocess.Popen[bytes]


@dataclass
class Demo:
    """One run: what was started, so that it can be stopped."""

    platform: PlatformSettings
    environment: Mapping[str, str]
    folder: Folder
    tongue: Tongue
    console: Console
    sandbox_port: int
    children: dict[str, Process] = field(default_factory=dict)  # In the order of their start.
    server: EmbeddedServer | None = None
    operator_link: str = ""  # By which the first operator joins, while there is none.
    began: float = field(default_factory=time.monotonic)

    def tell(self, word: str, **values: object) -> None:
        """Say that a step is done, and how long after the start."""
        passed = time.monotonic() - self.began
        text = self.tongue.say(word, **values)
        self.console.print(f"[green]✓[/] {text} [dim]{passed:.1f} s[/]")

    @property
    def sandbox_url(self) -> str:
        """The address at which both the site and the buyer's browser reach the sandbox."""
        host = urlsplit(self.platform.public_url).hostname or self.platform.host
        return address(host, self.sandbox_port)


def run(
    platform: PlatformSettings,
    environment: Mapping[str, str] | None = None,
    *,
    fresh: bool = False,
) -> None:
    """Start everything, say where it is, wait to be stopped, stop everything.

    Args:
        platform: Its home is the demo's folder; its host and port the site's (port 0: any).
        environment: What settings are read from; the process's own by default.
        fresh: Begin again: what the demo made in the folder is removed first.

    Raises:
        Malformed: The folder or the database is not the demo's.
        Unavailable: It cannot run now; the message says why and what to do.
    """
    given = dict(os.environ if environment is None else environment)
    folder, tongue = Folder(platform.home), Tongue(given)
    console = Console(highlight=False, soft_wrap=True)
    init_logs("warning" if platform.log_level == _DEFAULT.log_level else platform.log_level)
    try:
        check_assets()
        folder.check_ours()
        with _stopped_by_signals(), folder.locked() as told:
            if folder.end_orphans():
                console.print(f"[green]✓[/] {tongue.say('orphans')}")
            if fresh:
                _clear(platform, folder)
                console.print(f"[green]✓[/] {tongue.say('cleared')}")
            platform = choose_address(platform)
            sandbox_port = choose_sandbox_port(platform.host, platform.port)
            told.write(f"{platform.public_url}, process {os.getpid()}\n")
            told.flush()
            _run(Demo(platform, given, folder, tongue, console, sandbox_port))
    except OSError as error:
        raise no_room(error, platform.home) from error


def check_assets(manifest: Path = ASSETS) -> None:
    """Refuse to open a site whose pages would have no style."""
    if not manifest.is_file():
        raise Unavailable("The pages' style sheet and scripts are not built yet. Run: make assets")


def address(host: str, port: int) -> str:
    """Write the address of a server of ours; one that listens everywhere is reached at home."""
    host = _ANY_ADDRESS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def choose_address(platform: PlatformSettings) -> PlatformSettings:
    """Settle the site's port, and the address that buyers and the sandbox reach it by."""
    check_port(platform.host, platform.port)
    port = platform.port or _free_port(platform.host)
    public_url = platform.public_url
    if public_url == _DEFAULT.public_url:
        public_url = address(platform.host, port)
    return replace(platform, port=port, public_url=public_url)


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def choose_sandbox_port(host: str, site_port: int) -> int:
    """Give the first free port after the site's, or any if a whole row of them is taken."""
    for port in range(site_port + 1, min(site_port + _PORTS_TRIED, 65_535) + 1):
        with contextlib.suppress(Unavailable):
            check_port(host, port)
            return port
    return _free_port(host)


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and a closed terminal end the demo alike."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    except KeyboardInterrupt:
        pass  # It was asked to stop, and has.
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _clear(platform: PlatformSettings, folder: Folder) -> None:
    marker = folder.read_marker()
    if platform.database_url and marker is not None and marker.is_seeded:
        raise Unavailable(
            "--fresh never touches a PostgreSQL of your own. Drop and create its database yourself,"
            f" remove {folder.home}, and start again without --fresh."
        )
    folder.clear()


def _run(demo: Demo) -> None:
    try:
        _start(demo)
        demo.console.print(
            demo.tongue.panel(Places(demo.platform.public_url, demo.sandbox_url, demo.folder.home))
        )
        if demo.operator_link:
            demo.console.print(demo.tongue.say("operator"))
            demo.console.print(demo.operator_link, style="cyan")
        _watch(demo)
    finally:
        for number in _SIGNALS:  # Whoever presses Ctrl-C again still gets an orderly end.
            signal.signal(number, signal.SIG_IGN)
        demo.console.print(f"\n{demo.tongue.say('stopping')}")
        _stop(demo)
        demo.console.print(demo.tongue.say("stopped", home=demo.folder.home))


def _start(demo: Demo) -> None:
    platform, home = demo.platform, demo.folder.home
    demo.folder.mark()
    _spawn(demo, "sandbox", str(home / "sandbox"), platform.host, str(demo.sandbox_port))
    if not platform.database_url:
        demo.server = open_server(home / "postgres")
        platform = replace(platform, database_url=demo.server.dsn)
    asyncio.run(prepare(platform))
    demo.tell("database_own" if demo.server is None else "database")
    asyncio.run(_furnish(demo, platform))
    _await_open(demo, "site", f"{address(platform.host, platform.port)}/readyz")
    demo.tell("site")


async def _furnish(demo: Demo, platform: PlatformSettings) -> None:
    """Put the marketplace in, and the till; the site starts meanwhile."""
    house = await build(platform, demo.environment)
    try:
        # After the vault is opened: two first starts at once would each make its keys.
        _spawn(demo, "site")
        marker = demo.folder.mark()
        count = await seed(house, is_known=marker.is_seeded)
        marker = demo.folder.remember(marker, is_seeded=True)
        demo.tell("seeded" if count else "kept", count=f"{count:,}")
        local_url = address(platform.host, demo.sandbox_port)
        await asyncio.to_thread(_await_open, demo, "sandbox", local_url)
        await open_till(house, demo.folder, marker, local_url, demo.sandbox_url)
        demo.tell("sandbox")
        await open_door(house)
        demo.operator_link = await invite_operator(house)
    finally:
        await house.stop()


def _spawn(demo: Demo, name: str, *words: str) -> None:
    """Start a child in a session of its own: the terminal's Ctrl-C reaches us alone."""
    platform = demo.platform
    is_traced = platform.trace_ratio != _DEFAULT.trace_ratio
    is_logged = platform.log_level != _DEFAULT.log_level
    environment = {
        **demo.environment,
        OWNER_VARIABLE: str(demo.folder.home),
        PARENT_VARIABLE: str(os.getpid()),
        "VENDRAIL_HOME": str(demo.folder.home),
        "VENDRAIL_HOST": platform.host,
        "VENDRAIL_PORT": str(platform.port),
        "VENDRAIL_PUBLIC_URL": platform.public_url,
        "VENDRAIL_DATABASE_URL": platform.database_url,
        "VENDRAIL_ONLY": "",
        "VENDRAIL_PEERS": "",
        # Nobody can be robbed here: an account for payouts is used on the day it is added.
        "VENDRAIL_PAYOUTS_COOLING_HOURS": demo.environment.get(
            "VENDRAIL_PAYOUTS_COOLING_HOURS", "0"
        ),
        "VENDRAIL_NOTIFY_NEWS": demo.environment.get("VENDRAIL_NOTIFY_NEWS", "on"),
        **rate_sources(demo.environment, address(platform.host, demo.sandbox_port)),
        **telegram(demo.environment, address(platform.host, demo.sandbox_port), demo.sandbox_url),
        "VENDRAIL_TRACE_RATIO": str(platform.trace_ratio) if is_traced else "1.0",
        "VENDRAIL_LOG_LEVEL": platform.log_level if is_logged else "warning",
    }
    demo.children[name] = subprocess.Popen(
        [sys.executable, "-m", "vendrail.app.demo.child", name, *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def rate_sources(given: Mapping[str, str], sandbox_url: str) -> dict[str, str]:
    """Read exchange rates at the sandbox's three sources, unless somebody has named others."""
    if "VENDRAIL_FX_SOURCES" in given:
        return {}
    url = f"{sandbox_url}/rates"
    return {
        "VENDRAIL_FX_SOURCES": "ecb,openexchangerates,frankfurter",
        "VENDRAIL_FX_ECB_URL": f"{url}/ecb",
        "VENDRAIL_FX_OPENEXCHANGERATES_URL": f"{url}/openexchangerates",
        "VENDRAIL_FX_OPENEXCHANGERATES_KEY": APP_ID,
        "VENDRAIL_FX_FRANKFURTER_URL": f"{url}/frankfurter",
        "VENDRAIL_FX_FETCH_S": "15",  # Soon again, should the sandbox open after the site.
    }


def telegram(given: Mapping[str, str], local_url: str, sandbox_url: str) -> dict[str, str]:
    """Write by the sandbox's bot, unless somebody has a bot of their own."""
    if "VENDRAIL_NOTIFY_TELEGRAM_TOKEN" in given:
        return {}
    return {
        "VENDRAIL_NOTIFY_TELEGRAM_TOKEN": TELEGRAM_TOKEN,
        "VENDRAIL_NOTIFY_TELEGRAM_URL": f"{local_url}/telegram",
        "VENDRAIL_NOTIFY_TELEGRAM_LINKS": f"{sandbox_url}/telegram/t.me",
    }


def _await_open(demo: Demo, name: str, url: str) -> None:
    """Wait until a child answers, or has ended."""
    child = demo.children[name]
    due = time.monotonic() + _OPEN_TIMEOUT_S
    with httpx.Client(timeout=5.0, trust_env=False) as client:
        while time.monotonic() < due:
            if child.poll() is not None:
                raise _ended(name, child)
            with contextlib.suppress(httpx.HTTPError):
                if client.get(url).status_code < 500:
                    return
            time.sleep(0.05)
    raise Unavailable(f"The {name} did not open within {_OPEN_TIMEOUT_S:.0f} s. Start again.")


def _ended(name: str, child: Process) -> Unavailable:
    return Unavailable(
        f"The {name} has ended by itself (exit code {child.returncode}); what it said is above."
        " Start the demo again; the data is safe."
    )


def _watch(demo: Demo) -> None:
    """Wait for the signal that ends the demo, or for a child that ends by itself."""
    while True:
        time.sleep(1.0)
        for name, child in demo.children.items():
            if child.poll() is not None:
                raise _ended(name, child)


def _stop(demo: Demo) -> None:
    """Stop what was started, the last first: the site drained, the sandbox, the database."""
    for name in reversed(demo.children):
        child = demo.children[name]
        child.terminate()
        try:
            child.wait(_STOP_TIMEOUT_S[name])
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # Workers whose server was killed, too.
            child.wait()
    if demo.server is not None:
        demo.server.close()
