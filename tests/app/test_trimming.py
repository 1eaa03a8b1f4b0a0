"""Events are deleted once all have read them: every service that tells, every one that reads."""

import asyncio
from datetime import timedelta

import pytest

from vendrail.app.restore import _READERS
from vendrail.app.wiring import House
from vendrail.kernel.clock import SystemClock
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.db import connect_once


@pytest.fixture
async def owner(platform_url):
    """The owner of the database."""
    connection = await connect_once(platform_url)
    yield connection
    await connection.close()


@pytest.fixture
async def house(platform_url, vault, tmp_path):
    """The whole platform in one process, which tells news by letters."""
    platform = PlatformSettings(home=tmp_path, database_url=platform_url)
    house = House(platform, {"VENDRAIL_NOTIFY_NEWS": "on"}, SystemClock(), vault)
    yield house
    await house.stop()


async def readers(owner, source):
    """Name the readers that a service knows."""
    rows = await owner.fetch(f"select name from {source}.reader where name <> ''")
    return {row["name"] for row in rows}


async def test_every_reader_says_how_far_it_is(house, owner):
    """Each reader that a restore knows is noted beside the events it reads, by its loop alone."""
    wanted = {
        source: {f"{reader}.{name}" for reader, name in known} for source, known in _READERS.items()
    }
    house.start_jobs()
    found = {}
    for _ in range(200):
        found = {source: await readers(owner, source) for source in wanted}
        if found == wanted:
            break
        await asyncio.sleep(0.1)

    assert wanted == found


@pytest.mark.parametrize("source", sorted(_READERS))
async def test_every_service_trims_its_events(house, owner, source):
    """Of three old events that were read, the newest is left; what is not read stays whole."""
    service = house.services[source]
    now = SystemClock().now()
    write = f"insert into {source}.event (at, count, events) values ($1, 1, '[]')"
    for _ in range(3):
        await owner.execute(write, now - timedelta(days=31))
    count = f"select count(*) from {source}.event"
    await owner.execute(f"update {source}.reader set at = $1", now - timedelta(days=31))
    await owner.execute(f"insert into {source}.reader (name) values ('late.{source}')")
    await service.trim_events()
    late = await owner.fetchval(count)
    await owner.execute(f"delete from {source}.reader where name <> ''")
    await service.trim_events()

    assert (3, 1) == (late, await owner.fetchval(count))
