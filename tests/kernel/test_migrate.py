"""Migrations: forward only, never changed, each service in its own schema under its own role."""

import asyncio
import itertools
import os
from urllib.parse import urlsplit, urlunsplit

import pytest

from vendrail.kernel.db import Database, connect_once, is_refused
from vendrail.kernel.errors import Broken
from vendrail.kernel.migrate import Migration, has_roles, migrate, read_migrations, role_name

FIRST = "-- Why.\ncreate table {0}.thing (id int primary key);"
SECOND = "-- More.\nalter table {0}.thing add column n int not null default 0;"
_numbers = itertools.count()


class Shelf(dict):
    """Migrations of invented services: shows the rules apart from today's tables."""

    def read(self, service):
        return [
            Migration(service, number, f"step_{number}", sql)
            for number, sql in enumerate(self.get(service, []), 1)
        ]


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
async def services():
    """Names nobody else uses: roles belong to the whole server, not to one database."""
    return [f"t{os.getpid()}_{next(_numbers)}_{letter}" for letter in "ab"]


@pytest.fixture
async def clean(database_url, services):
    """Roles made here are taken away again."""
    yield
    owner = await connect_once(database_url)
    for service in services:
        role = role_name(service)
        if await owner.fetchval("select 1 from pg_roles where rolname = $1", role):
            await owner.execute(f'drop owned by "{role}" cascade; drop role "{role}"')
    await owner.close()


async def test_an_empty_database_is_brought_to_the_newest_form(
    database_url, shelf, services, clean
):
    """From empty, all files are applied in order; a second run applies nothing."""
    a, _ = services
    shelf[a] = [FIRST.format(a), SECOND.format(a)]
    first = await migrate(database_url, [a], shelf.read)
    again = await migrate(database_url, [a], shelf.read)
    shelf[a].append(f"-- Index.\ncreate index on {a}.thing (n);")
    more = await migrate(database_url, [a], shelf.read)

    assert [1, 2] == [migration.number for migration in first]
    assert [] == again
    assert [3] == [migration.number for migration in more]


async def test_a_changed_migration_is_refused(database_url, shelf, services, clean):
    """A file that was changed after it was applied stops the start, with advice."""
    a, _ = services
    shelf[a] = [FIRST.format(a)]
    await migrate(database_url, [a], shelf.read)
    shelf[a] = [FIRST.format(a) + " -- edited"]

    with pytest.raises(Broken, match="was changed after it was applied"):
        await migrate(database_url, [a], shelf.read)


async def test_a_newer_database_is_refused(database_url, shelf, services, clean):
    """A program older than its database does not touch it."""
    a, _ = services
    shelf[a] = [FIRST.format(a), SECOND.format(a)]
    await migrate(database_url, [a], shelf.read)
    shelf[a] = shelf[a][:1]

    with pytest.raises(Broken, match="newer than this program"):
        await migrate(database_url, [a], shelf.read)


async def test_a_failed_migration_leaves_nothing(database_url, shelf, services, clean):
    """A file that fails in the middle is rolled back whole and can be applied when mended."""
    a, _ = services
    shelf[a] = [FIRST.format(a) + "select 1/0;"]
    with pytest.raises(Exception, match="division by zero"):
        await migrate(database_url, [a], shelf.read)
    shelf[a] = [FIRST.format(a)]

    assert [1] == [migration.number for migration in await migrate(database_url, [a], shelf.read)]


async def test_many_starters_migrate_once(database_url, shelf, services, clean):
    """Ten processes that start at once apply each file once between them."""
    a, _ = services
    shelf[a] = [FIRST.format(a), SECOND.format(a)]
    applied = await asyncio.gather(*(migrate(database_url, [a], shelf.read) for _ in range(10)))

    assert [1, 2] == sorted(migration.number for some in applied for migration in some)


async def test_a_role_cannot_read_its_neighbours_table(database_url, shelf, services, clean):
    """A service's role may use its own schema; another's is refused by PostgreSQL itself."""
    a, b = services
    shelf[a], shelf[b] = [FIRST.format(a)], [FIRST.format(b)]
    await migrate(database_url, services, shelf.read)
    db = Database(database_url, a, role=role_name(a))

    async def run(sql):
        async with db.transaction() as tx:
            return await tx.execute(sql)

    own = await run(f"insert into {a}.thing values (1)")
    refusals = []
    for sql in (
        f"select * from {b}.thing",
        f"insert into {b}.thing values (1)",
        f"create table {a}.x (id int references {b}.thing)",
        f"create table {b}.x (id int)",
    ):
        with pytest.raises(Exception, match="permission denied") as caught:
            await run(sql)
        refusals.append(is_refused(caught.value))
    await db.close()

    assert 1 == own
    assert [True] * 4 == refusals


async def test_without_the_right_to_make_roles_one_role_does(database_url, shelf, services, clean):
    """Where CREATE ROLE is refused everything is made under the one login: one-role mode."""
    a, b = services
    shelf[a], shelf[b] = [FIRST.format(a)], [FIRST.format(b)]
    login = f"login_{services[0]}"
    owner = await connect_once(database_url)
    name = await owner.fetchval("select current_database()")
    await owner.execute(f"create role \"{login}\" login password 'x'")
    await owner.execute(f'grant all on database "{name}" to "{login}"')
    parts = urlsplit(database_url)
    plain = urlunsplit(parts._replace(netloc=f"{login}:x@{parts.netloc.partition('@')[2]}"))
    try:
        applied = await migrate(plain, services, shelf.read)
        with_roles = await has_roles(plain, services)
        db = Database(plain, a)
        async with db.transaction() as tx:
            await tx.execute(f"insert into {a}.thing values (1)")
        await db.close()
    finally:
        await owner.execute(f'drop owned by "{login}" cascade; drop role "{login}"')
        await owner.close()

    assert 2 == len(applied)
    assert not with_roles


async def test_roles_are_seen_where_they_are(database_url, shelf, services, clean):
    """With the right to make roles, each service has one, and that is seen."""
    for service in services:
        shelf[service] = [FIRST.format(service)]
    await migrate(database_url, services, shelf.read)

    assert await has_roles(database_url, services)
    assert not await has_roles(database_url, [*services, "nobody"])


@pytest.mark.parametrize("service", ["limits"])
def test_files_are_numbered_and_say_why(service):
    """The kernel's own migrations have numbers without a gap and a first line that says why."""
    migrations = read_migrations(service)

    assert migrations
    assert all(migration.sql.startswith("-- ") for migration in migrations)
