"""The embedded server's life, DESIGN section 9: every way it can go, on a real server."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendrail.kernel.db import connect_once
from vendrail.kernel.embedded import EmbeddedServer, open_server, program, start
from vendrail.kernel.embedded.folder import DataFolder
from vendrail.kernel.embedded.postmaster import find_leftovers, find_postmaster
from vendrail.kernel.embedded.tuning import GB, MB, Machine, fit, shm_bytes
from vendrail.kernel.errors import Unavailable

SMALL = {"shared_buffers": "16MB", "max_wal_size": "64MB", "min_wal_size": "32MB"}
IS_ROOT = os.geteuid() == 0

Open = Callable[..., EmbeddedServer]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a database in it, stopped."""
    path = tmp_path_factory.mktemp("embedded") / "template"
    open_server(path, settings=SMALL, is_synced=False).close()
    return path


@pytest.fixture
def data_dir(template: Path, tmp_path: Path) -> Path:
    """A copy of the template, this test's own."""
    return Path(shutil.copytree(template, tmp_path / "pg", symlinks=True))


@pytest.fixture
def open_here(data_dir: Path) -> Iterator[Open]:
    """Open servers that are closed after the test, whatever happened."""
    opened: list[EmbeddedServer] = []
    folders = {data_dir}

    def use(path: Path = data_dir, **wanted: object) -> EmbeddedServer:
        folders.add(path)
        opened.append(open_server(path, **{"settings": SMALL, "is_synced": False, **wanted}))
        return opened[-1]

    yield use
    for server in opened:
        server.close()
    for path in folders:
        for process in find_leftovers(path / "cluster"):
            process.kill()


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mount small file systems; they go after the test."""
    mounted: list[Path] = []

    def make(options: str) -> Path:
        path = tmp_path / f"disk{len(mounted)}"
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", path]
        if not IS_ROOT or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("only root may mount a small disk here")
        mounted.append(path)
        return path

    yield make
    for path in mounted:
        subprocess.run(["umount", "-l", path], check=True)


async def ask(dsn: str, sql: str) -> object:
    """Give one value."""
    connection = await connect_once(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def run_script(text: str, *arguments: object, before: tuple[str, ...] = (), **options: object):
    """Run Python lines in a process of its own."""
    command = [*before, sys.executable, "-c", text, *map(str, arguments)]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60, **options
    )


def read_state(data_dir: Path) -> str:
    """Give what the control file says of a stopped cluster."""
    command = [program("pg_controldata"), data_dir / "cluster"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return told.split("Database cluster state:")[1].splitlines()[0].strip()


async def test_first_start_makes_a_durable_database(tmp_path: Path) -> None:
    """The first start makes a database that flushes what it acknowledges, behind a new password."""
    server = await start(tmp_path / "var" / "postgres", settings=SMALL, is_synced=False)
    try:
        connection = await connect_once(server.dsn)
        shown = {
            name: await connection.fetchval(f"show {name}")
            for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums")
        }
        await connection.close()
    finally:
        is_stopped = await server.stop()
    password = server.data_dir / "password"

    assert {"on"} == set(shown.values())
    assert is_stopped
    assert not server.is_running()
    assert 0o600 == stat.S_IMODE(password.stat().st_mode)
    assert 43 == len(password.read_text().strip())


async def test_second_start_finds_what_the_first_left(open_here: Open) -> None:
    """The second start on the same folder finds the data, and the password stays."""
    first = open_here()
    await ask(first.dsn, "create table kept as select 7 as number")
    first.close()
    second = open_here()

    assert first.dsn == second.dsn
    assert first.pid != second.pid
    assert 7 == await ask(second.dsn, "select number from kept")


def test_password_differs_from_folder_to_folder(template: Path, tmp_path: Path) -> None:
    """No two installations share a password."""
    other = open_server(tmp_path / "other", settings=SMALL, is_synced=False)
    other.close()

    assert (template / "password").read_text() != (tmp_path / "other/password").read_text()


async def test_wrong_password_is_refused_even_on_the_socket(open_here: Open) -> None:
    """Without the password nobody gets in, by socket or by TCP."""
    server = open_here(tcp_port=0)
    password = (server.data_dir / "password").read_text().strip()

    for dsn in (server.dsn, server.tcp_dsn):
        assert 1 == await ask(dsn, "select 1")
        with pytest.raises(Unavailable, match="password authentication failed"):
            await ask(dsn.replace(password, "guess"), "select 1")


async def test_last_to_leave_stops_the_server(open_here: Open) -> None:
    """A second user shares the running server, and it stops when the last one leaves."""
    first, second = open_here(), open_here()

    assert first.pid == second.pid
    assert (False, True) == (first.is_adopted, second.is_adopted)
    assert not first.close()
    assert 1 == await ask(second.dsn, "select 1")
    assert second.close()
    assert not second.is_running()
    assert not second.close()


def test_many_starts_at_once_make_one_server(open_here: Open) -> None:
    """Eight starts at the same moment end with one server."""
    with ThreadPoolExecutor(8) as pool:
        servers = list(pool.map(lambda _: open_here(), range(8)))

    assert 1 == len({server.pid for server in servers})
    assert 1 == sum(not server.is_adopted for server in servers)


async def test_orphaned_postmaster_is_adopted(data_dir: Path, open_here: Open) -> None:
    """A server whose starter was killed goes on, is found, used, and stopped by the next one."""
    text = (
        "import os, pathlib, signal, sys\n"
        "from vendrail.kernel.embedded import open_server\n"
        f"server = open_server(pathlib.Path(sys.argv[1]), settings={SMALL!r})\n"
        "print(server.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    result = run_script(text, data_dir)
    server = open_here()

    assert -signal.SIGKILL == result.returncode
    assert int(result.stdout) == server.pid
    assert server.is_adopted
    assert 1 == await ask(server.dsn, "select 1")
    assert server.close()
    assert not server.is_running()


async def test_killed_postmaster_starts_again(open_here: Open) -> None:
    """A postmaster killed in the middle of work starts again with all that was committed."""
    first = open_here()
    await ask(first.dsn, "create table kept as select 7 as number")
    busy = await connect_once(first.dsn)
    os.kill(first.pid, signal.SIGKILL)
    second = open_here()

    assert first.pid != second.pid
    assert not second.is_adopted
    assert 7 == await ask(second.dsn, "select number from kept")
    busy.terminate()


OPENINGS = {
    "blocking": "open_server(Path(sys.argv[1]), is_synced=False)",
    "in a loop": "asyncio.run(start(Path(sys.argv[1]), is_synced=False))",
}


@pytest.mark.parametrize(
    "opening, number",
    [
        ("blocking", signal.SIGINT),
        ("blocking", signal.SIGTERM),
        ("in a loop", signal.SIGINT),
    ],
)
def test_an_interrupted_start_leaves_no_server(
    data_dir: Path, opening: str, number: signal.Signals
) -> None:
    """Whoever is told to end while the server starts stops it again, and ends as it was told."""
    code = f"""
import asyncio, signal, sys
from pathlib import Path
from vendrail.kernel.embedded import open_server, start
signal.signal(signal.SIGINT, signal.default_int_handler)  # Background jobs begin without it.
{OPENINGS[opening]}
print("went on")
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(data_dir)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        while not (data_dir / "cluster/postmaster.pid").exists():
            assert child.poll() is None
            time.sleep(0.005)
        child.send_signal(number)
        told, _ = child.communicate(timeout=60)

    assert b"" == told
    assert child.returncode in (-number, 128 + number)
    assert [] == find_leftovers(data_dir / "cluster")
    assert find_postmaster(data_dir / "cluster") is None


# SIGINT is ignored from the start.
IN_BACKGROUND = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")


@pytest.mark.parametrize("wait_s", [0.0, 0.3])
def test_a_platform_told_to_end_before_it_is_open_leaves_no_server(
    data_dir: Path, wait_s: float
) -> None:
    """SIGTERM ends `vendrail serve` amid its start too, though begun in the background."""
    home = data_dir.parent / "home"
    home.mkdir()
    data_dir = data_dir.rename(home / "postgres")
    with subprocess.Popen(
        [*IN_BACKGROUND, sys.executable, "-m", "vendrail.app", "serve", "--port", "0"],
        env={**os.environ, "VENDRAIL_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as child:
        while not (data_dir / "cluster/postmaster.pid").exists():
            assert child.poll() is None
            time.sleep(0.005)
        time.sleep(wait_s)
        child.send_signal(signal.SIGTERM)
        child.wait(timeout=60)

    assert [] == find_leftovers(data_dir / "cluster")
    assert find_postmaster(data_dir / "cluster") is None


def test_stranger_with_the_old_number_is_no_server(data_dir: Path, open_here: Open) -> None:
    """A pid file left by a power cut is not believed, even if its number is somebody's again."""
    stranger = subprocess.Popen(["sleep", "60"], user=DataFolder(data_dir).account.uid)
    lines = [
        stranger.pid,
        data_dir / "cluster",
        1700000000,
        5432,
        data_dir / "run",
        "",
        "",
        "ready",
    ]
    (data_dir / "cluster/postmaster.pid").write_text("\n".join(map(str, lines)) + "\n")
    try:
        server = open_here()

        assert stranger.pid != server.pid
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_other_major_version_is_refused_untouched(data_dir: Path) -> None:
    """Data of another major version is refused with advice, and not touched."""
    version = data_dir / "cluster/PG_VERSION"
    version.write_text("17\n")
    before = {path: path.stat().st_mtime_ns for path in (data_dir / "cluster").rglob("*")}

    with pytest.raises(Unavailable, match=r"made by PostgreSQL 17.*brings 18.*vendrail backup"):
        open_server(data_dir)
    assert before == {path: path.stat().st_mtime_ns for path in (data_dir / "cluster").rglob("*")}


def test_half_made_cluster_does_not_count(tmp_path: Path, open_here: Open) -> None:
    """What a first start left when it was interrupted is thrown away and made anew."""
    half = tmp_path / "half"
    (half / "cluster.new/base").mkdir(parents=True)
    (half / "cluster.new/PG_VERSION").write_text("18\n")
    server = open_here(half)

    assert server.is_running()
    assert not (half / "cluster.new").exists()


def test_full_disk_is_named_before_the_first_start(make_disk: Callable[..., Path]) -> None:
    """A disk too small for a new database is refused before anything is made."""
    disk = make_disk("size=30m")

    with pytest.raises(Unavailable, match=r"Only \d+ MB are free .* needs 200 MB\. Make room"):
        open_server(disk / "pg")
    assert not (disk / "pg/cluster").exists()


async def test_full_disk_is_named_and_loses_nothing(
    template: Path, make_disk: Callable[..., Path], open_here: Open
) -> None:
    """A disk that ran full is named at start; with room again all that was committed is there."""
    disk = make_disk("size=250m")
    disk.chmod(0o755)
    place = Path(shutil.copytree(template, disk / "pg", symlinks=True))
    first = open_here(place)
    await ask(first.dsn, "create table kept as select 7 as number")
    first.close()
    filler = disk / "filler"
    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], check=False)

    with pytest.raises(Unavailable, match=r"disk is full|on a disk with room"):
        open_here(place)
    filler.unlink()
    assert 7 == await ask(open_here(place).dsn, "select number from kept")


def test_read_only_folder_is_named(tmp_path: Path, make_disk: Callable[..., Path]) -> None:
    """A folder that cannot be written is named, with what to do."""
    place = make_disk("ro") if IS_ROOT else tmp_path
    if not IS_ROOT:
        place.chmod(0o500)

    with pytest.raises(Unavailable, match=r"cannot be written .*Set VENDRAIL_HOME"):
        open_server(place / "pg")


def test_file_in_the_way_is_named(tmp_path: Path) -> None:
    """A file where the folder should be is named."""
    (tmp_path / "pg").write_text("")

    with pytest.raises(Unavailable, match=r"pg is a file; a folder is needed"):
        open_server(tmp_path / "pg")


async def test_socket_path_may_be_of_any_length(
    data_dir: Path, tmp_path: Path, open_here: Open
) -> None:
    """Where the folder's path is too long for a socket, the socket lies elsewhere, and goes."""
    deep = tmp_path / ("long" * 20) / ("path" * 20)
    deep.parent.mkdir()
    data_dir.rename(deep)
    server = open_here(deep)
    elsewhere = server.socket_dir

    assert elsewhere is not None
    assert deep not in elsewhere.parents
    assert 0o700 == stat.S_IMODE(elsewhere.stat().st_mode)
    assert 1 == await ask(server.dsn, "select 1")
    server.close()
    assert not elsewhere.exists()


async def test_path_may_hold_any_character(data_dir: Path, tmp_path: Path, open_here: Open) -> None:
    """Spaces, quotes and Chinese in the path of the folder do no harm."""
    odd = tmp_path / "it's a 卖 $HOME & more"
    data_dir.rename(odd)
    server = open_here(odd)

    assert 1 == await ask(server.dsn, "select 1")


def test_taken_port_is_named(open_here: Open) -> None:
    """A TCP port that another program holds is named."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(Unavailable, match=f"Port {port} on 127.0.0.1 cannot be used"):
            open_here(tcp_port=port)


async def test_lost_password_is_made_anew(data_dir: Path, open_here: Open) -> None:
    """A password file that was lost is replaced at the next start; the data stays."""
    before = (data_dir / "password").read_text()
    (data_dir / "password").unlink()
    server = open_here()

    assert before != (data_dir / "password").read_text()
    assert 1 == await ask(server.dsn, "select 1")


async def test_stop_is_clean_with_connections_open(data_dir: Path, open_here: Open) -> None:
    """Stopping does not wait for idle clients, and leaves nothing to repair."""
    first = open_here()
    idle = await connect_once(first.dsn)
    await idle.execute("create table kept as select generate_series(1, 10000) as number")
    began = time.monotonic()
    is_stopped = await first.stop()
    took_s = time.monotonic() - began
    idle.terminate()
    state = read_state(data_dir)
    second = open_here()

    assert is_stopped
    assert took_s < 10
    assert "shut down" == state
    assert 10000 == await ask(second.dsn, "select count(*) from kept")


@pytest.mark.skipif(not IS_ROOT, reason="only root can become somebody else")
async def test_root_hands_the_server_to_a_lesser_account(open_here: Open) -> None:
    """Started by root, the server runs as another account, without any capability."""
    server = open_here()
    process = psutil.Process(server.pid)
    status = Path(f"/proc/{server.pid}/status").read_text()

    assert 0 not in process.uids()
    assert server.account.uid == process.uids().effective
    assert server.account.capability or "CapEff:\t0000000000000000" in status
    assert {0} == {(server.data_dir / name).stat().st_uid for name in ("password", "server.conf")}


@pytest.mark.skipif(not IS_ROOT, reason="only root can become somebody else")
async def test_root_keeps_its_folders_closed(
    data_dir: Path, tmp_path: Path, open_here: Open
) -> None:
    """In a folder closed to others, as root's home is, it runs too, and the folder stays so."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    data_dir.rename(closed / "pg")
    server = open_here(closed / "pg")

    assert server.account.capability
    assert 1 == await ask(server.dsn, "select 1")
    assert 0o700 == stat.S_IMODE(closed.stat().st_mode)


@pytest.mark.skipif(not IS_ROOT, reason="only root has capabilities to lose")
@pytest.mark.parametrize("taken", ["sys_admin,-dac_read_search", "dac_override"])
def test_root_of_a_container_is_root_enough(data_dir: Path, tmp_path: Path, taken: str) -> None:
    """With a container's capabilities even a closed folder works; with fewer it says so."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    data_dir.rename(closed / "pg")
    text = (
        "import pathlib, sys\n"
        "from vendrail.kernel.embedded import open_server\n"
        f"server = open_server(pathlib.Path(sys.argv[1]), settings={SMALL!r})\n"
        "print(server.account.capability, server.close())\n"
    )
    before = ("setpriv", f"--bounding-set=-{taken}", "--inh-caps=-all")
    result = run_script(text, closed / "pg", before=before)

    if taken == "dac_override":
        assert "CAP_DAC_OVERRIDE was taken away" in result.stderr
    else:
        assert "dac_override True\n" == result.stdout


@pytest.mark.skipif(not IS_ROOT, reason="only root can give files away")
def test_data_of_another_user_is_refused(data_dir: Path) -> None:
    """An ordinary user is told whose the data is, and what to do."""
    for path in (data_dir, *data_dir.rglob("*")):
        os.chown(path, 65534, 65534)
    os.chown(data_dir / "cluster", 12345, 12345)
    for folder in data_dir.parents[:4]:  # One more where several processes test.
        folder.chmod(folder.stat().st_mode | 0o011)
    text = (
        "import os, pathlib, sys\n"
        "from vendrail.kernel.embedded.privileges import choose_account\n"
        "place = pathlib.Path(sys.argv[1])\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "choose_account(place, place / 'cluster', pathlib.Path('/bin/true'))\n"
    )
    result = run_script(text, data_dir)

    assert "belongs to user 12345, and this is user 65534" in result.stderr


@pytest.mark.skipif(not IS_ROOT, reason="only root may mount a small /dev/shm")
def test_small_shared_memory_is_enough(data_dir: Path) -> None:
    """With 1 MB of /dev/shm, as in some containers, a parallel query still runs."""
    text = (
        "import asyncio, pathlib, subprocess, sys\n"
        "from vendrail.kernel.db import connect_once\n"
        "from vendrail.kernel.embedded import open_server\n"
        "mount = ['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', '/dev/shm']\n"
        "subprocess.run(mount, check=True)\n"
        f"server = open_server(pathlib.Path(sys.argv[1]), settings={SMALL!r})\n"
        "async def main():\n"
        "    c = await connect_once(server.dsn, parallel_setup_cost='0', parallel_tuple_cost='0',\n"
        "        min_parallel_table_scan_size='0', work_mem='64MB', hash_mem_multiplier='4')\n"
        "    await c.execute('create table t as select n, n::text as m'\n"
        "        ' from generate_series(1, 200000) n; analyze t')\n"
        "    sql = 'select count(*) from t a join t b using (n)'\n"
        "    plan = await c.fetch('explain (analyze) ' + sql)\n"
        "    print(await c.fetchval('show dynamic_shared_memory_type'), await c.fetchval(sql),\n"
        "        any('Workers Launched' in row[0] for row in plan))\n"
        "    await c.close()\n"
        "try:\n"
        "    asyncio.run(main())\n"
        "finally:\n"
        "    server.close()\n"
    )
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine refuses a mount namespace")
    result = run_script(text, data_dir, before=("unshare", "-m"))

    assert ("mmap 200000 True\n", "") == (result.stdout, result.stderr)


def test_small_shared_memory_is_seen(tmp_path: Path) -> None:
    """Shared memory under 256 MB, or none at all, turns PostgreSQL to files of its own."""
    roomy = Machine(4 * GB, 40 * GB, GB, has_lz4=True)
    tight = Machine(4 * GB, 40 * GB, 64 * MB, has_lz4=False)

    assert 0 == shm_bytes(tmp_path / "missing")
    assert ("posix", "lz4") == (
        fit(roomy)["dynamic_shared_memory_type"],
        fit(roomy)["wal_compression"],
    )
    assert ("mmap", "off") == (
        fit(tight)["dynamic_shared_memory_type"],
        fit(tight)["wal_compression"],
    )


@given(st.integers(256, 1024 * 1024), st.integers(0, 10_000_000))
def test_fitted_settings_stay_within_the_machine(memory_mb: int, disk_mb: int) -> None:
    """Whatever the machine, memory is not overdrawn and durability is never traded away."""
    settings = fit(Machine(memory_mb * MB, disk_mb * MB, 0, has_lz4=False))
    buffers_mb, wal_mb, wal_mb_min = (
        int(settings[name].removesuffix("MB"))
        for name in ("shared_buffers", "max_wal_size", "min_wal_size")
    )

    assert {"on"} == {settings[n] for n in ("fsync", "synchronous_commit", "full_page_writes")}
    assert 64 <= buffers_mb <= max(64, memory_mb // 4)
    assert wal_mb <= max(256, disk_mb // 4)
    assert wal_mb_min <= wal_mb


async def test_parameters_never_reach_the_log(data_dir: Path, open_here: Open) -> None:
    """A statement that fails or is slow leaves no parameter value in the server's log."""
    server = open_here(settings={**SMALL, "log_min_duration_statement": "0"})
    connection = await connect_once(server.dsn)
    await connection.execute("create table single (word text primary key)")
    await connection.execute("insert into single values ($1)", "the-secret-key")
    with pytest.raises(Exception, match="duplicate key"):
        await connection.execute("insert into single values ($1)", "the-secret-key")
    await connection.close()
    server.close()
    told = "".join(path.read_text() for path in (data_dir / "log").glob("*.log"))

    assert "duplicate key" in told
    assert "the-secret-key" not in told
