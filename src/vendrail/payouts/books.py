"""Transfers as chains: posted together in one call a batch, read back chain by chain."""

from collections.abc import Iterable, Sequence

from vendrail.api.ledger import Account, AccountStatus, Ledger, Transfer, TransferResult
from vendrail.kernel.errors import Broken
from vendrail.payouts.decide import Kept, books_of


class Posting:
    """Opens accounts before their first use, and posts chains."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._opened: set[object] = set()

    async def open(self, accounts: Iterable[Account]) -> None:
        """Open what this process has not opened or found open so far."""
        wanted = {each.id: each for each in accounts if each.id not in self._opened}
        if not wanted:
            return
        statuses = await self.ledger.open_accounts(list(wanted.values()))
        for account, status in zip(wanted.values(), statuses, strict=True):
            if status not in (AccountStatus.CREATED, AccountStatus.EXISTS):
                raise Broken(f"Account {account.name} in {account.currency} is {status}.")
            self._opened.add(account.id)

    async def post(
        self, payouts: Sequence[Kept], chains: Sequence[Sequence[Transfer]]
    ) -> list[list[TransferResult]]:
        """Post a chain for each payout; give each chain's results."""
        await self.open(account for each in payouts for account in books_of(each))
        flat = [transfer for chain in chains for transfer in chain]
        results = iter(await self.ledger.post_transfers(flat) if flat else ())
        return [[next(results) for _ in chain] for chain in chains]
