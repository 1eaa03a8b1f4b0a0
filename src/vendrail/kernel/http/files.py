"""Files that are given out: found below their folder alone, and named so that no header breaks."""

from pathlib import Path
from urllib.parse import quote


def find_below(root: Path, path: str) -> Path | None:
    """Find a file below a folder; links and dots that lead out of it find nothing."""
    try:
        home = root.resolve()
        found = (home / path.lstrip("/")).resolve()
        is_ours = found.is_relative_to(home) and found.is_file()
    except (OSError, ValueError):
        return None
    return found if is_ours else None


def as_attachment(name: str) -> str:
    """Write the Content-Disposition of a file to keep; whatever is in its name ends no header."""
    quoted = quote(name, safe="")
    return (
        f'attachment; filename="{name}"'
        if quoted == name
        else f"attachment; filename*=utf-8''{quoted}"
    )
