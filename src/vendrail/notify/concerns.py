"""Concerns: what stands on the platform that staff are told of, and to whom it matters. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from vendrail.api.catalog import LowStock
from vendrail.api.identity import Permission, Person, PersonState
from vendrail.api.orders import SagaView
from vendrail.api.payments import Capture
from vendrail.kernel.ids import to_serial
from vendrail.kernel.money import to_text

_LISTED_MAX = 20


class ConcernKind(StrEnum):
    """What kinds of concerns there are."""

    STOCK_LOW = "stock_low"  # Few keys of a variant are left.
    SAGA_STUCK = "saga_stuck"  # A purchase or refund is a case for a person.
    MONEY_UNMATCHED = "money_unmatched"  # Money that fits nothing waits for a person.


class Concern(NamedTuple):
    """One thing that stands now."""

    key: str
    kind: ConcernKind
    place: UUID | None
    words: str
    is_begun: bool = True  # False: it would not begin now, but has not ended if it stands.


TEMPLATES: Mapping[ConcernKind, str] = {
    ConcernKind.STOCK_LOW: "stock_low",
    ConcernKind.SAGA_STUCK: "operator_alert",
    ConcernKind.MONEY_UNMATCHED: "operator_alert",
}
_PERMISSIONS: Mapping[ConcernKind, Permission] = {
    ConcernKind.STOCK_LOW: Permission.KEYS_WRITE,
    ConcernKind.SAGA_STUCK: Permission.SAGAS_WRITE,
    ConcernKind.MONEY_UNMATCHED: Permission.UNMATCHED_WRITE,
}
CHOSEN = ("stock_low",)  # What a merchant may not want to be told.
LIFE_S = 12 * 3_600


def of_stock(merchant: UUID, found: Iterable[LowStock], free_max: int) -> list[Concern]:
    """Give the variants that run out; one that was told of ends only above twice the bound."""
    return [
        Concern(
            f"stock:{each.sku}",
            ConcernKind.STOCK_LOW,
            merchant,
            f"{each.title}: {each.free}",
            is_begun=each.free <= free_max,
        )
        for each in found
        if each.free <= 2 * free_max
    ]


def of_sagas(found: Iterable[SagaView]) -> list[Concern]:
    """Give the sagas that are stuck."""
    return [
        Concern(
            f"saga:{each.id}",
            ConcernKind.SAGA_STUCK,
            None,
            f"{each.kind} {to_serial(each.order)}: {each.problem}"[:300],
        )
        for each in found
        if each.state == "stuck"
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
    stuck = [each.words for each in found if each.kind is ConcernKind.SAGA_STUCK]
    unmatched = [each.words for each in found if each.kind is ConcernKind.MONEY_UNMATCHED]
    low = [each.words for each in found if each.kind is ConcernKind.STOCK_LOW]
    return {
        "count": str(len(found)),
        "low": "\n".join(low[:_LISTED_MAX]),
        "stuck": "\n".join(stuck[:_LISTED_MAX]),
        "unmatched": "\n".join(unmatched[:_LISTED_MAX]),
    }
