"""A way to be paid is a file or two, its emulation, its tests and its rows in the registry."""

import re
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORDS = {
    "epay": rb"(?<![a-z])epay|\xe6\x98\x93\xe6\x94\xaf\xe4\xbb\x98",
    "epusdt": rb"epusdt|gmpay",
    "stripe": rb"stripe",
}

# Card sites that come to us speak Epay too: a service with doors, which knows nothing of channels,
# and the lists that name every service.
DOORS = re.compile(
    r"vendrail/(api|kernel)/epay\.py|vendrail/epay/|web/epay/|web/merchant/epay\.py"
    r"|web/templates/(merchant/)?epay(_\w+)?\.html|app/commands/epay_keys\.py"
)
LISTS = re.compile(
    r"app/(__main__|faces|restore|services|wiring)\.py|kernel/telemetry/metrics\.py"
    r"|web/(app|calls|consoles|console/apis)\.py|web/locale/\w+/LC_MESSAGES/messages\.po"
)


def _files_of(kind: str) -> re.Pattern[str]:
    """Match the files that are a channel's own."""
    own = rf"{kind}2?(_\w+)?"  # Epay's two versions call each other by name.
    return re.compile(
        rf"payments/channels/{own}\.(py|toml)|sandbox/{own}\.py|sandbox/templates/{own}\.html"
        rf"|sandbox/assets/{own}\.(js|css)|web/assets/{own}\.js"
    )


@pytest.mark.parametrize("kind", WORDS)
def test_a_channel_touches_nothing_else(kind: str) -> None:
    """No other file of the product mentions it: what one channel needs, every channel has."""
    word = re.compile(WORDS[kind], re.IGNORECASE)
    others = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "src").rglob("*"))
        if path.is_file()
        and path.suffix in {".py", ".html", ".sql", ".po", ".css", ".js", ".ts", ".toml"}
        and "dist" not in path.parts
        and not any(each.search(path.as_posix()) for each in (_files_of(kind), DOORS, LISTS))
        and word.search(path.read_bytes())
    ]

    assert [] == others


def test_the_doors_of_a_protocol_know_no_channel_of_it() -> None:
    """What serves Epay to others shares the kernel with what pays by it, and nothing else."""
    knowing = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "src").rglob("*.py"))
        if any(each.search(path.as_posix()) for each in (DOORS, LISTS))
        and re.search(rb"payments[./]channels|epay_messages|EpayChannel", path.read_bytes())
    ]

    assert [] == knowing


def test_what_is_installed_is_what_the_project_registers() -> None:
    """Channels and emulations are found where the project file says: `make setup` is not stale."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    for group in ("vendrail.channels", "vendrail.sandbox"):
        installed = {point.name: point.value for point in entry_points(group=group)}
        assert project["entry-points"][group].items() <= installed.items()
