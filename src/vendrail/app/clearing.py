"""How long something has lain in an account that must come back to zero. Pure."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.ledger import Entry, TransferKind

ENTRIES_MAX = 1_000  # So far back an account's entries are read.
_MOVES = (TransferKind.SINGLE, TransferKind.POST)


def since(entries: Sequence[Entry], balance_minor: int) -> datetime | None:
    """Say since when the oldest amount has lain there; None: nothing lies there.

    `entries` are the account's newest, newest first. What came in under a serial number leaves
    under it, or as the same amount under another one (money that was matched to an order). Where
    the entries do not reach back to a moment at which the account was empty, something older than
    all of them lies there: the oldest entry is then as much as can be said.
    """
    if not balance_minor:
        return None
    walked: list[Entry] = []
    before_minor = balance_minor
    for entry in entries:
        if entry.kind not in _MOVES:
            continue
        walked.append(entry)
        before_minor -= entry.amount_minor
        if not before_minor:
            return _oldest_open(walked[::-1])
    return walked[-1].at if walked else None


def _oldest_open(entries: Sequence[Entry]) -> datetime | None:
    """Find the oldest amount that has not left, from a moment at which the account was empty."""
    lying: dict[UUID, tuple[int, datetime]] = {}  # By serial number, oldest first.
    for entry in entries:
        sum_minor, at = lying.pop(entry.subject, (0, entry.at))
        sum_minor += entry.amount_minor
        if sum_minor:
            lying[entry.subject] = sum_minor, at
        twin = _find_opposite(lying, entry.subject, sum_minor)
        if twin is not None:
            del lying[twin], lying[entry.subject]
    return min((at for _, at in lying.values()), default=None)


def _find_opposite(
    lying: dict[UUID, tuple[int, datetime]], subject: UUID, sum_minor: int
) -> UUID | None:
    """Find the money that left under another number than it had come in under."""
    if sum_minor >= 0:
        return None
    opposites = (
        other for other, (minor, _) in lying.items() if other != subject and minor == -sum_minor
    )
    return next(opposites, None)
