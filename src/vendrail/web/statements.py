"""Statements in words: lines of the ledger as rows that people and their spreadsheets read."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from vendrail.api.ledger import (
    Ledger,
    Statement,
    StatementLine,
    StatementLinesQuery,
    StatementPage,
    StatementPlace,
    StatementQuery,
)
from vendrail.api.settlement import FeeTold, Settlement
from vendrail.kernel.ids import to_serial
from vendrail.kernel.money import exponent
from vendrail.web.amounts import time_zone
from vendrail.web.languages import message
from vendrail.web.papers.sheets import Cell, Workbook, csv_text

PARTS = {
    "available": message("Available"),
    "pending": message("Pending"),
    "reserve": message("In reserve"),
    "frozen": message("Frozen"),
    "deposit": message("Deposit"),
    "debt": message("Owed"),
}
_LINES_AT_ONCE = 5_000
_PAPER_LINES_MAX = 2_000  # Some fifty sheets; nobody reads more on paper.
_OPENING, _CLOSING = message("Opening balance"), message("Closing balance")
_SUMS = message("By reason")
_COUNT = message("Lines")
_TOGETHER = message("Together")
_EVERY = message("Every movement")
_TOO_LONG = message("More than %(count)s lines: they are in the CSV and XLSX files.")
_FEES = message("Fees kept of the month’s sales: %(amount)s")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# Of a file: what programs read has English names and codes, what people read their own words.
COLUMNS = (
    "time", "movement", "explanation", "number", "fee", *PARTS, "balance",
    "at_us", "transfer", "code", "source", "target", "amount_minor",
)  # fmt: skip
HEADS = (
    message("Time"), message("Movement"), message("Explanation"), message("Number"),
    message("Fee"), *PARTS.values(), message("Balance"),
)  # fmt: skip
PART_COLUMN = 5  # Where the parts begin.
WIDTHS = (20, 22, 48, 28, 12, *(14 for _ in PARTS), 14)

Say = Callable[[str], str]
Words = Callable[..., str]
Supplied = Callable[[Sequence[UUID]], Awaitable[dict[UUID, str]]]


class Month(NamedTuple):
    """A month as the site's clock counts it."""

    year: int
    number: int

    @property
    def name(self) -> str:
        """Name it as addresses and files do: 2026-11."""
        return f"{self.year:04}-{self.number:02}"

    @property
    def first(self) -> date:
        """Give its first day."""
        return date(self.year, self.number, 1)

    def moved(self, months: int) -> "Month":
        """Give the month so many away."""
        year, number = divmod(self.year * 12 + self.number - 1 + months, 12)
        return Month(year, number + 1)

    def since(self, other: "Month") -> int:
        """Count the months from another to this one."""
        return (self.year - other.year) * 12 + self.number - other.number

    def begins(self, zone: str) -> datetime:
        """Give the moment that it begins at."""
        return datetime.combine(self.first, time(), time_zone(zone)).astimezone(UTC)


def read_month(text: str) -> Month | None:
    """Read a month out of an address; None: it is none."""
    try:
        day = date.fromisoformat(f"{text[:7]}-01")
    except ValueError:
        return None
    return Month(day.year, day.month) if 2000 <= day.year <= 2999 else None


def query_of(merchant: UUID, currency: str, month: Month, zone: str) -> StatementQuery:
    """Ask for one month."""
    return StatementQuery(merchant, currency, month.begins(zone), month.moved(1).begins(zone))


def change_of(line: StatementLine) -> dict[str, int]:
    """Say what a line did to the parts."""
    changes = {}
    if line.source:
        changes[line.source] = -line.amount_minor
    if line.target:
        changes[line.target] = changes.get(line.target, 0) + line.amount_minor
    return changes


class Kind(NamedTuple):
    """What moved for one reason: how often, and what it did to each part."""

    code: str
    lines: int
    changes: dict[str, int]

    @property
    def total_minor(self) -> int:
        """What it did to all parts together."""
        return sum(self.changes.values())


def used_parts(statement: Statement) -> list[str]:
    """Name the parts in which there was anything, in their order."""
    used = {part for each in statement.sums for part in (each.source, each.target)}
    used |= {part for part, minor in statement.opening.items() if minor}
    return [each for each in PARTS if each in used] or ["available"]


def kinds_of(statement: Statement) -> Sequence[Kind]:
    """Put the sums of one reason together."""
    counts: dict[str, int] = defaultdict(int)
    changes: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for each in statement.sums:
        counts[each.code] += each.count
        if each.source:
            changes[each.code][each.source] -= each.amount_minor
        if each.target:
            changes[each.code][each.target] += each.amount_minor
    return [Kind(code, count, dict(changes[code])) for code, count in counts.items()]


class Teller:
    """Says lines in one language, with the fees of sales explained; counts the balance on."""

    def __init__(
        self,
        settlement: Settlement,
        statement: Statement,
        currency: str,
        zone: str,
        name: Words,
        note: Words,
        fee_words: Words,
        say: Say,
        supplied: Supplied,
    ) -> None:
        self._settlement = settlement
        self._supplied, self._supplies = supplied, dict[UUID, str]()
        self.places = exponent(currency)
        self._zone = time_zone(zone)
        self._name, self._note, self._fee_words, self.say = name, note, fee_words, say
        self._balance_minor = sum(statement.opening.values())
        self._memos: dict[str, str] = {}
        self._names: dict[str, tuple[str, str]] = {}

    def amount(self, minor: int) -> Decimal:
        """Give minor units as the number that they are."""
        return Decimal(minor).scaleb(-self.places)

    def moment(self, at: datetime) -> str:
        """Write a moment so that it sorts, by the site's clock."""
        return at.astimezone(self._zone).strftime("%Y-%m-%d %H:%M:%S")

    def name(self, code: str) -> str:
        """Say why something moved."""
        return self._name(code).strip()

    def figure(self, minor: int) -> str:
        """Write an amount with its groups, in figures that stand below each other."""
        return f"{self.amount(minor):,}"

    async def learn(self, lines: Sequence[StatementLine]) -> None:
        """Have the fees that lines name explained, each once."""
        new = {each.memo for each in lines if each.code == "sale"} - self._memos.keys()
        self._supplies = await self._supplied(
            [each.subject for each in lines if each.code == "sale"]
        )
        memos = sorted(new)
        if memos:
            told = await self._settlement.tell_fees(memos)
            self._memos |= {
                memo: self._explain(each) for memo, each in zip(memos, told, strict=True)
            }

    def _explain(self, told: FeeTold | None) -> str:
        return self._fee_words(told).strip() if told is not None else ""

    def words(self, line: StatementLine) -> tuple[str, str]:
        """Say what a line is, and why; `learn` has seen it."""
        known = self._names.get(line.code)
        if known is None:
            known = self._names[line.code] = (
                self._name(line.code).strip(),
                self._note(line.code).strip(),
            )
        if line.code == "sale":
            parts = (self._supplies.get(line.subject, ""), self._memos.get(line.memo, ""))
            return known[0], " · ".join(filter(None, parts)) or known[1]
        return known

    def rows(self, lines: Sequence[StatementLine], *, with_codes: bool) -> Iterator[list[Cell]]:
        """Write lines as rows; with what programs and proofs read behind, if asked."""
        for line in lines:
            what, why = self.words(line)
            changes = change_of(line)
            self._balance_minor += sum(changes.values())
            amounts = (changes.get(part) for part in PARTS)
            row: list[Cell] = [
                self.moment(line.at),
                what,
                why,
                to_serial(line.subject),
                self.amount(line.fee_minor) if line.fee_minor else None,
                *(None if minor is None else self.amount(minor) for minor in amounts),
                self.amount(self._balance_minor),
            ]
            if with_codes:
                at_us = (line.at - _EPOCH) // _MICROSECOND
                row += [
                    at_us,
                    str(line.transfer),
                    line.code,
                    line.source,
                    line.target,
                    line.amount_minor,
                ]
            yield row

    def ends(self, statement: Statement, *, is_opening: bool) -> list[Cell]:
        """Write the row of the balances before or after."""
        parts = statement.opening if is_opening else statement.closing
        name = _OPENING if is_opening else _CLOSING
        amounts = (self.amount(parts.get(part, 0)) for part in PARTS)
        total = self.amount(sum(parts.values()))
        fees = None if is_opening else self.amount(statement.fees_minor)
        return ["", self.say(name), "", "", fees, *amounts, total]


async def pages_of(ledger: Ledger, query: StatementQuery) -> AsyncIterator[Sequence[StatementLine]]:
    """Read all lines of a statement; while one page is written, the next is read."""

    async def read(after: StatementPlace | None) -> StatementPage:
        [page] = await ledger.read_statement_lines(
            [StatementLinesQuery(query, after, _LINES_AT_ONCE)]
        )
        return page

    coming: asyncio.Task[StatementPage] | None = asyncio.create_task(read(None))
    try:
        while coming is not None:
            page = await coming
            coming = asyncio.create_task(read(page.next)) if page.next is not None else None
            yield page.lines
    finally:
        if coming is not None:
            coming.cancel()


async def csv_of(
    ledger: Ledger, query: StatementQuery, statement: Statement, teller: Teller
) -> AsyncIterator[bytes]:
    """Write a whole statement as CSV, while its lines are read."""
    yield csv_text([COLUMNS, teller.ends(statement, is_opening=True)], is_first=True).encode()
    async for lines in pages_of(ledger, query):
        await teller.learn(lines)
        text = await asyncio.to_thread(csv_text, teller.rows(lines, with_codes=True))
        yield text.encode()
    yield csv_text([teller.ends(statement, is_opening=False)]).encode()


async def xlsx_of(
    ledger: Ledger, query: StatementQuery, statement: Statement, teller: Teller, name: str
) -> AsyncIterator[bytes]:
    """Write a whole statement as a workbook, while its lines are read."""
    book = Workbook(teller.places)
    book.begin(name, [teller.say(each) for each in HEADS], WIDTHS)
    yield book.add([teller.ends(statement, is_opening=True)])
    async for lines in pages_of(ledger, query):
        await teller.learn(lines)
        yield await asyncio.to_thread(book.add, teller.rows(lines, with_codes=False))
    yield book.add([teller.ends(statement, is_opening=False)]) + book.end()


async def paper_of(
    ledger: Ledger, query: StatementQuery, statement: Statement, teller: Teller
) -> dict[str, Any]:
    """Tell what a statement's paper says: the sums, and the lines where they are not too many."""
    say, parts = teller.say, used_parts(statement)

    def balances(name: str, held: Mapping[str, int], count: str) -> list[str]:
        amounts = [teller.figure(held.get(part, 0)) for part in parts]
        return [say(name), count, *amounts, teller.figure(sum(held.values()))]

    heads = [say(PARTS[part]) for part in parts]
    is_short = statement.count <= _PAPER_LINES_MAX
    shown = [PART_COLUMN + list(PARTS).index(part) for part in parts]
    lines: list[list[str]] = []
    if is_short:
        async for page in pages_of(ledger, query):
            await teller.learn(page)
            for row in teller.rows(page, with_codes=False):
                amounts = (row[at] for at in (PART_COLUMN - 1, *shown, -1))
                lines.append([*(str(each) for each in row[:4]), *map(_figure, amounts)])
    return {
        "sums_title": say(_SUMS),
        "sums_head": [say(HEADS[1]), say(_COUNT), *heads, say(_TOGETHER)],
        "sums": [
            balances(_OPENING, statement.opening, ""),
            *(
                [
                    teller.name(each.code),
                    str(each.lines),
                    *(_change(teller, each.changes.get(part, 0)) for part in parts),
                    teller.figure(each.total_minor),
                ]
                for each in kinds_of(statement)
            ),
            balances(_CLOSING, statement.closing, str(statement.count)),
        ],
        "notes": [
            say(_FEES) % {"amount": teller.figure(statement.fees_minor)},
            *([] if is_short else [say(_TOO_LONG) % {"count": f"{_PAPER_LINES_MAX:,}"}]),
        ],
        "lines_title": say(_EVERY),
        "lines_head": [*(say(each) for each in HEADS[:5]), *heads, say(HEADS[-1])],
        "lines": lines,
    }


def _change(teller: Teller, minor: int) -> str:
    return teller.figure(minor) if minor else ""


def _figure(cell: Cell) -> str:
    return "" if cell is None else f"{cell:,}"
