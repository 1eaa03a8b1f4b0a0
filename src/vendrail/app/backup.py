"""Backup: the database, the secrets that open it, media and files, in one file, while all runs.

The file is a ZIP whose parts are stored as they are: written in one pass, and each part is checked
when it is read. It holds the master keys: it is as precious as the platform itself.
"""

import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO
from urllib.parse import parse_qsl, unquote, urlsplit

from vendrail import __version__
from vendrail.app.datakeys import check_keys
from vendrail.app.opened import read_applied
from vendrail.app.services import SCHEMAS
from vendrail.kernel.codec import Record, encode
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.db import connect_once
from vendrail.kernel.embedded import program
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.vault import Vault

Told = Callable[[str, int, int], None]

FORM = 1
MANIFEST = "manifest.json"
DUMP = "database.dump"
HOME = "home/"
OWNED = (*SCHEMAS, "vendrail")  # The schemas that are ours.
BLOCK = 1 << 20
_FOLDERS = ("secrets", "media", "files")  # Of the home folder.
_FILES = ("vendrail.toml",)
_ERROR_LENGTH_MAX = 2_000
_SHRINKING = 3  # About how much smaller a dump is than its tables; for the progress bar only.


class Manifest(Record, frozen=True):
    """What a backup holds; written last, so that a file without it is no backup."""

    form: int
    vendrail: str
    made_at: datetime
    migrations: dict[str, int]
    fingerprint: str  # Of the hash key: tells whether secrets and database belong together.
    dump_bytes: int
    has_secrets: bool  # False: the keys came from the environment, and are kept there.


def tool_environment(dsn: str) -> dict[str, str]:
    """Give PostgreSQL's programs their connection by environment: no password shows in `ps`."""
    parts = urlsplit(dsn)
    if parts.scheme not in ("postgres", "postgresql"):
        raise Malformed("VENDRAIL_DATABASE_URL must begin with postgresql:// for this command.")
    given = {
        "host": unquote(parts.hostname or ""),
        "port": str(parts.port or ""),
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "dbname": unquote(parts.path.lstrip("/")),
        **dict(parse_qsl(parts.query)),
    }
    names = {"dbname": "PGDATABASE", "application_name": "PGAPPNAME"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    for name, value in given.items():
        if value:
            kept[names.get(name, f"PG{name.upper()}")] = value
    return kept


def choose_file(target: Path, now: datetime) -> Path:
    """Give the file to write: the target, or a new one with the time in its name in that folder."""
    if target.is_dir():
        target = target / f"vendrail-{now:%Y%m%d-%H%M%S}.backup"
    if target.exists():
        raise Malformed(f"{target} is there already; a backup never writes over another.")
    if not target.parent.is_dir():
        raise Malformed(f"There is no folder {target.parent}; make it first.")
    return target


async def backup(
    platform: PlatformSettings, environment: Mapping[str, str], target: Path, told: Told
) -> tuple[Path, Manifest]:
    """Write a backup: one snapshot of the database, then what opens it."""
    path = choose_file(target, datetime.now(UTC))
    migrations = await read_applied(platform.database_url)
    if not migrations:
        raise Malformed("There is nothing to back up: this database has no schema of Vendrail.")
    fingerprint = await _fingerprint(platform, environment)
    bytes_estimated = await _table_bytes(platform.database_url) // _SHRINKING
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            with zipfile.ZipFile(file, "w") as archive:
                size = _dump(archive, platform.database_url, bytes_estimated, told)
                # The secrets come after: what the snapshot was sealed with is among them for
                # certain, for master keys are only ever added.
                has_secrets = _add_home(archive, platform.home, told)
                manifest = Manifest(
                    FORM,
                    __version__,
                    datetime.now(UTC),
                    migrations,
                    fingerprint,
                    size,
                    has_secrets,
                )
                archive.writestr(_entry(MANIFEST), encode(manifest))
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        aside.unlink(missing_ok=True)
    return path, manifest


async def _fingerprint(platform: PlatformSettings, environment: Mapping[str, str]) -> str:
    """Make sure that the keys here open this database: a backup without them is worth nothing."""
    is_given = environment.get("VENDRAIL_HASH_KEY", "").strip()
    if not is_given and not (platform.home / "secrets/hash.key").exists():
        raise Malformed(
            f"{platform.home} does not hold the secrets of this database. Name the home folder that"
            " does: --home, or VENDRAIL_HOME."
        )
    vault = Vault.open(platform.home, environment)
    await check_keys(platform.database_url, vault)
    return vault.fingerprint


async def _table_bytes(dsn: str) -> int:
    connection = await connect_once(dsn)
    try:
        size: int = await connection.fetchval(
            "select coalesce(sum(pg_table_size(c.oid)), 0)::bigint from pg_class c"
            " join pg_namespace n on n.oid = c.relnamespace"
            " where c.relkind = 'r' and n.nspname = any($1::text[])",
            OWNED,
        )
    finally:
        await connection.close()
    return size


def _entry(name: str) -> zipfile.ZipInfo:
    now = datetime.now(UTC)
    entry = zipfile.ZipInfo(name, (now.year, now.month, now.day, now.hour, now.minute, now.second))
    entry.external_attr = 0o600 << 16
    return entry


def _dump(archive: zipfile.ZipFile, dsn: str, bytes_estimated: int, told: Told) -> int:
    """Stream PostgreSQL's own dump into the archive; give its size."""
    words = [str(program("pg_dump")), "--format=custom", "--compress=gzip:3", "--no-owner"]
    words += ["--no-privileges", *(f"--schema={name}" for name in OWNED)]
    size = 0
    with TemporaryFile() as complaints:
        process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=complaints, env=tool_environment(dsn)
        )
        assert process.stdout is not None
        try:
            with archive.open(_entry(DUMP), "w", force_zip64=True) as part:
                while block := process.stdout.read(BLOCK):
                    part.write(block)
                    size += len(block)
                    told("database", size, max(size, bytes_estimated))
        except BaseException:
            process.kill()
            raise
        finally:
            process.stdout.close()
            process.wait()
        if process.returncode:
            raise Unavailable(f"The database could not be dumped: {last_words(complaints)}")
    told("database", size, size)
    return size


def last_words(complaints: IO[bytes]) -> str:
    """Give the end of what a program complained of."""
    complaints.seek(0)
    return complaints.read().decode(errors="replace").strip()[-_ERROR_LENGTH_MAX:]


def _add_home(archive: zipfile.ZipFile, home: Path, told: Told) -> bool:
    """Add the secrets, media, files and the settings file; true when there were secrets."""
    paths = [path for name in _FOLDERS for path in sorted((home / name).rglob("*"))]
    paths += [home / name for name in _FILES]
    files = [path for path in paths if path.is_file() and not path.name.startswith(".")]
    for done, path in enumerate(files, start=1):
        name = f"{HOME}{path.relative_to(home).as_posix()}"
        with (
            path.open("rb") as source,
            archive.open(_entry(name), "w", force_zip64=True) as part,
        ):
            shutil.copyfileobj(source, part, BLOCK)
        told("files", done, len(files))
    return any(path.parent == home / "secrets" for path in files)
