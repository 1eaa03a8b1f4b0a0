"""The PostgreSQL processes on a data folder, as found: running, orphaned, or only a file."""

from dataclasses import dataclass
from pathlib import Path

import psutil

_LINES_MIN = 6  # pid, data folder, start time, port, socket folder, address; later: memory, state.


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A running server, as its postmaster.pid tells."""

    pid: int
    port: int
    socket_dir: Path | None
    address: str
    state: str

    @property
    def is_ready(self) -> bool:
        """Whether it takes connections."""
        return self.state == "ready"


def _is_server_of(process: psutil.Process, cluster: Path) -> bool:
    """Whether this process is a living postgres that works in this folder."""
    try:
        if process.name() != "postgres" or process.status() == psutil.STATUS_ZOMBIE:
            return False
        return Path(process.cwd()).resolve() == cluster.resolve()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True  # A postgres whose folder we may not see: believe the file that named it.


def find_postmaster(cluster: Path) -> Postmaster | None:
    """Give the server that runs on this folder; its file alone is not believed."""
    lines = _pid_lines(cluster)
    if len(lines) < _LINES_MIN:
        return None
    try:
        pid, port = int(lines[0]), int(lines[3])
        process = psutil.Process(pid)
    except (ValueError, psutil.NoSuchProcess):
        return None
    if not _is_server_of(process, cluster):
        return None
    return Postmaster(
        pid=pid,
        port=port,
        socket_dir=Path(lines[4]) if lines[4] else None,
        address=lines[5],
        state=lines[7] if len(lines) > _LINES_MIN + 1 else "starting",
    )


def _pid_lines(cluster: Path) -> list[str]:
    try:
        return [line.strip() for line in (cluster / "postmaster.pid").read_text().splitlines()]
    except FileNotFoundError:
        return []


def find_leftovers(cluster: Path) -> list[psutil.Process]:
    """Give the postgres processes that still work in this folder, their parent dead or not."""
    return [
        process
        for process in psutil.process_iter(["name"])
        if process.info["name"] == "postgres" and _is_server_of_surely(process, cluster)
    ]


def _is_server_of_surely(process: psutil.Process, cluster: Path) -> bool:
    try:
        return Path(process.cwd()).resolve() == cluster.resolve()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def clear_leftovers(cluster: Path, run_dir: Path, patience_s: float = 5.0) -> None:
    """Make way after a crash: wait for backends whose postmaster died, then end those that stay.

    Files that name a process go too, if its number is a stranger's by now, or a dead one's that
    nobody has collected (as in a container without an init): PostgreSQL would believe them.
    """
    if not (cluster / "postmaster.pid").exists():
        return
    leftovers = find_leftovers(cluster)
    _, stubborn = psutil.wait_procs(leftovers, timeout=patience_s)
    for process in stubborn:
        process.kill()
    psutil.wait_procs(stubborn, timeout=patience_s)
    for path in run_dir.glob(".s.PGSQL.*"):
        path.unlink()
    lines = _pid_lines(cluster)
    if lines and lines[0].isdigit() and psutil.pid_exists(int(lines[0])):
        (cluster / "postmaster.pid").unlink()


_ADVICE = {
    "No space left on device": "The disk is full. Make room (df -h {data_dir}), then start again;"
    " nothing acknowledged is lost.",
    "Read-only file system": "The folder is on a read-only file system. Mount it writable, or set"
    " VENDRAIL_HOME to a folder that you may write to.",
    "Address already in use": "The port is taken by another program. Choose another, or end that"
    " program.",
    "could not resize shared memory segment": "Shared memory (/dev/shm) is too small. In Docker,"
    " start the container with --shm-size=256m.",
    "could not create shared memory segment": "The machine refuses shared memory. Look at"
    " `sysctl kernel.shmmax kernel.shmall`.",
    "could not map anonymous shared memory": "There is not enough memory. Free some, or set a"
    " smaller shared_buffers in {data_dir}/cluster/postgresql.auto.conf.",
    "incompatible with server": "The data was made by another version of PostgreSQL.",
    "Permission denied": "The server may not use its own folder. Give {data_dir}/cluster back to"
    " its owner (chown -R), and see that the folders above can be entered.",
}


def advise(told: str, data_dir: Path) -> str:
    """Turn what PostgreSQL wrote before it gave up into one sentence on what to do."""
    for sign, advice in _ADVICE.items():
        if sign in told:
            return advice.format(data_dir=data_dir)
    return f"What PostgreSQL said is below; the whole log is in {data_dir}/log."
