"""What events mean to merchants' programs, how they are signed, and what follows a try. Pure."""

import hashlib
import hmac
import math
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from vendrail.api.disputes import DisputeMoved, DisputeState
from vendrail.api.orders import (
    OrderDelivered,
    OrderEvent,
    OrderHeld,
    OrderItemsReplaced,
)
from vendrail.api.payouts import PayoutMoved, PayoutState
from vendrail.api.support import ComplaintMoved, ComplaintState
from vendrail.api.webhooks import DeliveryState, EndpointStatus, EventKind
from vendrail.kernel.codec import Record, decode, encode
from vendrail.kernel.http.targets import Network, UrlFault, is_named, url_fault
from vendrail.kernel.ids import derive, to_serial

_PAYOUTS = {
    PayoutState.SENT: EventKind.PAYOUT_SENT,
    PayoutState.SUCCEEDED: EventKind.PAYOUT_SUCCEEDED,
    PayoutState.FAILED: EventKind.PAYOUT_FAILED,
    PayoutState.RETURNED: EventKind.PAYOUT_RETURNED,
    PayoutState.DECLINED: EventKind.PAYOUT_DECLINED,
}
_DISPUTES = {
    DisputeState.OPEN: EventKind.DISPUTE_OPENED,
    DisputeState.WON: EventKind.DISPUTE_WON,
    DisputeState.LOST: EventKind.DISPUTE_LOST,
}
_COMPLAINTS = {
    ComplaintState.OPEN: EventKind.COMPLAINT_OPENED,
    ComplaintState.ANSWERED: EventKind.COMPLAINT_ANSWERED,
    ComplaintState.ESCALATED: EventKind.COMPLAINT_ESCALATED,
    ComplaintState.CLOSED: EventKind.COMPLAINT_CLOSED,
}
_HOUR_S = 3_600
_DAY_S = 24 * _HOUR_S

# After each try that was not heard: how long until the next, and up to a fifth more.
LADDER_S = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000)
_JITTER = 0.2
_RETRY_AFTER_S_MAX = _DAY_S

# How long each is worth telling, from the moment it happened.
LIVES_S: Mapping[EventKind, int] = {
    **dict.fromkeys(EventKind, 3 * _DAY_S),
    EventKind.STOCK_LOW: 12 * _HOUR_S,
    EventKind.TEST: _HOUR_S,
}

TOO_OLD = "too old to be of use"
DISABLED = "the endpoint was disabled"
REASON_BY_HAND = "by_hand"
REASON_NOT_HEARD = "not_heard"
REASON_GONE = "gone"
SECRET_BYTES = 32
_PREFIX = "whsec_"
_GONE = 410
_NOTE_LENGTH_MAX = 200
_HEAD_LENGTH_MAX = 1_500
_BODY_SHOWN_MAX = 300
_MASKED = ("set-cookie", "authorization", "proxy-authorization", "www-authenticate", "cookie")


class Happening(NamedTuple):
    """Something that a merchant's programs are told of."""

    id: UUID  # Derived from what happened: the same event again is the same happening.
    merchant: UUID
    kind: EventKind
    at: datetime
    body: str

    @property
    def stale_at(self) -> datetime:
        """Say from when on it is of no use."""
        return self.at + timedelta(seconds=LIVES_S[self.kind])


class Fate(NamedTuple):
    """What becomes of a delivery that was tried."""

    state: DeliveryState
    due_at: datetime
    problem: str
    ends_as: str = ""  # Why its endpoint is disabled with it; empty: it is not.


class Turn(NamedTuple):
    """Whether an endpoint may be asked for now: until when its turns are used up, and the wait."""

    free_at: datetime
    wait_s: int  # 0: it may be.


def take_turn(free_at: datetime | None, now: datetime, per_minute_max: int) -> Turn:
    """Take one of an endpoint's turns of a minute, or say how long to wait for the next."""
    minute = timedelta(seconds=60)
    step = minute / max(1, per_minute_max)
    began = max(free_at or now, now)
    over = began + step - now - minute
    if over > timedelta(0):
        return Turn(began, max(1, math.ceil(over.total_seconds())))
    return Turn(began + step, 0)


def happening(
    subject: UUID, kind: EventKind, merchant: UUID, at: datetime, data: Mapping[str, str | int]
) -> Happening:
    """Give what programs are told: what it is about by its ids, and never a key."""
    moment = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = encode({"type": str(kind), "timestamp": moment, "data": dict(data)}).decode()
    return Happening(derive(subject, f"webhook:{kind}"), merchant, kind, at, body)


class _Body(Record, frozen=True):
    data: dict[str, str | int]


def told_in(body: str) -> dict[str, str | int]:
    """Read what a body tells of: names of things, with their numbers."""
    return decode(body.encode(), _Body).data


def of_order(event: OrderEvent) -> list[Happening]:
    """Give what an event of an order means; whatever it is, the order was paid before.

    That it was paid has one id, so of the several events that say so the first one counts. A refund
    says so only where nothing before it did: it may come after that first one is forgotten.
    """
    order, merchant, at = event.order, event.merchant, event.at
    data: dict[str, str | int] = {"order": to_serial(order)}
    paid = happening(order, EventKind.ORDER_PAID, merchant, at, data)
    subject: UUID = order
    if isinstance(event, OrderHeld):
        kind = EventKind.ORDER_HELD
        subject = derive(order, f"held:{event.reason}")
        data["reason"] = event.reason
    elif isinstance(event, OrderDelivered):
        kind = EventKind.ORDER_DELIVERED
    elif isinstance(event, OrderItemsReplaced):
        kind, subject = EventKind.ORDER_REPLACED, event.replacement
        return [happening(subject, kind, merchant, at, {**data, "count": event.count})]
    else:
        kind, subject = EventKind.ORDER_REFUNDED, event.refund
        data["refund"] = to_serial(event.refund)
        if not event.is_unfilled:
            return [happening(subject, kind, merchant, at, data)]
    return [paid, happening(subject, kind, merchant, at, data)]


def of_payout(event: PayoutMoved) -> list[Happening]:
    """Give what the move of a payout means; not all moves concern a program."""
    kind = _PAYOUTS.get(event.state)
    if kind is None:
        return []
    data = {"payout": to_serial(event.payout)}
    return [happening(event.payout, kind, event.merchant, event.at, data)]


def of_dispute(event: DisputeMoved) -> list[Happening]:
    """Give what the move of a dispute means; told twice it is one happening."""
    kind = _DISPUTES.get(event.state)
    if kind is None:
        return []
    data = {"dispute": to_serial(event.dispute)}
    if event.order is not None:
        data["order"] = to_serial(event.order)
    return [happening(event.dispute, kind, event.merchant, event.at, data)]


def of_complaint(event: ComplaintMoved) -> list[Happening]:
    """Give what the move of a complaint means; each is told, also into the state it was in."""
    kind = _COMPLAINTS.get(event.state)
    if kind is None:
        return []
    data = {"complaint": to_serial(event.complaint), "order": to_serial(event.order)}
    if event.outcome:
        data["outcome"] = event.outcome
    subject = derive(event.complaint, f"turn:{event.turn}|{event.at.isoformat()}")
    return [happening(subject, kind, event.merchant, event.at, data)]


def is_wanted(kind: EventKind, kinds: Sequence[str]) -> bool:
    """Say whether an endpoint that has named these kinds is told of this one."""
    return kind is not EventKind.TEST and (not kinds or kind in kinds)


def endpoint_fault(
    url: str, note: str, allowed: Sequence[Network], own_hosts: Collection[str] = ()
) -> EndpointStatus | None:
    """Say what is wrong with an endpoint; None: nothing."""
    fault = url_fault(url, allowed)
    if fault is None and is_named(url, own_hosts, allowed):
        return EndpointStatus.URL_OWN
    if fault is not None:
        is_private = fault is UrlFault.PRIVATE
        return EndpointStatus.URL_PRIVATE if is_private else EndpointStatus.URL_MALFORMED
    return EndpointStatus.NOTE_TOO_LONG if len(note) > _NOTE_LENGTH_MAX else None


def write_secret(secret: bytes) -> str:
    """Write a secret as Standard Webhooks has it."""
    return _PREFIX + b64encode(secret).decode()


def read_secret(text: str) -> bytes:
    """Read a secret back."""
    return b64decode(text.removeprefix(_PREFIX))


def headers(id: UUID, at: datetime, body: str, secrets: Iterable[bytes]) -> dict[str, str]:
    """Give the headers of Standard Webhooks: the id stays the same at each try, the time does not.

    While a secret is being changed both sign, the newest first.
    """
    webhook_id, timestamp = to_serial(id), str(int(at.timestamp()))
    signed = f"{webhook_id}.{timestamp}.{body}".encode()
    signatures = [
        "v1," + b64encode(hmac.digest(secret, signed, "sha256")).decode() for secret in secrets
    ]
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }


def is_heard(status_code: int) -> bool:
    """Tell whether an endpoint has taken an event; a redirect is no taking."""
    return 200 <= status_code < 300


def retry_after_s(answered: Iterable[tuple[str, str]]) -> int:
    """Read how long an endpoint asks to be left alone; 0: it does not say in seconds."""
    text = dict(answered).get("retry-after", "")
    is_number = text.isascii() and text.isdigit()
    return min(int(text[:9]), _RETRY_AFTER_S_MAX) if is_number else 0


def after_try(
    delivery: UUID,
    attempts: int,
    now: datetime,
    stale_at: datetime,
    problem: str,
    *,
    status_code: int = 0,
    wait_s: int = 0,
    failing_since: datetime | None = None,
    disable_after: timedelta,
) -> Fate:
    """Say what becomes of a delivery that was not heard, and whether its endpoint ends with it."""
    if status_code == _GONE:
        return Fate(DeliveryState.GIVEN_UP, now, problem, REASON_GONE)
    is_over = failing_since is not None and now - failing_since >= disable_after
    ends_as = REASON_NOT_HEARD if is_over else ""
    if attempts > len(LADDER_S):
        return Fate(DeliveryState.GIVEN_UP, now, problem, ends_as)
    delay_s = LADDER_S[attempts - 1] * (1 + _JITTER * _chance(delivery, attempts))
    due_at = now + timedelta(seconds=max(delay_s, wait_s))
    if due_at >= stale_at:
        return Fate(DeliveryState.GIVEN_UP, now, problem, ends_as)
    return Fate(DeliveryState.WAITING, due_at, problem, ends_as)


def _chance(delivery: UUID, attempts: int) -> float:
    """Spread tries that failed together: from 0 to 1, the same for the same try."""
    digest = hashlib.blake2b(delivery.bytes + bytes([attempts]), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32


def request_head(url: str, sent: Mapping[str, str]) -> str:
    """Write what was sent, for the log: everything but the signature itself."""
    lines = [f"POST {url}"]
    for name, value in sent.items():
        is_signature = name == "webhook-signature"
        lines.append(
            f"{name}: {' '.join(['v1,…'] * len(value.split())) if is_signature else value}"
        )
    return "\n".join(lines)[:_HEAD_LENGTH_MAX]


def response_head(status_code: int, answered: Iterable[tuple[str, str]], body: bytes) -> str:
    """Write what was answered, for the log: its head without secrets, and how its body begins."""
    lines = [f"HTTP {status_code}"]
    for name, value in answered:
        lines.append(f"{name}: {'…' if name.lower() in _MASKED else value}")
    text = body[:_BODY_SHOWN_MAX].decode("utf-8", "replace")
    shown = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    return "\n".join(lines)[:_HEAD_LENGTH_MAX] + (f"\n\n{shown}" if shown.strip() else "")
