"""The service: terms in its own table, everything else asked of the ledger."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from vendrail.api.ledger import (
    Account,
    AccountLimit,
    AccountStatus,
    Balance,
    Chart,
    EntryQuery,
    Ledger,
    Transfer,
    TransferCode,
    TransferId,
    TransferKind,
    TransferResult,
    TransferStatus,
)
from vendrail.api.wallets import (
    TopUpQuestion,
    TopUpStatus,
    Wallet,
    WalletEntry,
    WalletHold,
    WalletHoldStatus,
    WalletKey,
    WalletQuery,
    WalletSum,
    WalletTerms,
    WalletTermsStatus,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import derive
from vendrail.wallets import decide, store

_WALK_MAX = 500
_READ_MAX = 3  # A page is read again where the wallet moved meanwhile.
_HELD = {
    TransferStatus.CREATED: WalletHoldStatus.HELD,
    TransferStatus.EXISTS: WalletHoldStatus.EXISTS,
    TransferStatus.EXISTS_DIFFERENT: WalletHoldStatus.EXISTS_DIFFERENT,
    TransferStatus.AMOUNT_NOT_POSITIVE: WalletHoldStatus.AMOUNT_NOT_POSITIVE,
    TransferStatus.AMOUNT_TOO_LARGE: WalletHoldStatus.BALANCE_TOO_LOW,
    TransferStatus.BALANCE_TOO_LOW: WalletHoldStatus.BALANCE_TOO_LOW,
}


class WalletsService:
    """Fulfils `api.wallets.Wallets`."""

    def __init__(self, db: Database, clock: Clock, ledger: Ledger) -> None:
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._opened: set[UUID] = set()

    async def put_wallet_terms(self, terms: Sequence[WalletTerms]) -> list[WalletTermsStatus]:
        """Write what wallets may hold, whole, by currency."""
        now = self._clock.now()
        statuses = []
        async with self._db.transaction() as tx:
            known = await store.load_terms(tx)
            for new in terms:
                status = decide.terms(new, known.get(new.currency))
                if status is WalletTermsStatus.WRITTEN:
                    await store.write_terms(tx, new, now)
                    known[new.currency] = new
                statuses.append(status)
        return statuses

    async def list_wallet_terms(self) -> list[WalletTerms]:
        """List the terms of every currency that has any."""
        return list((await self._terms()).values())

    async def _terms(self) -> dict[str, WalletTerms]:
        async with self._db.reading() as tx:
            return await store.load_terms(tx)

    async def read_wallets(self, keys: Sequence[WalletKey]) -> list[Wallet]:
        """Read what wallets hold; one that was never used holds nothing."""
        ids = [Chart(key.currency).buyer_wallet(key.buyer).id for key in keys]
        balances = await self._ledger.read_balances(ids) if ids else []
        return [_wallet(key, balance) for key, balance in zip(keys, balances, strict=True)]

    async def judge_top_ups(self, questions: Sequence[TopUpQuestion]) -> list[TopUpStatus]:
        """Say whether top-ups are taken; later ones of a wallet see earlier ones."""
        terms = await self._terms()
        keys = list({WalletKey(each.buyer, each.currency) for each in questions})
        wallets = await self.read_wallets(keys)
        held = {key: wallet.balance_minor for key, wallet in zip(keys, wallets, strict=True)}
        holds = dict(held)
        statuses = []
        for each in questions:
            key = WalletKey(each.buyer, each.currency)
            status = decide.top_up(each, terms.get(each.currency), holds[key])
            if status is not TopUpStatus.ALLOWED and await self._stands(each):
                statuses.append(decide.standing(terms.get(each.currency), held[key]))
                continue
            if status is TopUpStatus.ALLOWED:
                holds[key] += each.amount_minor
            statuses.append(status)
        return statuses

    async def _stands(self, question: TopUpQuestion) -> bool:
        """Tell whether a top-up is in its wallet already."""
        if question.order is None:
            return False
        [posted] = await self._ledger.read_transfers([question.order])
        return any(each.transfer.code is TransferCode.TOP_UP for each in posted)

    async def hold_wallets(self, holds: Sequence[WalletHold]) -> list[WalletHoldStatus]:
        """Reserve money for orders: of many that ask at once, as many as there is money for."""
        await self._open(holds)
        results = await self._post([_reservation(hold) for hold in holds])
        statuses = []
        for hold, result in zip(holds, results, strict=True):
            if result.status not in _HELD:
                raise Broken(f"Holding {hold.id} of a wallet answered {result.status}.")
            statuses.append(_HELD[result.status])
        return statuses

    async def free_wallets(self, holds: Sequence[WalletHold]) -> list[bool]:
        """Let go of reservations, also of what never arrived; false: it was spent.

        A transfer that must be refused takes the id of a hold that is not there yet: one that comes
        late finds it taken.
        """
        await self._open(holds)
        marks = await self._post([_mark(hold) for hold in holds])
        standing = [
            hold
            for hold, mark in zip(holds, marks, strict=True)
            if mark.status is TransferStatus.EXISTS_DIFFERENT
        ]
        voids = await self._post([_release(hold) for hold in standing])
        spent = {
            hold.id
            for hold, void in zip(standing, voids, strict=True)
            if void.status is TransferStatus.PENDING_RESOLVED
        }
        return [hold.id not in spent for hold in holds]

    async def read_wallet_entries(self, queries: Sequence[WalletQuery]) -> list[list[WalletEntry]]:
        """Read wallets' movements, newest first; a short page is the last."""
        return [await self._read_page(query) for query in queries]

    async def _read_page(self, query: WalletQuery) -> list[WalletEntry]:
        """Read a page; each movement with what was there after it, counted back from now."""
        key = WalletKey(query.buyer, query.currency)
        told: list[WalletEntry] = []
        for _ in range(_READ_MAX):
            [before] = await self.read_wallets([key])
            told = await self._walk(query, before.balance_minor)
            [after] = await self.read_wallets([key])
            if before.balance_minor == after.balance_minor:
                break
        return told

    async def _walk(self, query: WalletQuery, balance_minor: int) -> list[WalletEntry]:
        """Walk back from the newest movement to the page that is asked for."""
        account = Chart(query.currency).buyer_wallet(query.buyer).id
        told: list[WalletEntry] = []
        before: TransferId | None = None
        is_reached = query.before is None
        while len(told) < query.entries_max:
            [entries] = await self._ledger.read_entries([EntryQuery(account, before, _WALK_MAX)])
            page = decide.statement(entries, balance_minor)
            for each in page:
                balance_minor = each.balance_minor - each.amount_minor
                if is_reached:
                    told.append(each)
                is_reached = is_reached or each.transfer == query.before
            if len(entries) < _WALK_MAX:
                break
            before = entries[-1].transfer
        return told[: query.entries_max]

    async def sum_wallets(self) -> list[WalletSum]:
        """Sum what wallets hold, by currency."""
        return [
            WalletSum(each.currency, each.accounts_count, each.credit_minor)
            for each in await self._ledger.sum_wallets()
        ]

    async def _open(self, holds: Iterable[WalletHold]) -> None:
        wanted: dict[UUID, Account] = {}
        for hold in holds:
            chart = Chart(hold.currency)
            for account in (
                chart.buyer_wallet(hold.buyer),
                chart.held(hold.merchant),
                tombstone_account(hold.currency),
            ):
                if account.id not in self._opened:
                    wanted[account.id] = account
        if not wanted:
            return
        accounts = list(wanted.values())
        statuses = await self._ledger.open_accounts(accounts)
        for account, status in zip(accounts, statuses, strict=True):
            if status not in (AccountStatus.CREATED, AccountStatus.EXISTS):
                raise Broken(f"Account {account.name} in {account.currency} is {status}.")
        self._opened |= wanted.keys()

    async def _post(self, transfers: Sequence[Transfer]) -> list[TransferResult]:
        return await self._ledger.post_transfers(transfers) if transfers else []


def tombstone_account(currency: str) -> Account:
    """An account that never holds anything: a transfer out of it is refused, and its id taken."""
    return Account("wallets:tombstone", currency, AccountLimit.DEBITS_WITHIN_CREDITS)


def _reservation(hold: WalletHold) -> Transfer:
    chart = Chart(hold.currency)
    return Transfer(
        TransferId(hold.id),
        chart.buyer_wallet(hold.buyer).id,
        chart.held(hold.merchant).id,
        hold.amount_minor,
        TransferCode.WALLET_PAYMENT,
        hold.order,
        TransferKind.PENDING,
    )


def _mark(hold: WalletHold) -> Transfer:
    chart = Chart(hold.currency)
    return Transfer(
        TransferId(hold.id),
        tombstone_account(hold.currency).id,
        chart.held(hold.merchant).id,
        1,
        TransferCode.WALLET_PAYMENT,
        hold.order,
    )


def _release(hold: WalletHold) -> Transfer:
    chart = Chart(hold.currency)
    return Transfer(
        TransferId(derive(hold.id, "wallet:free")),
        chart.buyer_wallet(hold.buyer).id,
        chart.held(hold.merchant).id,
        0,
        TransferCode.WALLET_PAYMENT,
        hold.order,
        TransferKind.VOID,
        TransferId(hold.id),
    )


def _wallet(key: WalletKey, balance: Balance | None) -> Wallet:
    if balance is None:
        return Wallet(key.buyer, key.currency, 0)
    return Wallet(key.buyer, key.currency, balance.credit_minor, balance.debits_pending)
