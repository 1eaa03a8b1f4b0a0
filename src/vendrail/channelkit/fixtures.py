"""What a test run leans on: a real PostgreSQL, and a database for each test. A pytest plugin."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from vendrail.channelkit.databases import made_database
from vendrail.kernel import embedded


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL for the whole run: ours, or the one VENDRAIL_TEST_DATABASE_URL names."""
    given = os.environ.get("VENDRAIL_TEST_DATABASE_URL")
    if given:
        yield given
        return
    server = embedded.open_server(
        tmp_path_factory.mktemp("postgres"),
        is_synced=False,
        settings={"shared_buffers": "128MB", "max_connections": "200", "fsync": "off"},
    )
    try:
        yield server.dsn
    finally:
        server.close()


@pytest.fixture
async def database_url(postgres_url: str) -> AsyncIterator[str]:
    """A fresh, empty database for one test, dropped after it."""
    async for url in made_database(postgres_url, "template0"):
        yield url
