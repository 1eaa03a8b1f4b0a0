"""Lists that are filtered: the fields of each one's form, what they may hold, and what is saved."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from vendrail.api.identity import FILTER_VALUE_LENGTH_MAX, Permission, SavedFilter
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import from_serial
from vendrail.web.console.finding import masked

Check = Callable[[str], bool]
Fields = Mapping[str, Check]  # What the form of a list asks, and which answers it takes.

ALL = "saved=none"  # Asks for the whole list, where it else opens by a filter of the person's.
_QUERY_LENGTH_MAX = 4_000
_PART = re.compile(r"\{[^}]*\}")
_CURRENCY = re.compile(r"[A-Z]{3,5}")


class Listed(NamedTuple):
    """A list of a console that can be filtered."""

    pattern: re.Pattern[str]  # Of its path.
    permission: Permission | None
    fields: Fields

    def clean(self, asked: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Keep of a query what the list's form asks and would take; nothing else is ever saved."""
        given = {name: value.strip() for name, value in asked if name in self.fields}
        return {
            name: given[name]
            for name, check in self.fields.items()
            if 0 < len(given.get(name, "")) <= FILTER_VALUE_LENGTH_MAX and check(given[name])
        }


class Chip(NamedTuple):
    """A saved filter on a page."""

    saved: SavedFilter
    address: str
    is_active: bool = False  # The page shows just this.


class ListFilters(NamedTuple):
    """What a person has saved for a list, as its page shows it."""

    page: str
    chips: Sequence[Chip]
    query: str  # What the page is asked for, to be saved; empty: nothing that could be.
    has_contact: bool  # It is asked for a buyer's contact, which is not kept.
    home: str  # The whole list.

    @property
    def opens_by(self) -> str:
        """Give the address by which the list opens; empty: as it comes."""
        return next((each.address for each in self.chips if each.saved.is_default), "")

    @property
    def is_saved(self) -> bool:
        """Whether what the page shows has a name already."""
        return any(each.is_active for each in self.chips)


def list_of(path: str, permission: Permission | None, fields: Fields) -> Listed:
    """Give the list at a path as a route has it: with `{parts}` that may be anything."""
    pattern = "[^/]+".join(map(re.escape, _PART.split(path)))
    return Listed(re.compile(pattern), permission, fields)


def list_filters(
    listed: Listed, page: str, asked: Sequence[tuple[str, str]], saved: Sequence[SavedFilter]
) -> ListFilters:
    """Lay what is saved for a list beside what it is asked for."""
    here = listed.clean(asked)
    chips = [chip for each in saved if (chip := chip_of(listed, each, here))]
    has_default = any(each.saved.is_default for each in chips)
    has_contact = any(
        listed.fields.get(name) is is_words and is_contact(value.strip()) for name, value in asked
    )
    home = f"{page}?{ALL}" if has_default else page
    return ListFilters(page, chips, urlencode(here), has_contact, home)


def chip_of(
    listed: Listed, saved: SavedFilter, here: Mapping[str, str] | None = None
) -> Chip | None:
    """Give a saved filter as a page shows it; None: its list would not take it any more."""
    query = listed.clean(saved.query.items())
    if not query:
        return None
    return Chip(saved, f"{saved.page}?{urlencode(query)}", is_active=query == here)


def read_query(text: str) -> list[tuple[str, str]]:
    """Read the query of an address."""
    try:
        return parse_qsl(text[:_QUERY_LENGTH_MAX], max_num_fields=40)
    except ValueError:
        return []


def one_of(values: Iterable[str]) -> Check:
    """Take one of some words."""
    known = frozenset(map(str, values))
    return lambda text: text in known


def is_day(text: str) -> bool:
    """Take a day, as 2026-11-30."""
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


def is_id(text: str) -> bool:
    """Take a serial number."""
    try:
        return isinstance(from_serial(text), UUID)
    except Malformed:
        return False


def is_currency(text: str) -> bool:
    """Take a currency's code."""
    return bool(_CURRENCY.fullmatch(text))


def is_name(text: str) -> bool:
    """Take words in one line."""
    return text.isprintable()


def is_words(text: str) -> bool:
    """Take words and numbers, no contact: a buyer's is kept with their orders alone."""
    return text.isprintable() and not is_contact(text)


def is_contact(text: str) -> bool:
    """Whether words name a person: an e-mail address or a phone number."""
    return bool(text) and masked(text) != text
