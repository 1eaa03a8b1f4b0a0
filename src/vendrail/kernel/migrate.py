"""Migrations: numbered .sql files of each service, forward only, each in one transaction.

Each service owns one schema and, where roles may be made, one role that owns nothing else.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

from vendrail.kernel.codec import Record
from vendrail.kernel.db import connect_once, is_refused
from vendrail.kernel.errors import Broken, Malformed

_NAME = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")
_LOCK_KEY = 0x76656E64_7261696C  # "vendrail": one migrator at a time.

_BOOKS = """
create schema if not exists vendrail;
create table if not exists vendrail.migration (
    service    text not null,
    number     int not null,
    name       text not null,
    checksum   text not null,
    applied_at timestamptz not null default now(),
    primary key (service, number)
);
"""


class Migration(Record, frozen=True):
    """One numbered file of one service."""

    service: str
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Tell one text from another: an applied migration must never change."""
        return hashlib.sha256(self.sql.encode()).hexdigest()[:32]


def role_name(service: str) -> str:
    """Give the role under which a service works."""
    return f"vendrail_{service}"


def read_migrations(service: str) -> list[Migration]:
    """Read a service's numbered files; numbers start at 1 and have no gap."""
    root = resources.files("vendrail")
    folder = root / service / "schema"
    if not folder.is_dir():
        folder = root / "kernel" / service / "schema"  # The kernel's own tables: limits.
    found = []
    if not folder.is_dir():
        return []
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        match = _NAME.match(entry.name)
        if match:
            found.append(Migration(service, int(match[1]), match[2], entry.read_text("utf-8")))
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise Malformed(
            f"The migrations of {service} must be numbered 0001, 0002, … without a gap."
        )
    return found


async def _ensure_roles(connection: Any, services: Sequence[str]) -> bool:
    """Make a role for each service; where the server refuses, say so: one-role mode."""
    database = await connection.fetchval("select quote_ident(current_database())")
    try:
        async with connection.transaction():
            for service in services:
                role = role_name(service)
                known = await connection.fetchval("select 1 from pg_roles where rolname = $1", role)
                if not known:
                    # Roles belong to the server: a migrator of another database may be faster.
                    await connection.execute(
                        f'do $$ begin create role "{role}" nologin;'
                        " exception when duplicate_object or unique_violation then null; end $$"
                    )
                member = await connection.fetchval(
                    "select pg_has_role(current_user, $1, 'SET')"
                    if connection.get_server_version().major >= 16
                    else "select pg_has_role(current_user, $1, 'MEMBER')",
                    role,
                )
                if not member:
                    await connection.execute(f'grant "{role}" to current_user')
                await connection.execute(f'grant create on database {database} to "{role}"')
    except Exception as error:
        if is_refused(error):
            return False
        raise
    return True


async def migrate(
    dsn: str,
    services: Sequence[str],
    read: Callable[[str], list[Migration]] = read_migrations,
) -> list[Migration]:
    """Bring every named service's schema to the newest form; give what was applied now."""
    connection = await connect_once(dsn, lock_timeout="300s")
    applied: list[Migration] = []
    try:
        await connection.execute("select pg_advisory_lock($1)", _LOCK_KEY)
        # Long waits are for other migrators only, never for tables that services use.
        await connection.execute("set lock_timeout = '5s'")
        await connection.execute(_BOOKS)
        with_roles = await _ensure_roles(connection, services)
        for service in services:
            applied += await _apply(connection, service, read(service), with_roles=with_roles)
    finally:
        await connection.close()
    return applied


async def _apply(
    connection: Any, service: str, migrations: Sequence[Migration], *, with_roles: bool
) -> list[Migration]:
    rows = await connection.fetch(
        "select number, checksum from vendrail.migration where service = $1", service
    )
    known = {row["number"]: row["checksum"] for row in rows}
    if known and max(known) > len(migrations):
        raise Broken(
            f"The database is newer than this program: {service} is at {max(known)}, "
            f"the program knows {len(migrations)}. Install the newer Vendrail."
        )
    applied = []
    for migration in migrations:
        if migration.number in known:
            if known[migration.number] != migration.checksum:
                raise Broken(
                    f"Migration {service}/{migration.number:04} was changed after it was applied; "
                    "restore the file and write a new one."
                )
            continue
        async with connection.transaction():
            if with_roles:
                await connection.execute(f'set local role "{role_name(service)}"')
            await connection.execute(f'create schema if not exists "{service}"')
            await connection.execute(migration.sql)
            await connection.execute("reset role")
            await connection.execute(
                "insert into vendrail.migration (service, number, name, checksum)"
                " values ($1, $2, $3, $4)",
                migration.service,
                migration.number,
                migration.name,
                migration.checksum,
            )
        applied.append(migration)
    return applied


async def has_roles(dsn: str, services: Sequence[str]) -> bool:
    """Tell whether every service has its own role here (else: one-role mode)."""
    connection = await connect_once(dsn)
    try:
        count = await connection.fetchval(
            "select count(*) from pg_roles where rolname = any($1::text[])"
            " and pg_has_role(current_user, oid, 'MEMBER')",
            [role_name(service) for service in services],
        )
    finally:
        await connection.close()
    return bool(count == len(services))
