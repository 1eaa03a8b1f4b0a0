"""`vendrail keys`: key files in, keys out."""

import csv
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO
from uuid import UUID

import typer

from vendrail.api.catalog import Catalog, KeyId, KeyReject, KeyState
from vendrail.app.acts import record_act
from vendrail.app.opened import opened_house, run
from vendrail.app.terminal import (
    Json,
    Reason,
    Told,
    need_reason,
    out,
    progress,
    say,
    show_table,
    write_json,
)
from vendrail.catalog.intake import Report, take_file
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.ids import from_serial, new_id, to_serial

app = typer.Typer(add_completion=False, no_args_is_help=True)

_PAGE = 1_000


@app.callback()
def keys() -> None:
    """Take key files in, and keys out.

    Example: [bold]vendrail keys import steam-50 keys.txt[/]
    """


class Format(StrEnum):
    """How a key file is read."""

    CSV = "csv"
    TXT = "txt"


class _Counted(io.RawIOBase):
    """A key file that tells how much of it has been read."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.total = path.stat().st_size

    def readinto(self, buffer: Any) -> int:
        """Read on."""
        return self._file.readinto(buffer) or 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """So that its encoding can be told by reading it through."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go elsewhere in the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Say how far it has been read."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


async def _import(
    sku: str,
    path: Path,
    batch: UUID | None,
    format: Format | None,
    column: str | None,
    rejects: Any,
    told: Told,
) -> Report:
    async with opened_house() as house:
        intake = batch or new_id(house.clock.now())
        say(f"Intake {to_serial(intake)}; if it breaks off, go on with --intake and this number.")
        with _Counted(path) as raw, io.BufferedReader(raw, 1 << 20) as source:

            def count(_: Report) -> None:
                told("keys", raw.tell(), raw.total)

            def write(found: list[KeyReject]) -> None:
                rejects.writerows((each.number, each.reason) for each in found)

            is_csv = format is Format.CSV or (
                format is None and path.suffix.lower() in (".csv", ".tsv")
            )
            return await take_file(
                house.api(Catalog),
                sku,
                source,
                intake,
                format="csv" if is_csv else "txt",
                column=column,
                on_progress=count,
                on_rejects=write,
            )


@app.command("import")
def import_(
    sku: Annotated[str, typer.Argument(help="The SKU that the keys are for.")],
    file: Annotated[Path, typer.Argument(help="A text file with a key a line, or a CSV.")],
    column: Annotated[str | None, typer.Option(help="A CSV's column that holds the keys.")] = None,
    format: Annotated[Format | None, typer.Option(help="Else told by the file's name.")] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Where rejects are listed; else FILE.rejects.csv.")
    ] = None,
    intake: Annotated[
        str | None, typer.Option(help="Go on with an intake that broke off: its number.")
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Take a key file in: of any size, with a list of what was not taken.

    Duplicates within the product are rejected, whenever and in whatever file they came; so are
    empty and unreadable lines. UTF-8, UTF-16 and GB 18030 are read. Keys are stored sealed.

    Example: [bold]vendrail keys import steam-50 keys.csv --column code[/]
    """
    if not file.is_file():
        raise Malformed(f"There is no file {file}.")
    batch = from_serial(intake) if intake else None
    report_path = rejects or file.with_name(f"{file.name}.rejects.csv")
    with _private_file(report_path, is_replaced=True) as target:
        writer = csv.writer(target)
        writer.writerow(("line", "reason"))
        with progress(is_shown=not json) as told:
            report = run(_import(sku, file, batch, format, column, writer, told))
    count = sum(report.rejected.values())
    if not count:
        report_path.unlink()
    if json:
        write_json(
            {
                "sku": sku,
                "intake": to_serial(report.batch),
                "lines": report.lines,
                "added": report.added,
                "rejected": dict(report.rejected),
                "rejects": str(report_path) if count else None,
            }
        )
        return
    out().print(f"[green]{report.added:,}[/] of {report.lines:,} lines are keys of {sku} now.")
    if count:
        show_table("Not taken", ("reason", "lines"), report.rejected.most_common())
        out().print(f"Line by line: {report_path}")


@contextmanager
def _private_file(path: Path, *, is_replaced: bool) -> Iterator[TextIO]:
    """Open a file for its owner alone; keys never go into one that others can read already."""
    flags = os.O_TRUNC if is_replaced else os.O_EXCL
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600)
    except FileExistsError:
        raise Malformed(f"{path} is there already; name another file.") from None
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}.") from error
    os.fchmod(handle, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
        yield file


async def _export(sku: str, state: KeyState, target: TextIO, reason: str, told: Told) -> int:
    async with opened_house() as house:
        catalog: Catalog = house.api(Catalog)
        [stock] = await catalog.count_stock([sku])
        if stock is None:
            raise Malformed(f"There is no SKU {sku!r} in the catalog.")
        record_act(house.platform.home, "keys.export", f"{sku} {state}", reason)
        total = getattr(stock, state.value) + (stock.held if state is KeyState.FREE else 0)
        writer = csv.writer(target)
        writer.writerow(("key_id", "key"))
        after: KeyId | None = None
        count = 0
        while page := await catalog.export_keys(sku, state, after, _PAGE):
            writer.writerows((to_serial(id), text) for id, text in page)
            after = page[-1][0]
            count += len(page)
            told("keys", count, max(total, count))
        return count


@app.command()
def export(
    sku: Annotated[str, typer.Argument(help="The SKU whose keys are opened.")],
    reason: Reason,
    file: Annotated[Path, typer.Option("--out", "-o", help="The CSV to write; it must be new.")],
    state: Annotated[KeyState, typer.Option(help="Which keys.")] = KeyState.FREE,
    *,
    json: Json = False,
) -> None:
    """Write keys in clear into a CSV for its owner alone (0600).

    Exported keys stay as they are, and free ones stay for sale. Who asked, and why, is recorded
    before the first key is opened.

    Example: [bold]vendrail keys export steam-50 --out free.csv --reason "moving supplier"[/]
    """
    why = need_reason(reason)
    try:
        with _private_file(file, is_replaced=False) as target, progress(is_shown=not json) as told:
            count = run(_export(sku, state, target, why, told))
    except Malformed:
        if file.exists() and not file.stat().st_size:
            file.unlink()
        raise
    if json:
        write_json({"sku": sku, "state": state, "keys": count, "file": str(file)})
        return
    out().print(f"{count:,} keys in [green]{file}[/], in clear: remove it when you are done.")
