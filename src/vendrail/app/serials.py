"""Serial numbers as people type them: 26 letters and digits, or the id itself."""

from uuid import UUID

from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import from_serial


def read_serial(text: str) -> UUID:
    """Read a serial number or an id."""
    cleaned = text.strip()
    try:
        return UUID(cleaned)
    except ValueError:
        pass
    try:
        return from_serial(cleaned)
    except Malformed as error:
        raise Malformed(f"{cleaned!r}: {error.message}") from error
