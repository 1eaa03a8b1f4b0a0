"""Wishes of a reader: which letters may be done without, when to be left alone, and links. Pure."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from vendrail.api.notify import (
    OPTIONAL_LETTERS,
    LetterPreferences,
    LetterWay,
    PreferencesStatus,
)
from vendrail.notify.chats import is_fit
from vendrail.notify.decide import is_address

# What waits for the end of quiet hours; all else is about security or money, or waited for.
PATIENT = frozenset({*OPTIONAL_LETTERS, "webhook_disabled", "application_refused"})

HASH_BYTES = 16
_MAC_BYTES = 16
_AT_BYTES = 5
_DAY_MINUTES = 24 * 60


class Wishes(NamedTuple):
    """What one reader wants, as it is kept."""

    unwanted: frozenset[str]
    quiet_from: int | None
    quiet_until: int | None
    zone: str
    ways: Mapping[str, LetterWay] = MappingProxyType({})  # By kind; both for those not in it.


NONE = Wishes(frozenset(), None, None, "UTC")


class Link(NamedTuple):
    """What a link of a letter tells: who it was written to, when, and of which kind it is."""

    reader: bytes
    at: datetime
    template: str


def fault(wanted: LetterPreferences) -> PreferencesStatus | None:
    """Say what is wrong with preferences; None: nothing."""
    if not is_address(wanted.address):
        return PreferencesStatus.ADDRESS_MALFORMED
    if not set(wanted.unwanted) <= set(OPTIONAL_LETTERS):
        return PreferencesStatus.TEMPLATE_UNKNOWN
    hours = (wanted.quiet_from, wanted.quiet_until)
    if (None in hours and hours != (None, None)) or any(
        each is not None and not 0 <= each < _DAY_MINUTES for each in hours
    ):
        return PreferencesStatus.HOURS_MALFORMED
    if find_zone(wanted.zone) is None:
        return PreferencesStatus.ZONE_UNKNOWN
    return None if is_fit(wanted.ways) else PreferencesStatus.WAY_UNKNOWN


def find_zone(name: str) -> ZoneInfo | None:
    """Find a time zone by its name."""
    try:
        return ZoneInfo(name) if 0 < len(name) <= 60 else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def quiet_end(wishes: Wishes, now: datetime) -> datetime | None:
    """Say until when a reader is to be left alone; None: not now."""
    start, end, zone = wishes.quiet_from, wishes.quiet_until, find_zone(wishes.zone)
    if start is None or end is None or start == end or zone is None:
        return None
    local = now.astimezone(zone)
    minute = local.hour * 60 + local.minute
    is_quiet = start <= minute < end if start < end else minute >= start or minute < end
    if not is_quiet:
        return None
    ends = [
        datetime(day.year, day.month, day.day, end // 60, end % 60, tzinfo=zone).astimezone(UTC)
        for day in (local.date(), local.date() + timedelta(days=1))
    ]
    # A clock that is set back has this hour twice: whichever is next.
    return next((each for each in ends if each > now), None)


def signed(link: Link) -> bytes:
    """Give what is signed of a link."""
    at = int(link.at.timestamp()).to_bytes(_AT_BYTES, "big")
    return link.reader + at + link.template.encode()


def write_link(link: Link, mac: bytes) -> str:
    """Write a link, with what proves that it is ours."""
    return urlsafe_b64encode(mac[:_MAC_BYTES] + signed(link)).decode().rstrip("=")


def read_link(text: str) -> tuple[Link, bytes] | None:
    """Read a link with what is to prove it; None: it is none."""
    try:
        content = urlsafe_b64decode(text + "=" * (-len(text) % 4)) if text.isascii() else b""
        mac, rest = content[:_MAC_BYTES], content[_MAC_BYTES:]
        reader, at = rest[:HASH_BYTES], rest[HASH_BYTES : HASH_BYTES + _AT_BYTES]
        template = rest[HASH_BYTES + _AT_BYTES :].decode("ascii")
        moment = datetime.fromtimestamp(int.from_bytes(at, "big"), UTC)
    except (ValueError, OverflowError, OSError):
        return None
    if template not in OPTIONAL_LETTERS:
        return None
    return Link(reader, moment, template), mac
