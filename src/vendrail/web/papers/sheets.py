"""Tables as files that are written while they are read: CSV, and XLSX of any number of rows.

An XLSX file is a ZIP of a few XML parts. Each sheet is written row by row and never held, for
which the libraries take several times as long; spreadsheets end a sheet at 1,048,576 rows.
"""

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import IO, Any
from xml.sax.saxutils import escape

Cell = str | int | Decimal | None
Rows = Iterable[Sequence[Cell]]

ROWS_OF_SHEET_MAX = 1_000_000
_BOM = "\ufeff"  # Spreadsheets would read UTF-8 as something else without it.
# Full-width signs count too: where Chinese or Japanese is written, spreadsheets take them as such.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_ODD = re.compile('[&<>"\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]')
_UNTOLD = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF])  # What XML cannot.

_TYPES = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/>%s</Types>"""  # noqa: E501
_SHEET_TYPE = '<Override PartName="/xl/worksheets/sheet%d.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'  # noqa: E501
_ROOT = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"""  # noqa: E501
_BOOK = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>%s</sheets></workbook>"""
_LINKS = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">%s<Relationship Id="rId0" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>"""  # noqa: E501
_LINK = '<Relationship Id="rId%d" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet%d.xml"/>'  # noqa: E501
# Style 0 is plain, 1 a heading, 2 an amount with the places of its currency.
_STYLES = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><numFmts count="1"><numFmt numFmtId="164" formatCode="%s"/></numFmts><fonts count="2"><font><sz val="11"/></font><font><b/><sz val="11"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="3"><xf/><xf fontId="1" applyFont="1"/><xf numFmtId="164" applyNumberFormat="1"/></cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>"""  # noqa: E501
_BEGIN = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><cols>%s</cols><sheetData>"""  # noqa: E501
_HEAD = '<c t="inlineStr" s="1"><is><t>%s</t></is></c>'
_END = "</sheetData></worksheet>"


def safe(text: str) -> str:
    """Keep a text from being a formula where a spreadsheet opens it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def csv_text(rows: Rows, *, is_first: bool = False) -> str:
    """Write rows as CSV; texts can be no formulas, numbers stay numbers."""
    text = io.StringIO()
    if is_first:
        text.write(_BOM)
    csv.writer(text).writerows(
        [safe(cell) if isinstance(cell, str) else cell for cell in row] for row in rows
    )
    return text.getvalue()


class _Outlet(io.RawIOBase):
    """What the ZIP writes into: handed on and forgotten."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def write(self, data: Any) -> int:
        """Keep a piece until it is taken."""
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def take(self) -> bytes:
        """Give what came since it was last asked."""
        whole, self._parts = b"".join(self._parts), []
        return whole


class Workbook:
    """An XLSX file on its way: rows go in, bytes come out, and nothing stays."""

    def __init__(self, places: int, rows_of_sheet_max: int = ROWS_OF_SHEET_MAX) -> None:
        self._rows_max = rows_of_sheet_max
        self._outlet = _Outlet()
        self._zip = zipfile.ZipFile(self._outlet, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._format = "#,##0" + (f".{'0' * places}" if places else "")
        self._names: list[str] = []
        self._part: IO[bytes] | None = None
        self._row = 0
        self._head: Sequence[str] = ()
        self._widths: Sequence[int] = ()

    def begin(self, name: str, head: Sequence[str], widths: Sequence[int]) -> None:
        """Begin a sheet with a heading that stays in sight."""
        self._end_sheet()
        self._names.append(name[:31])
        self._head, self._widths = head, widths
        file = zipfile.ZipInfo(f"xl/worksheets/sheet{len(self._names)}.xml")
        file.compress_type = zipfile.ZIP_DEFLATED
        self._part = self._zip.open(file, "w", force_zip64=True)
        columns = "".join(
            f'<col min="{at}" max="{at}" width="{width}" customWidth="1"/>'
            for at, width in enumerate(widths, start=1)
        )
        self._part.write((_BEGIN % columns).encode())
        heads = "".join(
            f'<c t="inlineStr" s="1"><is><t>{_told(each)}</t></is></c>' for each in head
        )
        self._part.write(f"<row>{heads}</row>".encode())
        self._row = 1

    def add(self, rows: Rows) -> bytes:
        """Write rows, on a further sheet where one is full; give what is ready to be sent."""
        assert self._part is not None, "A sheet has begun."
        batch: list[str] = []
        for row in rows:
            if self._row >= self._rows_max:
                self._part.write("".join(batch).encode())
                batch = []
                self.begin(f"{self._names[-1]} +", self._head, self._widths)
            batch.append(f"<row>{''.join(map(_cell, row))}</row>")
            self._row += 1
        self._part.write("".join(batch).encode())
        return self._outlet.take()

    def _end_sheet(self) -> None:
        if self._part is not None:
            self._part.write(_END.encode())
            self._part.close()
            self._part = None

    def end(self) -> bytes:
        """Write what names the sheets; give the rest of the file."""
        self._end_sheet()
        numbers = range(1, len(self._names) + 1)
        sheets = "".join(
            f'<sheet name="{_told(name)}" sheetId="{at}" r:id="rId{at}"/>'
            for at, name in zip(numbers, _distinct(self._names), strict=True)
        )
        self._zip.writestr("xl/workbook.xml", _BOOK % sheets)
        links = "".join(_LINK % (at, at) for at in numbers)
        self._zip.writestr("xl/_rels/workbook.xml.rels", _LINKS % links)
        self._zip.writestr("xl/styles.xml", _STYLES % self._format)
        self._zip.writestr("_rels/.rels", _ROOT)
        types = "".join(_SHEET_TYPE % at for at in numbers)
        self._zip.writestr("[Content_Types].xml", _TYPES % types)
        self._zip.close()
        return self._outlet.take()


def _distinct(names: Sequence[str]) -> Iterator[str]:
    for at, name in enumerate(names):
        yield name if name not in names[:at] else f"{name[:27]} {at + 1}"


def _told(text: str) -> str:
    if _ODD.search(text) is None:  # As nearly all are.
        return text
    return escape(text.translate(_UNTOLD), {'"': "&quot;"})


def _cell(cell: Cell) -> str:
    if cell is None or cell == "":
        return "<c/>"
    if isinstance(cell, Decimal):
        return f'<c s="2"><v>{cell}</v></c>'
    if isinstance(cell, int):
        return f"<c><v>{cell}</v></c>"
    return f'<c t="inlineStr"><is><t>{_told(cell)}</t></is></c>'
