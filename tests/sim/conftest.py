"""The simulations' fixtures: one forge and one provider a run, one seed for all that is random."""

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # `simkit` is a package of this room.

from simkit.provider import Provider  # noqa: E402  # Known from the line above on.
from simkit.servers import Forge  # noqa: E402
from simkit.world import World  # noqa: E402

IS_WHOLE = os.environ.get("VENDRAIL_SIM") == "whole"
_TO_REPEAT: list[str] = []


@pytest.fixture(scope="session")
def is_whole():
    """Whether this is `make sim`: the long form."""
    return IS_WHOLE


@pytest.fixture(scope="session")
def seed():
    """The seed of this run: VENDRAIL_SIM_SEED, or a new one; shown when a test fails."""
    text = os.environ.get("VENDRAIL_SIM_SEED", "")
    return int(text) if text else random.SystemRandom().randrange(1_000_000)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure prints the seed and the commit that repeat it."""
    report = yield
    if report.failed and "seed" in getattr(item, "funcargs", {}):
        words = ["git", "rev-parse", "--short", "HEAD"]
        shown = subprocess.run(words, check=False, capture_output=True, text=True, cwd=HERE)
        commit = shown.stdout.strip()
        seed = item.funcargs["seed"] + item.funcargs.get("offset", 0)
        picked = f'ARGS="-k {item.originalname}"'
        told = f"make sim SEED={seed} {picked}   at commit {commit or 'unknown'}"
        report.sections.append(("repeat this run", told))
        _TO_REPEAT.append(told)
    return report


def pytest_terminal_summary(terminalreporter):
    """The last lines of a run say it once more: a long log is often kept by its end only."""
    for told in _TO_REPEAT:
        terminalreporter.write_line(told)


@pytest.fixture
def tell(capsys):
    """Say something that is shown whether or not the test passes: how much was proved."""

    def say(*lines):
        with capsys.disabled():
            sys.stdout.write("\n" + "\n".join(lines) + "\n")

    return say


@pytest.fixture(scope="session")
def forge():
    """The process that forks servers."""
    made = Forge()
    yield made
    made.close()


@pytest.fixture(scope="session")
def provider(tmp_path_factory):
    """The sandbox's Alipay."""
    made = Provider(tmp_path_factory.mktemp("provider"))
    yield made
    made.close()


@pytest.fixture
def world(postgres_url, tmp_path, forge, provider):
    """A marketplace; a test seeds it as it needs."""
    made = World(postgres_url, tmp_path / "home", forge, provider)
    made.home.mkdir()
    yield made
    asyncio.run(made.close())
