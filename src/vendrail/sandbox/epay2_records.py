"""What an emulated Epay V2 provider remembers: merchants, orders, refunds, transfers, notices."""

import secrets
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from vendrail.sandbox.journal import Journal
from vendrail.sandbox.records import Notice, NoticeEnd, stamp


class Merchant(msgspec.Struct, tag="merchant"):
    """A shop that takes payments through the provider."""

    pid: str
    name: str
    public_key_pem: str
    opening_minor: int
    sign_type: str = "RSA"
    can_close: bool = True  # Not every channel behind such a provider can.
    private_key_pem: str = ""  # Only of the merchant that is ready for use.


class Refund(msgspec.Struct):
    """Money that went back, by the merchant's number."""

    out_refund_no: str
    refund_no: str
    money_minor: int
    at: datetime


class Order(msgspec.Struct, tag="order"):
    """One order of a merchant, and what became of it."""

    pid: str
    out_trade_no: str
    trade_no: str
    token: str  # The secret part of the wallet page's address.
    kind: str  # Empty: the buyer has not chosen yet.
    name: str
    money_minor: int
    notify_url: str
    return_url: str
    created_at: datetime
    expires_at: datetime
    param: str = ""
    clientip: str = ""
    paid_at: datetime | None = None
    is_closed: bool = False
    refunds: list[Refund] = []

    @property
    def refunded_minor(self) -> int:
        """Add up what went back."""
        return sum(refund.money_minor for refund in self.refunds)


class Transfer(msgspec.Struct, tag="transfer"):
    """Money that a merchant paid out."""

    pid: str
    out_biz_no: str
    biz_no: str
    kind: str
    account: str
    name: str
    money_minor: int
    at: datetime
    status: int = 1  # 0 under way, 1 done, 2 failed.
    remark: str = ""


Kept = Merchant | Order | Transfer | Notice | NoticeEnd


class Epay2Store:
    """All of it in memory, found by every number that names it, and in a journal."""

    def __init__(self, journal: Path, compact_bytes: int) -> None:
        self.merchants: dict[str, Merchant] = {}
        self.notices: dict[str, Notice] = {}
        self.transfers: dict[tuple[str, str], Transfer] = {}
        self._orders: dict[tuple[str, str], Order] = {}
        self._by_number: dict[str, Order] = {}
        self._by_token: dict[str, Order] = {}
        self._journal: Journal[Kept] = Journal(journal, Kept, compact_bytes, self._records)
        for record in self._journal.read():
            self._index(record)
        self._journal.open()

    def _records(self) -> Iterator[Kept]:
        yield from self.merchants.values()
        yield from self._orders.values()
        yield from self.transfers.values()
        yield from self.notices.values()

    def _index(self, record: Kept) -> None:
        match record:
            case Merchant():
                self.merchants[record.pid] = record
            case Order():
                self._orders[record.pid, record.out_trade_no] = record
                self._by_number[record.trade_no] = record
                self._by_token[record.token] = record
            case Transfer():
                self.transfers[record.pid, record.out_biz_no] = record
            case Notice():
                self.notices[record.notify_id] = record
            case NoticeEnd():
                self.notices.pop(record.notify_id, None)

    def save(self, *records: Kept) -> None:
        """Keep new or changed records, in the journal before returning."""
        for record in records:
            self._index(record)
        self._journal.append(records)

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    def balance_minor(self, merchant: Merchant) -> int:
        """Add up what a merchant has."""
        came = sum(
            order.money_minor - order.refunded_minor
            for order in self._orders.values()
            if order.pid == merchant.pid and order.paid_at is not None
        )
        went = sum(
            transfer.money_minor
            for transfer in self.transfers.values()
            if transfer.pid == merchant.pid and transfer.status != 2
        )
        return merchant.opening_minor + came - went

    def order(self, pid: str, out_trade_no: str, trade_no: str = "") -> Order | None:
        """Find an order of a merchant by either number; the provider's own wins."""
        if trade_no:
            found = self._by_number.get(trade_no)
            return found if found is not None and found.pid == pid else None
        return self._orders.get((pid, out_trade_no))

    def order_by_token(self, token: str) -> Order | None:
        """Find the order of a wallet page."""
        return self._by_token.get(token)

    def refund(self, pid: str, out_refund_no: str) -> tuple[Order, Refund] | None:
        """Find a refund of a merchant by its number."""
        for order in self._orders.values():
            for refund in order.refunds:
                if order.pid == pid and refund.out_refund_no == out_refund_no:
                    return order, refund
        return None

    def make_number(self, now: datetime) -> str:
        """Make a number as Epay does: the moment, then digits."""
        moment = "".join(letter for letter in stamp(now) if letter.isdigit())
        while True:
            number = f"{moment}{secrets.randbelow(10**5):05d}"
            if number not in self._by_number:
                return number

    def make_pid(self) -> str:
        """Make a merchant's number that is still free."""
        return str(max((int(pid) for pid in self.merchants), default=2_000) + 1)
