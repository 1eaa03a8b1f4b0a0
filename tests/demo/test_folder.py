"""Whose the folder is: what --fresh may remove, and what is said where it cannot be written."""

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.demo.conftest import REFUSED, RunningDemo

from vendrail.app.demo.folder import Folder
from vendrail.app.demo.running import check_assets, choose_address
from vendrail.kernel.codec import replace
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.embedded import open_server
from vendrail.kernel.embedded.folder import DataFolder
from vendrail.kernel.embedded.postmaster import find_postmaster
from vendrail.kernel.errors import Malformed, Unavailable

OpenDemo = Callable[..., RunningDemo]


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount small file systems; they go after the test."""
    mounted: list[Path] = []

    def make(options: str) -> Path:
        path = tmp_path / f"disk{len(mounted)}"
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", path]
        if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("only root may mount a small disk here")
        mounted.append(path)
        return path

    yield make
    for path in mounted:
        subprocess.run(["umount", "-l", path], check=True)


def names(folder: Path) -> list[str]:
    """List what lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def make_home(home: Path, *parts: str) -> Folder:
    """Make a folder with some parts in it."""
    home.mkdir()
    for name in parts:
        (home / name).mkdir()
        (home / name / "file").write_text(name)
    return Folder(home)


def test_fresh_removes_what_the_demo_made_and_nothing_else(tmp_path: Path) -> None:
    """What lay in the folder before the demo came, and what others put there since, stays."""
    folder = make_home(tmp_path / "home", "media")
    (folder.home / "vendrail.toml").write_text("log_level = 'debug'\n")
    folder.mark()
    for name in ("postgres", "secrets", "sandbox", "bench"):
        (folder.home / name).mkdir()
        (folder.home / name / "file").write_text(name)
    folder.clear()

    assert ["bench", "media", "vendrail.toml"] == names(folder.home)
    assert "media" == (folder.home / "media/file").read_text()


def test_fresh_leaves_data_that_the_demo_did_not_make(tmp_path: Path) -> None:
    """A database that was there before the demo is refused, untouched, marked or not."""
    folder = make_home(tmp_path / "home", "postgres", "secrets")
    with pytest.raises(Malformed, match="did not make the data"):
        folder.clear()
    folder.mark()
    with pytest.raises(Malformed, match="did not make the data"):
        folder.clear()

    assert "postgres" == (folder.home / "postgres/file").read_text()
    assert "secrets" == (folder.home / "secrets/file").read_text()


def test_fresh_on_nothing_is_fine(tmp_path: Path) -> None:
    """Beginning again where nothing was begun does nothing."""
    folder = make_home(tmp_path / "home")
    folder.clear()

    assert [] == names(folder.home)


def test_folder_of_others_is_refused(tmp_path: Path, open_demo: OpenDemo) -> None:
    """A folder with other things in it and nothing of Vendrail is refused, --fresh or not."""
    home = tmp_path / "letters"
    home.mkdir()
    (home / "letter.txt").write_text("Dear friend")
    demos = [open_demo(home), open_demo(home, "--fresh")]

    assert [2, 2] == [demo.wait_ended() for demo in demos]
    assert all("letter.txt, …) and is no Vendrail home" in demo.told for demo in demos)
    assert ["letter.txt"] == names(home)


def test_fresh_ends_an_orphaned_server_first(used_home: Path, open_demo: OpenDemo) -> None:
    """Beginning again over a killed demo whose PostgreSQL still runs stops that server first."""
    demo = open_demo(used_home)
    demo.wait_open()
    demo.kill(spare="postgres")
    server = find_postmaster(used_home / "postgres/cluster")
    folder = Folder(used_home)
    folder.clear()

    assert server is not None
    assert [] == demo.parts()
    assert {"demo.lock"} == set(names(used_home))


def test_fresh_waits_for_what_was_just_killed(used_home: Path) -> None:
    """A database whose last user gives it up within moments, as the dead do, is cleared."""
    data = used_home / "postgres"
    server = open_server(data)
    held = DataFolder(data).use()
    assert not server.close()
    dying = threading.Timer(1.0, held.close)
    dying.start()
    Folder(used_home).clear()
    dying.join()

    assert {"demo.lock"} == set(names(used_home))
    assert not server.is_running()


def test_fresh_leaves_a_database_in_use(used_home: Path) -> None:
    """A database that another program keeps using is refused, and the program goes on."""
    other = open_server(used_home / "postgres")
    try:
        with pytest.raises(Unavailable, match="Another Vendrail program"):
            Folder(used_home).clear()
        assert other.is_running()
    finally:
        other.close()


def test_the_address_is_a_running_demos_alone(tmp_path: Path) -> None:
    """Commands are told where the demo on a folder is open; one that has ended is nowhere."""
    folder = Folder(tmp_path)
    before = folder.address()
    with folder.locked() as told:
        told.write("http://127.0.0.1:8080, process 1\n")
        told.flush()
        during = folder.address()

    assert ("", "http://127.0.0.1:8080", "") == (before, during, folder.address())


def test_read_only_folder_is_named(tmp_path: Path, open_demo: OpenDemo) -> None:
    """A folder that cannot be made or written is named, with what to do."""
    demo = open_demo(Path("/proc/vendrail"), log=tmp_path)

    assert REFUSED == demo.wait_ended()
    assert "/proc/vendrail" in demo.told
    assert "--home FOLDER" in demo.told


def test_read_only_disk_is_named(make_disk: Callable[[str], Path]) -> None:
    """A disk mounted read-only is named before anything is started."""
    folder = Folder(make_disk("ro") / "home")

    with pytest.raises(OSError, match="Read-only"), folder.locked():
        pass


def test_full_disk_is_named(
    make_disk: Callable[[str], Path], tmp_path: Path, open_demo: OpenDemo
) -> None:
    """A disk too small for the database is named, and the sandbox does not stay behind."""
    disk = make_disk("size=30m")
    demo = open_demo(disk / "home", log=tmp_path)

    assert REFUSED == demo.wait_ended()
    assert "MB are free" in demo.told
    assert "Make room" in demo.told
    assert [] == demo.parts()


def test_filled_disk_is_named(
    make_disk: Callable[[str], Path], used_home: Path, tmp_path: Path, open_demo: OpenDemo
) -> None:
    """A disk that ran full between two starts is named; with room again the demo opens."""
    disk = make_disk("size=600m")
    home = Path(shutil.copytree(used_home, disk / "home", symlinks=True))
    subprocess.run(["dd", "if=/dev/zero", f"of={disk}/filler", "bs=64k"], check=False)
    demo = open_demo(home, log=tmp_path)
    code = demo.wait_ended()
    (disk / "filler").unlink()
    again = open_demo(home, log=tmp_path)

    assert REFUSED == code, demo.told
    assert "disk" in demo.told
    assert again.wait_open()
    again.stop()


def test_missing_assets_are_named(tmp_path: Path) -> None:
    """Without the built style sheet the demo says how to build it."""
    with pytest.raises(Unavailable, match="make assets"):
        check_assets(tmp_path / "manifest.json")


@pytest.mark.parametrize(
    "host,public_url,expected",
    [
        ("127.0.0.1", "", "http://127.0.0.1:{port}"),
        ("0.0.0.0", "", "http://127.0.0.1:{port}"),
        ("::1", "", "http://[::1]:{port}"),
        ("127.0.0.1", "https://shop.example", "https://shop.example"),
    ],
)
def test_address_follows_host_and_port(host: str, public_url: str, expected: str) -> None:
    """Buyers are sent where the site listens, unless a public address is set."""
    platform = PlatformSettings(host=host, port=0)
    if public_url:
        platform = replace(platform, public_url=public_url)
    chosen = choose_address(platform)

    assert chosen.port
    assert expected.format(port=chosen.port) == chosen.public_url
