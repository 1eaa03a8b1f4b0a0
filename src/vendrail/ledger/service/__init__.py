"""The ledger: load, decide, save."""

import re
from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from vendrail.api.ledger import (
    Account,
    AccountId,
    AccountStatus,
    AccountSum,
    Balance,
    Block,
    BlockCheck,
    ChainHead,
    Entry,
    EntryQuery,
    EntrySum,
    PostedTransfer,
    Statement,
    StatementLinesQuery,
    StatementPage,
    StatementQuery,
    StatementSeal,
    SumQuery,
    Transfer,
    TransferId,
    TransferKind,
    TransferProof,
    TransferResult,
    TransferStatus,
)
from vendrail.api.ledger.closes import (
    Close,
    CloseCheck,
    CloseDay,
    CloseItem,
    CloseItemQuery,
    CloseQuery,
    CloseSheet,
    ClosingStatus,
    NextClose,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Database, Retry, is_duplicate
from vendrail.kernel.errors import Broken, Malformed
from vendrail.kernel.ids import derive
from vendrail.kernel.money import EXPONENTS
from vendrail.kernel.numbers import Found, by_number, check, ids_in
from vendrail.kernel.vault import Vault
from vendrail.ledger import decide, plain
from vendrail.ledger.books import Books, Terms
from vendrail.ledger.service.closes import Closing
from vendrail.ledger.service.sealing import Sealing
from vendrail.ledger.service.statements import Statements
from vendrail.ledger.settings import LedgerSettings
from vendrail.ledger.store import opening, posting, reading, upkeep

TRANSFERS_MAX = 8_192  # Of the largest amount each, their sum still fits a bigint.
_ENTRIES_MAX = 1_000
_EXPIRED_MAX = 512
_ROLLED_UP_MAX = 20_000
_BLOCKS_MAX = 64
_WAIT_MAX = timedelta(seconds=20)  # With the write itself less than the sealing waits at least.
_ACCOUNTS_CACHED_MAX = 1_000_000
_NAME = re.compile(r"[a-z][a-z_]*(:[A-Za-z0-9_.\-]+)*")
_NAME_LENGTH_MAX = 128


class LedgerService:
    """Double entry in batches, over the ledger's own database."""

    def __init__(self, db: Database, clock: Clock, vault: Vault, settings: LedgerSettings) -> None:
        self._db = db
        self.clock = clock
        self._sealing = Sealing(db, clock, vault, settings)
        self._statements = Statements(db, self._sealing)
        self._closing = Closing(db, clock, self._sealing, settings)
        self._accounts: dict[int, Terms] = {}  # Immutable, so kept; by the id's integer.

    async def open_accounts(self, accounts: Sequence[Account]) -> list[AccountStatus]:
        """Open accounts of the chart; opening again is `exists`."""
        statuses = [_check_account(account) for account in accounts]
        sound = {
            account.id: account
            for account, status in zip(reversed(accounts), reversed(statuses), strict=True)
            if status is None
        }
        known = await self._learn(sound.keys())
        unknown = [account for id, account in sound.items() if id.int not in known]
        opened: set[UUID] = set()
        if unknown:
            async with self._db.transaction() as tx:
                opened = await opening.open_accounts(tx, unknown, self.clock.now())
            known = await self._learn(sound.keys())
        results: list[AccountStatus] = []
        for account, status in zip(accounts, statuses, strict=True):
            if status is not None:
                results.append(status)
            elif account.id in opened:
                opened.discard(account.id)
                results.append(AccountStatus.CREATED)
            else:
                results.append(_compare(known[account.id.int], account))
        return results

    async def post_transfers(self, transfers: Sequence[Transfer]) -> list[TransferResult]:
        """Post in order, item k seeing k−1; one result for each transfer, in the same order."""
        if not transfers:
            return []
        if len(transfers) > TRANSFERS_MAX:
            raise Malformed(f"A batch has at most {TRANSFERS_MAX} transfers; send several.")
        now = self.clock.now()
        accounts = self._accounts
        batch = plain.gather(transfers, accounts, now)
        if batch is None:
            accounts = await self._learn(_touched(transfers))
            batch = plain.gather(transfers, accounts, now)
        results = await self._post_plain(transfers, batch, accounts, now) if batch else None
        if results is not None:
            return results
        for new in transfers:
            decide.check_shape(new)
        return await self._post_decided(transfers, accounts)

    async def _post_plain(
        self,
        transfers: Sequence[Transfer],
        batch: plain.Plain,
        accounts: dict[int, Terms],
        now: datetime,
    ) -> list[TransferResult] | None:
        """Write a batch as if all of it succeeds, then take out what an account is too short for.

        None, and nothing done, where one of its ids was known already.
        """
        books = Books(now=now, accounts=accounts)
        sums = batch.sums
        refused: dict[UUID, TransferStatus] = {}
        try:
            async with self._db.transaction() as tx:
                self._expect_young(now)
                await posting.insert_plain(tx, batch)
                books.counters = await posting.lock_short(tx, sums.limited)
                if books.counters:
                    decide.post(books, plain.involved(transfers, accounts, books.counters))
                    rows = [row for row in books.made.values() if row.refusal is not None]
                    refused = {row.transfer.id: row.refusal for row in rows if row.refusal}
                    await posting.settle(tx, rows)
                    sums = plain.add_up_kept(transfers, accounts, refused)
                    if not (sums.limited or sums.others):
                        await posting.expect_open(tx, now)
                await posting.insert_deltas(tx, sums.others, now)
                await posting.move_balances(tx, sums.limited, now)
        except Exception as error:
            if not is_duplicate(error):
                raise
            return None
        created = TransferStatus.CREATED
        if not refused:
            return [TransferResult(created, new.amount_minor) for new in transfers]
        return [
            TransferResult(refused[new.id])
            if new.id in refused
            else TransferResult(created, new.amount_minor)
            for new in transfers
        ]

    async def _post_decided(
        self, transfers: Sequence[Transfer], accounts: dict[int, Terms]
    ) -> list[TransferResult]:
        """Claim the ids, load what they touch under locks, decide one by one, save."""
        firsts = {new.id: new for new in reversed(transfers)}
        pendings = {new.pending for new in transfers if new.pending is not None}
        books = Books(now=self.clock.now(), accounts=accounts)
        async with self._db.transaction() as tx:
            self._expect_young(books.now)
            claimed = await posting.claim(
                tx, sorted(firsts.values(), key=lambda new: new.id.int), books.now
            )
            books.resolutions = await posting.lock_pendings(tx, pendings)
            books.outcomes = await posting.load_outcomes(tx, (firsts.keys() | pendings) - claimed)
            limited = _limited(books, transfers)
            books.counters = await posting.lock_balances(tx, limited)
            if books.counters.keys() != limited:
                raise Broken("A limited account has no counters; `vendrail audit` names it.")
            results = decide.post(books, transfers)
            if claimed != books.made.keys() or len(claimed) != await posting.save(tx, books):
                raise Broken("The ledger did not settle exactly the transfers that it claimed.")
        return results

    def _expect_young(self, moment: datetime) -> None:
        """Refuse to write what was dated long before: by then the journal may be sealed so far."""
        if self.clock.now() - moment > _WAIT_MAX:
            raise Retry("The books were waited for too long; the batch may be run again.")

    async def read_balances(self, accounts: Sequence[AccountId]) -> list[Balance | None]:
        """Read the present counters; None where there is no such account."""
        if not accounts:
            return []
        async with self._db.reading() as tx:
            found = await reading.read_balances(tx, accounts)
        return [found.get(account) for account in accounts]

    async def sum_wallets(self) -> list[AccountSum]:
        """Sum what buyers' wallets hold, by currency: what is owed to buyers."""
        async with self._db.reading() as tx:
            return await reading.sum_wallets(tx)

    async def read_entries(self, queries: Sequence[EntryQuery]) -> list[list[Entry]]:
        """Read accounts' entries, newest first."""
        for query in queries:
            if not 0 < query.entries_max <= _ENTRIES_MAX:
                raise Malformed(f"`entries_max` is from 1 to {_ENTRIES_MAX}; read page by page.")
        known = await self._learn({query.account for query in queries})
        found: dict[int, list[Entry]] = {}
        listed: list[tuple[int, EntryQuery]] = []
        async with self._db.reading() as tx:
            for position, query in enumerate(queries):
                terms = known.get(query.account.int)
                if terms is not None and terms.is_listed:
                    listed.append((position, query))
                elif terms is not None:
                    found[position] = await reading.read_unlisted(
                        tx, terms, query, self.clock.now()
                    )
            if listed:
                found |= await reading.read_listed(tx, listed)
        return [found.get(position, []) for position in range(len(queries))]

    async def sum_entries(self, queries: Sequence[SumQuery]) -> list[EntrySum]:
        """Sum what stretches of listed accounts' entries posted; of what is unknown: nothing."""
        if not queries:
            return []
        async with self._db.reading() as tx:
            return await reading.sum_entries(tx, queries)

    async def read_transfers(self, subjects: Sequence[UUID]) -> list[list[PostedTransfer]]:
        """Read all transfers that carry a serial number, oldest first."""
        if not subjects:
            return []
        async with self._db.reading() as tx:
            found = await reading.read_transfers(tx, subjects)
        return [found.get(subject, []) for subject in subjects]

    async def find_numbers(self, numbers: Sequence[str]) -> list[list[Found]]:
        """Find transfers by their ids: whose they are stands in their accounts' names."""
        check(numbers)
        ids = ids_in(numbers)
        if not ids:
            return [[] for _ in numbers]
        async with self._db.reading() as tx:
            found = await reading.find_transfers(tx, list(ids.values()))
        return by_number(numbers, [(each.id, each) for each in found])

    async def read_head(self) -> ChainHead:
        """Read the newest block of the sealed journal."""
        return await self._sealing.read_head()

    async def read_blocks(self, numbers: Sequence[int]) -> list[Block | None]:
        """Read blocks by their numbers; None where there is no such block."""
        return await self._sealing.read_blocks(numbers) if numbers else []

    async def prove_transfers(self, transfers: Sequence[TransferId]) -> list[TransferProof | None]:
        """Prove transfers by the blocks that they lie in; None: no transfer, or not sealed yet."""
        return await self._sealing.prove(transfers) if transfers else []

    async def check_blocks(self, numbers: Sequence[int]) -> list[BlockCheck]:
        """Hash blocks' stretches of the journal anew."""
        if len(numbers) > _BLOCKS_MAX:
            raise Malformed(f"At most {_BLOCKS_MAX} blocks are checked at once; send several.")
        return await self._sealing.check(numbers) if numbers else []

    async def read_statements(self, queries: Sequence[StatementQuery]) -> list[Statement]:
        """Read merchants' statements as sums; few at once, so one by one."""
        return [await self._statements.read(query) for query in queries]

    async def read_statement_lines(
        self, queries: Sequence[StatementLinesQuery]
    ) -> list[StatementPage]:
        """Read pages of statements' lines, oldest first."""
        return [await self._statements.read_page(query) for query in queries]

    async def sign_statements(self, queries: Sequence[StatementQuery]) -> list[StatementSeal]:
        """Sign statements over all their lines."""
        return [await self._statements.sign(query) for query in queries]

    async def close_days(self, days: Sequence[CloseDay]) -> list[ClosingStatus]:
        """Close days, in the order in which they are asked for."""
        return [await self._closing.close(each) for each in days]

    async def read_closing(self) -> NextClose:
        """Say which day is next."""
        return await self._closing.read()

    async def list_closes(self, queries: Sequence[CloseQuery]) -> list[list[Close]]:
        """List closed days, the newest first; few queries at once, so one by one."""
        return [await self._closing.page(query) for query in queries]

    async def read_closes(self, days: Sequence[date]) -> list[CloseSheet | None]:
        """Read closed days with their trial balances."""
        return await self._closing.sheets(days) if days else []

    async def list_close_items(self, queries: Sequence[CloseItemQuery]) -> list[list[CloseItem]]:
        """List what lay in clearing accounts; few queries at once, so one by one."""
        return [await self._closing.items(query) for query in queries]

    async def check_closes(self, days: Sequence[date]) -> list[CloseCheck]:
        """Hash closes anew, and compare with what was signed."""
        if len(days) > _BLOCKS_MAX:
            raise Malformed(f"At most {_BLOCKS_MAX} closes are checked at once; send several.")
        return await self._closing.check(days) if days else []

    async def close_due(self) -> bool:
        """Close the next day, if it is over; true where more may be waiting."""
        return await self._closing.close_due()

    async def seal(self) -> bool:
        """Add the next block to the sealed journal; true where more may be waiting."""
        return await self._sealing.seal()

    async def roll_up(self) -> bool:
        """Add deltas to their balances, so many at a time; true where more may be waiting."""
        async with self._db.transaction() as tx:
            return await upkeep.roll_up(tx, _ROLLED_UP_MAX) == _ROLLED_UP_MAX

    async def expire_transfers(self) -> bool:
        """Give back pending amounts whose time is up, the oldest first; true where more may wait.

        Each is ended by a transfer of its own, whose id derives from it: so it happens once.
        """
        async with self._db.reading() as tx:
            due = await upkeep.load_due(tx, self.clock.now(), _EXPIRED_MAX)
        if not due:
            return False
        accounts = await self._learn(_touched(due))
        await self._post_decided([_expiry(old) for old in due], accounts)
        return len(due) == _EXPIRED_MAX

    async def _learn(self, ids: Collection[UUID]) -> dict[int, Terms]:
        """Load accounts not known yet; give all that are known.

        What is given stays whole for as long as a batch needs it, also when the cache starts anew.
        """
        missing = {id for id in ids if id.int not in self._accounts}
        if not missing:
            return self._accounts
        if len(self._accounts) + len(missing) > _ACCOUNTS_CACHED_MAX:
            self._accounts = {}
            missing = set(ids)
        async with self._db.reading() as tx:
            found = await opening.load_accounts(tx, missing)
        self._accounts.update((terms.id.int, terms) for terms in found)
        return self._accounts


def _touched(transfers: Sequence[Transfer]) -> set[UUID]:
    return {id for new in transfers for id in (new.debit, new.credit)}


def _limited(books: Books, transfers: Sequence[Transfer]) -> set[int]:
    found = (books.accounts.get(id.int) for id in _touched(transfers))
    return {terms.number for terms in found if terms is not None and terms.is_limited}


def _check_account(account: Account) -> AccountStatus | None:
    if len(account.name) > _NAME_LENGTH_MAX or not _NAME.fullmatch(account.name):
        return AccountStatus.NAME_MALFORMED
    if account.currency not in EXPONENTS:
        return AccountStatus.CURRENCY_UNKNOWN
    return None


def _compare(terms: Terms, account: Account) -> AccountStatus:
    is_same = (terms.limit, terms.is_listed) == (account.limit, account.is_listed)
    return AccountStatus.EXISTS if is_same else AccountStatus.EXISTS_DIFFERENT


def _expiry(pending: Transfer) -> Transfer:
    """The transfer that gives a pending amount back: the same but for its id and kind."""
    return replace(
        pending,
        id=TransferId(derive(pending.id, "expire")),
        kind=TransferKind.EXPIRE,
        pending=pending.id,
        timeout_s=0,
        amount_minor=0,
        is_linked=False,
        is_balancing=False,
    )
