"""A sandbox on a free port, merchants registered with it, and an independent SDK to speak to it."""

import asyncio
import json
import os
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from vendrail.kernel.clock import Clock
from vendrail.sandbox.app import serve
from vendrail.sandbox.provider import Provider
from vendrail.sandbox.settings import Settings
from vendrail.sandbox.wechat_keys import WechatKeys

ROOT = Path(__file__).parents[2]

# A ladder of milliseconds: the order of its steps is the real one's.
QUICK = Settings(notify_ladder_scale=0.000_02, notify_timeout_s=2.0)


class Peer:
    """The SDK's process: ask it one thing at a time."""

    def __init__(self, program: str = "peer.py") -> None:
        python = ROOT / ".venv-peers" / "bin" / "python"
        if not python.exists():
            pytest.fail("The independent SDK is not installed; run `make test` once.")
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [python, str(Path(__file__).with_name(program))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **{k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")},
                "TZ": "Asia/Shanghai",  # The SDK stamps with the machine's own clock.
            },
        )

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def ask(self, app: dict[str, str], **question: Any) -> dict[str, Any]:
        """Ask on behalf of an application."""
        return await asyncio.to_thread(self._ask, {"app": app, **question})

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@pytest.fixture(scope="session")
def peer() -> Iterator[Peer]:
    """An independent implementation of the protocol, in a process of its own."""
    made = Peer()
    yield made
    made.close()


def make_key() -> tuple[str, str]:
    """Make a merchant's key pair: private PEM, public PEM."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


@pytest.fixture(scope="session")
def keys() -> list[tuple[str, str]]:
    """Key pairs, made once for the whole run."""
    return [make_key() for _ in range(3)]


@pytest.fixture(scope="session")
def home_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sandbox folder with its keys, made once and copied for each test."""
    folder = tmp_path_factory.mktemp("sandbox") / "home"
    Provider(folder)
    WechatKeys(folder)
    return folder


class Door:
    """A running sandbox as a test sees it: its address, its folder, its control routes."""

    def __init__(self, url: str, home: Path, client: httpx.AsyncClient) -> None:
        self.url = url
        self.home = home
        self.client = client
        token = (home / "control-token").read_text()
        self.headers = {"Authorization": f"Bearer {token}"}

    async def post(self, path: str, body: object) -> Any:
        """Post to a control route; it must be taken."""
        reply = await self.client.post(f"{self.url}{path}", json=body, headers=self.headers)
        assert reply.is_success, reply.text
        return reply.json()

    async def get(self, path: str, **params: str) -> Any:
        """Get a control route."""
        reply = await self.client.get(f"{self.url}{path}", params=params, headers=self.headers)
        assert reply.is_success, reply.text
        return reply.json()

    async def register(self, key: tuple[str, str], **more: object) -> dict[str, str]:
        """Register a merchant; give what the SDK needs."""
        app = await self.post("/sandbox/apps", {"public_key_pem": key[1], **more})
        told = {name: value for name, value in app.items() if name != "balance_minor"}
        return {**told, "private_key": key[0], "gateway": f"{self.url}/alipay/gateway.do"}

    async def send(self, query: str) -> dict[str, Any]:
        """Send a signed request that may be wrong; give the raw reply."""
        reply = await self.client.get(f"{self.url}/alipay/gateway.do?{query}")
        assert reply.status_code == 200
        raw: dict[str, Any] = reply.json()
        return raw

    async def pay(self, app: dict[str, str], *numbers: str, **more: object) -> Any:
        """Pay trades without a person."""
        body = {"app_id": app["app_id"], "out_trade_no": list(numbers), **more}
        return (await self.post("/sandbox/alipay/pay", body))["results"]

    async def fault(self, kind: str, count: int = 1, **more: object) -> None:
        """Order a fault."""
        await self.post("/sandbox/faults", {"kind": kind, "count": count, **more})


@asynccontextmanager
async def running(
    home: Path, *, settings: Settings = QUICK, clock: Clock | None = None
) -> AsyncIterator[Door]:
    """Serve a sandbox on a free port while the body runs."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(home, "127.0.0.1", 0, settings=settings, clock=clock, on_ready=ready.set_result)
    )
    try:
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            yield Door(ready.result(), home, client)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


@pytest.fixture
def start_sandbox() -> Callable[..., Any]:
    """Start a sandbox with settings or a clock of the test's own."""
    return running


@pytest.fixture
def home(home_made: Path, tmp_path: Path) -> Path:
    """A sandbox folder of the test's own."""
    folder = tmp_path / "home"
    shutil.copytree(home_made, folder)
    return folder


@pytest.fixture
async def door(home: Path) -> AsyncIterator[Door]:
    """A running sandbox with a quick ladder."""
    async with running(home) as made:
        yield made


class Ear:
    """A merchant's callback address: keeps what it hears and answers as it is told."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.heard: list[dict[str, str]] = []
        self.answers: list[bytes] = []  # Given first, one a call; then always `success`.
        self._news = asyncio.Event()

    def hear(self, body: bytes) -> bytes:
        """Take a notification; give the answer."""
        self.heard.append(dict(parse_qsl(body.decode(), keep_blank_values=True)))
        self._news.set()
        return self.answers.pop(0) if self.answers else b"success"

    async def wait(self, count: int, within_s: float = 10.0) -> list[dict[str, str]]:
        """Wait until so many notifications were heard."""
        async with asyncio.timeout(within_s):
            while len(self.heard) < count:
                self._news.clear()
                await self._news.wait()
        return self.heard


async def _answer(ear: Ear, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode().lower().split("\r\n")
            length = next(int(x.split(":")[1]) for x in lines if x.startswith("content-length"))
            answer = ear.hear(await reader.readexactly(length))
            status = b"302 Found\r\nlocation: /" if answer == b"redirect" else b"200 OK"
            size = str(len(answer)).encode()
            writer.write(
                b"HTTP/1.1 " + status + b"\r\ncontent-length: " + size + b"\r\n\r\n" + answer
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


@pytest.fixture
async def ear() -> AsyncIterator[Ear]:
    """A merchant's callback address on a free port."""
    heard: list[Ear] = []
    server = await asyncio.start_server(
        lambda reader, writer: _answer(heard[0], reader, writer), "127.0.0.1", 0
    )
    heard.append(Ear(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/callbacks/alipay"))
    yield heard[0]
    server.close()


@pytest.fixture
async def shop(door: Door, keys: list[tuple[str, str]]) -> dict[str, str]:
    """A merchant in key mode."""
    return await door.register(keys[0], name="星河数码")


@pytest.fixture
async def certified(door: Door, keys: list[tuple[str, str]]) -> dict[str, str]:
    """A merchant in certificate mode."""
    return await door.register(keys[1], want="cert", name="云端软件")


Precreate = Callable[..., Any]


@pytest.fixture
def precreate(door: Door, peer: Peer, ear: Ear) -> Precreate:
    """Make an order with a QR code through the SDK."""

    async def make(
        app: dict[str, str], number: str, amount: str = "12.30", *, opened: bool = True, **more: Any
    ) -> str:
        arguments = {
            "subject": "月卡",
            "out_trade_no": number,
            "total_amount": amount,
            "notify_url": ear.url,
            **more,
        }
        answer = await peer.ask(app, call="api_alipay_trade_precreate", arguments=arguments)
        url: str = answer["result"]["qr_code"]
        if opened:
            assert (await door.client.get(url)).status_code == 200
        return url

    return make
