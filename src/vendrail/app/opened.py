"""What commands work on: the platform's settings, its database, and a house over them.

Without a database of its own named, the embedded server is used: whoever comes first starts it, the
last to leave stops it, so that commands may run beside a running platform.
"""

import os
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import uvloop

from vendrail.app.demo.folder import Folder
from vendrail.app.services import SCHEMAS
from vendrail.app.serving import split_names
from vendrail.app.wiring import House, build
from vendrail.kernel.codec import replace
from vendrail.kernel.config import PlatformSettings, load_platform
from vendrail.kernel.db import connect_once
from vendrail.kernel.embedded import start
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.migrate import read_migrations
from vendrail.kernel.telemetry import init_logs

Result = TypeVar("Result")


def environment() -> Mapping[str, str]:
    """Give the environment that settings are read from; `--home` has changed it by now."""
    return dict(os.environ)


def read_platform() -> PlatformSettings:
    """Read the platform's settings; no folder is made and no server started."""
    platform = load_platform(environment())
    # Logs go to standard error, and only what a person should see beside the result.
    init_logs("warning" if platform.log_level == "info" else platform.log_level)
    return platform


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's work to its end."""
    return uvloop.run(work)


@asynccontextmanager
async def opened_platform() -> AsyncIterator[PlatformSettings]:
    """Give the platform's settings with a database that is there: the embedded one if none."""
    platform = read_platform()
    if platform.database_url:
        yield platform
        return
    server = await start(platform.home / "postgres")
    try:
        yield replace(platform, database_url=server.dsn)
    finally:
        await server.stop()


@asynccontextmanager
async def opened_house() -> AsyncIterator[House]:
    """Give the services as this place is set up, without their loops; drained and closed after."""
    async with opened_platform() as given:
        platform = replace(given, public_url=find_address(given))
        services, _, peers = split_names(platform)
        await require_schemas(platform.database_url, services)
        house = await build(platform, environment(), only=services, peers=peers)
        try:
            yield house
        finally:
            await house.stop()


def find_address(platform: PlatformSettings) -> str:
    """Give the site's address: a demo's own, where one runs here and nothing else is said."""
    if platform.public_url != PlatformSettings().public_url:
        return platform.public_url
    return Folder(platform.home).address() or platform.public_url


async def read_applied(dsn: str) -> dict[str, int]:
    """Read how far each service's schema has come: nothing at all in an empty database."""
    connection = await connect_once(dsn)
    try:
        if await connection.fetchval("select to_regclass('vendrail.migration')") is None:
            return {}
        rows = await connection.fetch(
            "select service, max(number) as number from vendrail.migration group by service"
        )
    finally:
        await connection.close()
    return {row["service"]: row["number"] for row in rows}


async def read_pending(dsn: str, services: tuple[str, ...] | list[str] = SCHEMAS) -> list[str]:
    """Name the migrations that are still to be applied: `orders/0002`."""
    applied = await read_applied(dsn)
    return [
        f"{migration.service}/{migration.number:04}"
        for service in services
        for migration in read_migrations(service)
        if migration.number > applied.get(service, 0)
    ]


async def require_schemas(dsn: str, services: tuple[str, ...] | list[str] = SCHEMAS) -> None:
    """Refuse to work on a database whose schemas are not there, or not up to date."""
    pending = await read_pending(dsn, services)
    if pending:
        raise Unavailable(
            f"The database lacks {len(pending)} migrations ({pending[0]} first)."
            " Run: vendrail migrate"
        )
