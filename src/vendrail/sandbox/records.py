"""What the sandbox remembers: applications, trades, refunds, transfers, notices on their way."""

from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum

import msgspec

CHINA = timezone(timedelta(hours=8))  # Alipay's clock, whatever the machine's.


class TradeStatus(StrEnum):
    """Where a trade stands. The first is ours alone: the buyer has not opened the trade yet."""

    PREPARED = "PREPARED"
    WAIT_BUYER_PAY = "WAIT_BUYER_PAY"
    TRADE_CLOSED = "TRADE_CLOSED"
    TRADE_SUCCESS = "TRADE_SUCCESS"
    TRADE_FINISHED = "TRADE_FINISHED"


class App(msgspec.Struct, tag="app"):
    """A merchant's application."""

    app_id: str
    seller_id: str
    name: str
    public_key_pem: str
    is_certified: bool
    opening_minor: int  # The balance it began with; what moved since is in the trades.
    certificate_pem: str = ""
    certificate_number: str = ""
    has_withholding: bool = False  # It has signed for agreements (商家扣款).


class Refund(msgspec.Struct):
    """Money given back, under the merchant's own request number."""

    out_request_no: str
    amount_minor: int
    at: datetime


class Trade(msgspec.Struct, tag="trade"):
    """One order of a merchant, and what became of it."""

    app_id: str
    out_trade_no: str
    trade_no: str
    token: str  # The secret part of the wallet page's address.
    product: str
    total_minor: int
    subject: str
    created_at: datetime
    expires_at: datetime
    body: str = ""
    passback_params: str = ""
    notify_url: str = ""
    return_url: str = ""
    quit_url: str = ""
    status: TradeStatus = TradeStatus.PREPARED
    opened_at: datetime | None = None
    paid_at: datetime | None = None
    closed_at: datetime | None = None
    refunds: list[Refund] = []
    agreement_no: str = ""  # Under which it is charged.

    @property
    def refunded_minor(self) -> int:
        """Sum what was given back so far."""
        return sum(refund.amount_minor for refund in self.refunds)


class Transfer(msgspec.Struct, tag="transfer"):
    """Money paid out of a merchant's balance."""

    app_id: str
    out_biz_no: str
    order_id: str
    fund_order_id: str
    amount_minor: int
    payee: str
    status: str
    at: datetime
    returned_at: datetime | None = None  # When the money came back: refused, or bounced.
    problem: str = ""


class Agreement(msgspec.Struct, tag="agreement"):
    """What a buyer lets a merchant charge without being asked, and how the buyer stands."""

    app_id: str
    number: str  # The merchant's own; each is signed once.
    agreement_no: str
    token: str  # The secret part of the page's address.
    product: str
    scene: str
    channel: str
    notify_url: str
    return_url: str
    status: str = "OPEN"  # OPEN: nobody has signed it; then NORMAL, STOP, UNSIGN.
    signed_at: datetime | None = None
    ended_at: datetime | None = None
    single_minor_max: int = 200_000  # No charge above.
    day_minor_max: int = 500_000
    funds_minor: int = 100_000_000  # What the buyer has to pay with.
    is_watched: bool = False  # The provider wants to see the buyer: no charge without them.
    is_slow: bool = False  # Charges are under way until they are paid or closed.
    logon_id: str = ""  # Whose account at the merchant it is for, as the page shows it.


class Notice(msgspec.Struct, tag="notice"):
    """A notification on its way to a merchant; it is the same text at every attempt."""

    notify_id: str
    out_trade_no: str
    url: str
    form: str
    method: str = "POST"
    attempts: int = 0
    due_at: float = 0.0  # Unix time.
    faults: list[str] = []


class NoticeEnd(msgspec.Struct, tag="notice_end"):
    """A notification that was taken, given up or dropped."""

    notify_id: str


Kept = App | Trade | Transfer | Agreement | Notice | NoticeEnd


class Delivery(msgspec.Struct):
    """One attempt at a notification, and what the merchant answered."""

    notify_id: str
    out_trade_no: str
    url: str
    form: str
    attempt: int
    at: datetime
    outcome: str
    status_code: int = 0
    answer: str = ""
    faults: list[str] = []


def yuan(amount_minor: int) -> str:
    """Write fen as Alipay does: yuan with two places."""
    return f"{amount_minor // 100}.{amount_minor % 100:02d}"


def stamp(moment: datetime) -> str:
    """Write a moment as Alipay does: its own wall clock, no zone."""
    return moment.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")


def read_stamp(text: str) -> datetime | None:
    """Read Alipay's wall clock; nothing if it is no moment."""
    for shape in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"):
        try:
            moment = datetime.strptime(f"{text} +0800", f"{shape} %z")
        except ValueError:
            continue
        if text == moment.strftime(shape):
            return moment.astimezone(UTC)
    return None
