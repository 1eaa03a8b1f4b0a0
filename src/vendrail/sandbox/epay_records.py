"""What an emulated Epay provider remembers: merchants, orders, notices on their way."""

import secrets
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from vendrail.sandbox.journal import Journal
from vendrail.sandbox.records import Notice, NoticeEnd, stamp


class Fork(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In what a provider differs from the next: there is no one Epay."""

    places: int = 2  # Of the money it tells: 2 writes 1.50, 4 writes 1.5000, 0 the shortest.
    notifies_by: str = "GET"
    tells_sign_type: bool = True
    tells_refunds: bool = True  # An order says what went back, and 2 when that is all.
    asked_by: str = ""  # Empty: api.php takes GET and POST; else only this.


class Merchant(msgspec.Struct, tag="merchant"):
    """A shop that takes payments through the provider."""

    pid: str
    key: str
    name: str
    opening_minor: int
    fork: Fork = Fork()


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
    refunded_minor: int = 0


Kept = Merchant | Order | Notice | NoticeEnd


class EpayStore:
    """All of it in memory, found by every number that names it, and in a journal."""

    def __init__(self, journal: Path, compact_bytes: int) -> None:
        self.merchants: dict[str, Merchant] = {}
        self.notices: dict[str, Notice] = {}
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
        yield from self.notices.values()

    def _index(self, record: Kept) -> None:
        match record:
            case Merchant():
                self.merchants[record.pid] = record
            case Order():
                self._orders[record.pid, record.out_trade_no] = record
                self._by_number[record.trade_no] = record
                self._by_token[record.token] = record
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
        return merchant.opening_minor + sum(
            order.money_minor - order.refunded_minor
            for order in self._orders.values()
            if order.pid == merchant.pid and order.paid_at is not None
        )

    def order(self, pid: str, out_trade_no: str, trade_no: str = "") -> Order | None:
        """Find an order of a merchant by either number; the provider's own wins."""
        if trade_no:
            found = self._by_number.get(trade_no)
            return found if found is not None and found.pid == pid else None
        return self._orders.get((pid, out_trade_no))

    def order_by_token(self, token: str) -> Order | None:
        """Find the order of a wallet page."""
        return self._by_token.get(token)

    def make_number(self, now: datetime) -> str:
        """Make a trade number as Epay does: the moment, then digits."""
        moment = "".join(letter for letter in stamp(now) if letter.isdigit())
        while True:
            number = f"{moment}{secrets.randbelow(10**5):05d}"
            if number not in self._by_number:
                return number

    def make_pid(self) -> str:
        """Make a merchant's number that is still free."""
        return str(max((int(pid) for pid in self.merchants), default=1_000) + 1)
