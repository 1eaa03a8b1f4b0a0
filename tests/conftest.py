"""What every test may lean on: a real PostgreSQL, a clock that tests own, a vault, wake-ups."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from vendrail.app.services import SCHEMAS
from vendrail.channelkit.databases import made_database, with_name
from vendrail.kernel.db import Database, connect_once
from vendrail.kernel.migrate import migrate, role_name
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.vault import Vault

pytest_plugins = ("vendrail.channelkit.fixtures",)


class FakeClock:
    """Time that stands still until a test moves it."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)

    def now(self) -> datetime:
        """Give the moment the test has chosen."""
        return self._now

    def advance(self, delay_s: float) -> None:
        """Move time on."""
        self._now += timedelta(seconds=delay_s)

    async def sleep(self, delay_s: float) -> None:
        """Move time on instead of waiting, and let others run."""
        self.advance(delay_s)
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until `.advance(seconds)`."""
    return FakeClock()


@pytest.fixture
def wakeups() -> Wakeups:
    """In-process hints of their own for each test."""
    return Wakeups()


@pytest.fixture(scope="session")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    """A vault with keys made for this run."""
    return Vault.open(tmp_path_factory.mktemp("vault"))


@pytest.fixture(scope="session")
def template_name(postgres_url: str) -> str:
    """A database with every service's schema, to be cloned: migrated once a run."""
    name = f"template_{os.getpid()}"

    async def make() -> None:
        owner = await connect_once(postgres_url)
        await owner.execute(f'create database "{name}" template template0')
        await owner.close()
        await migrate(with_name(postgres_url, name), SCHEMAS)

    asyncio.run(make())
    return name


@pytest.fixture
async def platform_url(postgres_url: str, template_name: str) -> AsyncIterator[str]:
    """A fresh database with every service's schema in it, dropped after the test."""
    async for url in made_database(postgres_url, template_name):
        yield url


MakeDatabase = Callable[..., Awaitable[Database]]


@pytest.fixture
async def make_database(database_url: str) -> AsyncIterator[MakeDatabase]:
    """Make services' databases: migrated, each under its own role, closed after the test."""
    opened: list[Database] = []
    migrated: set[str] = set()

    async def make(service: str, connections_max: int = 4) -> Database:
        if service not in migrated:
            await migrate(database_url, [service])
            migrated.add(service)
        database = Database(
            database_url, service, role=role_name(service), connections_max=connections_max
        )
        opened.append(database)
        return database

    yield make
    for database in opened:
        await database.close()
