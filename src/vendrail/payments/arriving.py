"""What arrives: letters and the money in them, judged against what was asked for. Pure."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.api.payments import AttemptId, Callback, Capture, CaptureFit, CaptureId, CaptureSource
from vendrail.kernel.ids import derive, first_id_at
from vendrail.payments import decide
from vendrail.payments.accounts import OpenAccount
from vendrail.payments.channels.base import CallbackFacts
from vendrail.payments.channels.keys import signed_headers
from vendrail.payments.decide import Asked
from vendrail.payments.store.base import Row


class Incoming(NamedTuple):
    """Money that somebody says has arrived."""

    account: OpenAccount
    number: tuple[UUID, int] | None  # What its out_trade_no says, where it is one of ours.
    provider_number: str
    out_trade_no: str
    amount_minor: int
    currency: str
    paid_at: datetime
    source: CaptureSource
    is_price: bool = True  # False: it is known not to be what was asked, whatever it is worth.


class Letter(NamedTuple):
    """A verified callback on its way into the inbox."""

    place: int  # In the batch.
    account: OpenAccount
    raw: Callback
    facts: CallbackFacts
    number: tuple[UUID, int] | None


def judge(money: Incoming, asked: dict[tuple[UUID, int], Asked], now: datetime) -> Capture:
    """Judge money against what was asked for; its id derives from channel and number."""
    account = money.account.row
    found = asked.get(money.number) if money.number is not None else None
    if found is None or found.channel != account.id:
        # Never asked for over this account: this money belongs to no order yet.
        return Capture(
            CaptureId(derive(first_id_at(money.paid_at), _step(money))),
            account.id,
            account.name,
            money.provider_number,
            None,
            None,
            None,
            account.kind,
            money.amount_minor,
            money.currency,
            decide.fit(None, money.amount_minor, money.currency),
            money.source,
            money.paid_at,
            now,
        )
    fit = decide.fit(found, money.amount_minor, money.currency)
    if fit is CaptureFit.FITS and not money.is_price:
        fit = CaptureFit.AMOUNT_DIFFERS
    return Capture(
        CaptureId(derive(found.id, _step(money))),
        account.id,
        account.name,
        money.provider_number,
        AttemptId(found.id),
        found.order,
        found.merchant,
        found.method,
        money.amount_minor,
        money.currency,
        fit,
        money.source,
        money.paid_at,
        now,
        found.trace_id,
    )


def _step(money: Incoming) -> str:
    return f"capture:{money.account.text}:{money.provider_number}"


InboxRow = tuple[UUID, UUID, str, str, bytes, bytes | None]


def inbox_row(letter: Letter, outcome: str, now: datetime) -> InboxRow:
    """Give a letter's row for the inbox; its id derives from channel and event."""
    if letter.number is not None:
        parent = letter.number[0]
    else:
        parent = first_id_at(letter.facts.paid_at or now)
    id = derive(parent, f"inbox:{letter.account.text}:{letter.facts.event}")
    request = letter.raw.body
    if letter.raw.query:
        request = letter.raw.query.encode() + b"\n" + request
    channel = letter.account.row.id
    kind = outcome or letter.facts.kind.value
    return id, channel, letter.facts.event, kind, request, _signed_headers(letter)


def _signed_headers(letter: Letter) -> bytes | None:
    """Give the headers that the signature is in, a line each; None where it is in the body."""
    names = signed_headers(letter.account.channel)
    if names is None:
        return None
    came = {name.lower(): value for name, value in letter.raw.headers.items()}
    lines = [f"{name}: {came[name]}" for name in names if name in came]
    return "\n".join(lines).encode()


def claim_of(letter: Letter) -> tuple[UUID, str, str]:
    """Give what its provider is asked about: channel, our number and its own."""
    facts = letter.facts
    return letter.account.row.id, facts.out_trade_no, facts.provider_number


def incoming_of(letter: Letter, now: datetime) -> Incoming:
    """Give the money that a letter tells of."""
    facts = letter.facts
    return Incoming(
        letter.account,
        letter.number,
        facts.provider_number,
        facts.out_trade_no,
        facts.amount_minor,
        facts.currency,
        facts.paid_at or now,
        CaptureSource.CALLBACK,
    )


def capture_of(row: Row, channel_name: str, fit: CaptureFit | None = None) -> Capture:
    """Make a capture of its row; where a person matched it, with what they said."""
    keys = set(row.keys())
    order, merchant = row["order_id"], row["merchant"]
    if "matched_order" in keys and row["matched_order"] is not None:
        fit, order, merchant = CaptureFit.MATCHED, row["matched_order"], row["matched_merchant"]
    return Capture(
        id=CaptureId(row["id"]),
        channel=row["channel"],
        channel_name=channel_name,
        provider_number=row["provider_number"],
        attempt=row["attempt_id"],
        order=order,
        merchant=merchant,
        method=row["method"],
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        fit=fit or CaptureFit(row["fit"]),
        source=CaptureSource(row["source"]),
        paid_at=row["paid_at"],
        at=row["at"],
        trace_id=row["trace_id"],
    )
