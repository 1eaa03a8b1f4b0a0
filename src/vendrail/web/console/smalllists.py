"""Short lists of both consoles as files: what is set, and who it is for; each read at once.

A page's list is named here once. Its file stands beside the page, behind the page's permission and
in the log, and the link to it stands below the page.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Any, NamedTuple

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.kernel.money import EXPONENTS, to_decimal
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import LISTED, Columns, save, save_whole
from vendrail.web.storefront.front import Page

Told = Mapping[str, str]
LogExport = Callable[[Caller, str, str, Told], Awaitable[Page | None]]


class SmallList(NamedTuple):
    """A list of a page, read whole; or by pages, where nobody knows how long it grows."""

    page: str  # The path of the page, as its route has it.
    suffix: str  # What the address of the file adds to that of the page.
    title: str  # What the link says; marked by `message`.
    permission: Permission
    columns: Columns[Any]
    read: Callable[[Caller], Awaitable[Sequence[Any] | None]] | None  # None: nothing is there.
    pages: Callable[[Caller, Any], Awaitable[Sequence[Any]]] | None = None  # After one, if long.

    @property
    def name(self) -> str:
        """Name the file by its address: without the console, nor what is different each time."""
        parts = (self.page + self.suffix.removesuffix(".csv")).split("/")[2:]
        return "-".join(part for part in parts if not part.startswith("{"))


class SmallLists:
    """The files of one console's short lists."""

    entries: tuple[Entry, ...] = ()

    def __init__(self, desk: Desk, lists: Sequence[SmallList], log_export: LogExport) -> None:
        self._desk, self._lists, self._log_export = desk, lists, log_export

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these files."""
        return [self._handler(each) for each in self._lists]

    def _handler(self, each: SmallList) -> HTTPRouteHandler:
        async def export(caller: Caller) -> Page:
            rows = await each.read(caller) if each.read is not None else []
            if rows is None:
                return self._desk.problem(caller.request, 404, caller)
            told = {"path": caller.request.url.path}
            turned = await self._log_export(caller, LISTED, f"list:{each.name}", told)
            if turned is not None:
                return turned
            if each.pages is not None:
                return save(each.name, each.columns, partial(each.pages, caller))
            return save_whole(each.name, each.columns, rows)

        self._desk.files.add(each.page, each.suffix, each.title, each.permission)
        return self._desk.get(f"{each.page}{each.suffix}", export, each.permission)


def told(names: str, currency: Callable[[Any], str] | None = None) -> Columns[Any]:
    """Give columns of a record's own fields; `…_minor` become amounts, without that ending."""
    return {
        name.replace("_minor", ""): _getter(name, currency or (lambda each: each.currency))
        for name in names.split()
    }


def _getter(name: str, currency: Callable[[Any], str]) -> Callable[[Any], Any]:
    def get(each: Any) -> Any:
        value = getattr(each, name)
        if isinstance(value, dict):
            return "; ".join(f"{of} {to_decimal(minor, of)}" for of, minor in sorted(value.items()))
        is_amount = "_minor" in name and value is not None
        return to_decimal(value, currency(each)) if is_amount else plain(value)

    return get


def plain(value: Any) -> Any:
    """Write a value as a cell holds it."""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return " ".join(str(plain(each)) for each in value)
    return value


def first_of(currencies: Sequence[str]) -> str:
    """Give the currency in which the bounds of several are told."""
    return next((each for each in currencies if each in EXPONENTS), "CNY")
