"""What travels over the merchants' part of the API about webhooks and events."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from vendrail.api.webhooks import EventKind
from vendrail.kernel.codec import Record

_MOMENT = Annotated[datetime, Meta(description="RFC 3339, UTC.")]
_SERIAL = Annotated[str, Meta(examples=["06ASMRVT3W7J1C2XK9QF4EBN8D"])]
_NEXT = Annotated[str | None, Meta(description="Goes into `before` for the next page.")]
_URL = Annotated[str, Meta(max_length=1000, examples=["https://hooks.example/vendrail"])]
_KINDS = Annotated[
    list[EventKind],
    Meta(max_length=len(EventKind), description="Empty: all, also those yet to come."),
]


class PutEndpointBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An endpoint, whole: what is left out has its default."""

    url: _URL
    kinds: _KINDS = []
    is_ordered: Annotated[bool, Meta(description="One at a time, in their order.")] = False
    note: Annotated[str, Meta(max_length=200)] = ""
    is_enabled: Annotated[bool, Meta(description="False: what waits is dropped.")] = True


class EndpointBody(Record, frozen=True):
    """An endpoint as it stands; its secret only where it has just been made."""

    id: _SERIAL
    url: _URL
    kinds: list[EventKind]
    is_ordered: bool
    note: str
    state: Annotated[str, Meta(description="`enabled`, `disabled`.", examples=["enabled"])]
    reason: Annotated[str, Meta(description="Why disabled: `by_hand`, `not_heard`, `gone`.")]
    made_at: _MOMENT
    keyed_at: Annotated[datetime, Meta(description="When its secret was made.")]
    old_key_until: Annotated[
        datetime | None, Meta(description="Until then the secret before signs too.")
    ]
    failing_since: datetime | None
    heard_at: datetime | None
    waiting: Annotated[int, Meta(description="How many deliveries are to come.")]
    secret: Annotated[
        str, Meta(description="`whsec_…`, told this once; empty in every other answer.")
    ] = ""


class EndpointListBody(Record, frozen=True):
    """All your endpoints, oldest first."""

    items: list[EndpointBody]


class DeliveryBody(Record, frozen=True):
    """The telling of one event to one endpoint."""

    id: _SERIAL
    event: _SERIAL
    kind: EventKind
    state: Annotated[str, Meta(description="`waiting`, `heard`, `given_up`, `dropped`.")]
    attempts: int
    happened_at: _MOMENT
    due_at: _MOMENT
    problem: str
    heard_at: datetime | None


class DeliveryListBody(Record, frozen=True):
    """One page of deliveries, newest first."""

    items: list[DeliveryBody]
    next: _NEXT


class AskRedeliveryBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From and until when what happened is told again."""

    since: Annotated[datetime, Meta(tz=True)]
    until: Annotated[datetime | None, Meta(description="Null: until now.")] = None
    is_unheard_only: bool = True


class ToldBody(Record, frozen=True):
    """How much is begun to be told."""

    count: int
    is_more: Annotated[bool, Meta(description="There was more than is begun at once: ask again.")]
    delivery: Annotated[str | None, Meta(description="Where it is one, its id.")] = None


class EventBody(Record, frozen=True):
    """Something that happened; `data` is what programs are told of it."""

    id: Annotated[_SERIAL, Meta(description="The `webhook-id` it is told by.")]
    type: EventKind
    timestamp: _MOMENT
    data: dict[str, Any]


class EventListBody(Record, frozen=True):
    """One page of events, newest first; kept since your first endpoint, for 30 days."""

    items: list[EventBody]
    next: _NEXT
