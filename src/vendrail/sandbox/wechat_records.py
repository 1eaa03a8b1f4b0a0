"""What the emulated WeChat Pay remembers: merchants, orders, transfers, notices on their way."""

import secrets
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

import msgspec

from vendrail.sandbox.journal import Journal
from vendrail.sandbox.records import CHINA, Notice, NoticeEnd


class Mode(StrEnum):
    """With which key WeChat Pay signs for a merchant."""

    PUBLIC_KEY = "public_key"
    CERTIFICATE = "certificate"
    BOTH = "both"  # On the way from one to the other: replies as asked, callbacks by certificate.


class Merchant(msgspec.Struct, tag="merchant"):
    """A merchant with a contract."""

    mchid: str
    appid: str
    name: str
    serial_no: str
    public_key_pem: str
    api_key: str
    app_secret: str
    mode: Mode
    opening_minor: int
    private_key_pem: str = ""  # Only of the merchant that is ready for use.
    skew_s: float = 0.0  # How far its time is moved on: for tests that move their own.
    receivers: list[str] = []  # Who may get parts of its payments.


class Refund(msgspec.Struct):
    """Money on its way back, under the merchant's own number."""

    out_refund_no: str
    refund_id: str
    amount_minor: int
    created_at: datetime
    status: str = "SUCCESS"
    notify_url: str = ""
    done_at: datetime | None = None


class Part(msgspec.Struct):
    """A part of a payment that went to somebody else."""

    out_order_no: str
    kind: str
    account: str
    amount_minor: int
    description: str
    detail_id: str
    at: datetime
    returned_minor: int = 0


class Back(msgspec.Struct):
    """A part that came back."""

    out_return_no: str
    out_order_no: str
    return_mchid: str
    amount_minor: int
    return_no: str
    at: datetime


class Order(msgspec.Struct, tag="order"):
    """One order of a merchant, and what became of it."""

    mchid: str
    out_trade_no: str
    transaction_id: str
    prepay_id: str
    token: str  # The secret part of the wallet page's address.
    product: str
    description: str
    total_minor: int
    notify_url: str
    created_at: datetime
    expires_at: datetime
    attach: str = ""
    openid: str = ""
    is_frozen: bool = False  # Its payment waits for its parts.
    return_url: str = ""
    paid_at: datetime | None = None
    closed_at: datetime | None = None
    refunds: list[Refund] = []
    parts: list[Part] = []
    backs: list[Back] = []
    sharings: dict[str, str] = {}  # Provider's numbers of profit sharings, by the merchant's.

    @property
    def trade_no(self) -> str:
        """Give the number that a wallet page shows."""
        return self.transaction_id

    @property
    def refunded_minor(self) -> int:
        """Sum what has gone back, or is on its way."""
        return sum(each.amount_minor for each in self.refunds if each.status != "CLOSED")

    @property
    def shared_minor(self) -> int:
        """Sum what is with others."""
        return sum(each.amount_minor - each.returned_minor for each in self.parts)

    def state(self, now: datetime) -> str:
        """Say where it stands, in the provider's words."""
        if self.paid_at is not None:
            return "REFUND" if self.refunded_minor else "SUCCESS"
        return "CLOSED" if self.closed_at is not None or now >= self.expires_at else "NOTPAY"


class Transfer(msgspec.Struct, tag="transfer"):
    """Money paid to a person, who must confirm it."""

    mchid: str
    out_bill_no: str
    transfer_bill_no: str
    openid: str
    amount_minor: int
    remark: str
    scene: str
    user_name: str
    package_info: str
    created_at: datetime
    updated_at: datetime
    state: str = "WAIT_USER_CONFIRM"
    fail_reason: str = ""
    notify_url: str = ""


Kept = Merchant | Order | Transfer | Notice | NoticeEnd


class WechatStore:
    """All of it in memory, found by every number that names it, and in a journal."""

    def __init__(self, journal: Path, compact_bytes: int) -> None:
        self.merchants: dict[str, Merchant] = {}
        self.notices: dict[str, Notice] = {}
        self._orders: dict[tuple[str, str], Order] = {}
        self._by_number: dict[str, Order] = {}
        self._by_token: dict[str, Order] = {}
        self._by_prepay: dict[str, Order] = {}
        self._transfers: dict[tuple[str, str], Transfer] = {}
        self._orders_of: defaultdict[str, list[Order]] = defaultdict(list)
        self._journal: Journal[Kept] = Journal(journal, Kept, compact_bytes, self._records)
        for record in self._journal.read():
            self._index(record)
        for order in self._orders.values():
            self._orders_of[order.mchid].append(order)
        self._journal.open()

    def _records(self) -> Iterator[Kept]:
        yield from self.merchants.values()
        yield from self._orders.values()
        yield from self._transfers.values()
        yield from self.notices.values()

    def _index(self, record: Kept) -> None:
        match record:
            case Merchant():
                self.merchants[record.mchid] = record
            case Order():
                self._orders[record.mchid, record.out_trade_no] = record
                self._by_number[record.transaction_id] = record
                self._by_token[record.token] = record
                self._by_prepay[record.prepay_id] = record
            case Transfer():
                self._transfers[record.mchid, record.out_bill_no] = record
            case Notice():
                self.notices[record.notify_id] = record
            case NoticeEnd():
                self.notices.pop(record.notify_id, None)

    def save(self, *records: Kept) -> None:
        """Keep new or changed records, in the journal before returning."""
        for record in records:
            if isinstance(record, Order) and record.transaction_id not in self._by_number:
                self._orders_of[record.mchid].append(record)
            self._index(record)
        self._journal.append(records)

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    def balance_minor(self, merchant: Merchant) -> int:
        """Add up what a merchant can spend: nothing that stands frozen."""
        balance_minor = merchant.opening_minor
        for order in self._orders_of[merchant.mchid]:
            if order.paid_at is None:
                continue
            balance_minor -= order.refunded_minor
            balance_minor += 0 if order.is_frozen else order.total_minor - order.shared_minor
        for transfer in self.transfers(merchant):
            if transfer.state not in {"FAIL", "CANCELLED"}:
                balance_minor -= transfer.amount_minor
        return balance_minor

    def orders(self, merchant: Merchant) -> list[Order]:
        """Give a merchant's orders, oldest first."""
        return self._orders_of[merchant.mchid]

    def transfers(self, merchant: Merchant) -> list[Transfer]:
        """Give a merchant's transfers, oldest first."""
        return [each for each in self._transfers.values() if each.mchid == merchant.mchid]

    def order(self, mchid: str, out_trade_no: str, transaction_id: str = "") -> Order | None:
        """Find an order of a merchant by either number; the provider's own wins."""
        if transaction_id:
            found = self._by_number.get(transaction_id)
            return found if found is not None and found.mchid == mchid else None
        return self._orders.get((mchid, out_trade_no))

    def order_by_token(self, token: str) -> Order | None:
        """Find the order of a wallet page."""
        return self._by_token.get(token)

    def order_by_prepay(self, prepay_id: str) -> Order | None:
        """Find the order that a page inside WeChat hands over."""
        return self._by_prepay.get(prepay_id)

    def transfer(self, mchid: str, out_bill_no: str) -> Transfer | None:
        """Find a transfer of a merchant."""
        return self._transfers.get((mchid, out_bill_no))

    def refund(self, mchid: str, out_refund_no: str) -> tuple[Order, Refund] | None:
        """Find a refund by the merchant's number, with its order."""
        for order in self._orders_of[mchid]:
            for refund in order.refunds:
                if refund.out_refund_no == out_refund_no:
                    return order, refund
        return None

    def make_mchid(self) -> str:
        """Make a merchant's number that is still free."""
        return str(max((int(mchid) for mchid in self.merchants), default=1_900_000_000) + 1)


def make_number(prefix: str, now: datetime) -> str:
    """Make a number as WeChat Pay does: what it is, the day, then digits."""
    day = now.astimezone(CHINA).strftime("%Y%m%d")
    return f"{prefix}{day}{secrets.randbelow(10**12):012d}"


def stamp(moment: datetime) -> str:
    """Write a moment as WeChat Pay does."""
    return moment.astimezone(CHINA).isoformat(timespec="seconds")


def now_of(merchant: Merchant, now: datetime) -> datetime:
    """Give the time as it is for a merchant."""
    return now + timedelta(seconds=merchant.skew_s)
