"""Foreign exchange over a real database, its sources the sandbox's over real HTTP."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from vendrail.api.fx import Fx, QuoteId, QuoteRequest, RatePair
from vendrail.fx.service import FxService
from vendrail.fx.settings import FxSettings
from vendrail.kernel import rpc
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id
from vendrail.kernel.telemetry import Metrics
from vendrail.ledger.service import LedgerService
from vendrail.ledger.settings import LedgerSettings
from vendrail.sandbox.app import serve
from vendrail.sandbox.rates import APP_ID

ALL = ("ecb", "openexchangerates", "frankfurter")


class Sources:
    """The sandbox's sources, and its control routes, as tests reach them."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self.url = url
        self.client = client

    @property
    def settings(self) -> FxSettings:
        """Settings that read all of them."""
        return FxSettings(
            sources=ALL,
            ecb_url=f"{self.url}/rates/ecb",
            openexchangerates_url=f"{self.url}/rates/openexchangerates",
            openexchangerates_key=APP_ID,
            frankfurter_url=f"{self.url}/rates/frankfurter",
        )

    async def get(self, path: str, **query: str) -> httpx.Response:
        """Ask a source."""
        return await self.client.get(f"{self.url}/rates/{path}", params=query)

    async def fault(self, source: str, **more: object) -> None:
        """Let a source do something wrong."""
        body = {"source": source, **more}
        reply = await self.client.post(f"{self.url}/sandbox/rates/faults", json=body)
        assert reply.status_code == 201, reply.text

    async def forgive(self) -> None:
        """Let all be right again."""
        await self.client.delete(f"{self.url}/sandbox/rates/faults")


@pytest.fixture
async def sources(tmp_path, clock) -> AsyncIterator[Sources]:
    """A sandbox on a free port, at the test's own time."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    home = tmp_path / "sandbox"
    serving = asyncio.create_task(
        serve(home, "127.0.0.1", 0, clock=clock, on_ready=ready.set_result)
    )
    try:
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
        headers = {"Authorization": f"Bearer {(home / 'control-token').read_text()}"}
        async with httpx.AsyncClient(trust_env=False, headers=headers) as client:
            yield Sources(ready.result(), client)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


class World:
    """The service as others meet it, and short words for what tests do."""

    def __init__(self, clock, db, ledger, settings: FxSettings, *, is_remote: bool) -> None:
        self.clock = clock
        self.db = db
        self.ledger = ledger
        self.settings = settings
        self.is_remote = is_remote
        self.service = self.fx = None
        self.opened: list[FxService] = []
        self.start()

    def start(self, **changes: object) -> None:
        """Start the service, with other settings perhaps."""
        self.settings = replace(self.settings, **changes)
        made = FxService(self.db, self.clock, Metrics(), self.settings, self.ledger)
        self.opened.append(made)
        self.service = made
        self.fx = rpc.loopback(Fx, made) if self.is_remote else made

    async def fetch(self) -> None:
        """Let an hour pass, and the sources be read."""
        self.clock.advance(self.settings.fetch_s)
        await self.service.fetch_due()

    def ask(self, amount_minor=10_000, currency="CNY", paid_currency="USD", id=None):
        """Ask for a quote."""
        made = QuoteId(id or new_id(self.clock.now()))
        return QuoteRequest(made, amount_minor, currency, paid_currency)

    async def rate(self, currency="CNY", paid_currency="USD"):
        """Read one rate."""
        return (await self.fx.read_rates([RatePair(currency, paid_currency)]))[0]


@pytest.fixture(params=["local", "remote"])
async def world(request, make_database, clock, vault, sources) -> AsyncIterator[World]:
    """The object itself, then over the wire; its sources have been read."""
    ledger = LedgerService(await make_database("ledger"), clock, vault, LedgerSettings())
    db = await make_database("fx")
    made = World(clock, db, ledger, sources.settings, is_remote=request.param == "remote")
    await made.fetch()
    yield made
    for service in made.opened:
        await service.close()
