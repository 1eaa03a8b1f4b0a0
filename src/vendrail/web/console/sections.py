"""The navigation in sections, so that a page is found by what it is about."""

from collections.abc import Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from vendrail.api.identity import Permission
from vendrail.web.console.caller import Caller
from vendrail.web.languages import message

# Which page begins which section; those after it belong to it too, until the next begins.
_BEGIN = {
    "/operator": "",
    "/operator/complaints": message("To decide"),
    "/operator/payouts": message("Money out"),
    "/operator/merchants": message("Merchants"),
    "/operator/fees": message("Fees and books"),
    "/operator/channels": message("Money in"),
    "/operator/people": message("Platform"),
    "/merchant": "",
    "/merchant/complaints": message("Buyers"),
    "/merchant/products": message("Goods"),
    "/merchant/balance": message("Money"),
    "/merchant/verification": message("Shop"),
    "/merchant/api-keys": message("Programs"),
}


class Row(Protocol):
    """A row of the navigation."""

    @property
    def path(self) -> str:
        """Give where it leads."""
        ...

    @property
    def permission(self) -> Permission | None:
        """Give what whoever sees it may do; None: everybody sees it."""
        ...


Shown = TypeVar("Shown", bound=Row)


class Section(NamedTuple, Generic[Shown]):
    """Rows below one title; the first has none."""

    title: str
    rows: list[Shown]


def shows(row: Row, root: str, caller: Caller) -> bool:
    """Whether somebody sees a row in the console that begins at a path."""
    return row.path.startswith(root) and (row.permission is None or caller.may(row.permission))


def in_sections(entries: Sequence[Shown], shown: Sequence[Shown]) -> list[Section[Shown]]:
    """Put the rows that somebody sees into sections, in the order of all; empty ones are none."""
    sections, title = list[Section[Shown]](), ""
    for entry in entries:
        title = _BEGIN.get(entry.path, title)
        if entry not in shown:
            continue
        if not sections or sections[-1].title != title:
            sections.append(Section(title, []))
        sections[-1].rows.append(entry)
    return sections
