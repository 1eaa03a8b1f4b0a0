"""Webhooks: merchants' programs are told what happens, signed, until they have heard it."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NewType, Protocol
from uuid import UUID

from vendrail.kernel.codec import Record
from vendrail.kernel.numbers import Numbered

EndpointId = NewType("EndpointId", UUID)
DeliveryId = NewType("DeliveryId", UUID)


class EventKind(StrEnum):
    """What a merchant's program can be told."""

    ORDER_PAID = "order.paid"
    ORDER_HELD = "order.held"
    ORDER_DELIVERED = "order.delivered"
    ORDER_REFUNDED = "order.refunded"
    ORDER_REPLACED = "order.replaced"
    COMPLAINT_OPENED = "complaint.opened"
    COMPLAINT_ANSWERED = "complaint.answered"
    COMPLAINT_ESCALATED = "complaint.escalated"
    COMPLAINT_CLOSED = "complaint.closed"
    DISPUTE_OPENED = "dispute.opened"
    DISPUTE_WON = "dispute.won"
    DISPUTE_LOST = "dispute.lost"
    PAYOUT_SENT = "payout.sent"
    PAYOUT_SUCCEEDED = "payout.succeeded"
    PAYOUT_FAILED = "payout.failed"
    PAYOUT_RETURNED = "payout.returned"
    PAYOUT_DECLINED = "payout.declined"
    STOCK_LOW = "stock.low"
    TEST = "webhook.test"  # Somebody has pressed a button; nothing else happened.


class NewEndpoint(Record, frozen=True):
    """An address that a merchant wants to be told at; the id is chosen by the caller."""

    id: EndpointId
    merchant: UUID
    url: str
    kinds: list[EventKind] = []  # None of them: whatever happens.
    is_ordered: bool = False  # One at a time, in their order: one not heard holds up the others.
    note: str = ""
    is_enabled: bool = True


class EndpointStatus(StrEnum):
    """How making or changing one endpoint ended. Where several would fit, the first is given."""

    DONE = "done"
    EXISTS = "exists"  # It was made before; its secret is not told again.
    ENDPOINT_NOT_FOUND = "endpoint_not_found"
    URL_MALFORMED = "url_malformed"
    URL_PRIVATE = "url_private"
    URL_OWN = "url_own"  # It leads to the platform itself.
    NOTE_TOO_LONG = "note_too_long"
    TOO_MANY = "too_many"
    DELETED = "deleted"  # It was made before, and deleted since: it is not made again.


class EndpointState(StrEnum):
    """Whether an endpoint is told."""

    ENABLED = "enabled"
    DISABLED = "disabled"  # By its merchant, or because it has not heard anything for days.


class EndpointView(Record, frozen=True):
    """An endpoint as it stands; never its secret."""

    id: EndpointId
    merchant: UUID
    url: str
    kinds: list[EventKind]
    is_ordered: bool
    note: str
    state: EndpointState
    reason: str  # Why it is disabled: `by_hand`, `not_heard`, `gone`; else empty.
    made_at: datetime
    keyed_at: datetime  # When the secret was made that is good now.
    old_key_until: datetime | None  # Until then the secret before it signs too.
    failing_since: datetime | None  # The first of the tries since which none was heard.
    heard_at: datetime | None
    waiting: int = 0  # How many deliveries are to come.


class EndpointMade(Record, frozen=True):
    """What came of making an endpoint, or another secret of it; the secret is told this once."""

    status: EndpointStatus
    endpoint: EndpointView | None = None
    secret: str = ""  # `whsec_…`.


class EndpointChange(Record, frozen=True):
    """What to change of an endpoint; None: it stays."""

    id: EndpointId
    merchant: UUID
    url: str | None = None
    kinds: list[EventKind] | None = None
    is_ordered: bool | None = None
    note: str | None = None
    is_enabled: bool | None = None


class EndpointName(Record, frozen=True):
    """One endpoint of one merchant's."""

    id: EndpointId
    merchant: UUID


class NewSecret(Record, frozen=True):
    """Another secret for one endpoint; `once` names the wish, and its repeats make none."""

    id: EndpointId
    merchant: UUID
    once: UUID | None = None


class DeliveryState(StrEnum):
    """Where telling one endpoint of one event stands."""

    WAITING = "waiting"
    HEARD = "heard"  # It has answered with 2xx.
    GIVEN_UP = "given_up"  # It has not, at any step of the ladder.
    DROPPED = "dropped"  # Too old to be of use, or its endpoint was disabled.


class DeliveryTry(Record, frozen=True):
    """One try: what was sent and what was answered, their heads, secrets left out."""

    at: datetime
    took_ms: int
    status_code: int  # 0: no answer.
    problem: str
    request: str
    response: str


class DeliveryView(Record, frozen=True):
    """The telling of one event to one endpoint."""

    id: DeliveryId
    endpoint: EndpointId
    event: UUID
    kind: EventKind
    state: DeliveryState
    attempts: int
    happened_at: datetime
    due_at: datetime
    stale_at: datetime
    problem: str
    heard_at: datetime | None
    body: str = ""  # Only where one delivery is read, …
    tries: list[DeliveryTry] = []  # … first to last.


class DeliveryQuery(Record, frozen=True):
    """A page of an endpoint's deliveries, newest first; None: whatever the state."""

    endpoint: EndpointId
    merchant: UUID
    state: DeliveryState | None = None
    before: DeliveryId | None = None
    deliveries_max: int = 50


class DeliveryName(Record, frozen=True):
    """One delivery of one merchant's."""

    id: DeliveryId
    merchant: UUID


class Redelivery(Record, frozen=True):
    """Tell an endpoint once more of what happened within a time, in whatever state it was."""

    endpoint: EndpointId
    merchant: UUID
    since: datetime
    until: datetime
    is_unheard_only: bool = True


class AgainStatus(StrEnum):
    """How telling by a person's or a program's word ended; the first that fits is given."""

    BEGUN = "begun"
    NOT_FOUND = "not_found"
    DISABLED = "disabled"
    TOO_OFTEN = "too_often"  # `wait_s` says when it may be asked again; nothing is lost by it.
    UNDER_WAY = "under_way"  # It is being told just now.


class Again(Record, frozen=True):
    """What came of it."""

    status: AgainStatus
    count: int = 0  # How many deliveries are begun.
    is_more: bool = False  # There was more than is begun at once: ask again.
    delivery: DeliveryId | None = None
    wait_s: int = 0


class WebhookEvent(Record, frozen=True):
    """Something that happened, as programs are told of it."""

    id: UUID
    kind: EventKind
    at: datetime
    body: str  # The JSON that is sent, byte for byte.


class EventQuery(Record, frozen=True):
    """A page of what happened to a merchant, newest first; no kinds: all of them."""

    merchant: UUID
    kinds: list[EventKind] = []
    before: UUID | None = None
    events_max: int = 50
    since: datetime | None = None


class Webhooks(Numbered, Protocol):
    """Endpoints, what happened, and how telling them of it went, in batches."""

    async def make_endpoints(self, endpoints: Sequence[NewEndpoint]) -> list[EndpointMade]:
        """Make endpoints, each with a secret that is told once; the same id again makes none."""
        ...

    async def change_endpoints(self, changes: Sequence[EndpointChange]) -> list[EndpointStatus]:
        """Change endpoints; what waits for one that is disabled is dropped."""
        ...

    async def rotate_secrets(self, secrets: Sequence[NewSecret]) -> list[EndpointMade]:
        """Make other secrets; for a day the ones before sign too, and a repeat makes none."""
        ...

    async def close_endpoints(self, endpoints: Sequence[EndpointName]) -> list[EndpointStatus]:
        """Delete endpoints, with the log of what they were told."""
        ...

    async def list_endpoints(self, merchants: Sequence[UUID]) -> list[list[EndpointView]]:
        """List merchants' endpoints, oldest first."""
        ...

    async def list_failing(self, endpoints_max: int) -> list[EndpointView]:
        """List endpoints of all merchants that do not hear, the longest first."""
        ...

    async def test_endpoints(self, endpoints: Sequence[EndpointName]) -> list[Again]:
        """Send each endpoint a test event, within the bound of each."""
        ...

    async def list_deliveries(self, queries: Sequence[DeliveryQuery]) -> list[list[DeliveryView]]:
        """List endpoints' deliveries, newest first; a short page is the last."""
        ...

    async def read_deliveries(self, names: Sequence[DeliveryName]) -> list[DeliveryView | None]:
        """Read deliveries with what was sent and every try."""
        ...

    async def retry_deliveries(self, names: Sequence[DeliveryName]) -> list[Again]:
        """Tell again now, from the first step, under the same id, within an endpoint's bound."""
        ...

    async def redeliver_events(self, redeliveries: Sequence[Redelivery]) -> list[Again]:
        """Tell endpoints again of what happened within a time, within the bound of each."""
        ...

    async def list_webhook_events(self, queries: Sequence[EventQuery]) -> list[list[WebhookEvent]]:
        """List what happened to merchants since their first endpoint, newest first."""
        ...
