"""Closed days: the trial balance at each cut, and what had not come back to zero."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.ledger import account_id
from vendrail.api.ledger.closes import (
    Close,
    CloseDay,
    CloseItem,
    CloseItemQuery,
    CloseQuery,
    CloseSheet,
    CloseSum,
    ClosingStatus,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import from_serial, to_serial
from vendrail.kernel.money import to_decimal
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, LISTED, export, save, saved_at
from vendrail.web.console.tables import CLOSES
from vendrail.web.languages import message
from vendrail.web.operator.deeds import Deeds
from vendrail.web.pages import onward
from vendrail.web.papers.sheets import Rows
from vendrail.web.storefront.front import Page

_PATH = "/operator/closes"
_DAYS = 31
_ITEMS = 50
_ITEMS_AT_ONCE = 500
_SUM_COLUMNS = (
    "day", "currency", "accounts", "debits", "credits", "balance", "debits_pending",
    "credits_pending",
)  # fmt: skip
_ITEM_COLUMNS = ("day", "account", "currency", "number", "amount", "since", "age_days")
_SAID = {
    ClosingStatus.CLOSED: message("The day is closed."),
    ClosingStatus.EXISTS: message("That day was closed before; nothing was changed."),
    ClosingStatus.NOTHING_BOOKED: message("Nothing was booked by then."),
    ClosingStatus.OUT_OF_ORDER: message("The day before is not closed yet."),
    ClosingStatus.NOT_OVER: message("That day is not over yet."),
    ClosingStatus.NOT_SEALED: message(
        "The journal is not sealed up to the end of that day yet. It takes some minutes; try again."
    ),
    ClosingStatus.BOOKS_UNEVEN: message(
        "Debits and credits differ: somebody has written past the ledger. Run the audit first."
    ),
}


class DayCell(NamedTuple):
    """A day of the calendar: closed, with or without something open, or not yet."""

    day: date
    close: Close | None
    is_over: bool


class Totals(NamedTuple):
    """A currency's part of a trial balance: it adds up, or it is not closed."""

    currency: str
    sums: list[CloseSum]

    @property
    def debits(self) -> int:
        """Give all that was debited."""
        return sum(each.debits_posted for each in self.sums)

    @property
    def credits(self) -> int:
        """Give all that was credited."""
        return sum(each.credits_posted for each in self.sums)


class ClosesDesk:
    """The pages of closed days."""

    entries = (Entry(_PATH, message("Closed days"), "book", Permission.BALANCE_READ),)

    def __init__(self, desk: Desk, deeds: Deeds) -> None:
        self._desk, self._deeds = desk, deeds
        self._ledger = desk.apis.ledger

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, one = self._desk, f"{_PATH}/{{day:str}}"
        return [
            desk.get(_PATH, self.table, Permission.BALANCE_READ),
            desk.get(f"{_PATH}.csv", self.export, Permission.BALANCE_READ),
            desk.post(_PATH, self.close, Permission.PAYOUTS_WRITE),
            desk.get(one, self.show, Permission.BALANCE_READ),
            desk.get(f"{one}/balance.csv", self.save_sums, Permission.BALANCE_READ),
            desk.get(f"{one}/items.csv", self.save_items, Permission.BALANCE_READ),
        ]

    async def table(self, caller: Caller) -> Page:
        """Show the days, newest first, and which one is next."""
        return await self._table(caller)

    async def export(self, caller: Caller) -> Page:
        """Give the closed days as CSV; who took them is kept."""
        turned = await self._deeds.log_export(caller, LISTED, "list:closes")
        if turned is not None:
            return turned

        async def read(last: Close | None) -> Sequence[Close]:
            query = CloseQuery(last.day if last else None, AT_ONCE)
            [found] = await self._ledger.list_closes([query])
            return found

        return save("closes", CLOSES, read)

    async def _table(self, caller: Caller, status: ClosingStatus | None = None) -> Page:
        before = _day(caller.asked("before"))
        [closes] = await self._ledger.list_closes([CloseQuery(before, _DAYS + 1)])
        state, now = await self._ledger.read_closing(), self._desk.clock.now()
        shown = closes[:_DAYS]
        older = f"{_PATH}?before={shown[-1].day}" if len(closes) > _DAYS else ""
        said = caller.asked("closed") if status is None else ""
        can_close = state.due_at is not None and state.due_at <= now
        return self._desk.page(
            caller,
            "operator/closes.html",
            status=200 if status is None else 422,
            closes=shown,
            exported=saved_at(caller, _PATH, ()),
            cells=_calendar(shown, state.day) if before is None else [],
            state=state,
            is_late=state.due_at is not None and now - state.due_at > timedelta(hours=1),
            can_close=can_close and caller.may(Permission.PAYOUTS_WRITE),
            older=older,
            now=now,
            done=self._desk.say(caller, _SAID[ClosingStatus.CLOSED]) if said == "yes" else "",
            problem=self._desk.say(caller, _SAID[status]) if status is not None else "",
        )

    async def close(self, caller: Caller) -> Page:
        """Close the day that is next."""
        day = _day(caller.written("day"))
        if day is None:
            return self._desk.problem(caller.request, 400, caller)
        await self._deeds.log(caller, "books.closed", f"day:{day}")
        [status] = await self._ledger.close_days([CloseDay(day, caller.person.email)])
        if status is ClosingStatus.CLOSED:
            return onward(f"{_PATH}?closed=yes#top")
        await self._deeds.log_undone(caller, "books.closed", f"day:{day}", status.value)
        return await self._table(caller, status)

    async def show(self, caller: Caller) -> Page:
        """Show a closed day: what accounts held, and what lay where nothing should."""
        sheet = await self._sheet(caller)
        if sheet is None:
            return self._desk.problem(caller.request, 404, caller)
        day = sheet.close.day
        query = CloseItemQuery(day, _item(caller.asked("after")), _ITEMS + 1)
        [items] = await self._ledger.list_close_items([query])
        currencies = sorted({each.currency for each in sheet.sums})
        shown = items[:_ITEMS]
        return self._desk.page(
            caller,
            "operator/close.html",
            path=_PATH,
            close=sheet.close,
            totals=[
                Totals(each, [row for row in sheet.sums if row.currency == each])
                for each in currencies
            ],
            items=[(each, _age(each, sheet.close.until)) for each in shown],
            older=f"{_PATH}/{day}?after={_place(shown[-1])}#items" if len(items) > _ITEMS else "",
        )

    async def _sheet(self, caller: Caller) -> CloseSheet | None:
        day = _day(caller.part("day"))
        [sheet] = await self._ledger.read_closes([day]) if day is not None else [None]
        return sheet

    async def save_sums(self, caller: Caller) -> Page:
        """Give a day's trial balance as CSV."""
        sheet = await self._sheet(caller)
        if sheet is None:
            return self._desk.problem(caller.request, 404, caller)
        day = sheet.close.day
        turned = await self._deeds.log_export(caller, "books.exported", f"day:{day}")
        if turned is not None:
            return turned
        rows = [_sum_row(day, each) for each in sheet.sums]

        async def read(_place: None) -> tuple[Rows, None]:
            return rows, None

        return export(f"balance-{day}", _SUM_COLUMNS, read)

    async def save_items(self, caller: Caller) -> Page:
        """Give all that lay in clearing accounts as CSV."""
        sheet = await self._sheet(caller)
        if sheet is None:
            return self._desk.problem(caller.request, 404, caller)
        close = sheet.close
        turned = await self._deeds.log_export(caller, "books.exported", f"day:{close.day}")
        if turned is not None:
            return turned

        async def read(after: CloseItem | None) -> tuple[Rows, CloseItem | None]:
            query = CloseItemQuery(close.day, after, _ITEMS_AT_ONCE)
            [items] = await self._ledger.list_close_items([query])
            rows = [_item_row(close, each) for each in items]
            return rows, items[-1] if len(items) == _ITEMS_AT_ONCE else None

        return export(f"clearing-{close.day}", _ITEM_COLUMNS, read)


def _calendar(closes: list[Close], next_day: date | None) -> list[DayCell | None]:
    """Lay the last days out by weeks, from a Monday on; none where there were no books yet."""
    known = {each.day: each for each in closes}
    last = next_day or (closes[0].day if closes else None)
    if last is None:
        return []
    first = min(known, default=last)
    monday = max(first, last - timedelta(days=_DAYS)) - timedelta(days=first.weekday())
    monday = monday - timedelta(days=monday.weekday())
    days = [monday + timedelta(days=each) for each in range((last - monday).days + 1)]
    return [DayCell(each, known.get(each), each < last) if each >= first else None for each in days]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _age(item: CloseItem, until: datetime) -> int:
    """Give how many whole days an item lay there at the cut."""
    return (until - item.since).days


def _place(item: CloseItem) -> str:
    """Write behind which item a page begins."""
    since = item.since.isoformat().replace("+", "%2B")
    return "~".join((since, item.account, item.currency, to_serial(item.subject)))


def _item(text: str) -> CloseItem | None:
    """Read it back; None: it is none of ours, and the first page is shown."""
    try:
        since, account, currency, serial = text.split("~")
        account_id(account, currency)
        moment = datetime.fromisoformat(since)
        return CloseItem(account, currency, from_serial(serial), 0, moment)
    except (ValueError, Malformed):
        return None


def _sum_row(day: date, each: CloseSum) -> list[str | int]:
    def told(minor: int) -> str:
        return str(to_decimal(minor, each.currency))

    return [
        day.isoformat(),
        each.currency,
        each.kind,
        told(each.debits_posted),
        told(each.credits_posted),
        told(each.credit_minor),
        told(each.debits_pending),
        told(each.credits_pending),
    ]


def _item_row(close: Close, each: CloseItem) -> list[str | int]:
    return [
        close.day.isoformat(),
        each.account,
        each.currency,
        to_serial(each.subject),
        str(to_decimal(each.amount_minor, each.currency)),
        each.since.isoformat(),
        _age(each, close.until),
    ]
