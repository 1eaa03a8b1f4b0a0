"""`vendrail close`: the books of each day, cut, summed and sealed."""

from datetime import date
from typing import Annotated

import typer

from vendrail.api.identity import NOT_DONE, Act, Identity
from vendrail.api.ledger import Ledger
from vendrail.api.ledger.closes import (
    Close,
    CloseDay,
    CloseItem,
    CloseItemQuery,
    CloseQuery,
    CloseSheet,
    ClosingStatus,
)
from vendrail.app.commands.people import actor
from vendrail.app.opened import opened_house, run
from vendrail.app.terminal import Json, out, show_table, write_json
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id, to_serial
from vendrail.kernel.money import to_text

app = typer.Typer(add_completion=False, no_args_is_help=True)
_SHOWN_MAX = 31
_ITEMS_MAX = 200
_ENDS = {
    ClosingStatus.CLOSED: "closed",
    ClosingStatus.EXISTS: "was closed before",
    ClosingStatus.NOTHING_BOOKED: "nothing was booked by then",
    ClosingStatus.OUT_OF_ORDER: "the day before is not closed yet",
    ClosingStatus.NOT_OVER: "it is not over yet",
    ClosingStatus.NOT_SEALED: "the journal is not sealed so far yet; try again in some minutes",
    ClosingStatus.BOOKS_UNEVEN: "debits and credits differ: run `vendrail audit`",
}


@app.callback()
def close() -> None:
    """The books of each day: cut, summed, sealed, and never written again.

    Example: [bold]vendrail close list[/]
    """


def _read_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Malformed(f"{text!r} is no day; write it as 2026-11-29.") from None


async def _close(day: date | None) -> tuple[date | None, ClosingStatus]:
    async with opened_house() as house:
        books: Ledger = house.api(Ledger)
        identity: Identity = house.api(Identity)
        next_day = day or (await books.read_closing()).day
        if next_day is None:
            return None, ClosingStatus.NOTHING_BOOKED
        by, subject = actor(), f"day:{next_day}"
        told = Act(new_id(house.clock.now()), by, "books.closed", subject, None)
        await identity.record_acts([told])
        # Looked at twice: who still wrote at the first look has ended by the second.
        [status] = await books.close_days([CloseDay(next_day, by.name)])
        if status is ClosingStatus.NOT_SEALED:
            [status] = await books.close_days([CloseDay(next_day, by.name)])
        if status is not ClosingStatus.CLOSED:
            after = {NOT_DONE: status.value}
            undone = Act(new_id(house.clock.now()), by, "books.closed", subject, None, after=after)
            await identity.record_acts([undone])
        return next_day, status


@app.command(name="run")
def run_(
    day: Annotated[str, typer.Argument(help="Which day; without one, the next that is open.")] = "",
    *,
    json: Json = False,
) -> None:
    """Close a day now. It happens by itself, half an hour after the day's end.

    Example: [bold]vendrail close run[/]
    """
    closed, status = run(_close(_read_day(day) if day else None))
    if json:
        write_json({"day": closed, "status": status.value})
    else:
        out().print(f"{closed or 'No day'}: {_ENDS[status]}.")
    if status not in (ClosingStatus.CLOSED, ClosingStatus.EXISTS):
        raise typer.Exit(1)


async def _list() -> list[Close]:
    async with opened_house() as house:
        books: Ledger = house.api(Ledger)
        [found] = await books.list_closes([CloseQuery(closes_max=_SHOWN_MAX)])
        return found


@app.command(name="list")
def list_(*, json: Json = False) -> None:
    """Show the last month of closed days, the newest first.

    Example: [bold]vendrail close list[/]
    """
    found = run(_list())
    if json:
        write_json(found)
        return
    show_table(
        "",
        ("day", "movements", "not back at zero", "block", "closed by"),
        [(each.day, each.count, each.items_count, each.block, each.closed_by) for each in found],
    )


async def _show(day: date) -> tuple[CloseSheet | None, list[CloseItem]]:
    async with opened_house() as house:
        books: Ledger = house.api(Ledger)
        [sheet] = await books.read_closes([day])
        [items] = await books.list_close_items([CloseItemQuery(day, items_max=_ITEMS_MAX)])
        return sheet, items


@app.command()
def show(
    day: Annotated[str, typer.Argument(help="The day, as 2026-11-29.")], *, json: Json = False
) -> None:
    """Show a closed day: the trial balance, and what had not come back to zero.

    Example: [bold]vendrail close show 2026-11-29[/]
    """
    sheet, items = run(_show(_read_day(day)))
    if sheet is None:
        raise Malformed(f"{day} is not closed.")
    if json:
        write_json({"close": sheet.close, "sums": sheet.sums, "items": items})
        return
    show_table(
        f"{day}, sealed as {sheet.close.digest[:16]}…",
        ("currency", "accounts", "debits", "credits", "balance"),
        [
            (
                each.currency,
                each.kind,
                to_text(each.debits_posted, each.currency),
                to_text(each.credits_posted, each.currency),
                to_text(each.credit_minor, each.currency),
            )
            for each in sheet.sums
        ],
    )
    if items:
        show_table(
            "not back at zero",
            ("account", "number", "amount", "since"),
            [
                (
                    f"{each.account} {each.currency}",
                    to_serial(each.subject),
                    to_text(each.amount_minor, each.currency),
                    f"{each.since:%Y-%m-%d %H:%M}",
                )
                for each in items
            ],
        )
