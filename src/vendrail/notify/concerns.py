"""Concerns: what stands on the platform that staff are told of, and to whom it matters. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from vendrail.api.catalog import LowStock
from vendrail.api.identity import Permission, Person, PersonState
from vendrail.api.notify import CheckReport
from vendrail.api.orders import SagaView
from vendrail.api.payments import Capture, ChannelAccount, ChannelHealth
from vendrail.kernel.ids import to_serial
from vendrail.kernel.money import to_text

_LISTED_MAX = 20
_PATIENT = ("review", "restock", "person")


class ConcernKind(StrEnum):
    """What kinds of concerns there are."""

    STOCK_LOW = "stock_low"  # Few keys of a variant are left.
    SAGA_STUCK = "saga_stuck"  # A purchase or refund is a case for a person.
    SAGA_LATE = "saga_late"  # One that waits for nobody has not ended in a long time.
    MONEY_UNMATCHED = "money_unmatched"  # Money that fits nothing waits for a person.
    CHANNEL_AWAY = "channel_away"  # A provider fails, and is left alone.
    CHANNEL_BACK = "channel_back"  # It has answered again a while ago.
    CHECK_FAILED = "check_failed"  # An audit has found something.


class Concern(NamedTuple):
    """One thing that stands now."""

    key: str
    kind: ConcernKind
    place: UUID | None
    words: str
    is_begun: bool = True  # False: it would not begin now, but has not ended if it stands.


TEMPLATES: Mapping[ConcernKind, str] = {
    kind: "stock_low" if kind is ConcernKind.STOCK_LOW else "operator_alert" for kind in ConcernKind
}
_PERMISSIONS: Mapping[ConcernKind, Permission] = {
    ConcernKind.STOCK_LOW: Permission.KEYS_WRITE,
    ConcernKind.SAGA_STUCK: Permission.SAGAS_WRITE,
    ConcernKind.SAGA_LATE: Permission.SAGAS_WRITE,
    ConcernKind.MONEY_UNMATCHED: Permission.UNMATCHED_WRITE,
    ConcernKind.CHANNEL_AWAY: Permission.CHANNELS_READ,
    ConcernKind.CHANNEL_BACK: Permission.CHANNELS_READ,
    ConcernKind.CHECK_FAILED: Permission.BALANCE_READ,
}
_LINES: Mapping[str, ConcernKind] = {  # What the templates call them.
    "low": ConcernKind.STOCK_LOW,
    "stuck": ConcernKind.SAGA_STUCK,
    "late": ConcernKind.SAGA_LATE,
    "unmatched": ConcernKind.MONEY_UNMATCHED,
    "away": ConcernKind.CHANNEL_AWAY,
    "back": ConcernKind.CHANNEL_BACK,
    "found": ConcernKind.CHECK_FAILED,
}
_BACK_IS_NEWS = timedelta(hours=1)
CHOSEN = ("stock_low",)  # What a merchant may not want to be told.
STOCK_OVER_FACTOR = 2  # What was low is no longer so above twice its bound.
LIFE_S = 12 * 3_600


def of_stock(merchant: UUID, found: Iterable[LowStock]) -> list[Concern]:
    """Give the variants that run out; one that was told of ends only above twice the bound."""
    return [
        Concern(
            f"stock:{each.sku}",
            ConcernKind.STOCK_LOW,
            merchant,
            f"{each.title}: {each.free}",
            is_begun=each.free <= each.bound,
        )
        for each in found
        if each.free <= STOCK_OVER_FACTOR * each.bound
    ]


def of_sagas(found: Iterable[SagaView], now: datetime, wait_s: int) -> list[Concern]:
    """Give the sagas that are stuck, and those that should have ended long ago.

    One that waits for a person or for stock may do so for days: it is no concern by itself.
    """
    concerns = []
    for each in found:
        words = f"{each.kind} {to_serial(each.order)}: {each.problem or each.reason}"[:300]
        if each.state == "stuck":
            concerns.append(Concern(f"saga:{each.id}", ConcernKind.SAGA_STUCK, None, words))
        elif each.reason not in _PATIENT and now - each.started_at >= timedelta(seconds=wait_s):
            concerns.append(Concern(f"late:{each.id}", ConcernKind.SAGA_LATE, None, words))
    return concerns


def of_channels(
    found: Iterable[tuple[ChannelAccount, ChannelHealth]], now: datetime, wait_s: int
) -> list[Concern]:
    """Give the channels that are left alone for longer than a moment, and those that are back.

    That one is back is news for an hour; of one that was left alone for a moment nobody is told.
    """
    wait = timedelta(seconds=wait_s)
    concerns = []
    for account, health in found:
        if not account.is_active or health.away_since is None:
            continue
        key = f"{account.id}:{health.away_since:%Y%m%dT%H%M%S%f}"
        words = f"{account.name} ({account.title}), {health.away_since:%Y-%m-%d %H:%M} UTC"
        away_for = (health.back_at or now) - health.away_since
        if health.back_at is None:
            is_begun = away_for >= wait
            kind = ConcernKind.CHANNEL_AWAY
            concerns.append(Concern(f"channel:{key}", kind, None, words, is_begun=is_begun))
        elif away_for >= wait and now - health.back_at < _BACK_IS_NEWS:
            words = f"{words} – {health.back_at:%Y-%m-%d %H:%M} UTC"
            concerns.append(Concern(f"back:{key}", ConcernKind.CHANNEL_BACK, None, words))
    return concerns


def of_checks(found: Iterable[CheckReport]) -> list[Concern]:
    """Give what the newest audit has found, and any other check that failed."""
    return [
        Concern(
            f"check:{each.name}:{what}",
            ConcernKind.CHECK_FAILED,
            None,
            f"{each.name}, {each.at:%Y-%m-%d %H:%M} UTC: {what}" + (f" ({count})" if count else ""),
        )
        for each in found
        if not each.is_good
        for what, count in (each.findings or {"failed": 0}).items()
    ]


def of_captures(found: Iterable[Capture], now: datetime, wait_s: int) -> list[Concern]:
    """Give the money that fits nothing and has waited for a person long enough."""
    return [
        Concern(
            f"unmatched:{each.id}",
            ConcernKind.MONEY_UNMATCHED,
            None,
            f"{each.channel_name} {each.provider_number}:"
            f" {to_text(each.amount_minor, each.currency)} {each.currency}",
        )
        for each in found
        if now - each.at >= timedelta(seconds=wait_s)
    ]


def is_reader(person: Person, place: UUID | None, kinds: Iterable[ConcernKind]) -> bool:
    """Say whether a concern is a person's business: one who may do something about it."""
    held = {
        permission
        for membership in person.memberships
        if membership.merchant == place
        for permission in membership.permissions
    }
    wanted = {_PERMISSIONS[kind] for kind in kinds}
    return person.state is PersonState.ACTIVE and bool(held & wanted)


def readable(person: Person, place: UUID | None, found: Sequence[Concern]) -> list[Concern]:
    """Give those of a place's concerns that are this person's business."""
    return [each for each in found if is_reader(person, place, [each.kind])]


def values(found: Sequence[Concern]) -> dict[str, str]:
    """Give what a letter says of concerns."""
    lines = {
        name: [each.words for each in found if each.kind is kind][:_LISTED_MAX]
        for name, kind in _LINES.items()
    }
    return {"count": str(len(found))} | {name: "\n".join(each) for name, each in lines.items()}
