"""Deposits: asked for by terms, paid in, taken for what is owed, given back when nobody needs them.

A movement is written down with its amount, then posted under an id of its own, then ended. Whoever
finds one that was broken off does the rest of it: nothing moves twice.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from vendrail.api.identity import Identity
from vendrail.api.ledger import (
    AccountStatus,
    Chart,
    Ledger,
    MerchantPart,
    Transfer,
    TransferCode,
    TransferId,
)
from vendrail.api.notify import Notify
from vendrail.api.settlement import (
    Deposit,
    DepositKind,
    DepositMove,
    DepositQuery,
    DepositState,
    DepositStatus,
    DepositTerms,
    DepositTermsStatus,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import derive
from vendrail.kernel.money import EXPONENTS
from vendrail.settlement.debts import Debts
from vendrail.settlement.deposit_telling import DepositTelling
from vendrail.settlement.split import is_wellformed
from vendrail.settlement.store import Store
from vendrail.settlement.store.deposits import DepositStore
from vendrail.settlement.store.fees import FeeStore

_DAYS_MAX = 365
_REASON_LENGTH_MAX = 500
_SIDES: dict[DepositKind, tuple[MerchantPart, MerchantPart, TransferCode]] = {
    DepositKind.PAID: ("available", "deposit", TransferCode.DEPOSIT),
    DepositKind.TAKEN: ("deposit", "debt", TransferCode.DEPOSIT_TAKEN),
    DepositKind.RETURNED: ("deposit", "available", TransferCode.DEPOSIT_RETURNED),
}


def is_asked_soundly(terms: DepositTerms) -> bool:
    """Tell whether terms can be asked of anybody."""
    return (
        (terms.amount_minor == 0 or is_wellformed(terms.amount_minor))
        and 0 <= terms.return_days <= _DAYS_MAX
        and terms.currency in EXPONENTS
    )


def is_same(kept: DepositMove, asked: DepositMove) -> bool:
    """Tell whether a repeat asks for the same movement."""
    return (kept.merchant, kept.currency, kept.kind, kept.amount_minor) == (
        asked.merchant,
        asked.currency,
        asked.kind,
        asked.amount_minor,
    )


def movable(move: DepositMove, deposit: Deposit, available_minor: int, owed_minor: int) -> int:
    """Say how much of what is asked may move now, by its kind."""
    if move.kind is DepositKind.PAID:
        return move.amount_minor if available_minor >= move.amount_minor else 0
    if move.kind is DepositKind.TAKEN:
        return max(0, min(move.amount_minor, owed_minor, deposit.held_minor))
    return min(move.amount_minor, deposit.free_minor)


class Deposits:
    """Moves deposits."""

    def __init__(self, store: DepositStore, clock: Clock, ledger: Ledger, debts: Debts) -> None:
        self._store = store
        self._clock = clock
        self._ledger = ledger
        self._debts = debts

    async def put_terms(self, terms: Sequence[DepositTerms]) -> list[DepositTermsStatus]:
        """Ask merchants for deposits, of another amount or none any more."""
        statuses = []
        for each in terms:
            if not is_asked_soundly(each):
                statuses.append(DepositTermsStatus.FIELD_MALFORMED)
                continue
            is_new = await self._store.add_terms(replace(each, since=self._clock.now()))
            statuses.append(DepositTermsStatus.CREATED if is_new else DepositTermsStatus.UNCHANGED)
        return statuses

    async def read(self, merchants: Sequence[tuple[UUID, str]]) -> list[Deposit]:
        """Read how merchants' deposits stand, by (merchant, currency)."""
        terms = await self._store.load_terms(merchants)
        waiting = await self._store.load_waiting(merchants)
        accounts = [Chart(currency).merchant(id, "deposit").id for id, currency in merchants]
        balances = await self._ledger.read_balances(accounts)
        return [
            Deposit(*key, balance.credit_minor if balance else 0, terms.get(key), waiting.get(key))
            for key, balance in zip(merchants, balances, strict=True)
        ]

    async def list_asked(self) -> list[Deposit]:
        """List the deposits that were asked for last; the first two hundred."""
        asked = await self._store.list_terms()
        return await self.read([(each.merchant, each.currency) for each in asked])

    async def list_moves(self, queries: Sequence[DepositQuery]) -> list[list[DepositMove]]:
        """List movements of deposits, the newest first."""
        return [await self._store.list_moves(query) for query in queries]

    async def move(self, moves: Sequence[DepositMove]) -> list[DepositStatus]:
        """Pay in, take for what is owed, or ask for a return; they are few, so one by one."""
        return [await self._ask(move) for move in moves]

    async def _ask(self, move: DepositMove) -> DepositStatus:
        store, now = self._store, self._clock.now()
        if not is_wellformed(move.amount_minor) or move.currency not in EXPONENTS:
            return DepositStatus.AMOUNT_MALFORMED
        known = (await store.load_moves([move.id])).get(move.id)
        if known is None:
            deposit, available_minor, owed_minor = await self._look(move)
            amount_minor = movable(move, deposit, available_minor, owed_minor)
            refusal = _refusal(move, deposit, amount_minor, owed_minor)
            if refusal is not None:
                return refusal
            is_return = move.kind is DepositKind.RETURNED
            days = deposit.terms.return_days if is_return and deposit.terms else 0
            new = replace(
                move,
                reason=move.reason[:_REASON_LENGTH_MAX],
                state=DepositState.ASKED if is_return else DepositState.MOVING,
                asked_at=now,
                due_at=now + timedelta(days=days),
            )
            await store.add_move(new, amount_minor)
            known = (await store.load_moves([move.id])).get(move.id)
            if known is None:
                return DepositStatus.ASKED_BEFORE
        if not is_same(known, move):
            return DepositStatus.EXISTS_DIFFERENT
        return await self._finish(known)

    async def _look(self, move: DepositMove) -> tuple[Deposit, int, int]:
        """Read the deposit, what is available and what is owed."""
        [deposit] = await self.read([(move.merchant, move.currency)])
        chart = Chart(move.currency)
        available, debt = await self._ledger.read_balances(
            [chart.merchant(move.merchant, part).id for part in ("available", "debt")]
        )
        there_minor = available.credit_minor - available.debits_pending if available else 0
        return deposit, there_minor, -debt.credit_minor if debt else 0

    async def move_due(self) -> bool:
        """Give back what is due, and finish what was broken off; true: there was something."""
        due = await self._store.load_open(self._clock.now())
        for move in due:
            await self._finish(move)
        return bool(due)

    async def _finish(self, move: DepositMove) -> DepositStatus:
        """Do the rest of a movement that is written down."""
        store, now = self._store, self._clock.now()
        if move.state is DepositState.ASKED:
            if move.due_at is not None and move.due_at > now:
                return DepositStatus.ASKED
            # What moves may not be in the books yet: it ends first, and then they are read. What
            # is taken after that was counted makes the return begin another time.
            taken = await store.count_taken(move.merchant, move.currency)
            if taken is None:
                return DepositStatus.ASKED
            deposit, *_ = await self._look(move)
            if not await store.begin(move, movable(move, deposit, 0, 0), taken):
                return DepositStatus.ASKED
        elif move.state is not DepositState.MOVING:
            is_done = move.state is DepositState.DONE
            return DepositStatus.DONE if is_done else DepositStatus.REFUSED
        amount_minor = await store.load_amount(move.id)
        moved_minor = await self._post(move, amount_minor) if amount_minor else 0
        await store.end(move.id, moved_minor, now)
        if move.kind is DepositKind.RETURNED and moved_minor:
            await self._debts.recover_of({(move.merchant, move.currency)})
        return DepositStatus.DONE if moved_minor else DepositStatus.REFUSED

    async def _post(self, move: DepositMove, amount_minor: int) -> int:
        """Post a movement; give what has moved, now or when it was posted before."""
        chart = Chart(move.currency)
        source, target, code = _SIDES[move.kind]
        if move.kind is DepositKind.TAKEN:
            # What is recovered at the same moment would be too much: debts give that back.
            await self._debts.mark({(move.merchant, move.currency)})
        accounts = [
            chart.merchant(move.merchant, "available"),
            chart.merchant(move.merchant, "debt"),
            chart.merchant(move.merchant, "deposit"),
        ]
        opened = await self._ledger.open_accounts(accounts)
        if not set(opened) <= {AccountStatus.CREATED, AccountStatus.EXISTS}:
            raise Broken(f"Accounts of {move.merchant} in {move.currency} are {opened}.")
        transfer = Transfer(
            TransferId(derive(move.id, "deposit")),
            chart.merchant(move.merchant, source).id,
            chart.merchant(move.merchant, target).id,
            amount_minor,
            code,
            move.id,
            is_balancing=move.kind is not DepositKind.PAID,
        )
        [result] = await self._ledger.post_transfers([transfer])
        return result.amount_minor if result.is_done else 0


class Deposited:
    """What settlement does about deposits: they are few, so nothing is kept between calls."""

    clock: Clock
    _ledger: Ledger
    _debts: Debts
    _store: Store
    _fees: FeeStore

    def _deposits(self) -> Deposits:
        return Deposits(self._store.deposits, self.clock, self._ledger, self._debts)

    def deposit_telling(self, identity: Identity, notify: Notify) -> DepositTelling:
        """Give what tells merchants of it."""
        url = self._fees.public_url
        return DepositTelling(self._store.deposits, self.clock, identity, notify, url)

    async def put_deposit_terms(self, terms: Sequence[DepositTerms]) -> list[DepositTermsStatus]:
        """Ask merchants for deposits, of another amount or none any more."""
        return await self._deposits().put_terms(terms)

    async def read_deposits(self, merchants: Sequence[tuple[UUID, str]]) -> list[Deposit]:
        """Read how merchants' deposits stand, by (merchant, currency)."""
        return await self._deposits().read(merchants)

    async def list_deposits(self) -> list[Deposit]:
        """List the deposits that were asked for last; the first two hundred."""
        return await self._deposits().list_asked()

    async def list_deposit_moves(self, queries: Sequence[DepositQuery]) -> list[list[DepositMove]]:
        """List movements of deposits, the newest first."""
        return await self._deposits().list_moves(queries)

    async def move_deposits(self, moves: Sequence[DepositMove]) -> list[DepositStatus]:
        """Pay in, take for what is owed, or ask for a return; they are few, so one by one."""
        return await self._deposits().move(moves)

    async def move_due_deposits(self) -> bool:
        """Give back what is due, and finish what was broken off; true: there was something."""
        return await self._deposits().move_due()


def _refusal(
    move: DepositMove, deposit: Deposit, amount_minor: int, owed_minor: int
) -> DepositStatus | None:
    """Say why a new movement may not be; None: it may."""
    if deposit.terms is None and move.kind is DepositKind.PAID:
        return DepositStatus.NO_TERMS
    if move.kind is DepositKind.TAKEN and owed_minor <= 0:
        return DepositStatus.NOTHING_OWED
    if move.kind is DepositKind.RETURNED:
        if deposit.waiting is not None:
            return DepositStatus.ASKED_BEFORE
        return DepositStatus.MORE_THAN_FREE if amount_minor < move.amount_minor else None
    return DepositStatus.BALANCE_TOO_LOW if amount_minor <= 0 else None
