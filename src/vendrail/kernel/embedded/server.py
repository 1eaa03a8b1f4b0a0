"""The life of the embedded server: start or find it, use it, leave it."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import FrameType
from typing import IO
from urllib.parse import quote

from vendrail.kernel.embedded.cluster import OWNER, check_version, make_cluster, renew_password
from vendrail.kernel.embedded.folder import DataFolder, clean_environment, program
from vendrail.kernel.embedded.postmaster import Postmaster, clear_leftovers, find_postmaster
from vendrail.kernel.embedded.tuning import fit, measure_machine
from vendrail.kernel.errors import Unavailable

SOCKET_PATH_BYTES_MAX = 107
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class EmbeddedServer:
    """A running server that we use, and stop if we are the last to leave."""

    def __init__(
        self, folder: DataFolder, found: Postmaster, users: IO[bytes], *, is_ours: bool
    ) -> None:
        self.data_dir = folder.path
        self.pid = found.pid
        self.port = found.port
        self.socket_dir = found.socket_dir
        self.is_adopted = not is_ours
        self.account = folder.account
        self._address = found.address
        self._folder = folder
        self._users: IO[bytes] | None = users

    @property
    def _password(self) -> str:
        return self._folder.password_file.read_text().strip()

    @property
    def dsn(self) -> str:
        """The address of the database, password included, over the socket where there is one."""
        if self.socket_dir is None:
            return self.tcp_dsn
        host = quote(str(self.socket_dir), safe="/")
        return f"postgresql://{OWNER}:{self._password}@/{OWNER}?host={host}&port={self.port}"

    @property
    def tcp_dsn(self) -> str:
        """The same over TCP on this machine, if the server was started with a port."""
        if not self._address:
            raise Unavailable("The server was started without a TCP port; give start() one.")
        return f"postgresql://{OWNER}:{self._password}@{self._address}:{self.port}/{OWNER}"

    @property
    def environment(self) -> dict[str, str]:
        """What PostgreSQL's own programs need to connect, so that no password is in `ps`."""
        return {
            **clean_environment(),
            "PGHOST": str(self.socket_dir or self._address),
            "PGPORT": str(self.port),
            "PGUSER": OWNER,
            "PGPASSWORD": self._password,
            "PGDATABASE": OWNER,
        }

    def is_running(self) -> bool:
        """Whether the server is still there."""
        found = find_postmaster(self._folder.cluster)
        return found is not None and found.pid == self.pid

    def close(self, timeout_s: float = 60.0) -> bool:
        """Leave; stop the server if nobody else uses it (then True): checkpoint, fast shutdown."""
        if self._users is None:
            return False
        users, self._users = self._users, None
        with users, self._folder.one_at_a_time(timeout_s):
            if not self._folder.is_last(users) or not self.is_running():
                return False
            self._stop(timeout_s)
        return True

    def _stop(self, timeout_s: float) -> None:
        # The bulk of the writing happens while connections are still served, so that the
        # checkpoint of the shutdown itself is short.
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [program("psql"), "-Xqc", "checkpoint"],
                env=self.environment,
                timeout=timeout_s,
                capture_output=True,
                check=False,
            )
        for mode in ("fast", "immediate"):
            words = ("-w", "-t", str(int(timeout_s)), "-m", mode, "stop")
            if self._folder.run("pg_ctl", "-D", self._folder.cluster, *words).returncode == 0:
                break
        if self.socket_dir is not None and self.socket_dir != self._folder.run_dir:
            shutil.rmtree(self.socket_dir, ignore_errors=True)

    async def stop(self, timeout_s: float = 60.0) -> bool:
        """Leave, as `close` does, without blocking the loop; the caller has drained its work."""
        return await asyncio.to_thread(self.close, timeout_s)


@cache
def _has_lz4() -> bool:
    told = subprocess.run(
        [program("pg_config"), "--configure"], capture_output=True, text=True, check=True
    )
    return "--with-lz4" in told.stdout


def _choose_socket_dir(folder: DataFolder, port: int) -> Path:
    """Give the folder of the socket: ours, unless its path is too long for a socket's address."""
    name = f".s.PGSQL.{port}"
    if len(os.fsencode(folder.run_dir / name)) <= SOCKET_PATH_BYTES_MAX:
        return folder.run_dir
    short = Path(tempfile.mkdtemp(prefix="vendrail-", dir="/tmp"))
    os.chown(short, folder.account.uid, folder.account.gid)
    return short


def _free_port(wanted: int) -> int:
    """Give the wanted TCP port (any, if 0), having seen that nobody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise Unavailable(
                f"Port {wanted} on 127.0.0.1 cannot be used ({error.strerror})."
                " Choose another, or end the program that has it."
            ) from error
        port: int = probe.getsockname()[1]
    return port


def _write_settings(folder: DataFolder, every: Mapping[str, str]) -> None:
    lines = ["# Written at each start. To change a setting for good: ALTER SYSTEM SET …"]
    lines += ["{} = '{}'".format(name, value.replace("'", "''")) for name, value in every.items()]
    folder.settings_file.write_text("\n".join(lines) + "\n")
    folder.settings_file.chmod(0o644)  # The server's account reads it; it holds no secret.


def _launch(folder: DataFolder, timeout_s: float) -> Postmaster:
    """Start the server and wait until it takes connections."""
    (folder.log_dir / "start.log").unlink(missing_ok=True)
    began = time.time() - 1.0
    result = folder.run(
        "pg_ctl",
        # Relative to the data folder: pg_ctl pastes them into a shell without quoting.
        *("-D", folder.cluster.name, "-l", f"{folder.log_dir.name}/start.log"),
        *("-o", f"-c config_file={folder.settings_file.name}"),
        *("-w", "-t", str(int(timeout_s)), "start"),
    )
    found = find_postmaster(folder.cluster)
    if found is not None and result.returncode == 0:
        return found
    if found is not None:
        raise Unavailable(
            f"The server is still repairing its data after {timeout_s:.0f} s; it goes on by itself."
            f" Wait a little and start again. Its log: {folder.log_dir}"
        )
    told = folder.log_tail(since_s=began) or result.stdout
    raise folder.fail("The embedded PostgreSQL did not start", told)


def _answers(found: Postmaster) -> bool:
    """Whether the server takes connections; one that was just killed may still be listed."""
    host = str(found.socket_dir or found.address)
    words = ["-q", "-t", "5", "-h", host, "-p", str(found.port)]
    command: list[str | Path] = [program("pg_isready"), *words]
    return not subprocess.run(command, check=False, env=clean_environment()).returncode


def _await_settled(folder: DataFolder, timeout_s: float) -> Postmaster | None:
    """Give the running server once it is ready, or None once it is gone."""
    due = time.monotonic() + timeout_s
    while (found := find_postmaster(folder.cluster)) is not None:
        if found.is_ready and _answers(found):
            return found
        if time.monotonic() > due:
            raise Unavailable(
                f"The server in {folder.path} (process {found.pid}) does not answer; it has been"
                f" {found.state} for {timeout_s:.0f} s. Look at {folder.log_dir}, or wait and start"
                " again."
            )
        time.sleep(0.05)
    return None


def _start(
    folder: DataFolder, settings: Mapping[str, str], tcp_port: int | None, timeout_s: float
) -> Postmaster:
    clear_leftovers(folder.cluster, folder.run_dir)
    if not folder.password_file.exists():
        renew_password(folder)
    port = 5432 if tcp_port is None else _free_port(tcp_port)
    socket_dir = _choose_socket_dir(folder, port)
    place = {
        "data_directory": str(folder.cluster),
        "hba_file": str(folder.cluster / "pg_hba.conf"),
        "ident_file": str(folder.cluster / "pg_ident.conf"),
        "listen_addresses": "" if tcp_port is None else "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(socket_dir),
        "unix_socket_permissions": "0700",
        "log_directory": str(folder.log_dir),
    }
    machine = measure_machine(folder.path, has_lz4=_has_lz4())
    try:
        _write_settings(folder, {**fit(machine), **place, **settings})
    except OSError as error:
        raise folder.fail("The server's settings could not be written", str(error)) from error
    try:
        return _launch(folder, timeout_s)
    except Unavailable:
        if socket_dir != folder.run_dir and find_postmaster(folder.cluster) is None:
            shutil.rmtree(socket_dir, ignore_errors=True)
        raise


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Let what would end this process wait until the work inside is whole.

    A server half started would otherwise run on with nobody who knows of it. What came meanwhile
    is then done as if it came at the end; a signal that kills without a word raises SystemExit.
    """
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    before = {}
    if threading.current_thread() is threading.main_thread():  # Only there do signals arrive.
        handlers = {number: signal.getsignal(number) for number in _INTERRUPTS}
        before = {n: each for n, each in handlers.items() if each not in (None, signal.SIG_IGN)}
    for number in before:
        signal.signal(number, note)
    try:
        yield
    finally:
        for held, handler in before.items():
            signal.signal(held, handler)
        for first in came[:1]:
            if before[signal.Signals(first)] is signal.SIG_DFL:
                raise SystemExit(128 + first)
            signal.raise_signal(first)


def open_server(
    data_dir: Path,
    *,
    settings: Mapping[str, str] | None = None,
    tcp_port: int | None = None,
    is_synced: bool = True,
    timeout_s: float = 120.0,
) -> EmbeddedServer:
    """Use the server of this folder, starting (and first making) it if need be.

    Args:
        data_dir: The folder that is, or becomes, ours alone.
        settings: PostgreSQL settings that go before the fitted ones.
        tcp_port: Listen on 127.0.0.1 too (0: any free port); else on the socket only.
        is_synced: False makes a new cluster without waiting for the disk: for tests.
        timeout_s: How long starting may take, repairs after a crash included.

    Raises:
        Unavailable: It cannot be; the message says why and what to do.
    """
    folder = DataFolder(data_dir)
    server = None
    try:
        with folder.one_at_a_time(timeout_s):
            users = folder.use()
            try:
                if not folder.cluster.exists():
                    with interrupts_held():
                        make_cluster(folder, is_synced=is_synced)
                check_version(folder)
                found = _await_settled(folder, timeout_s)
                if found is None:
                    with interrupts_held():
                        found = _start(folder, settings or {}, tcp_port, timeout_s)
                        server = EmbeddedServer(folder, found, users, is_ours=True)
                elif folder.password_file.exists():
                    server = EmbeddedServer(folder, found, users, is_ours=False)
                else:
                    raise Unavailable(
                        f"The server in {folder.path} runs (process {found.pid}), but its password"
                        f" is gone. End it (kill -INT {found.pid}) and start again: a new one is"
                        " made."
                    )
            except BaseException:
                if server is None:
                    users.close()
                raise
    except BaseException:
        if server is not None:  # Whoever interrupted us never gets it, and so could not stop it.
            server.close()
        raise
    return server


async def start(
    data_dir: Path,
    *,
    settings: Mapping[str, str] | None = None,
    tcp_port: int | None = None,
    is_synced: bool = True,
    timeout_s: float = 120.0,
) -> EmbeddedServer:
    """Use the server of this folder, as `open_server` does, without blocking the loop."""
    opening = asyncio.ensure_future(
        asyncio.to_thread(
            open_server,
            data_dir,
            settings=settings,
            tcp_port=tcp_port,
            is_synced=is_synced,
            timeout_s=timeout_s,
        )
    )
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        with contextlib.suppress(Unavailable):  # The thread goes on: what it opened is left again.
            await (await opening).stop()
        raise
