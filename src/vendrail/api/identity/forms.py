"""Kept forms: what somebody typed into a page that had grown too old, until it is sent again."""

from datetime import datetime, timedelta
from uuid import UUID

from vendrail.kernel.codec import Record

KEPT_FORM_LIFE = timedelta(hours=1)
KEPT_FORM_BYTES_MAX = 65_536  # Of names and values together, as UTF-8.


class KeptForm(Record, frozen=True):
    """A form that was not sent, as it was typed."""

    id: UUID  # Chosen by the caller: sending it again changes nothing.
    browser: str  # The secret of the browser: nobody finds the form by another one.
    address: str  # The path that the form was sent to.
    fields: dict[str, str]  # Without what is secret: that is typed again.
    person: UUID | None = None  # Whose it is; None: their session had ended.
    has_file: bool = False  # There was a file too, which is not kept.
    kept_at: datetime | None = None  # Set when it is kept.


class KeptFormQuery(Record, frozen=True):
    """Ask for a kept form, from the browser that it was typed in."""

    id: UUID
    browser: str
