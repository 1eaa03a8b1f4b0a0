"""What the command line says: tables and progress for people, one JSON object for machines.

Results go to standard output, everything else to standard error, so that `--json` can be piped.
"""

import getpass
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from vendrail.kernel.codec import encode
from vendrail.kernel.errors import Error, Malformed, Unavailable

EXIT_FINDINGS = 1  # The command ran, and found what a person must look at.
EXIT_MALFORMED = 2
EXIT_UNAVAILABLE = 3
EXIT_BROKEN = 4
_SERIALS = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}(\n[0-9A-HJKMNP-TV-Z]{26})*")

Json = Annotated[bool, typer.Option("--json", help="For machines: the last line is one object.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why: kept with who did it.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether you are sure.")]
Told = Callable[[str, int, int], None]  # What, how much is done, of how much.


def out() -> Console:
    """Give standard output as it is now; not narrower than a table when it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False, soft_wrap=False)


def err() -> Console:
    """Give standard error as it is now."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Tell a person something beside the result."""
    err().print(escape(text))


def tell_error(error: Error) -> int:
    """Say in one red line what went wrong and what to do; give the exit code."""
    err().print(f"[bold red]{escape(error.message)}[/]")
    if isinstance(error, Malformed):
        return EXIT_MALFORMED
    return EXIT_UNAVAILABLE if isinstance(error, Unavailable) else EXIT_BROKEN


def write_json(value: object) -> None:
    """Write one object on one line: the last line of `--json`."""
    sys.stdout.write(encode(value).decode() + "\n")
    sys.stdout.flush()


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Show rows to a person; numbers are put to the right."""
    table = Table(title=title or None, title_justify="left", header_style="bold")
    lines = [list(row) for row in rows]
    for place, name in enumerate(columns):
        is_number = bool(lines) and all(isinstance(line[place], int) for line in lines)
        # Serial numbers are there to be copied: they stay whole, other columns make room.
        is_serial = bool(lines) and all(_SERIALS.fullmatch(str(line[place])) for line in lines)
        table.add_column(
            name,
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=is_serial,
        )
    for line in lines:
        table.add_row(*(_cell(value) for value in line))
    out().print(table)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else escape(str(value))


@contextmanager
def progress(*, is_shown: bool = True) -> Iterator[Told]:
    """Show how far long work has come, a bar for each part of it."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
        console=err(),
        disable=not is_shown,
    )
    tasks: dict[str, Any] = {}

    def told(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(escape(what), total=total or None, count="")
        count = f"{done:,}" + (f" of {total:,}" if total else "")
        bar.update(tasks[what], completed=done, total=total or None, count=count)

    with bar:
        yield told


def confirm(question: str, *, is_sure: bool) -> None:
    """Ask a person before something that cannot be taken back; who is no terminal gives --yes."""
    if is_sure:
        return
    if not sys.stdin.isatty():
        raise Malformed(f"{question} Nobody is there to ask: give --yes.")
    typer.confirm(question, abort=True, err=True)


def person() -> str:
    """Name who runs the command, for the records: the user of this machine, behind sudo too."""
    name = os.environ.get("SUDO_USER", "")
    if not name:
        try:
            name = getpass.getuser()
        except (KeyError, OSError):
            name = f"uid {os.geteuid()}"
    return f"{name} (command line)"


def need_reason(reason: str) -> str:
    """Refuse an empty reason: whoever reads the records later has nothing else."""
    cleaned = reason.strip()
    if not cleaned:
        raise Malformed('Say why with --reason "…"; it is kept with who did it.')
    return cleaned
