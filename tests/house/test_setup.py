"""`make setup` on machines where something is missing: one clear message that says what to do."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("awk", "bash", "cat", "cut", "dirname", "env", "flock", "grep", "mkdir", "rm", "sed")
TOOLS_MORE = ("sh", "sha256sum", "sleep", "touch", "uname")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """As much of a clone as setting up needs."""
    path = tmp_path / "clone"
    (path / "scripts").mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt", "scripts/setup"):
        shutil.copy(ROOT / name, path / name)
    return path


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A PATH of the plainest tools: no Python, no compiler."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in (*TOOLS, *TOOLS_MORE):
        (folder / name).symlink_to(shutil.which(name) or f"/usr/bin/{name}")
    return folder


@pytest.fixture
def read_only(clone: Path) -> Iterator[Callable[[], None]]:
    """Make the clone read-only; for root that takes a mount."""
    mounted: list[Path] = []

    def close() -> None:
        if os.geteuid() != 0:
            clone.chmod(0o500)
            return
        for command in (["--bind", clone, clone], ["-o", "remount,ro,bind", clone]):
            if subprocess.run(["mount", *command], check=False, capture_output=True).returncode:
                pytest.skip("this machine refuses mounts")
            mounted.append(clone)

    yield close
    clone.chmod(0o700) if os.geteuid() else None
    if mounted:
        subprocess.run(["umount", "-l", clone], check=True)


def run_setup(clone: Path, path: Path, python: str, **variables: str):
    """Run scripts/setup with this PATH, never reaching a network."""
    return subprocess.run(
        [path / "bash", clone / "scripts/setup"],
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
        env={
            "PATH": str(path),
            "HOME": str(clone),
            "PYTHON": python,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            **variables,
        },
    )


def write_program(path: Path, text: str) -> None:
    """Put a program into a PATH."""
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)


def test_missing_or_old_python_is_named(clone: Path, bare_path: Path) -> None:
    """Without Python 3.11 it says which there is, and how to get one."""
    write_program(
        bare_path / "python3", 'case $1 in --version) echo "Python 3.9.2";; *) exit 1; esac'
    )
    result = run_setup(clone, bare_path, "python3")

    assert 1 == result.returncode
    assert "no Python 3.11 or newer was found (python3 is Python 3.9.2)" in result.stderr
    assert "apt-get install python3 python3-venv" in result.stderr
    assert not (clone / ".venv").exists()


def test_a_shared_venv_is_left_alone(clone: Path, bare_path: Path, tmp_path: Path) -> None:
    """Where .venv is a link, what it leads to belongs to another clone: said, and not touched."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "kept").write_text("theirs")
    (clone / ".venv").symlink_to(other)

    result = run_setup(clone, bare_path, sys.executable)

    assert 0 != result.returncode
    assert ".venv is a link" in result.stderr
    assert ["kept"] == [each.name for each in other.iterdir()]


def test_missing_venv_package_is_named(clone: Path, bare_path: Path) -> None:
    """Where Debian has left out python3-venv, it says so before it makes anything."""
    write_program(
        bare_path / "python3",
        f'case "$2" in *ensurepip*) exit 1;; *sys.executable*) echo {bare_path}/python3;; '
        f'*) exec {sys.executable} "$@";; esac',
    )
    result = run_setup(clone, bare_path, "python3")

    assert 1 == result.returncode
    assert "cannot make virtual environments" in result.stderr
    assert "apt-get install python3-venv" in result.stderr
    assert not (clone / ".venv").exists()


def test_missing_compiler_is_named(clone: Path, bare_path: Path) -> None:
    """When installing fails and there is no compiler, it says that one may be needed."""
    result = run_setup(clone, bare_path, sys.executable)

    assert 1 == result.returncode
    assert "there is no C compiler" in result.stderr
    assert "apt-get install build-essential" in result.stderr
    assert not (clone / ".venv/.ready").exists()


def test_read_only_folder_is_named(
    clone: Path, bare_path: Path, read_only: Callable[[], None]
) -> None:
    """In a read-only folder it says so, and does nothing."""
    read_only()
    result = run_setup(clone, bare_path, sys.executable)

    assert 1 == result.returncode
    assert "this folder is read-only" in result.stderr
