"""What travels of merchants' payouts."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from vendrail.kernel.codec import Record

_AMOUNT = Annotated[int, Meta(description="In minor units: 1990 is 19.90.", examples=[1990])]
_CURRENCY = Annotated[str, Meta(description="ISO 4217.", examples=["CNY"])]
_MOMENT = Annotated[datetime, Meta(description="RFC 3339, UTC.")]
_SERIAL = Annotated[str, Meta(examples=["06ASMRVT3W7J1C2XK9QF4EBN8D"])]
_NEXT = Annotated[str | None, Meta(description="Goes into `before` for the next page.")]


class PayeeBody(Record, frozen=True):
    """An account of yours that payouts may go to; its middle is masked."""

    id: _SERIAL
    kind: Annotated[str, Meta(examples=["logon_id"])]
    shown: Annotated[str, Meta(examples=["se***@example.com"])]
    state: Annotated[str, Meta(examples=["verified"])]
    currencies: list[str]
    usable_at: _MOMENT


class PayeeListBody(Record, frozen=True):
    """All your accounts for payouts, newest first."""

    items: list[PayeeBody]


class AskPayoutBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money to pay out; the fee comes on top."""

    payee: Annotated[str, Meta(max_length=40, examples=["06ASMRVT3W7J1C2XK9QF4EBN8D"])]
    amount_minor: Annotated[int, Meta(ge=1, le=1_000_000_000_000, examples=[1990])]
    currency: Annotated[str, Meta(min_length=3, max_length=3, examples=["CNY"])]


class PayoutBody(Record, frozen=True):
    """A payout as it stands."""

    id: _SERIAL
    payee: _SERIAL
    shown: str
    amount_minor: Annotated[
        int, Meta(description="Zero of a test whose amount is still a secret.", examples=[1990])
    ]
    fee_minor: int
    currency: _CURRENCY
    origin: Annotated[str, Meta(examples=["manual"])]
    state: Annotated[str, Meta(examples=["sent"])]
    problem: str
    provider_number: str
    asked_at: _MOMENT
    sent_at: _MOMENT | None
    ended_at: _MOMENT | None


class PayoutListBody(Record, frozen=True):
    """One page of payouts, newest first."""

    items: list[PayoutBody]
    next: _NEXT


class PutScheduleBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When money goes out by itself."""

    kind: Annotated[str, Meta(max_length=20, examples=["daily"])]
    payee: Annotated[str, Meta(max_length=40)] = ""
    zone: Annotated[str, Meta(max_length=60, examples=["Asia/Shanghai"])] = "UTC"
    hour: Annotated[int, Meta(ge=0, le=23)] = 0
    day: Annotated[
        int, Meta(description="Weekly: 1 is Monday. Monthly: of the month.", ge=1, le=31)
    ] = 1
    threshold_minor: Annotated[int, Meta(ge=0, le=1_000_000_000_000)] = 0


class ScheduleBody(Record, frozen=True):
    """When money in one currency goes out by itself, and what came of it last."""

    currency: _CURRENCY
    kind: Annotated[str, Meta(examples=["daily"])]
    payee: _SERIAL | None
    zone: str
    hour: int
    day: int
    threshold_minor: int
    due_at: _MOMENT | None
    outcome: Annotated[str, Meta(description="Empty: it was not due yet.", examples=["asked"])]
    outcome_at: _MOMENT | None
    payout: _SERIAL | None


class ReleaseBody(Record, frozen=True):
    """What becomes available at one moment."""

    part: Annotated[str, Meta(examples=["pending"])]
    due_at: _MOMENT
    amount_minor: _AMOUNT
    currency: _CURRENCY


class ReleaseListBody(Record, frozen=True):
    """All that becomes available later, soonest first."""

    items: list[ReleaseBody]


class PaidOutBody(Record, frozen=True):
    """What of an order's share went out with one payout."""

    payout: _SERIAL
    amount_minor: _AMOUNT
    currency: _CURRENCY
    at: _MOMENT


class TakenBody(Record, frozen=True):
    """What a payout took of one sale or release."""

    code: Annotated[str, Meta(description="`sale`, `release` or `other`.", examples=["sale"])]
    subject: Annotated[str, Meta(description="Of a sale: the order's id.")]
    amount_minor: _AMOUNT
    at: _MOMENT


class TakenListBody(Record, frozen=True):
    """What a payout was made of, newest first; a hundred at most."""

    items: list[TakenBody]


class PaidOutListBody(Record, frozen=True):
    """The payouts that took an order's share, oldest first."""

    items: list[PaidOutBody]
