"""What a page of a list is asked for: its size, its place, and other words of the address."""

from datetime import UTC, datetime
from uuid import UUID

from vendrail.gateway.exchange import Refusal
from vendrail.gateway.problems import QUERY_MALFORMED
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import from_serial

PAGE, PAGE_MAX = 50, 200


def limit(query: dict[str, str]) -> int:
    """Read how many are wanted."""
    text = query.get("limit", "")
    if not text:
        return PAGE
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= PAGE_MAX:
        raise Refusal(QUERY_MALFORMED, f"limit is a number from 1 to {PAGE_MAX}.")
    return int(text)


def before(query: dict[str, str]) -> UUID | None:
    """Read the last of the page before."""
    text = query.get("before", "")
    if not text:
        return None
    try:
        return from_serial(text)
    except Malformed as error:
        raise Refusal(QUERY_MALFORMED, f"before: {error.message}") from None


def moment(query: dict[str, str], name: str) -> datetime | None:
    """Read a moment; one without a zone is refused, for it would be another elsewhere."""
    text = query.get(name, "")
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None or not 2000 <= at.year <= 2999:
            raise ValueError
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        advice = f"{name} is a moment with its zone, as in 2026-11-29T08:00:00Z."
        raise Refusal(QUERY_MALFORMED, advice) from None
