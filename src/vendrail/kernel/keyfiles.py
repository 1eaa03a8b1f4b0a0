"""Key files: read as a stream, line by line, in batches; a file of any size takes the same memory.

Text files hold one key a line; CSV files name the column that holds the key. UTF-8, GB 18030 and
UTF-16 (with its mark) are read.
"""

import codecs
import contextlib
import csv
import io
from collections.abc import Generator, Iterator
from pathlib import PurePath
from typing import BinaryIO, Literal, NamedTuple

from vendrail.kernel.errors import Malformed

BATCH_LINES = 5_000
BATCH_CHARACTERS = 300_000  # Far below what a call to a remote catalog may carry.
_LINE_LENGTH_MAX = 1 << 16
_BLOCK = 1 << 20
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
EDGES = " \t\r\n\v\f\u00a0\u200b\u200e\u200f\u2060\u3000\ufeff"
UNREADABLE = "\ufffd"  # What a decoder puts where it could not read.

Format = Literal["csv", "txt"]


class Line(NamedTuple):
    """One line of a key file, numbered from 1."""

    number: int
    text: str


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
) -> Generator[Line, None, None]:
    """Read a key file line by line, numbered from 1; `column` names a CSV's column of keys."""
    encoding = detect_encoding(stream)
    newline = None if format == "txt" else ""
    text = io.TextIOWrapper(stream, encoding, errors="replace", newline=newline)
    try:
        yield from _read_csv(text, column) if format == "csv" else _read_txt(text)
    finally:
        text.detach()


def _read_txt(text: io.TextIOWrapper) -> Iterator[Line]:
    number = 0
    while line := text.readline(_LINE_LENGTH_MAX):
        number += 1
        yield Line(number, line.removesuffix("\n"))
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
    names = [name.strip(EDGES).lower() for name in header]
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


def _read_csv(text: io.TextIOWrapper, column: str | None) -> Iterator[Line]:
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
                yield Line(number, row[index] if index < len(row) else "")
            number = rows.line_num + 1
    except csv.Error as error:
        raise Malformed(f"The CSV cannot be read from line {number} on: {error}.") from error


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def in_batches(
    lines: Generator[Line, None, None],
) -> Generator[list[Line], None, None]:
    """Put lines together, so that a call takes many and no call too many."""
    with contextlib.closing(lines):
        batch: list[Line] = []
        size = 0
        for line in lines:
            batch.append(line)
            size += len(line.text)
            if len(batch) == BATCH_LINES or size >= BATCH_CHARACTERS:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch


def format_of(path: PurePath) -> Format:
    """Tell a file's format by its name."""
    return "csv" if path.suffix.lower() in (".csv", ".tsv") else "txt"
