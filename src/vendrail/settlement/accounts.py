"""Accounts are opened before their first use and remembered: their ids derive from their names."""

from collections.abc import Iterable
from uuid import UUID

from vendrail.api.ledger import Account, AccountId, AccountLimit, AccountStatus, Chart, Ledger
from vendrail.kernel.errors import Broken
from vendrail.settlement.exchange import PairKey, Sides, sides_of
from vendrail.settlement.split import MerchantAccounts

MerchantKey = tuple[UUID | None, str]  # A merchant (None: nobody's money) and a currency.
ChannelKey = tuple[str, str]
WalletKey = tuple[UUID, str]
_NOBODY = UUID(int=0)


def tombstone_account(currency: str) -> Account:
    """An account that never holds anything: a transfer out of it is refused, and its id taken."""
    return Account("settlement:tombstone", currency, AccountLimit.DEBITS_WITHIN_CREDITS)


class Accounts:
    """The accounts this process has opened, or found open, so far: under a kilobyte a merchant."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.merchants: dict[MerchantKey, MerchantAccounts] = {}
        self.providers: dict[ChannelKey, AccountId] = {}
        self.pairs: dict[PairKey, Sides] = {}
        self._wallets: set[WalletKey] = set()

    async def open(
        self,
        merchants: Iterable[MerchantKey],
        channels: Iterable[ChannelKey] = (),
        pairs: Iterable[PairKey] = (),
        wallets: Iterable[WalletKey] = (),
    ) -> None:
        """Open what is not remembered; afterwards the three tables hold all of it."""
        new_merchants = {key for key in merchants if key not in self.merchants}
        new_channels = {key for key in channels if key not in self.providers}
        new_pairs = {key for key in pairs if key not in self.pairs}
        new_wallets = {key for key in wallets if key not in self._wallets}
        if not (new_merchants or new_channels or new_pairs or new_wallets):
            return
        wanted: dict[AccountId, Account] = {}
        for merchant, currency in new_merchants:
            wanted |= {account.id: account for account in _chart_of(merchant, currency)}
        for channel, currency in new_channels:
            account = Chart(currency).provider(channel)
            wanted[account.id] = account
        for price, paid in new_pairs:
            both = (Chart(price).fx(paid), Chart(paid).fx(price))
            wanted |= {account.id: account for account in both}
        for buyer, currency in new_wallets:
            account = Chart(currency).buyer_wallet(buyer)
            wanted[account.id] = account
        accounts = list(wanted.values())
        statuses = await self._ledger.open_accounts(accounts)
        for account, status in zip(accounts, statuses, strict=True):
            if status not in (AccountStatus.CREATED, AccountStatus.EXISTS):
                raise Broken(f"Account {account.name} in {account.currency} is {status}.")
        for merchant, currency in new_merchants:
            self.merchants[merchant, currency] = accounts_of(merchant, currency)
        for channel, currency in new_channels:
            self.providers[channel, currency] = Chart(currency).provider(channel).id
        for pair in new_pairs:
            self.pairs[pair] = sides_of(pair)
        self._wallets |= new_wallets


def _chart_of(merchant: UUID | None, currency: str) -> list[Account]:
    chart = Chart(currency)
    shared = [
        chart.platform_fee(),
        chart.refund_clearing(),
        chart.suspense_unmatched(),
        tombstone_account(currency),
        chart.platform_channel_cost(),
    ]
    if merchant is None:
        return shared
    return [
        chart.held(merchant),
        chart.merchant(merchant, "available"),
        chart.merchant(merchant, "debt"),
        *shared,
    ]


def accounts_of(merchant: UUID | None, currency: str) -> MerchantAccounts:
    """Give the ids of a merchant's accounts, open or not."""
    chart = Chart(currency)
    owner = merchant or _NOBODY  # Nobody's held, available and debt are never opened nor used.
    return MerchantAccounts(
        chart.held(owner).id,
        chart.merchant(owner, "available").id,
        chart.merchant(owner, "debt").id,
        chart.platform_fee().id,
        chart.refund_clearing().id,
        chart.suspense_unmatched().id,
        tombstone_account(currency).id,
        chart.platform_channel_cost().id,
    )


def of_wallet(accounts: MerchantAccounts, buyer: UUID, currency: str) -> MerchantAccounts:
    """Give the accounts that a top-up moves between: what a merchant would own is the buyer's."""
    return accounts._replace(available=Chart(currency).buyer_wallet(buyer).id)
