"""Statements: a month of a merchant's money, from what was there to what is; on a page, as files.

A file is written while the lines are read, so that a month of any size takes no memory.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from litestar import Response
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from vendrail.api.identity import Permission
from vendrail.api.ledger import (
    Statement,
    StatementLine,
    StatementLinesQuery,
    StatementPlace,
    StatementQuery,
)
from vendrail.kernel.codec import decode, encode, replace
from vendrail.kernel.errors import Malformed
from vendrail.kernel.http import as_attachment
from vendrail.kernel.ids import made_at
from vendrail.web.amounts import time_zone
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.merchant.acting import chosen_currency
from vendrail.web.merchant.agencies import say_supplies
from vendrail.web.merchant.balance import currencies_of
from vendrail.web.pages import guards
from vendrail.web.statements import (
    Month,
    Teller,
    change_of,
    csv_of,
    kinds_of,
    paper_of,
    query_of,
    read_month,
    used_parts,
    xlsx_of,
)
from vendrail.web.storefront.front import Page
from vendrail.web.supplies import find_supplies

_ROOT = "/merchant/statements"
_PAGE = 50
_MONTHS = 12
_TIMED = 7  # The version of ids that tell when they were made.
_STILL = timedelta(minutes=1)
_SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_SHEET_NAME = message("Statement")
_MERCHANT = message("Merchant")
_MADE = message("Made on")


class Shown(NamedTuple):
    """A line as the page shows it."""

    line: StatementLine
    what: str
    why: str
    change_minor: int


class Statements:
    """The statements of a merchant, by month and currency."""

    entries = (Entry(_ROOT, message("Statements"), "book", Permission.BALANCE_READ),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._zone = desk.front.settings.time_zone

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of the page and its files."""
        desk, may = self._desk, Permission.BALANCE_READ
        return [
            desk.get(_ROOT, self.statement, may),
            desk.get(f"{_ROOT}/statement.csv", self.csv, may),
            desk.get(f"{_ROOT}/statement.xlsx", self.xlsx, may),
            desk.get(f"{_ROOT}/statement.pdf", self.pdf, may),
            desk.get(f"{_ROOT}/statement.json", self.seal, may),
        ]

    async def statement(self, caller: Caller) -> Page:
        """Show a month: its sums, and a page of its lines, oldest first."""
        ledger = self._desk.apis.ledger
        currencies, currency, month = await self._asked(caller)
        query = query_of(caller.merchant, currency, month, self._zone)
        [statement] = await ledger.read_statements([query])
        place = _read_place(caller.asked("after", 400))
        [page] = await ledger.read_statement_lines([StatementLinesQuery(query, place, _PAGE)])
        teller = self._teller(caller, statement, currency)
        await teller.learn(page.lines)
        here = f"month={month.name}&currency={currency}"
        after = encode(page.next).hex() if page.next is not None else ""
        return self._desk.page(
            caller,
            "merchant/statements.html",
            path=_ROOT,
            currencies=currencies,
            currency=currency,
            month=month,
            **self._months(caller.merchant, month),
            is_running=query.until > self._desk.clock.now(),
            statement=statement,
            parts=used_parts(statement),
            kinds=kinds_of(statement),
            lines=[
                Shown(each, *teller.words(each), sum(change_of(each).values()))
                for each in page.lines
            ],
            here=here,
            is_later=place is not None,
            later=f"{_ROOT}?{here}&after={after}#lines" if after else "",
        )

    def _now(self) -> Month:
        here = self._desk.clock.now().astimezone(time_zone(self._zone))
        return Month(here.year, here.month)

    def _months(self, merchant: UUID, month: Month) -> dict[str, Any]:
        """Give the year of months around the one shown, back to when the merchant began."""
        now, oldest = self._now(), min(month, self._now().moved(1 - _MONTHS))
        if merchant.version == _TIMED:
            made = made_at(merchant).astimezone(time_zone(self._zone))
            oldest = min(Month(made.year, made.month), month, now)
        last = now.moved(-(max(0, now.since(month)) // _MONTHS * _MONTHS))
        older = last.moved(-_MONTHS)
        return {
            "months": [last.moved(-back) for back in range(min(_MONTHS, last.since(oldest) + 1))],
            "newest": now,
            "older": older if older >= oldest else None,
        }

    async def _asked(self, caller: Caller) -> tuple[list[str], str, Month]:
        """Read which statement is meant: what makes no sense is this month's, in the own money."""
        currencies = await currencies_of(self._desk, caller)
        currency = chosen_currency(caller, currencies)
        return currencies, currency, read_month(caller.asked("month", 10)) or self._now()

    def _teller(self, caller: Caller, statement: Statement, currency: str) -> Teller:
        pages, visitor = self._desk.front.pages, caller.visitor
        return Teller(
            self._desk.apis.settlement,
            statement,
            currency,
            self._zone,
            pages.macro("parts/movements.html", "movement_name", visitor),
            pages.macro("parts/movements.html", "movement_note", visitor),
            pages.macro("parts/fees.html", "fee_words", visitor),
            lambda text: self._desk.say(caller, text),
            lambda subjects: self._supplies(caller, subjects),
        )

    async def _supplies(self, caller: Caller, subjects: Sequence[UUID]) -> dict[UUID, str]:
        """Say of sales through whom they were, or what of their price is a supplier's."""
        apis = self._desk.apis
        found = await find_supplies(apis.settlement, caller.merchant, subjects)
        return await say_supplies(self._desk, caller, found)

    async def csv(self, caller: Caller) -> Page:
        """Give the whole month as CSV."""
        query, month, statement, teller = await self._whole(caller)
        told = csv_of(self._desk.apis.ledger, query, statement, teller)
        return _file(told, "text/csv", month, query.currency, "csv")

    async def xlsx(self, caller: Caller) -> Page:
        """Give the whole month as a workbook."""
        query, month, statement, teller = await self._whole(caller)
        name = self._desk.say(caller, _SHEET_NAME)
        told = xlsx_of(self._desk.apis.ledger, query, statement, teller, name)
        return _file(told, _SHEET, month, query.currency, "xlsx")

    async def pdf(self, caller: Caller) -> Page:
        """Give the month as PDF: its sums, and its lines as far as a paper is good for them."""
        query, month, statement, teller = await self._whole(caller)
        told = await paper_of(self._desk.apis.ledger, query, statement, teller)
        front, language = self._desk.front, caller.visitor.language
        place = caller.membership
        facts = [
            [self._desk.say(caller, _MERCHANT), place.merchant_name if place is not None else ""],
            [self._desk.say(caller, _MADE), teller.moment(self._desk.clock.now())],
        ]
        name = f"{month.name} {query.currency}"
        told |= {
            "site": front.settings.site_name,
            "title": self._desk.say(caller, _SHEET_NAME),
            "number": name,
            "foot": name,
            "month": month.name,
            "currency": query.currency,
            "facts": facts,
        }
        paper = await front.press.print("statement", language, self._desk.clock.now(), told)
        headers = _headers(f"statement-{month.name}-{query.currency}.pdf")
        return Response(paper, media_type="application/pdf", headers=headers)

    async def _whole(self, caller: Caller) -> tuple[StatementQuery, Month, Statement, Teller]:
        _, currency, month = await self._asked(caller)
        query = self._settled(query_of(caller.merchant, currency, month, self._zone))
        [statement] = await self._desk.apis.ledger.read_statements([query])
        return query, month, statement, self._teller(caller, statement, currency)

    def _settled(self, query: StatementQuery) -> StatementQuery:
        """End a running month where nothing is added any more: sums and lines are read apart."""
        end = max(self._desk.clock.now() - _STILL, query.since + timedelta(seconds=1))
        return replace(query, until=min(query.until, end))

    async def seal(self, caller: Caller) -> Page:
        """Give the month signed by the ledger, as a file to be kept beside the lines."""
        _, currency, month = await self._asked(caller)
        query = self._settled(query_of(caller.merchant, currency, month, self._zone))
        [seal] = await self._desk.apis.ledger.sign_statements([query])
        headers = _headers(f"statement-{month.name}-{currency}.json")
        return Response(encode(seal), media_type="application/json", headers=headers)


def _headers(name: str) -> dict[str, str]:
    return {"content-disposition": as_attachment(name), "cache-control": "no-store", **guards()}


def _file(told: AsyncIterator[bytes], kind: str, month: Month, currency: str, ending: str) -> Page:
    headers = _headers(f"statement-{month.name}-{currency}.{ending}")
    return Stream(told, media_type=kind, headers=headers)  # type: ignore[return-value]


def _read_place(text: str) -> StatementPlace | None:
    """Read behind which line a page begins; None: at the beginning."""
    try:
        return decode(bytes.fromhex(text), StatementPlace) if text else None
    except (ValueError, Malformed):
        return None
