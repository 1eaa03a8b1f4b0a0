"""Saved filters: what a person asks a list of a console for again and again, under a name."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from vendrail.kernel.codec import Record

FILTERS_MAX = 50  # Of one person for one list, and of those shared for it.
FILTERS_PER_PERSON_MAX = 500
FILTER_NAME_LENGTH_MAX = 60
FILTER_FIELDS_MAX = 12
FILTER_VALUE_LENGTH_MAX = 254


class SavedFilter(Record, frozen=True):
    """A list of a console as somebody wants to see it again."""

    id: UUID  # Chosen by the caller: sending it again changes it.
    person: UUID  # Whose it is.
    merchant: UUID | None  # In whose console; None: the operator's.
    page: str  # The path of the list, without a query.
    name: str
    query: dict[str, str]  # By the fields of the list's form, those that are filled in.
    is_shared: bool = False  # Whether all who work there see it.
    is_default: bool = False  # Whether the list opens by it, for whoever asks.
    person_name: str = ""  # Filled in where it is read.
    saved_at: datetime | None = None  # Set when it is saved.


class FilterQuery(Record, frozen=True):
    """Ask for what a person finds saved somewhere: their own, and what others share."""

    person: UUID
    merchant: UUID | None
    page: str = ""  # Empty: of all lists there.


class FilterChange(Record, frozen=True):
    """Name a filter anew, and say who sees it."""

    person: UUID  # Who changes it.
    filter: UUID
    name: str
    is_shared: bool


class FilterStatus(StrEnum):
    """How saving, changing or dropping one filter ended. The first that fits is given."""

    DONE = "done"
    NAME_MALFORMED = "name_malformed"  # Empty, or more than 60 characters.
    QUERY_MALFORMED = "query_malformed"  # Asks for nothing, or too much; or its page is no path.
    NOT_ALLOWED = "not_allowed"  # The person does not work there.
    NOT_FOUND = "not_found"  # It is gone, or not theirs to change.
    NAME_TAKEN = "name_taken"  # The person has another of that name for that list.
    FULL = "full"  # There are as many as there may be.
