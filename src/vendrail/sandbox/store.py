"""Everything in memory, and each change also as one line of an append-only file."""

import heapq
import secrets
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from vendrail.sandbox.journal import Journal
from vendrail.sandbox.records import (
    Agreement,
    App,
    Kept,
    Notice,
    NoticeEnd,
    Trade,
    TradeStatus,
    Transfer,
    stamp,
)


class Store:
    """Applications, trades, transfers and notices, found by every number that names them."""

    def __init__(self, journal: Path, compact_bytes: int) -> None:
        self.apps: dict[str, App] = {}
        self.notices: dict[str, Notice] = {}
        self.balances: dict[str, int] = {}  # By application, in fen.
        self._expiries: list[tuple[datetime, str, str]] = []
        self._apps_by_key: dict[tuple[str, bool], App] = {}
        self._trades: dict[tuple[str, str], Trade] = {}
        self._trades_by_number: dict[str, Trade] = {}
        self._trades_by_token: dict[str, Trade] = {}
        self._transfers: dict[tuple[str, str], Transfer] = {}
        self._transfers_by_number: dict[str, Transfer] = {}
        self._agreements: dict[tuple[str, str], Agreement] = {}
        self._agreements_by_number: dict[str, Agreement] = {}
        self._agreements_by_token: dict[str, Agreement] = {}
        self._journal: Journal[Kept] = Journal(journal, Kept, compact_bytes, self._records)
        for record in self._journal.read():
            self._index(record)
        self._settle()
        self._journal.open()

    def _settle(self) -> None:
        """Derive what is not written: balances, and when unpaid trades end."""
        for app in self.apps.values():
            self.balances[app.app_id] = app.opening_minor
        for trade in self._trades.values():
            if trade.paid_at is not None:
                self.balances[trade.app_id] += trade.total_minor - trade.refunded_minor
            elif trade.status is not TradeStatus.TRADE_CLOSED:
                self._expiries.append((trade.expires_at, trade.app_id, trade.out_trade_no))
        heapq.heapify(self._expiries)
        for transfer in self._transfers.values():
            if transfer.returned_at is None:
                self.balances[transfer.app_id] -= transfer.amount_minor

    def _index(self, record: Kept) -> None:
        match record:
            case App():
                self.apps[record.app_id] = record
                self._apps_by_key[record.public_key_pem, record.is_certified] = record
            case Trade():
                self._trades[record.app_id, record.out_trade_no] = record
                self._trades_by_number[record.trade_no] = record
                self._trades_by_token[record.token] = record
            case Transfer():
                self._transfers[record.app_id, record.out_biz_no] = record
                self._transfers_by_number[record.order_id] = record
            case Agreement():
                self._agreements[record.app_id, record.number] = record
                self._agreements_by_number[record.agreement_no] = record
                self._agreements_by_token[record.token] = record
            case Notice():
                self.notices[record.notify_id] = record
            case NoticeEnd():
                self.notices.pop(record.notify_id, None)

    def _records(self) -> Iterator[Kept]:
        yield from self.apps.values()
        yield from self._trades.values()
        yield from self._transfers.values()
        yield from self._agreements.values()
        yield from self.notices.values()

    def save(self, *records: Kept) -> None:
        """Keep new or changed records: in memory at once, in the journal before returning."""
        for record in records:
            if isinstance(record, App):
                self.balances.setdefault(record.app_id, record.opening_minor)
            elif isinstance(record, Trade) and record.trade_no not in self._trades_by_number:
                heapq.heappush(
                    self._expiries, (record.expires_at, record.app_id, record.out_trade_no)
                )
            self._index(record)
        self._journal.append(records)

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    def app_by_key(self, public_key_pem: str, *, is_certified: bool) -> App | None:
        """Find the application that was registered with a public key."""
        return self._apps_by_key.get((public_key_pem, is_certified))

    def trade(self, app: App, out_trade_no: str, trade_no: str = "") -> Trade | None:
        """Find a trade of an application by either number; Alipay's own number wins."""
        if trade_no:
            found = self._trades_by_number.get(trade_no)
            return found if found is not None and found.app_id == app.app_id else None
        return self._trades.get((app.app_id, out_trade_no))

    def trade_by_token(self, token: str) -> Trade | None:
        """Find the trade of a wallet page."""
        return self._trades_by_token.get(token)

    def trades(self) -> Iterator[Trade]:
        """Give every trade, oldest first."""
        return iter(self._trades.values())

    def transfers(self) -> Iterator[Transfer]:
        """Give every transfer, oldest first."""
        return iter(self._transfers.values())

    def pop_expired(self, now: datetime) -> list[Trade]:
        """Take the trades whose time is over and that nobody has paid or closed."""
        expired = []
        while self._expiries and self._expiries[0][0] <= now:
            _, app_id, out_trade_no = heapq.heappop(self._expiries)
            trade = self._trades[app_id, out_trade_no]
            if trade.status in (TradeStatus.PREPARED, TradeStatus.WAIT_BUYER_PAY):
                expired.append(trade)
        return expired

    def transfer(self, app: App, out_biz_no: str, order_id: str = "") -> Transfer | None:
        """Find a transfer of an application by either number."""
        if order_id:
            found = self._transfers_by_number.get(order_id)
            return found if found is not None and found.app_id == app.app_id else None
        return self._transfers.get((app.app_id, out_biz_no))

    def agreement(self, app: App, number: str, agreement_no: str = "") -> Agreement | None:
        """Find an agreement of an application by either number; Alipay's own number wins."""
        if agreement_no:
            found = self._agreements_by_number.get(agreement_no)
            return found if found is not None and found.app_id == app.app_id else None
        return self._agreements.get((app.app_id, number))

    def agreement_by_token(self, token: str) -> Agreement | None:
        """Find the agreement of a page."""
        return self._agreements_by_token.get(token)

    def charged_minor(self, agreement: Agreement, day: str) -> int:
        """Sum what was charged under an agreement on a day, as the provider writes days."""
        return sum(
            trade.total_minor
            for trade in self._trades.values()
            if trade.agreement_no == agreement.agreement_no
            and trade.paid_at is not None
            and stamp(trade.paid_at).startswith(day)
        )

    def make_number(self, now: datetime) -> str:
        """Make a trade number as Alipay does: the day, then digits, 28 in all."""
        day = stamp(now)[:10].replace("-", "")
        while True:
            number = f"{day}22001{secrets.randbelow(10**15):015d}"
            if number not in self._trades_by_number and number not in self._transfers_by_number:
                return number

    def make_app_id(self) -> str:
        """Make an application id that is still free."""
        while True:
            app_id = f"9021{secrets.randbelow(10**12):012d}"
            if app_id not in self.apps:
                return app_id
