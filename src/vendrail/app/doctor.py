"""The doctor: what of this machine and installation is well, and what to do where it is not."""

import os
import platform as machine
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

import httpx

from vendrail.app.datakeys import check_keys, count_keys
from vendrail.app.opened import read_pending
from vendrail.app.services import SCHEMAS
from vendrail.app.serving import split_names
from vendrail.kernel.codec import Record
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.db import connect_once
from vendrail.kernel.errors import Error
from vendrail.kernel.migrate import has_roles
from vendrail.kernel.vault import Vault

_GB = 1 << 30
_MB = 1 << 20
_VERSION_MIN = 16
_CLOCK_S_MAX = 2.0
_DISK_BYTES_MIN = 200 * _MB
_DISK_BYTES_GOOD = 5 * _GB
_SHM_BYTES_GOOD = 64 * _MB
_CONNECTIONS_SPARE_MIN = 10


class Level(StrEnum):
    """How one finding stands."""

    OK = "ok"
    WARN = "warn"  # It works; not as it should for real money.
    FAIL = "fail"


class Finding(Record, frozen=True):
    """One thing that was looked at."""

    what: str
    level: Level
    seen: str
    advice: str = ""


def judge(what: str, seen: str, advice: str, *, is_ok: bool, is_fatal: bool = False) -> Finding:
    """Make a finding: fine, or with advice."""
    if is_ok:
        return Finding(what, Level.OK, seen)
    return Finding(what, Level.FAIL if is_fatal else Level.WARN, seen, advice)


# The machine.


def check_machine(platform: PlatformSettings) -> Iterator[Finding]:
    """Look at Python, disk, shared memory, the port and the built pages."""
    version = machine.python_version()
    yield judge(
        "Python",
        version,
        "Vendrail needs Python 3.11 or newer.",
        is_ok=sys.version_info >= (3, 11),
        is_fatal=True,
    )
    yield from _check_folder(platform.home)
    yield from _check_shared_memory(Path("/dev/shm"))  # noqa: S108 - looked at, not written
    yield _check_port(platform.host, platform.port)
    yield _check_assets()
    yield _check_address(platform)


def _check_folder(home: Path) -> Iterator[Finding]:
    place = home
    while not place.exists():
        place = place.parent
    is_writable = os.access(place, os.W_OK | os.X_OK)
    advice = f"{place} cannot be written. Name a folder of your own: --home, or VENDRAIL_HOME."
    yield judge("home folder", str(home), advice, is_ok=is_writable, is_fatal=True)
    free = shutil.disk_usage(place).free
    yield judge(
        "disk",
        f"{free / _GB:,.1f} GB free",
        f"A busy platform writes gigabytes a day: make room (df -h {place}).",
        is_ok=free >= _DISK_BYTES_GOOD,
        is_fatal=free < _DISK_BYTES_MIN,
    )


def _check_shared_memory(path: Path) -> Iterator[Finding]:
    if path.is_dir():
        total = shutil.disk_usage(path).total
        yield judge(
            "shared memory",
            f"{total // _MB} MB",
            "A container gives 64 MB unless told otherwise: --shm-size=1g.",
            is_ok=total > _SHM_BYTES_GOOD,
        )


def _check_port(host: str, port: int) -> Finding:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            seen = f"{host}:{port} is taken ({error.strerror})"
            advice = "Fine if that is Vendrail itself; else choose another: VENDRAIL_PORT."
            return Finding("port", Level.WARN, seen, advice)
    return Finding("port", Level.OK, f"{host}:{port} is free")


def _check_assets() -> Finding:
    manifest = resources.files("vendrail.web") / "assets/dist/manifest.json"
    is_built = manifest.is_file()
    return judge(
        "pages",
        "style and scripts are built" if is_built else "style and scripts are not built",
        "Run: make assets",
        is_ok=is_built,
        is_fatal=True,
    )


def _check_address(platform: PlatformSettings) -> Finding:
    is_local = any(name in platform.public_url for name in ("127.0.0.1", "localhost", "[::1]"))
    return judge(
        "public address",
        platform.public_url,
        "Providers cannot call this machine there, and secrets need https: VENDRAIL_PUBLIC_URL.",
        is_ok=platform.public_url.startswith("https://") and not is_local,
    )


# The secrets.


def check_secrets(platform: PlatformSettings, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Look at who may read the keys."""
    folder = platform.home / "secrets"
    private = [folder, *folder.glob("*"), platform.home / "acts.jsonl"]
    there = [path for path in private if path.exists()]
    open_to_others = [path for path in there if path.stat().st_mode & 0o077]
    if environment.get("VENDRAIL_MASTER_KEY", "").strip():
        seen = "the master key comes from the environment"
    else:
        seen = f"{len(there)} files in {folder}" if there else "none yet: made at first start"
    yield judge(
        "secrets",
        seen if not open_to_others else f"others may read {open_to_others[0]}",
        f"Run: chmod -R go= {folder}",
        is_ok=not open_to_others,
        is_fatal=True,
    )
    settings = platform.home / "vendrail.toml"
    if settings.exists():
        yield judge(
            "settings file",
            str(settings),
            f"It may hold secrets, and others may read it: chmod 600 {settings}",
            is_ok=not settings.stat().st_mode & 0o077,
        )


# The database.


async def check_database(
    platform: PlatformSettings, environment: Mapping[str, str]
) -> list[Finding]:
    """Look at the server, its safety, its clock, and how far the schemas have come."""
    connection = await connect_once(platform.database_url)
    try:
        findings = [finding async for finding in _look_at_server(connection)]
    finally:
        await connection.close()
    pending = await read_pending(platform.database_url)
    findings.append(
        judge(
            "migrations",
            f"{len(pending)} pending" if pending else "up to date",
            "Run: vendrail migrate",
            is_ok=not pending,
        )
    )
    with_roles = await has_roles(platform.database_url, SCHEMAS)
    findings.append(
        judge(
            "roles",
            "one for each service" if with_roles else "one-role mode: services are not kept apart",
            "Let this user make roles (ALTER ROLE … CREATEROLE), then: vendrail migrate",
            is_ok=with_roles,
        )
    )
    if not pending:
        findings.append(await _check_keys(platform, environment))
    return findings


async def _look_at_server(connection: Any) -> AsyncIterator[Finding]:
    version = connection.get_server_version()  # Of 18.6 the driver calls the 6 `micro`.
    yield judge(
        "PostgreSQL",
        f"{version.major}.{version.micro}",
        f"Vendrail needs PostgreSQL {_VERSION_MIN} or newer.",
        is_ok=version.major >= _VERSION_MIN,
        is_fatal=True,
    )
    for name, advice in (
        ("fsync", "A crash of the machine loses the database: set fsync = on."),
        ("synchronous_commit", "A crash loses what was acknowledged: set synchronous_commit = on."),
        ("full_page_writes", "A crash may tear pages: set full_page_writes = on."),
    ):
        value = await connection.fetchval("select current_setting($1)", name)
        yield judge(name, value, advice, is_ok=value != "off", is_fatal=True)
    most = int(await connection.fetchval("select current_setting('max_connections')"))
    used = await connection.fetchval("select count(*) from pg_stat_activity")
    yield judge(
        "connections",
        f"{used} of {most}",
        "Few are left: raise max_connections, or put a pooler before it (VENDRAIL_IS_POOLED).",
        is_ok=most - used >= _CONNECTIONS_SPARE_MIN,
    )
    theirs = await connection.fetchval("select clock_timestamp()")
    apart_s = abs((datetime.now(UTC) - theirs).total_seconds())
    yield judge(
        "clock",
        f"{apart_s:.2f} s from the database's",
        "Set both by NTP: times decide when orders expire and whether calls are believed.",
        is_ok=apart_s <= _CLOCK_S_MAX,
    )


async def _check_keys(platform: PlatformSettings, environment: Mapping[str, str]) -> Finding:
    is_here = (platform.home / "secrets/master.json").exists()
    if not is_here and not environment.get("VENDRAIL_MASTER_KEY", "").strip():
        count = await count_keys(platform.database_url)
        return judge(
            "vault",
            f"{count} data keys, and no master key" if count else "none yet: made at first start",
            f"Bring {platform.home}/secrets of this database back from its backup.",
            is_ok=not count,
            is_fatal=True,
        )
    try:
        checked = await check_keys(platform.database_url, Vault.open(platform.home, environment))
    except Error as error:
        return Finding("vault", Level.FAIL, "does not open this database", error.message)
    return Finding("vault", Level.OK, f"opens the data keys ({checked} tried)")


# The peers.


async def check_peers(platform: PlatformSettings) -> list[Finding]:
    """Ask each peer whether it is there."""
    try:
        _, _, peers = split_names(platform)
    except Error as error:
        return [Finding("peers", Level.FAIL, ",".join(platform.peers), error.message)]
    findings = []
    async with httpx.AsyncClient(timeout=3.0) as client:
        for name, url in peers.items():
            try:
                answer = await client.get(f"{url.rstrip('/')}/healthz")
                seen, is_ok = f"{url} answers {answer.status_code}", answer.is_success
            except httpx.HTTPError as error:
                seen, is_ok = f"{url}: {type(error).__name__}", False
            advice = f"Start it there, or correct VENDRAIL_PEERS: {name}=URL."
            findings.append(judge(f"peer {name}", seen, advice, is_ok=is_ok, is_fatal=True))
    return findings


def tell_unreachable(error: Error) -> Finding:
    """Make the finding of a database that cannot be asked."""
    return Finding("database", Level.FAIL, "cannot be reached", error.message)
