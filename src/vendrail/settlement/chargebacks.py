"""What a payer's bank takes back while it is disputed, and the fee for that; each step once."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.api.ledger import (
    Account,
    AccountStatus,
    Chart,
    Ledger,
    Transfer,
    TransferCode,
    TransferId,
    TransferStatus,
)
from vendrail.api.settlement import ChargebackPosting, ChargebackStep
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import derive
from vendrail.settlement.debts import Debts
from vendrail.settlement.refunds import RefundState
from vendrail.settlement.split import is_wellformed
from vendrail.settlement.store import Store

_CODES = {
    ChargebackStep.TAKEN: TransferCode.CHARGEBACK,
    ChargebackStep.RETURNED: TransferCode.CHARGEBACK_ENDED,
    ChargebackStep.LOST: TransferCode.CHARGEBACK_LOSS,
    ChargebackStep.FEE: TransferCode.CHARGEBACK_FEE,
    ChargebackStep.FEE_PASSED_ON: TransferCode.CHARGEBACK_FEE,
}


def sides(posting: ChargebackPosting) -> tuple[Account, Account]:
    """Say which account a step debits, and which it credits."""
    chart = Chart(posting.currency)
    chargeback, provider = chart.chargeback(posting.channel), chart.provider(posting.channel)
    cost = chart.platform_channel_cost()
    if posting.step is ChargebackStep.FEE_PASSED_ON:
        assert posting.merchant is not None
        return chart.merchant(posting.merchant, "available"), cost
    return {
        ChargebackStep.TAKEN: (chargeback, provider),
        ChargebackStep.RETURNED: (provider, chargeback),
        ChargebackStep.LOST: (cost, chargeback),
        ChargebackStep.FEE: (cost, provider),
    }[posting.step]


class Chargebacks:
    """Posts the steps of disputes."""

    def __init__(self, ledger: Ledger, debts: Debts) -> None:
        self._ledger = ledger
        self._debts = debts
        self._opened: set[UUID] = set()

    async def post(self, postings: Sequence[ChargebackPosting]) -> list[bool]:
        """Post steps; what is malformed, or is passed on to nobody, is not posted."""
        good = [each for each in postings if _is_good(each)]
        await self._open(good)
        passed = [each for each in good if each.step is ChargebackStep.FEE_PASSED_ON]
        plain = [each for each in good if each.step is not ChargebackStep.FEE_PASSED_ON]
        done: dict[tuple[UUID, ChargebackStep], bool] = {}
        if plain:
            results = await self._ledger.post_transfers([_transfer(each) for each in plain])
            for each, result in zip(plain, results, strict=True):
                done[each.dispute, each.step] = result.is_done
        for each in passed:
            done[each.dispute, each.step] = await self._pass_on(each)
        return [done.get((each.dispute, each.step), False) for each in postings]

    async def _pass_on(self, posting: ChargebackPosting) -> bool:
        """Take a fee of what the merchant has; the rest is owed."""
        assert posting.merchant is not None
        [first] = await self._ledger.post_transfers([_transfer(posting, is_balancing=True)])
        nothing_there = first.status is TransferStatus.BALANCE_TOO_LOW
        if not first.is_done and not nothing_there:
            return False
        rest = posting.amount_minor - (first.amount_minor if first.is_done else 0)
        if not rest:
            return True
        await self._debts.mark({(posting.merchant, posting.currency)})
        chart = Chart(posting.currency)
        owed = Transfer(
            TransferId(derive(posting.dispute, f"{posting.step}:debt")),
            chart.merchant(posting.merchant, "debt").id,
            chart.platform_channel_cost().id,
            rest,
            TransferCode.CHARGEBACK_FEE,
            posting.order,
        )
        [second] = await self._ledger.post_transfers([owed])
        return second.is_done

    async def _open(self, postings: Sequence[ChargebackPosting]) -> None:
        wanted = {account.id: account for each in postings for account in _accounts(each)}
        new = [account for id, account in wanted.items() if id not in self._opened]
        if not new:
            return
        statuses = await self._ledger.open_accounts(new)
        for account, status in zip(new, statuses, strict=True):
            if status not in (AccountStatus.CREATED, AccountStatus.EXISTS):
                raise Broken(f"Account {account.name} in {account.currency} is {status}.")
        self._opened |= {account.id for account in new}


def _is_good(posting: ChargebackPosting) -> bool:
    is_owned = posting.merchant is not None or posting.step is not ChargebackStep.FEE_PASSED_ON
    return is_wellformed(posting.amount_minor) and is_owned


def _accounts(posting: ChargebackPosting) -> list[Account]:
    found = list(sides(posting))
    if posting.step is ChargebackStep.FEE_PASSED_ON and posting.merchant is not None:
        found.append(Chart(posting.currency).merchant(posting.merchant, "debt"))
    return found


def _transfer(posting: ChargebackPosting, *, is_balancing: bool = False) -> Transfer:
    debit, credit = sides(posting)
    return Transfer(
        TransferId(derive(posting.dispute, posting.step.value)),
        debit.id,
        credit.id,
        posting.amount_minor,
        _CODES[posting.step],
        posting.order,
        is_balancing=is_balancing,
    )


class Disputed:
    """What settlement does about disputes: they are few, so nothing is kept between calls."""

    _ledger: Ledger
    _debts: Debts
    _store: Store

    async def find_disputed(self, orders: Sequence[UUID]) -> list[bool]:
        """Tell of which orders no refund may be opened now: an exclusive freeze stands."""
        return await self._store.find_disputed(orders)

    async def find_opened(self, refunds: Sequence[UUID]) -> list[bool]:
        """Tell which refunds the books have taken in, however they ended; others wait outside."""
        kept = await self._store.load_refunds(refunds)
        return [id in kept and kept[id].state is not RefundState.CANCELLED for id in refunds]

    async def post_chargebacks(self, postings: Sequence[ChargebackPosting]) -> list[bool]:
        """Move money of disputes; true when a step stands in the books, now or from before."""
        return await Chargebacks(self._ledger, self._debts).post(postings)
