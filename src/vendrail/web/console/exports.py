"""Exports: what a list of a console shows, as CSV with its filters, page by page as it is read."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from litestar.response import Stream

from vendrail.api.identity import Act
from vendrail.api.orders import SoldOrder
from vendrail.api.payouts import PayoutView
from vendrail.kernel.codec import encode
from vendrail.kernel.http import as_attachment
from vendrail.kernel.ids import to_serial
from vendrail.kernel.money import to_decimal
from vendrail.web.console.caller import Caller
from vendrail.web.pages import guards
from vendrail.web.papers.sheets import Cell, Rows, csv_text
from vendrail.web.storefront.front import Page

Cursor = TypeVar("Cursor")
Item = TypeVar("Item")
ReadPage = Callable[[Cursor | None], Awaitable[tuple[Rows, Cursor | None]]]
Columns = Mapping[str, Callable[[Item], Any]]

StillMay = Callable[[], Awaitable[bool]]

_WATCHED_EVERY = timedelta(seconds=3)  # How often a file asks whether its taker still may.
_LIVE = "text/event-stream"  # Pages that follow: they look for themselves.
LISTED = "list.exported"  # The act of saving a list that has no act of its own.
AT_ONCE = 200
ACTS_AT_ONCE = 500

ORDER_COLUMNS = (
    "placed_at", "order", "state", "title", "sku", "quantity", "amount", "refunded", "currency",
    "paid", "paid_currency", "method", "contact", "paid_at", "delivered_at", "merchant",
)  # fmt: skip
PAYOUT_COLUMNS = (
    "asked_at", "payout", "state", "amount", "fee", "currency", "account", "channel", "origin",
    "asked_by", "sent_at", "ended_at", "provider_number", "merchant",
)  # fmt: skip


ACT_COLUMNS = (
    "at", "act", "subject", "who", "address", "device", "merchant", "reason", "before", "after",
)  # fmt: skip


def export(name: str, columns: Sequence[str], read: ReadPage[Cursor]) -> Page:
    """Answer with a file that is written while its pages are read: any size, little memory."""
    headers = {
        "content-disposition": as_attachment(f"{name}.csv"),
        "cache-control": "no-store",
        **guards(),
    }
    told = _written(columns, read)
    return Stream(told, media_type="text/csv", headers=headers)  # type: ignore[return-value]


def watched(page: Page, now: Callable[[], datetime], still_may: StillMay) -> Page:
    """End a file while it is being written, once whoever takes it may have it no more."""
    file: object = page
    if isinstance(file, Stream) and file.media_type != _LIVE:
        file.iterator = _while_allowed(file.iterator, now, still_may)
    return page


async def _while_allowed(
    parts: Any, now: Callable[[], datetime], still_may: StillMay
) -> AsyncIterator[bytes]:
    asked_at = now()
    async for part in parts:
        if now() - asked_at >= _WATCHED_EVERY:
            if not await still_may():
                # Broken off: a file that ended well would look whole.
                raise PermissionError("Whoever takes this file may have it no more.")
            asked_at = now()
        yield part


def save(
    name: str, columns: Columns[Item], read: Callable[[Item | None], Awaitable[Sequence[Item]]]
) -> Page:
    """Answer with a file of things, a row each; `read` gives the page after a thing."""

    async def pages(last: Item | None) -> tuple[Rows, Item | None]:
        found = await read(last)
        return rows_of(columns, found), found[-1] if found else None

    return export(name, tuple(columns), pages)


def save_whole(name: str, columns: Columns[Item], items: Sequence[Item]) -> Page:
    """Answer with a file of things that are few, all of them read already."""

    async def read(last: Item | None) -> Sequence[Item]:
        return items if last is None else []

    return save(name, columns, read)


def saved_at(caller: Caller, path: str, filters: Sequence[str]) -> str:
    """Give the address of the file of a list, with the filters by which it is shown."""
    told = filters_of(caller, filters)
    return f"{path}.csv?{urlencode(told)}" if told else f"{path}.csv"


def filters_of(caller: Caller, filters: Sequence[str]) -> dict[str, str]:
    """Give the filters that an address names."""
    return {name: value for name in filters if (value := caller.asked(name))}


def rows_of(columns: Columns[Item], items: Sequence[Item]) -> Iterator[list[Cell]]:
    """Write things as rows, one after the other."""
    for each in items:
        yield [_cell(get(each)) for get in columns.values()]


def _cell(value: Any) -> Cell:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, UUID):
        return to_serial(value)
    return value if value is None or isinstance(value, int | Decimal) else str(value)


async def _written(columns: Sequence[str], read: ReadPage[Cursor]) -> AsyncIterator[bytes]:
    yield csv_text([columns], is_first=True).encode()
    cursor: Cursor | None = None
    while True:
        rows, cursor = await read(cursor)
        yield csv_text(rows).encode()
        if cursor is None:
            return


def order_row(sold: SoldOrder) -> list[Cell]:
    """Write an order as a row, without its keys."""
    order = sold.view
    return [
        order.placed_at.isoformat(),
        order.serial,
        order.state.value,
        order.title,
        order.sku,
        order.quantity,
        to_decimal(order.amount_minor, order.currency),
        to_decimal(order.refunded_minor, order.currency),
        order.currency,
        to_decimal(order.due_minor, order.due_currency),
        order.due_currency,
        sold.method,
        sold.contact,
        order.paid_at.isoformat() if order.paid_at else None,
        order.delivered_at.isoformat() if order.delivered_at else None,
        to_serial(order.merchant),
    ]


def payout_row(payout: PayoutView) -> list[Cell]:
    """Write a payout as a row, its account as pages show it."""
    return [
        payout.asked_at.isoformat(),
        to_serial(payout.id),
        payout.state.value,
        to_decimal(payout.amount_minor, payout.currency),
        to_decimal(payout.fee_minor, payout.currency),
        payout.currency,
        payout.shown,
        payout.channel_name,
        payout.origin.value,
        payout.asked_by,
        payout.sent_at.isoformat() if payout.sent_at else None,
        payout.ended_at.isoformat() if payout.ended_at else None,
        payout.provider_number,
        to_serial(payout.merchant),
    ]


def act_row(act: Act) -> list[Cell]:
    """Write an act of the log as a row."""
    origin = act.by.origin
    return [
        act.at.isoformat() if act.at else None,
        act.act,
        act.subject,
        act.by.name,
        origin.address,
        origin.agent,
        to_serial(act.merchant) if act.merchant else None,
        act.reason,
        encode(act.before).decode() if act.before else None,
        encode(act.after).decode() if act.after else None,
    ]
