"""Restore: a backup brought back, all of it or nothing, here or on another machine."""

import os
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from vendrail import __version__
from vendrail.app.backup import (
    BLOCK,
    DUMP,
    FORM,
    HOME,
    MANIFEST,
    OWNED,
    Manifest,
    Told,
    last_words,
    tool_environment,
)
from vendrail.app.datakeys import check_keys
from vendrail.app.services import SCHEMAS
from vendrail.kernel.codec import decode
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.db import Transaction, connect_once
from vendrail.kernel.embedded import program
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.migrate import has_roles, migrate, read_migrations, role_name
from vendrail.kernel.outbox import Cursor, rebase_events
from vendrail.kernel.vault import Vault

# Whose events are read, by whom, and under which name each reader keeps how far.
_READERS = {
    "payments": (("orders", "payments"), ("disputes", "payments")),
    "orders": (
        ("orders", "deliveries"),
        ("notify", "orders"),
        ("epay", "orders"),
        ("webhooks", "orders"),
    ),
    "payouts": (("webhooks", "payouts"),),
    "disputes": (("webhooks", "disputes"),),
    "support": (("webhooks", "support"),),
}


async def restore(
    platform: PlatformSettings,
    environment: Mapping[str, str],
    source: Path,
    told: Told,
    *,
    is_forced: bool = False,
) -> Manifest:
    """Bring a backup back: the database in one transaction, then the files, then what is newer."""
    try:
        with zipfile.ZipFile(source) as archive:
            manifest = read_manifest(archive)
            await _refuse_over_data(platform, is_forced=is_forced)
            staged = _stage_home(archive, platform.home)
            try:
                _check_fingerprint(staged, environment, manifest)
                await _restore_database(platform.database_url, archive, manifest, told)
                _place_home(staged, platform.home)
            finally:
                shutil.rmtree(staged, ignore_errors=True)
    except zipfile.BadZipFile as error:
        raise Malformed(f"{source} is no backup, or was altered or cut short: {error}.") from error
    except FileNotFoundError as error:
        raise Malformed(f"There is no {error.filename}.") from error
    except OSError as error:
        raise Unavailable(f"{source} cannot be restored: {error}.") from error
    await migrate(platform.database_url, SCHEMAS)
    await check_keys(platform.database_url, Vault.open(platform.home, environment))
    return manifest


def read_manifest(archive: zipfile.ZipFile) -> Manifest:
    """Read what a backup holds; refuse what is none, or is newer than this program."""
    try:
        manifest = decode(archive.read(MANIFEST), Manifest)
    except KeyError:
        raise Malformed(
            "This is no whole backup: its manifest, which is written last, is not there."
        ) from None
    if manifest.form != FORM:
        raise Malformed(f"This backup has form {manifest.form}; this program reads {FORM}.")
    for service, number in manifest.migrations.items():
        known = len(read_migrations(service)) if service in SCHEMAS else 0
        if number > known:
            raise Malformed(
                f"The backup was made by Vendrail {manifest.vendrail}, which is newer than this"
                f" one ({__version__}): {service} is at {number}. Install that version."
            )
    return manifest


async def _refuse_over_data(platform: PlatformSettings, *, is_forced: bool) -> None:
    """Refuse to write over a running platform, and, unless forced, over any."""
    connection = await connect_once(platform.database_url)
    try:
        found = await _read_schemas(connection)
        running = await connection.fetchval(
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and pid <> pg_backend_pid() and application_name like 'vendrail-%'"
        )
    finally:
        await connection.close()
    if running:
        raise Unavailable(
            f"The platform is running on this database ({running} connections). Stop it first."
        )
    has_secrets = any((platform.home / "secrets").glob("*"))
    if (found or has_secrets) and not is_forced:
        what = "The database holds a platform" if found else f"{platform.home} holds secrets"
        raise Malformed(
            f"{what} already. Restore elsewhere (--home, VENDRAIL_DATABASE_URL), or give --force:"
            " the data that is there is then lost; secrets, media and files are put aside."
        )


async def _read_schemas(connection: Any) -> list[str]:
    rows = await connection.fetch(
        "select nspname from pg_namespace where nspname = any($1::text[]) order by nspname", OWNED
    )
    return [row["nspname"] for row in rows]


def _stage_home(archive: zipfile.ZipFile, home: Path) -> Path:
    """Unpack the files beside their places; nothing may leave the folder."""
    staged = home.absolute() / f".restoring.{os.getpid()}"
    staged.mkdir(parents=True, mode=0o700)
    for name in archive.namelist():
        if not name.startswith(HOME) or name.endswith("/"):
            continue
        path = Path(os.path.normpath(staged / name.removeprefix(HOME)))
        if not path.is_relative_to(staged):
            raise Malformed(f"The backup holds {name!r}, which leads out of its folder.")
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as target, archive.open(name) as part:
            shutil.copyfileobj(part, target, BLOCK)
            target.flush()
            os.fsync(target.fileno())
    return staged


def _check_fingerprint(staged: Path, environment: Mapping[str, str], manifest: Manifest) -> None:
    """Make sure that the keys of this place open what is restored, before anything is."""
    if Vault.open(staged, environment).fingerprint != manifest.fingerprint:
        raise Malformed(
            "The keys here (VENDRAIL_HASH_KEY, VENDRAIL_MASTER_KEY, or the backup's secrets) are"
            " not those of the backup: nothing in it could be read. Give the keys it was made with."
        )


def _place_home(staged: Path, home: Path) -> None:
    """Move the files to their places; nothing that is there is lost.

    Folders are put aside; a settings file stays, and the backup's comes to lie beside it.
    """
    now = datetime.now(UTC)
    for entry in sorted(staged.iterdir()):
        place = home / entry.name
        if place.is_dir():
            place.rename(home / f"{entry.name}.before-{now:%Y%m%d-%H%M%S}")
        elif place.exists():
            place = home / f"{entry.name}.from-backup"
        entry.rename(place)


async def _restore_database(
    dsn: str, archive: zipfile.ZipFile, manifest: Manifest, told: Told
) -> None:
    # Makes the roles where it may; its schemas then make way for the backup's.
    connection = await connect_once(dsn)
    try:
        for schema in await _read_schemas(connection):
            await connection.execute(f'drop schema "{schema}" cascade')
        await migrate(dsn, SCHEMAS)
        for schema in await _read_schemas(connection):
            await connection.execute(f'drop schema "{schema}" cascade')
    finally:
        await connection.close()
    _run_restore(dsn, archive, manifest, told)
    connection = await connect_once(dsn)
    try:
        async with connection.transaction():
            await _number_events_anew(connection)
        await connection.execute("analyze")
    finally:
        await connection.close()
    await _give_to_roles(dsn)


async def _number_events_anew(connection: Any) -> None:
    """Give events and their readers' cursors the numbers of this server."""
    for schema, known in _READERS.items():
        # An older backup has not all of today's readers: those begin at the first event. Nor have
        # all of today's services told anything then.
        if not await _has_table(connection, schema, "event"):
            continue
        readers = [each for each in known if await _has_cursor(connection, *each)]
        before = []
        for reader, source in readers:
            row = await connection.fetchrow(
                f'select xid::text as xid, id from "{reader}".cursor where source = $1',  # noqa: S608
                source,
            )
            before.append(Cursor(int(row["xid"]), row["id"]))
        after = await rebase_events(Transaction(connection), schema, before)
        for (reader, source), cursor in zip(readers, after, strict=True):
            await connection.execute(
                f'update "{reader}".cursor set xid = $2::text::xid8, id = $3 where source = $1',  # noqa: S608
                source,
                str(cursor.xid),
                cursor.id,
            )


async def _has_cursor(connection: Any, reader: str, source: str) -> bool:
    if not await _has_table(connection, reader, "cursor"):
        return False
    count = await connection.fetchval(
        f'select count(*) from "{reader}".cursor where source = $1',  # noqa: S608
        source,
    )
    return bool(count)


async def _has_table(connection: Any, schema: str, table: str) -> bool:
    place = await connection.fetchval("select to_regclass($1)", f'"{schema}".{table}')
    return place is not None


def _run_restore(dsn: str, archive: zipfile.ZipFile, manifest: Manifest, told: Told) -> None:
    """Stream the dump into PostgreSQL's own restore, in one transaction: all of it or nothing."""
    given = tool_environment(dsn)
    words = [str(program("pg_restore")), "--single-transaction", "--exit-on-error", "--no-owner"]
    words += ["--no-privileges", f"--dbname={given['PGDATABASE']}"]
    size = 0
    with TemporaryFile() as complaints:
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=complaints, env=given)
        assert process.stdin is not None
        try:
            # A part that was altered is told when its last block is read: before it is written.
            with archive.open(DUMP) as part, suppress(BrokenPipeError), process.stdin as stdin:
                while block := part.read(BLOCK):
                    stdin.write(block)
                    size += len(block)
                    told("database", size, manifest.dump_bytes)
        except BaseException:
            process.kill()
            raise
        finally:
            process.wait()
        if process.returncode:
            raise Unavailable(f"The database could not be restored: {last_words(complaints)}")


async def _give_to_roles(dsn: str) -> None:
    """Give each service's schema, and all in it, to the service's own role, where there are roles.

    A dump carries no owners, so that it fits both ways: services apart, or all under one role.
    """
    if not await has_roles(dsn, SCHEMAS):
        return
    connection = await connect_once(dsn)
    try:
        async with connection.transaction():
            for service in SCHEMAS:
                rows = await connection.fetch(_OWNED_THINGS, service)
                for row in rows:
                    await connection.execute(
                        f'alter {row["thing"]} owner to "{role_name(service)}"'
                    )
    finally:
        await connection.close()


_OWNED_THINGS = """
    select 'schema ' || quote_ident($1::text) as thing, 0 as place
     where to_regnamespace(quote_ident($1)) is not null
    union all
    select case c.relkind when 'v' then 'view ' when 'm' then 'materialized view '
                          when 'S' then 'sequence ' else 'table ' end || c.oid::regclass, 1
      from pg_class c
     where c.relnamespace = to_regnamespace(quote_ident($1))
       and c.relkind in ('r', 'p', 'v', 'm', 'S')
       and not exists (select 1 from pg_depend d
                        where d.objid = c.oid and c.relkind = 'S' and d.deptype in ('a', 'i'))
    union all
    select 'routine ' || p.oid::regprocedure, 2 from pg_proc p
     where p.pronamespace = to_regnamespace(quote_ident($1))
    union all
    select 'type ' || t.oid::regtype, 3 from pg_type t
     where t.typnamespace = to_regnamespace(quote_ident($1)) and t.typtype in ('e', 'd', 'r')
     order by 2
"""
