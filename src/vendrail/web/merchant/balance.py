"""The balance: where a merchant's money is, and every movement of it, newest first."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.ledger import Account, Chart, EntryQuery, TransferCode, TransferId
from vendrail.api.ledger import Entry as Movement
from vendrail.api.settlement import FeeTold, MerchantBalance
from vendrail.kernel.codec import encode
from vendrail.kernel.ids import to_serial
from vendrail.kernel.money import to_decimal, to_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, LISTED, Columns, export, save_whole
from vendrail.web.console.lists import is_currency, one_of
from vendrail.web.console.movements import proof_file
from vendrail.web.console.shares import terms_now
from vendrail.web.languages import message
from vendrail.web.merchant.acting import chosen_currency, log_export, midnight, read_id
from vendrail.web.merchant.agencies import say_supplies
from vendrail.web.papers.sheets import Cell, Rows
from vendrail.web.storefront.front import Page
from vendrail.web.supplies import find_supplies

_ROOT = "/merchant/balance"
_PAGE = 50
_DAYS = 30
_COLUMNS = ("at", "movement", "number", "note", "amount", "currency", "transfer")
_FIELDS = {"currency": is_currency, "of": one_of(("available", "debt"))}
_OF_ORDERS = (
    TransferCode.SALE,
    TransferCode.FEE,
    TransferCode.SPLIT_REVERSAL,
    TransferCode.REFUND,
    TransferCode.REFUND_RETURNED,
    TransferCode.FREEZE,
    TransferCode.UNFREEZE,
)


class DueDay(NamedTuple):
    """What becomes available in one day."""

    starts_at: datetime
    pending_minor: int
    reserve_minor: int


class Calendar(NamedTuple):
    """What becomes available in each of the next days, and what after them."""

    days: list[DueDay]
    later_minor: int


class Balance:
    """What is a merchant's, what they owe, and how it came to be."""

    entries = (Entry(_ROOT, message("Balance"), "coins", Permission.BALANCE_READ),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the route of the page."""
        return [
            self._desk.get(_ROOT, self.balance, Permission.BALANCE_READ, fields=_FIELDS),
            self._desk.get(f"{_ROOT}.csv", self.export, Permission.BALANCE_READ),
            self._desk.get(f"{_ROOT}/calendar", self.calendar, Permission.BALANCE_READ),
            self._desk.get(f"{_ROOT}/calendar.csv", self.save_calendar, Permission.BALANCE_READ),
            self._desk.get(f"{_ROOT}/{{transfer:str}}/proof", self.prove, Permission.BALANCE_READ),
        ]

    async def balance(self, caller: Caller) -> Page:
        """Show the balance and a page of the movements of one account of it."""
        apis = self._desk.apis
        currencies = await currencies_of(self._desk, caller)
        own = currencies[0]
        asked = caller.asked("currency", 3)
        currency = asked if asked in currencies else own
        parts = _parts(caller, currency)
        part = caller.asked("of", 20) if caller.asked("of", 20) in parts else "available"
        before = read_id(caller.asked("before"))
        query = EntryQuery(
            parts[part].id, TransferId(before) if before else None, _PAGE + 1, is_moved=True
        )
        [found] = await apis.ledger.read_entries([query])
        [balance] = await apis.settlement.read_merchant_balances([(caller.merchant, currency)])
        [deposit] = await apis.settlement.read_deposits([(caller.merchant, currency)])
        due = await self._due(caller, currency)
        now = self._desk.clock.now()
        shown = found[:_PAGE]
        is_more = len(found) > _PAGE
        here = f"{_ROOT}?currency={currency}&of={part}"
        return self._desk.page(
            caller,
            "merchant/balance.html",
            path=_ROOT,
            currencies=currencies,
            currency=currency,
            part=part,
            parts=list(parts),
            balance=balance,
            deposit=deposit,
            terms=await terms_now(apis.settlement, caller.merchant, now),
            days=[each for each in due.days if each.pending_minor or each.reserve_minor],
            later_minor=due.later_minor,
            movements=shown,
            exported=f"{_ROOT}.csv?currency={currency}&of={part}",
            fees=await self._fees(shown),
            supplies=await self._supplies(caller, shown),
            of_orders=_OF_ORDERS,
            older=f"{here}&before={to_serial(shown[-1].transfer)}" if is_more else "",
            sealed_until=await self._sealed_until(),
        )

    async def export(self, caller: Caller) -> Page:
        """Give every movement of one account of the balance as CSV; who took them is kept."""
        currency = chosen_currency(caller, await currencies_of(self._desk, caller))
        parts = _parts(caller, currency)
        part = asked if (asked := caller.asked("of", 20)) in parts else "available"
        told = {"currency": currency, "of": part}
        turned = await log_export(self._desk, caller, LISTED, "list:balance", told)
        if turned is not None:
            return turned
        account, ledger = parts[part].id, self._desk.apis.ledger

        async def read(before: TransferId | None) -> tuple[Rows, TransferId | None]:
            [found] = await ledger.read_entries(
                [EntryQuery(account, before, AT_ONCE, is_moved=True)]
            )
            rows = [_row(each, currency) for each in found]
            return rows, found[-1].transfer if found else None

        return export("balance", _COLUMNS, read)

    async def calendar(self, caller: Caller) -> Page:
        """Give what the chart of releases draws: amounts as decimal text, for the eye alone."""
        currencies = await currencies_of(self._desk, caller)
        currency = chosen_currency(caller, currencies)
        due = await self._due(caller, currency)
        told = {
            "currency": currency,
            "labels": [each.starts_at.strftime("%m-%d") for each in due.days],
            "bars": [
                [to_text(each.pending_minor, currency) for each in due.days],
                [to_text(each.reserve_minor, currency) for each in due.days],
            ],
        }
        headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
        return Page(encode(told), media_type="application/json", headers=headers)

    async def save_calendar(self, caller: Caller) -> Page:
        """Give what becomes available in each of the next days as CSV; who took it is kept."""
        currency = chosen_currency(caller, await currencies_of(self._desk, caller))
        told = {"currency": currency}
        turned = await log_export(self._desk, caller, LISTED, "list:balance-calendar", told)
        if turned is not None:
            return turned
        columns: Columns[DueDay] = {
            "day": lambda each: each.starts_at.date(),
            "pending": lambda each: to_decimal(each.pending_minor, currency),
            "reserve": lambda each: to_decimal(each.reserve_minor, currency),
            "currency": lambda _: currency,
        }
        return save_whole("balance-calendar", columns, (await self._due(caller, currency)).days)

    async def _due(self, caller: Caller, currency: str) -> Calendar:
        """Sum what becomes available by days, of which what is overdue counts today."""
        zone = self._desk.front.settings.time_zone
        now = self._desk.clock.now()
        [shares] = await self._desk.apis.settlement.read_due_shares([(caller.merchant, currency)])
        starts = [midnight(now, zone, number) for number in range(_DAYS + 1)]
        sums = {start: {"pending": 0, "reserve": 0} for start in starts[:-1]}
        later_minor = 0
        for share in shares:
            if share.due_at >= starts[-1]:
                later_minor += share.amount_minor
                continue
            day = max((start for start in starts if start <= share.due_at), default=starts[0])
            sums[day][share.part] += share.amount_minor
        return Calendar(
            [DueDay(start, each["pending"], each["reserve"]) for start, each in sums.items()],
            later_minor,
        )

    async def prove(self, caller: Caller) -> Page:
        """Give the proof of a movement as a file; what is not sealed yet has none."""
        id = read_id(caller.part("transfer"))
        if id is None:
            return self._desk.problem(caller.request, 404, caller)
        own = {
            account.id
            for currency in await currencies_of(self._desk, caller)
            for account in _parts(caller, currency).values()
        }
        [proof] = await self._desk.apis.ledger.prove_transfers([TransferId(id)])
        if proof is None or own.isdisjoint(proof.accounts):
            return self._desk.problem(caller.request, 404, caller)
        return proof_file(proof)

    async def _fees(self, movements: Sequence[Movement]) -> dict[str, FeeTold]:
        """Say by their memos what was taken of the sales among movements."""
        memos = sorted({each.memo for each in movements if each.code is TransferCode.SALE})
        told = await self._desk.apis.settlement.tell_fees(memos)
        return {memo: each for memo, each in zip(memos, told, strict=True) if each is not None}

    async def _supplies(self, caller: Caller, movements: Sequence[Movement]) -> dict[UUID, str]:
        """Say of sales through whom they were, or what of their price is a supplier's."""
        sold = [each.subject for each in movements if each.code is TransferCode.SALE]
        found = await find_supplies(self._desk.apis.settlement, caller.merchant, sold)
        return await say_supplies(self._desk, caller, found)

    async def _sealed_until(self) -> datetime:
        """Give the moment up to which movements have proofs."""
        head = await self._desk.apis.ledger.read_head()
        last_us = head.block.last_us if head.block is not None else 0
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=last_us)


async def currencies_of(desk: Desk, caller: Caller) -> list[str]:
    """Name the currencies that the merchant has terms or money in, the platform's own first."""
    settlement, front = desk.apis.settlement, desk.front
    [terms] = await settlement.read_fee_terms([caller.merchant])
    asked = [(caller.merchant, each) for each in front.purse.currencies]
    found = await settlement.read_merchant_balances(asked)
    held = {each.currency for each in found if _has_money(each)}
    own = front.settings.default_currency
    return [own, *sorted(({each.currency for each in terms} | held) - {own})]


def _has_money(balance: MerchantBalance) -> bool:
    return bool(
        balance.available_minor
        or balance.debt_minor
        or balance.pending_minor
        or balance.reserve_minor
        or balance.frozen_minor
    )


def _parts(caller: Caller, currency: str) -> dict[str, Account]:
    """Name the accounts whose movements can be read: always the merchant's own."""
    chart = Chart(currency)
    return {
        "available": chart.merchant(caller.merchant, "available"),
        "debt": chart.merchant(caller.merchant, "debt"),
    }


def _row(each: Movement, currency: str) -> list[Cell]:
    """Write a movement as a row."""
    return [
        each.at.isoformat(),
        each.code.value,
        to_serial(each.subject),
        each.memo if each.code is TransferCode.ADJUSTMENT else None,
        to_decimal(each.amount_minor, currency),
        currency,
        to_serial(each.transfer),
    ]
