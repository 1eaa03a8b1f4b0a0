"""Remittances: a provider's settlement is booked once, out of what it owes."""

from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

from vendrail.api.ledger import Account, Chart, Transfer, TransferCode, TransferId
from vendrail.api.payments import Payments
from vendrail.api.payouts import (
    Remittance,
    RemittanceQuery,
    RemittanceStatus,
    RemittanceTarget,
    RemittanceView,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import derive
from vendrail.kernel.money import AMOUNT_MINOR_MAX, EXPONENTS
from vendrail.payouts.books import Posting
from vendrail.payouts.store import Database
from vendrail.payouts.store import payouts as payouts_store
from vendrail.payouts.store import remittances as store

S = RemittanceStatus
_NUMBER_MAX = 100
_FIRST_DAY = date(2000, 1, 1)
_BROKEN_OFF = timedelta(seconds=60)  # Older than any booking that is still under way.
_ROWS_MAX = 50
_SAME = ("currency", "gross_minor", "fee_minor", "target", "paid_on")
Key = tuple[str, str]  # A channel's name and a currency.


def is_wellformed(new: Remittance, today: date) -> bool:
    """Tell whether a remittance can be one; a day ahead of ours may be the provider's today."""
    return (
        0 < len(new.number) <= _NUMBER_MAX
        and new.number.isprintable()
        and new.number == new.number.strip()
        and new.currency in EXPONENTS
        and 0 < new.gross_minor <= AMOUNT_MINOR_MAX
        and 0 <= new.fee_minor < new.gross_minor
        and _FIRST_DAY <= new.paid_on <= today + timedelta(days=1)
    )


def transfers_of(id: UUID, new: Remittance) -> list[Transfer]:
    """Give its way through the books: what has arrived, and what the provider kept."""
    provider, target, cost = accounts_of(new)
    legs = [("net", target, new.net_minor, TransferCode.REMITTANCE)]
    if new.fee_minor:
        legs.append(("fee", cost, new.fee_minor, TransferCode.REMITTANCE_FEE))
    return [
        Transfer(
            TransferId(derive(id, f"remittance:{step}")),
            account.id,
            provider.id,
            amount_minor,
            code,
            id,
            is_linked=place < len(legs) - 1,
            memo=new.number[:60],
        )
        for place, (step, account, amount_minor, code) in enumerate(legs)
    ]


def accounts_of(new: Remittance) -> tuple[Account, Account, Account]:
    """Name what the provider owes, where its money went, and where its costs are."""
    chart = Chart(new.currency)
    is_reserve = new.target is RemittanceTarget.RESERVE
    target = chart.payout_reserve(new.channel_name) if is_reserve else chart.bank()
    return chart.provider(new.channel_name), target, chart.platform_channel_cost()


class Remitting:
    """Books what providers settle."""

    def __init__(self, db: Database, clock: Clock, posting: Posting, payments: Payments) -> None:
        self._db = db
        self._clock = clock
        self._posting = posting
        self._payments = payments

    async def check(self, remittances: Sequence[Remittance]) -> list[RemittanceStatus]:
        """Say how booking them, one after the other, would end."""
        ids = [store.remittance_id(each.channel_name, each.number) for each in remittances]
        async with self._db.reading() as tx:
            known = await store.load_remittances(tx, ids)
        taking, paying = await self._keys()
        owed = await self._owed({(each.channel_name, each.currency) for each in remittances})
        seen = {id: view.remittance for id, view in known.items()}
        today, statuses = self._clock.now().date(), []
        for id, new in zip(ids, remittances, strict=True):
            key = (new.channel_name, new.currency)
            status = _judge(new, seen.get(id), today, owed[key], taking, paying)
            if status is S.BOOKED:
                seen[id] = new
                owed[key] -= new.gross_minor
            statuses.append(status)
        return statuses

    async def _keys(self) -> tuple[set[Key], set[Key]]:
        accounts = await self._payments.list_channels()
        ways = await self._payments.list_payout_ways()
        taking = {(each.name, currency) for each in accounts for currency in each.currencies}
        paying = {(way.channel_name, currency) for way in ways for currency in way.currencies}
        return taking | paying, paying

    async def _owed(self, keys: set[Key]) -> dict[Key, int]:
        asked = sorted(key for key in keys if key[1] in EXPONENTS)
        balances = await self._posting.ledger.read_balances(
            [Chart(currency).provider(name).id for name, currency in asked]
        )
        owed = dict.fromkeys(keys, 0)
        for key, balance in zip(asked, balances, strict=True):
            owed[key] = -balance.credit_minor if balance is not None else 0
        return owed

    async def book(self, remittances: Sequence[Remittance]) -> list[RemittanceStatus]:
        """Book what has arrived; few and each its own, so one by one."""
        return [await self._book(each) for each in remittances]

    async def _book(self, new: Remittance) -> RemittanceStatus:
        """Book one; what is owed is looked at again where a rival was first since."""
        while True:
            status = await self._try(new)
            if status is not None:
                return status

    async def _try(self, new: Remittance) -> RemittanceStatus | None:
        """Book one; None: another of its channel was written while we looked at what is owed."""
        id = store.remittance_id(new.channel_name, new.number)
        async with self._db.reading() as tx:
            newest = await store.newest_place(tx, new.channel_name, new.currency)
            others = await store.list_unbooked_of(tx, new.channel_name, new.currency)
        for each in others:  # What is written already counts, so the books follow first.
            told = each.remittance
            await self._post(store.remittance_id(told.channel_name, told.number), told)
        [status] = await self.check([new])
        if status is S.EXISTS:
            async with self._db.reading() as tx:
                known = await store.load_remittances(tx, [id])
            if not known[id].is_booked:
                await self._post(id, known[id].remittance)
            return status
        if status is not S.BOOKED:
            return status
        async with self._db.transaction() as tx:
            await store.take_turns(tx, new.channel_name, new.currency)
            if newest != await store.newest_place(tx, new.channel_name, new.currency):
                return None
            await store.insert_remittance(tx, id, new, self._clock.now())
            view = (await store.load_remittances(tx, [id]))[id]
        if not _is_same(view.remittance, new):
            return S.EXISTS_DIFFERENT
        await self._post(id, view.remittance)
        return S.BOOKED

    async def _post(self, id: UUID, new: Remittance) -> None:
        await self._posting.open(accounts_of(new))
        transfers = transfers_of(id, new)
        results = await self._posting.ledger.post_transfers(transfers)
        if not all(each.is_done for each in results):
            said = ", ".join(each.status for each in results)
            raise Broken(f"The books refuse remittance {new.number} of {new.channel_name}: {said}.")
        now = self._clock.now()
        async with self._db.transaction() as tx:
            await store.note_booked(tx, id, now)
            if new.target is RemittanceTarget.RESERVE:
                await payouts_store.hasten_channel(tx, new.channel_name, new.currency, now)

    async def book_due(self) -> bool:
        """Book what was written and broke off; true: there may be more."""
        async with self._db.reading() as tx:
            until = self._clock.now() - _BROKEN_OFF
            views = await store.list_unbooked(tx, until, _ROWS_MAX)
        for view in views:
            new = view.remittance
            await self._post(store.remittance_id(new.channel_name, new.number), new)
        return len(views) == _ROWS_MAX

    async def list_all(self, query: RemittanceQuery) -> list[RemittanceView]:
        """List what was booked, the newest first."""
        async with self._db.reading() as tx:
            return await store.list_remittances(tx, query)


def _judge(
    new: Remittance,
    known: Remittance | None,
    today: date,
    owed_minor: int,
    taking: set[Key],
    paying: set[Key],
) -> RemittanceStatus:
    key = (new.channel_name, new.currency)
    if known is not None:
        return S.EXISTS if _is_same(known, new) else S.EXISTS_DIFFERENT
    if not is_wellformed(new, today):
        return S.FIELD_MALFORMED
    if key not in taking:
        return S.CHANNEL_UNKNOWN
    if new.target is RemittanceTarget.RESERVE and key not in paying:
        return S.NO_RESERVE
    return S.MORE_THAN_OWED if new.gross_minor > owed_minor else S.BOOKED


def _is_same(known: Remittance, new: Remittance) -> bool:
    return all(getattr(known, name) == getattr(new, name) for name in _SAME)
