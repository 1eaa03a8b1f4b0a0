"""The emulated Telegram: one sandbox for a module's tests, a bot for each."""

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from secrets import token_hex

import httpx
import pytest

from vendrail.sandbox.app import serve


class Phone:
    """The emulated Telegram from outside: people's phones, and its control routes."""

    def __init__(self, url: str, home, client: httpx.AsyncClient) -> None:
        self.url = url
        self._client = client
        token = (home / "control-token").read_text()
        self._headers = {"Authorization": f"Bearer {token}"}
        self.bot, self.token = "", ""

    async def _post(self, path: str, body: object) -> dict:
        reply = await self._client.post(f"{self.url}{path}", json=body, headers=self._headers)
        assert reply.is_success, reply.text
        return reply.json()

    async def make(self) -> None:
        """Make a bot."""
        name = f"keys_{token_hex(4)}_bot"
        told = await self._post("/sandbox/telegram/bots", {"username": name})
        self.bot, self.token = told["username"], told["token"]

    async def do(self, person: int, text: str = "", deed: str = "write", language="en") -> None:
        """Let a person write to the bot, or block it."""
        body = {"bot": self.bot, "person": person, "deed": deed, "text": text}
        await self._post("/sandbox/telegram/deeds", body | {"name": "Ann", "language": language})

    async def fault(self, **mishap: object) -> None:
        """Order a mistake."""
        await self._post(f"/sandbox/telegram/faults?bot={self.bot}", mishap)

    async def forgive(self) -> None:
        """Take all mistakes back."""
        url = f"{self.url}/sandbox/telegram/faults?bot={self.bot}"
        reply = await self._client.delete(url, headers=self._headers)
        assert reply.is_success

    async def texts(self, person: int) -> list[str]:
        """Give what the bot wrote to a person."""
        reply = await self._client.get(
            f"{self.url}/sandbox/telegram/chats",
            params={"bot": self.bot, "person": str(person)},
            headers=self._headers,
        )
        return [line["text"] for line in reply.json()["lines"] if line["is_bots"]]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A running sandbox, on a loop of its own; give its address and folder."""
    home = tmp_path_factory.mktemp("sandbox") / "home"
    ready: Future = Future()
    loop = asyncio.new_event_loop()
    serving = loop.create_task(serve(home, "127.0.0.1", 0, on_ready=ready.set_result))

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(serving)
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    yield ready.result(30), home
    loop.call_soon_threadsafe(serving.cancel)
    thread.join(10)


@pytest.fixture
async def phone(sandbox):
    """A bot of the test's own."""
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        made = Phone(*sandbox, client)
        await made.make()
        yield made
