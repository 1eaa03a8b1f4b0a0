"""Merchants' key files: read as a stream, cleaned line by line, taken in batch by batch.

Text files hold one key a line; CSV files name the column that holds the key. UTF-8, GB 18030 and
UTF-16 (with its mark) are read; a file of any size takes the same memory.
"""

import asyncio
import codecs
import contextlib
import csv
import io
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal
from uuid import UUID

from vendrail.api.catalog import Catalog, KeyIntake, KeyIntakeResult, KeyLine, KeyReject
from vendrail.kernel.errors import Malformed
from vendrail.kernel.waiting import end_tasks

BATCH_LINES = 5_000
BATCH_CHARACTERS = 300_000  # Far below what a call to a remote catalog may carry.
_LINE_LENGTH_MAX = 1 << 16
_BLOCK = 1 << 20
_BATCHES_IN_FLIGHT = 2
_REJECTS_KEPT = 1_000
_KEY_COLUMNS = (
    "key",
    "code",
    "card",
    "secret",
    "serial",
    "卡密",
    "激活码",
    "兑换码",
    "密钥",
    "卡号",
)
_EDGES = " \t\r\n\v\f\u00a0\u200b\u200e\u200f\u2060\u3000\ufeff"
_UNREADABLE = "\ufffd"  # What a decoder puts where it could not read.

Format = Literal["csv", "txt"]


def clean(text: str, length_max: int) -> tuple[str, str]:
    """Give the key of a line and no reason, or no key and why not: empty, too_long, not_text."""
    text = text.strip(_EDGES)
    if not text:
        return "", "empty"
    if len(text) > length_max:
        return "", "too_long"
    if _UNREADABLE in text or not (text.isprintable() or _is_text(text)):
        return "", "not_text"
    return text, ""


def _is_text(text: str) -> bool:
    """Whether there are no control characters but line breaks and tabs, and no half of a pair."""
    return not any(
        (letter < " " and letter not in "\n\r\t")
        or "\x7f" <= letter <= "\x9f"
        or "\ud800" <= letter <= "\udfff"
        for letter in text
    )


def detect_encoding(stream: BinaryIO) -> str:
    """Tell UTF-8 from GB 18030 by reading it through where it can be read again, else by its start.

    Leaves the stream where it was. What then still cannot be decoded is rejected line by line.
    """
    is_whole = stream.seekable()
    if not is_whole:
        return _encoding_of(iter([_peek(stream)]), is_whole=False)
    start = stream.tell()
    encoding = _encoding_of(iter(lambda: stream.read(_BLOCK), b""), is_whole=True)
    stream.seek(start)
    return encoding


def _peek(stream: BinaryIO) -> bytes:
    peek = getattr(stream, "peek", None)
    if peek is None:
        raise Malformed("Give the file by its path, or as a buffered stream.")
    return bytes(peek(_BLOCK))


def _encoding_of(blocks: Iterator[bytes], *, is_whole: bool) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    first = next(blocks, b"")
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if first.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    try:
        decoder.decode(first)
        for block in blocks:
            decoder.decode(block)
        decoder.decode(b"", final=is_whole)
    except UnicodeDecodeError:
        return "gb18030"
    return "utf-8"


def read_lines(
    stream: BinaryIO, format: Format = "txt", column: str | None = None
) -> Generator[KeyLine, None, None]:
    """Read a key file line by line, numbered from 1; `column` names a CSV's column of keys."""
    encoding = detect_encoding(stream)
    newline = None if format == "txt" else ""
    text = io.TextIOWrapper(stream, encoding, errors="replace", newline=newline)
    try:
        yield from _read_csv(text, column) if format == "csv" else _read_txt(text)
    finally:
        text.detach()


def _read_txt(text: io.TextIOWrapper) -> Iterator[KeyLine]:
    number = 0
    while line := text.readline(_LINE_LENGTH_MAX):
        number += 1
        yield KeyLine(number, line.removesuffix("\n"))
        while len(line) == _LINE_LENGTH_MAX and not line.endswith("\n"):
            line = text.readline(_LINE_LENGTH_MAX)


def _bounded(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(_LINE_LENGTH_MAX):
        if len(line) == _LINE_LENGTH_MAX:
            raise Malformed(f"A line is longer than {_LINE_LENGTH_MAX} characters: is this a CSV?")
        yield line


def _delimiter_of(line: str) -> str:
    return max(",;\t", key=line.count)


def _column_of(header: list[str], column: str | None) -> tuple[int, bool]:
    """Find the column of keys and whether the first row is a header."""
    names = [name.strip(_EDGES).lower() for name in header]
    if column is not None:
        if column.strip().lower() not in names:
            raise Malformed(f"The file has no column {column!r}; it has {', '.join(header)}.")
        return names.index(column.strip().lower()), True
    for name in _KEY_COLUMNS:
        if name in names:
            return names.index(name), True
    if len(names) == 1:
        return 0, False
    raise Malformed(
        f"Which column holds the keys? Name it; the first line has {', '.join(header)}."
    )


def _read_csv(text: io.TextIOWrapper, column: str | None) -> Iterator[KeyLine]:
    lines = _bounded(text)
    first = next(lines, "")
    if not first:
        return
    rows = csv.reader(_chain(first, lines), delimiter=_delimiter_of(first), strict=True)
    number = 1
    index: int | None = None
    try:
        for row in rows:
            if index is None:
                index, is_header = _column_of(row, column)
                if is_header:
                    number = rows.line_num + 1
                    continue
            if row:
                yield KeyLine(number, row[index] if index < len(row) else "")
            number = rows.line_num + 1
    except csv.Error as error:
        raise Malformed(f"The CSV cannot be read from line {number} on: {error}.") from error


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _in_batches(
    lines: Generator[KeyLine, None, None],
) -> Generator[list[KeyLine], None, None]:
    with contextlib.closing(lines):
        batch: list[KeyLine] = []
        size = 0
        for line in lines:
            batch.append(line)
            size += len(line.text)
            if len(batch) == BATCH_LINES or size >= BATCH_CHARACTERS:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch


@dataclass(slots=True)
class Report:
    """What came of a file: every line was either added or rejected."""

    batch: UUID
    lines: int = 0
    added: int = 0
    rejected: Counter[str] = field(default_factory=Counter)  # Reason -> lines.
    rejects: list[KeyReject] = field(default_factory=list)  # The first thousand.

    def add(self, lines: int, result: KeyIntakeResult) -> None:
        """Count one batch."""
        self.lines += lines
        self.added += result.added_count
        self.rejected.update(reject.reason for reject in result.rejects)
        self.rejects += result.rejects[: max(0, _REJECTS_KEPT - len(self.rejects))]


def format_of(path: Path) -> Format:
    """Tell a file's format by its name."""
    return "csv" if path.suffix.lower() in (".csv", ".tsv") else "txt"


async def take_file(
    catalog: Catalog,
    sku: str,
    source: Path | BinaryIO,
    batch: UUID,
    *,
    format: Format | None = None,
    column: str | None = None,
    on_progress: Callable[[Report], None] | None = None,
    on_rejects: Callable[[list[KeyReject]], None] | None = None,
) -> Report:
    """Take a key file in: two batches under way, so that reading and writing go side by side.

    Taking the same file in again under the same batch id changes nothing and reports the same.
    """
    if isinstance(source, Path):
        stream = await asyncio.to_thread(source.open, "rb")
        try:
            return await take_file(
                catalog, sku, stream, batch, format=format or format_of(source), column=column,
                on_progress=on_progress, on_rejects=on_rejects,
            )  # fmt: skip
        finally:
            stream.close()
    report = Report(batch)
    lines = _in_batches(read_lines(source, format or "txt", column))
    flights: deque[tuple[int, asyncio.Task[list[KeyIntakeResult]]]] = deque()

    async def land() -> None:
        count, task = flights.popleft()
        result = (await task)[0]
        if not result.sku_found:
            raise Malformed(f"There is no SKU {sku!r} in the catalog; make the product first.")
        report.add(count, result)
        if on_rejects and result.rejects:
            on_rejects(result.rejects)
        if on_progress:
            on_progress(report)

    try:
        while chunk := await asyncio.to_thread(next, lines, None):
            call = catalog.add_keys([KeyIntake(sku, batch, chunk)])
            flights.append((len(chunk), asyncio.ensure_future(call)))
            if len(flights) >= _BATCHES_IN_FLIGHT:
                await land()
        while flights:
            await land()
    finally:
        await end_tasks(task for _, task in flights)
        lines.close()
    return report
