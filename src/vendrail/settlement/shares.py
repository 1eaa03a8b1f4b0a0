"""Where merchants' money is: by account, by the moment it falls due, and by order."""

from collections.abc import Mapping, Sequence
from typing import Literal
from uuid import UUID

from vendrail.api.ledger import AccountId, Chart, Ledger, PostedTransfer, TransferCode
from vendrail.api.settlement import (
    DueShare,
    HeldSum,
    MerchantBalance,
    OrderShare,
    SharePart,
    ShareQuery,
)
from vendrail.settlement.accounts import accounts_of
from vendrail.settlement.holding import Bucket
from vendrail.settlement.split import MerchantAccounts, find_split
from vendrail.settlement.store.holding import HoldingStore, KeptBucket

MerchantCurrency = tuple[UUID, str]
_PAGE = 4_096
# One of them at least is in each split: an agent may have neither share nor fee.
_SPLIT = (TransferCode.SALE, TransferCode.FEE, TransferCode.SUPPLY, TransferCode.CHANNEL_COST)
_BACK = (TransferCode.REFUND_RETURNED, TransferCode.UNFREEZE)


class Shares:
    """Reads; nothing here moves money."""

    def __init__(self, store: HoldingStore, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger

    async def read_balances(self, merchants: Sequence[MerchantCurrency]) -> list[MerchantBalance]:
        """Read where merchants' money is, by (merchant, currency)."""
        ids: list[AccountId] = []
        for merchant, currency in merchants:
            chart = Chart(currency)
            ids.append(chart.held(merchant).id)
            ids += [
                chart.merchant(merchant, "available").id,
                chart.merchant(merchant, "frozen").id,
                chart.merchant(merchant, "debt").id,
            ]
        balances = await self._ledger.read_balances(ids)
        leaving = [0 if balance is None else balance.debits_pending for balance in balances[1::4]]
        sums = [0 if balance is None else balance.credit_minor for balance in balances]
        due = await self.read_due(merchants)
        return [
            MerchantBalance(
                merchant,
                currency,
                held_minor=sums[at],
                available_minor=sums[at + 1],
                pending_minor=_sum(shares, "pending"),
                frozen_minor=sums[at + 2],
                debt_minor=-sums[at + 3],
                reserve_minor=_sum(shares, "reserve"),
                leaving_minor=leaving_minor,
            )
            for at, (merchant, currency), shares, leaving_minor in zip(
                range(0, len(sums), 4), merchants, due, leaving, strict=True
            )
        ]

    async def read_due(self, merchants: Sequence[MerchantCurrency]) -> list[list[DueShare]]:
        """Read what becomes available when; what is overdue comes first."""
        found = await self._store.load_open_buckets(merchants)
        left = await self._read_left([bucket for each in found.values() for bucket in each])
        return [
            [
                DueShare(bucket.part, bucket.due_at, left[bucket.account])
                for bucket in found.get(key, ())
                if left[bucket.account]
            ]
            for key in merchants
        ]

    async def sum_held(self) -> list[HeldSum]:
        """Sum what is not due yet, of all merchants, a page of buckets at a time."""
        sums: dict[tuple[str, Literal["pending", "reserve"]], tuple[int, int]] = {}
        last: Bucket | None = None
        while page := await self._store.load_open_after(last, _PAGE):
            left = await self._read_left(page)
            for bucket in page:
                key = (bucket.currency, bucket.part)
                minor, count = sums.get(key, (0, 0))
                sums[key] = (minor + left[bucket.account], count + 1)
            last = page[-1]
        return [HeldSum(*key, *sums[key]) for key in sorted(sums)]

    async def _read_left(self, buckets: Sequence[Bucket]) -> dict[AccountId, int]:
        accounts = [bucket.account for bucket in buckets]
        balances = await self._ledger.read_balances(accounts) if accounts else []
        return {
            account: 0 if balance is None else balance.credit_minor
            for account, balance in zip(accounts, balances, strict=True)
        }

    async def read_orders(self, queries: Sequence[ShareQuery]) -> list[OrderShare]:
        """Read where orders' shares are, out of the transfers that carry their serial numbers."""
        books = await self._ledger.read_transfers([query.order for query in queries])
        found = [
            find_split(query.order, posted, accounts_of(query.merchant, query.currency))
            for query, posted in zip(queries, books, strict=True)
        ]
        back = {account for split in found for account, _ in split.held_back}
        buckets = await self._store.load_buckets(back) if back else {}
        return [
            _share(query, posted, buckets, accounts_of(query.merchant, query.currency))
            for query, posted in zip(queries, books, strict=True)
        ]


def _share(
    query: ShareQuery,
    posted: Sequence[PostedTransfer],
    buckets: Mapping[UUID, KeptBucket],
    accounts: MerchantAccounts,
) -> OrderShare:
    found = find_split(query.order, posted, accounts)
    if not found.amount_minor:
        return OrderShare()
    parts = []
    now_minor = found.share_minor - sum(minor for _, minor in found.held_back)
    if now_minor:
        parts.append(SharePart("available", now_minor))
    for account, amount_minor in found.held_back:
        kept = buckets.get(account)
        if kept is None:  # A top-up: all of it is its buyer's.
            continue
        parts.append(
            SharePart(
                kept.bucket.part,
                amount_minor,
                _taken(account, posted),
                kept.bucket.due_at,
                None if kept.is_open else kept.released_at,
            )
        )
    split_at = next(entry.at for entry in posted if entry.transfer.code in _SPLIT)
    parts.sort(key=lambda part: part.part)  # As the alphabet has it: available, pending, reserve.
    return OrderShare(split_at, found.fee_minor, parts, found.is_reversed)


def _taken(account: AccountId, posted: Sequence[PostedTransfer]) -> int:
    """Sum what of one part has gone elsewhere, less what came back."""
    taken = 0
    for entry in posted:
        transfer = entry.transfer
        if transfer.debit == account:
            taken += transfer.amount_minor
        elif transfer.credit == account and transfer.code in _BACK:
            taken -= transfer.amount_minor
    return taken


def _sum(shares: Sequence[DueShare], part: str) -> int:
    return sum(share.amount_minor for share in shares if share.part == part)
