"""Debts are recovered from what merchants earn next: each step is written down, then posted.

A step is a transfer id and an amount. Whoever finds one posts it (again, perhaps: it moves once),
then reads what is still owed, and writes the next step only if nobody has meanwhile. So two
processes can never take more than is owed, and a debt is never forgotten.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import structlog

from vendrail.api.ledger import Chart, Ledger, Transfer, TransferCode, TransferId
from vendrail.api.settlement import MerchantDebt, Sale
from vendrail.kernel.clock import Clock
from vendrail.kernel.errors import Error
from vendrail.kernel.ids import new_id, shard_of
from vendrail.settlement.accounts import Accounts
from vendrail.settlement.store import Debtor, FeeKey, Store

_log = structlog.get_logger(__name__)
_LOOK_AGAIN = timedelta(seconds=1)
_STEPS_MAX = 3  # A call takes what is there; what comes meanwhile is for the next call.


class Debts:
    """Who owes, as this process knows it (at most a second old), and how they pay."""

    def __init__(self, store: Store, clock: Clock, ledger: Ledger, accounts: Accounts) -> None:
        self._store = store
        self._clock = clock
        self._ledger = ledger
        self._accounts = accounts
        self._debtors: dict[FeeKey, Debtor] = {}
        self._looked_at: datetime | None = None

    async def mark(self, keys: Collection[FeeKey]) -> None:
        """Write down who is about to owe, before the debt is posted."""
        await self._store.mark_debtors(keys)
        self._looked_at = None

    async def recover_from(self, sales: Sequence[Sale]) -> None:
        """Take from merchants who owe, after they have sold; costs nothing where nobody owes.

        The sales are split already and stay so: a failure here is told, and tried again later.
        """
        try:
            await self._look()
            if self._debtors:
                await self._recover_of({(sale.merchant, sale.currency) for sale in sales})
        except Error as error:
            _log.warning("settlement.debts_not_recovered", error=str(error))

    async def recover_of(self, keys: set[FeeKey]) -> None:
        """Take from those who owe and to whom money has just come."""
        try:
            await self._look()
            await self._recover_of(keys)
        except Error as error:
            _log.warning("settlement.debts_not_recovered", error=str(error))

    async def _recover_of(self, keys: set[FeeKey]) -> None:
        owing = [self._debtors[key] for key in sorted(keys & self._debtors.keys())]
        if owing:
            await self._recover(owing)

    async def list_debts(self) -> list[MerchantDebt]:
        """List who owes, the oldest debt first; who owes nothing any more is left out."""
        debtors = await self._store.load_debtors()
        if not debtors:
            return []
        owed = await self._ledger.read_balances(
            [Chart(each.currency).merchant(each.merchant, "debt").id for each in debtors]
        )
        found = [
            MerchantDebt(each.merchant, each.currency, -balance.credit_minor, each.since)
            for each, balance in zip(debtors, owed, strict=True)
            if balance is not None and balance.credit_minor < 0
        ]
        return sorted(found, key=lambda debt: debt.since)

    async def recover_all(self) -> bool:
        """Take from everyone who owes and has something; false: nothing more can be done now."""
        self._looked_at = None
        await self._look()
        if self._debtors:
            await self._recover(list(self._debtors.values()))
        return False

    async def _look(self) -> None:
        now = self._clock.now()
        if self._looked_at is None or now - self._looked_at >= _LOOK_AGAIN:
            debtors = await self._store.load_debtors()
            self._debtors = {(debtor.merchant, debtor.currency): debtor for debtor in debtors}
            self._looked_at = now

    async def _recover(self, debtors: Sequence[Debtor]) -> None:
        await self._accounts.open([(debtor.merchant, debtor.currency) for debtor in debtors])
        live = list(debtors)
        for _ in range(_STEPS_MAX):
            if not live:
                break
            live = await self._step(live)
        self._looked_at = None

    async def _step(self, debtors: Sequence[Debtor]) -> list[Debtor]:
        """Post the steps that stand, then write the next ones; give those that are to be posted."""
        transfers = [self._transfer(debtor) for debtor in debtors if debtor.step is not None]
        if transfers:
            await self._ledger.post_transfers(transfers)
        chart = [self._accounts.merchants[debtor.merchant, debtor.currency] for debtor in debtors]
        # Read after the steps were posted: what is owed now is owed beyond them.
        owed = await self._ledger.read_balances([accounts.debt for accounts in chart])
        there = await self._ledger.read_balances([accounts.available for accounts in chart])
        written = []
        for debtor, debt, available in zip(debtors, owed, there, strict=True):
            owed_minor = -debt.credit_minor if debt else 0
            there_minor = available.credit_minor - available.debits_pending if available else 0
            can_move = owed_minor < 0 or (owed_minor > 0 and there_minor > 0)
            now = self._clock.now()
            following = await self._store.step_debtor(
                debtor,
                new_id(now, shard_of(debtor.merchant)) if can_move else None,
                owed_minor if can_move else 0,
                is_open=owed_minor != 0,
            )
            if following is not None and can_move:
                written.append(following)
        return written

    def _transfer(self, debtor: Debtor) -> Transfer:
        """Take what is owed as far as it is there, or give back what was taken too much."""
        assert debtor.step is not None
        accounts = self._accounts.merchants[debtor.merchant, debtor.currency]
        is_taking = debtor.amount_minor > 0
        return Transfer(
            TransferId(debtor.step),
            accounts.available if is_taking else accounts.debt,
            accounts.debt if is_taking else accounts.available,
            abs(debtor.amount_minor),
            TransferCode.DEBT_RECOVERY,
            debtor.step,
            is_balancing=is_taking,
        )
