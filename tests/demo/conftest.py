"""A real demo: its own process, on free ports, in a folder of its own."""

import contextlib
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from vendrail.app.demo.folder import OWNER_VARIABLE

REFUSED = 3  # The exit code of a demo that did not start.
START_S = 90.0  # Far above the promise: the machine may be busy with other tests.
_numbers = itertools.count()


def free_port() -> int:
    """Give a port that is free, and whose next one is too."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 1))
                return port


class RunningDemo:
    """`vendrail demo` as a process, with what it prints."""

    def __init__(
        self, home: Path, port: int, *words: str, log: Path | None = None, **environment: str
    ) -> None:
        self.home = home
        self.url = f"http://127.0.0.1:{port}"
        self.sandbox_url = f"http://127.0.0.1:{port + 1}"
        self._log = (log or home.parent) / f"demo-{next(_numbers)}.log"
        self.began = time.monotonic()
        command = [sys.executable, "-m", "vendrail.app", "demo", *words]
        with self._log.open("w") as output:
            self.process = subprocess.Popen(
                [*command, "--home", str(home), "--port", str(port)],
                env={**clean_environment(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def told(self) -> str:
        """Everything printed so far, in one line."""
        return " ".join(self._log.read_text().split())

    def wait_open(self) -> float:
        """Wait for the panel; give how many seconds it took."""
        while "metrics" not in self.told:
            if self.process.poll() is not None or time.monotonic() - self.began > START_S:
                raise AssertionError(f"The demo did not open: {self.told}")
            time.sleep(0.05)
        return time.monotonic() - self.began

    def wait_ended(self, timeout_s: float = START_S) -> int:
        """Wait for its end; give the exit code."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"The demo did not end: {self.told}") from error

    def parts(self) -> list[psutil.Process]:
        """Give every living process of this demo, PostgreSQL's too."""
        # What psutil remembers of a number may be a process of an earlier test, dead by now; it
        # would be found here, and spared where this demo is to be killed.
        psutil.process_iter.cache_clear()
        return [process for process in psutil.process_iter() if self._is_part(process)]

    def _is_part(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            if process.pid == self.process.pid:
                return self.process.poll() is None
            is_server = str(self.home) in process.cwd()
            return is_server or process.environ().get(OWNER_VARIABLE) == str(self.home)
        except psutil.Error:
            return False

    def stop(self, number: int = signal.SIGINT) -> float:
        """Stop it as a person does; give how many seconds the end took."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.wait_ended()
        return time.monotonic() - began

    def kill(self, *, spare: str = "") -> None:
        """Kill every part of it at once, but those of one name."""
        self._kill(lambda part: bool(spare) and name_of(part) == spare)

    def kill_all_but(self, survivor: psutil.Process) -> None:
        """Kill every part of it at once, but one and PostgreSQL."""
        self._kill(lambda part: part == survivor or name_of(part) == "postgres")

    def _kill(self, is_spared: Callable[[psutil.Process], bool]) -> None:
        # Stopped first, so that none sees another die and goes in good order, or begins one more.
        stopped: set[psutil.Process] = set()
        while fresh := {part for part in self.parts() if not is_spared(part)} - stopped:
            _signal(fresh, signal.SIGSTOP)
            stopped |= fresh
        _signal(stopped, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        # A process that dies loses its environment, by which it is found, before its locks.
        others = [part for part in stopped if part.pid != self.process.pid]
        psutil.wait_procs(others, timeout=5)


def _signal(processes: set[psutil.Process], number: int) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def name_of(process: psutil.Process) -> str:
    """Give a process's name, or nothing when it has gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.name()
    return ""


def clean_environment() -> dict[str, str]:
    """Give our environment without settings, in English."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VENDRAIL_")}
    return {**kept, "LC_ALL": "C.UTF-8", "COLUMNS": "300"}


@dataclass
class Receipt:
    """What a buyer holds."""

    id: str
    secret: str
    key: str


@dataclass
class Seeded:
    """A stopped demo that has been used once."""

    home: Path
    still: Path  # A copy that nobody starts.
    receipt: Receipt
    stock: dict[str, int | None]
    start_s: float
    stop_s: float
    left: list[psutil.Process]


def read_stock(url: str) -> dict[str, int | None]:
    """Ask the shop what is left of everything."""
    items = httpx.get(f"{url}/api/v1/products", params={"limit": 100}).json()["items"]
    return {each["sku"]: each["stock"] for item in items for each in item["variants"]}


def read_order(url: str, receipt: Receipt) -> dict:
    """Read an order with its secret."""
    headers = {"authorization": f"Bearer {receipt.secret}"}
    return httpx.get(f"{url}/api/v1/orders/{receipt.id}", headers=headers).json()


def buy(demo: RunningDemo, sku: str) -> Receipt:
    """Buy one item as a buyer does: place, go to the provider, pay there, read the key."""
    with httpx.Client(timeout=20, trust_env=False) as client:
        placed = client.post(
            f"{demo.url}/api/v1/orders",
            json={"sku": sku, "quantity": 1, "contact": "buyer@example.com", "method": "alipay"},
            headers={"idempotency-key": os.urandom(8).hex()},
        )
        assert placed.status_code == 201, placed.text
        order = placed.json()
        cashier = client.get(order["payment"]["action"]["url"], follow_redirects=True)
        assert str(cashier.url).startswith(demo.sandbox_url), cashier.url
        token = (demo.home / "sandbox/control-token").read_text().strip()
        control = {"authorization": f"Bearer {token}"}
        (app,) = client.get(f"{demo.sandbox_url}/sandbox/apps", headers=control).json()["apps"]
        number = re.search(rf"{order['id']}\w*", cashier.text)
        assert number, cashier.text
        paid = client.post(
            f"{demo.sandbox_url}/sandbox/alipay/pay",
            json={"app_id": app["app_id"], "out_trade_no": number[0]},
            headers=control,
        ).json()
        assert paid["results"][0]["trade_status"] == "TRADE_SUCCESS", paid
        receipt = Receipt(order["id"], order["secret"], "")
        due = time.monotonic() + 30
        while True:
            seen = read_order(demo.url, receipt)
            if seen["keys"]:
                receipt.key = seen["keys"][0]
                return receipt
            assert time.monotonic() < due, seen
            time.sleep(0.05)


@pytest.fixture
def open_demo() -> Iterator[Callable[..., RunningDemo]]:
    """Start demos that are gone after the test, whatever happens in it."""
    started: list[RunningDemo] = []

    def start(
        home: Path, *words: str, port: int = 0, log: Path | None = None, **environment: str
    ) -> RunningDemo:
        started.append(RunningDemo(home, port or free_port(), *words, log=log, **environment))
        return started[-1]

    yield start
    for demo in started:
        if demo.process.poll() != REFUSED:  # Then the folder's processes are another demo's.
            demo.kill()


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Seeded:
    """Run a first start from nothing, buy one key, stop it with Ctrl-C."""
    home = tmp_path_factory.mktemp("demo") / "home"
    demo = RunningDemo(home, free_port())
    try:
        start_s = demo.wait_open()
        stock = read_stock(demo.url)
        receipt = buy(demo, "FOG-STD")
        stop_s = demo.stop()
        assert demo.process.returncode == 0, demo.told
        left = demo.parts()
        still = Path(shutil.copytree(home, home.with_name("still"), symlinks=True))
        return Seeded(home, still, receipt, stock, start_s, stop_s, left)
    finally:
        demo.kill()


@pytest.fixture
def used_home(seeded: Seeded, tmp_path: Path) -> Path:
    """Give a copy of the used demo's folder."""
    return Path(shutil.copytree(seeded.still, tmp_path / "home", symlinks=True))
