"""Providers' settlements as lines: read from a form or a file, and kept so in proposals."""

import csv
import io
from collections.abc import Mapping
from datetime import date

from vendrail.api.payouts import Remittance, RemittanceTarget
from vendrail.kernel.errors import Malformed
from vendrail.kernel.money import from_text, to_text

COLUMNS = ("channel", "number", "paid_on", "currency", "gross", "fee", "target")
LINES_MAX = 100
_TEXT_MAX = 100_000


class LineMalformed(Malformed):
    """A line of a file cannot be read; 1: the one that names the columns."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"Line {line}: {why}")
        self.line = line


def read_line(told: Mapping[str, str]) -> Remittance:
    """Read one settlement; what is left out of fee and target is nothing, and the reserve."""
    text = {name: (told.get(name) or "").strip() for name in COLUMNS}
    currency = text["currency"].upper()
    try:
        target = RemittanceTarget(text["target"] or RemittanceTarget.RESERVE)
        paid_on = date.fromisoformat(text["paid_on"])
    except ValueError as error:
        raise Malformed(f"{text['paid_on']!r} or {text['target']!r} cannot be read.") from error
    return Remittance(
        text["channel"],
        text["number"],
        currency,
        from_text(text["gross"], currency),
        from_text(text["fee"] or "0", currency),
        target,
        paid_on,
    )


def read_lines(text: str) -> list[Remittance]:
    """Read a file of comma-separated values; its first line names the columns, in any order."""
    if len(text) > _TEXT_MAX:
        raise Malformed("The file is too long.")
    # Lines end as whoever wrote them ends them, also by a bare carriage return.
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), restval="")
    try:
        names = [(name or "").strip().lower() for name in reader.fieldnames or ()]
    except csv.Error as error:
        raise LineMalformed(1, "It cannot be read.") from error
    missing = {"channel", "number", "paid_on", "currency", "gross"} - set(names)
    if missing:
        raise LineMalformed(1, f"It must name these columns: {', '.join(sorted(missing))}.")
    reader.fieldnames = names
    try:
        found = [
            _numbered(told, reader.line_num)
            for told in reader
            if any(isinstance(value, str) and value.strip() for value in told.values())
        ]
    except csv.Error as error:
        raise LineMalformed(reader.line_num, "It cannot be read.") from error
    if not 0 < len(found) <= LINES_MAX:
        raise Malformed(f"A file has 1 to {LINES_MAX} settlements.")
    return found


def _numbered(told: Mapping[str, str], line: int) -> Remittance:
    try:
        return read_line(told)
    except Malformed as error:
        raise LineMalformed(line, str(error)) from error


def read_bytes(content: bytes) -> list[Remittance]:
    """Read a file as it was sent: in UTF-8, or as programs in China write it."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        try:
            text = content.decode("gb18030")
        except UnicodeDecodeError as error:
            raise Malformed("The file is no text.") from error
    return read_lines(text)


def write_line(each: Remittance) -> str:
    """Write one as a line of such a file, for the log and the second person to read."""
    into = io.StringIO()
    values = (
        each.channel_name,
        each.number,
        each.paid_on.isoformat(),
        each.currency,
        to_text(each.gross_minor, each.currency),
        to_text(each.fee_minor, each.currency),
        each.target,
    )
    csv.writer(into, lineterminator="").writerow(values)
    return into.getvalue()


def read_written(text: str) -> Remittance:
    """Read back what `write_line` wrote."""
    [values] = csv.reader([text])
    return read_line(dict(zip(COLUMNS, values, strict=True)))
