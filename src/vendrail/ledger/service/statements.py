"""Statements: read as sums, page by page, or signed; nothing is kept of them, the books are."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from vendrail.api.ledger.statements import (
    Statement,
    StatementLine,
    StatementLinesQuery,
    StatementPage,
    StatementPlace,
    StatementQuery,
    StatementSeal,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Database, Transaction
from vendrail.kernel.errors import Malformed
from vendrail.ledger.service.sealing import Sealing
from vendrail.ledger.store import statements as store

LINES_MAX = 10_000
_SIGNED_AT_ONCE = 5_000
_WIDTH_FIRST = timedelta(hours=1)
_WIDTH_MIN = timedelta(seconds=1)
_WIDTH_MAX = timedelta(days=40)
_BEFORE_ALL = UUID(int=0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Statements:
    """Reads merchants' accounts as statements."""

    def __init__(self, db: Database, sealing: Sealing) -> None:
        self._db = db
        self._sealing = sealing

    async def read(self, query: StatementQuery) -> Statement:
        """Give what was there before and after, and what moved: counted back from what is there."""
        _check(query)
        async with self._db.reading() as tx:
            statement = await _sum(tx, query)
            return replace(statement, fees_minor=await store.sum_fees(tx, query))

    async def read_page(self, asked: StatementLinesQuery) -> StatementPage:
        """Give a page of lines: over stretches of time that grow where little happened."""
        query, most = asked.statement, asked.lines_max
        _check(query)
        if not 0 < most <= LINES_MAX:
            raise Malformed(f"`lines_max` is from 1 to {LINES_MAX}; read page by page.")
        begin, after, width = query.since, _BEFORE_ALL, _WIDTH_FIRST
        if asked.after is not None:
            begin, after = asked.after.at, asked.after.id
            width = _fit(asked.after.width_us * _MICROSECOND)
        lines: list[StatementLine] = []
        async with self._db.reading() as tx:
            while begin < query.until and len(lines) <= most:
                end = min(begin + width, query.until)
                left = most + 1 - len(lines)
                lines += await store.load_lines(tx, query, begin, end, after, left)
                begin, after = end, _BEFORE_ALL
                width = _fit(width * 2)
        if len(lines) <= most:
            return StatementPage(lines)
        last = lines[most - 1]
        first = asked.after.at if asked.after is not None else query.since
        reach = _fit(last.at - first)
        return StatementPage(
            lines[:most], StatementPlace(last.at, last.transfer, reach // _MICROSECOND)
        )

    async def sign(self, query: StatementQuery) -> StatementSeal:
        """Hash all lines and sign what they come to, with the key of the sealed journal."""
        _check(query)
        async with self._db.reading() as tx:
            statement = await _sum(tx, query)
        digest, count = sha256(), 0
        after: StatementPlace | None = None
        while True:
            page = await self.read_page(StatementLinesQuery(query, after, _SIGNED_AT_ONCE))
            count += len(page.lines)
            digest.update("".join(map(_canonical, page.lines)).encode())
            after = page.next
            if after is None:
                break
        says = "\n".join(
            [
                "vendrail ledger statement",
                str(query.merchant),
                query.currency,
                str((query.since - _EPOCH) // _MICROSECOND),
                str((query.until - _EPOCH) // _MICROSECOND),
                _told(statement.opening),
                _told(statement.closing),
                str(count),
                digest.hexdigest(),
            ]
        )
        signature = self._sealing.sign(says.encode())
        return StatementSeal(
            digest.hexdigest(), count, says, signature.hex(), self._sealing.public_key
        )


async def _sum(tx: Transaction, query: StatementQuery) -> Statement:
    """Count back from what is there; without the fees, which no signature holds."""
    held, sums = await store.sum_parts(tx, query)
    closing, within = dict(held), []
    for is_within, each in sums:
        if is_within:
            within.append(each)
        else:
            _take_back(closing, each.source, each.target, each.amount_minor)
    opening = dict(closing)
    for each in within:
        _take_back(opening, each.source, each.target, each.amount_minor)
    return Statement(opening, closing, within)


def _check(query: StatementQuery) -> None:
    if query.until <= query.since:
        raise Malformed("A statement ends after it begins.")


def _fit(width: timedelta) -> timedelta:
    return max(_WIDTH_MIN, min(width, _WIDTH_MAX))


def _take_back(parts: dict[str, int], source: str, target: str, amount_minor: int) -> None:
    """Count a movement back; what is not the merchant's is not counted."""
    if source:
        parts[source] = parts.get(source, 0) + amount_minor
    if target:
        parts[target] = parts.get(target, 0) - amount_minor


def _told(parts: dict[str, int]) -> str:
    return ",".join(f"{part}={minor}" for part, minor in sorted(parts.items()) if minor)


def _canonical(line: StatementLine) -> str:
    at_us = (line.at - _EPOCH) // _MICROSECOND
    return f"{at_us}|{line.transfer}|{line.code}|{line.source}|{line.target}|{line.amount_minor}\n"
