"""What a day's close is made of: cuts, sums, what is still open, and what is signed. Pure."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from vendrail.api.ledger.closes import MATCH_STEPS, CloseSum
from vendrail.kernel.ids import derive

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ItemRow(NamedTuple):
    """What one serial number left in a clearing account."""

    account: int
    subject: UUID
    amount_minor: int
    since: datetime


class MovedRow(NamedTuple):
    """What a stretch of the journal left in a clearing account; of a match, each for itself."""

    account: int
    subject: UUID
    match: UUID | None  # The transfer that gave unmatched money to an order, its subject.
    amount_minor: int
    since: datetime


class NewClose(NamedTuple):
    """A day as it is closed."""

    day: date
    zone: str
    since: datetime | None
    until: datetime
    size: int  # How many transfers.
    block: int
    head: bytes
    previous: bytes
    digest: bytes
    signature: bytes
    closed_by: str
    closed_at: datetime


def day_of(moment: datetime, zone: str) -> date:
    """Give the day of a moment where the operator is."""
    return moment.astimezone(ZoneInfo(zone)).date()


def cut_of(day: date, zone: str) -> datetime:
    """Give the moment at which a day ends."""
    return datetime.combine(day + timedelta(days=1), time(), ZoneInfo(zone)).astimezone(UTC)


def add_sums(before: Sequence[CloseSum], moved: Sequence[CloseSum]) -> list[CloseSum]:
    """Add what a day moved to what had moved before it."""
    sums = {(each.currency, each.kind): each for each in before}
    for each in moved:
        known = sums.get((each.currency, each.kind))
        if known is not None:
            each = CloseSum(  # noqa: PLW2901 - the same row, with what came before
                each.currency,
                each.kind,
                known.debits_pending + each.debits_pending,
                known.debits_posted + each.debits_posted,
                known.credits_pending + each.credits_pending,
                known.credits_posted + each.credits_posted,
            )
        sums[each.currency, each.kind] = each
    return [sums[key] for key in sorted(sums)]


def is_even(sums: Sequence[CloseSum]) -> bool:
    """Tell whether debits are credits in every currency, what is pending too."""
    left: dict[str, tuple[int, int]] = {}
    for each in sums:
        posted, pending = left.get(each.currency, (0, 0))
        left[each.currency] = (
            posted + each.debits_posted - each.credits_posted,
            pending + each.debits_pending - each.credits_pending,
        )
    return all(each == (0, 0) for each in left.values())


def by_capture(before: Sequence[ItemRow], moved: Sequence[MovedRow]) -> list[ItemRow]:
    """Put matches under the capture whose money they take: their ids are derived from it."""
    own = [ItemRow(row.account, row.subject, *row[3:]) for row in moved if row.match is None]
    matched = [row for row in moved if row.match is not None]
    if not matched:
        return own
    captures = {
        (item.account, derive(item.subject, step)): item.subject
        for item in [*before, *own]
        for step in MATCH_STEPS
    }
    for row in matched:
        assert row.match is not None  # Those were taken out above.
        subject = captures.get((row.account, row.match), row.subject)
        own.append(ItemRow(row.account, subject, *row[3:]))
    return own


def still_open(before: Sequence[ItemRow], moved: Sequence[ItemRow]) -> list[ItemRow]:
    """Give what has not left, by serial number: equal amounts of others say nothing."""
    items = {(each.account, each.subject): each for each in before}
    for each in moved:
        known = items.pop((each.account, each.subject), None)
        minor = each.amount_minor + (known.amount_minor if known is not None else 0)
        if minor:
            since = known.since if known is not None else each.since
            items[each.account, each.subject] = ItemRow(each.account, each.subject, minor, since)
    return sorted(items.values(), key=lambda each: (each.since, each.account, each.subject))


def digest_of(close: NewClose, sums: Sequence[CloseSum], items: Sequence[ItemRow]) -> bytes:
    """Hash what a close says: SHA-256 over its lines, in this order."""
    lines = [
        "vendrail ledger close",
        close.day.isoformat(),
        close.zone,
        str(_us(close.until)),
        str(close.size),
        str(close.block),
        close.head.hex(),
        close.previous.hex(),
    ]
    lines += [
        f"{s.currency}|{s.kind}|{s.debits_pending}|{s.debits_posted}|{s.credits_pending}"
        f"|{s.credits_posted}"
        for s in sums
    ]
    lines += [f"{i.account}|{i.subject}|{i.amount_minor}|{_us(i.since)}" for i in items]
    return sha256("\n".join(lines).encode()).digest()


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
