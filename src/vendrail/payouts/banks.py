"""Banks: what is reserved leaves in a file, once; what the bank says of it is noted, once."""

import re
from collections.abc import Sequence
from uuid import UUID

from vendrail.api.payouts import (
    Bank,
    BankFile,
    BankFileContent,
    BankFileQuery,
    BankFileRequest,
    BankKind,
    BankLine,
    BankLineQuery,
    BankStatus,
    BankWaiting,
    PayoutId,
    PayoutState,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.ids import to_serial
from vendrail.kernel.money import EXPONENTS
from vendrail.payouts import bankfiles
from vendrail.payouts.bankfiles import Debtor, Line
from vendrail.payouts.knowing import Knowing
from vendrail.payouts.payees import Payees
from vendrail.payouts.store import Database, Row
from vendrail.payouts.store import banks as banks_store
from vendrail.payouts.store import payees as payees_store
from vendrail.payouts.store import payouts as payouts_store

_LINES_MAX = 1_000
_FILES_MAX = 100
_WRITERS = UUID(int=0)  # Whoever writes banks waits for whoever does.
_NAME = re.compile(r"bank\.[a-z0-9][a-z0-9-]{0,33}")  # No channel's has a point.
_BIC = re.compile(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?")


class Banks:
    """Keeps banks and files."""

    def __init__(self, db: Database, clock: Clock, payees: Payees, knowing: Knowing) -> None:
        self._db = db
        self._clock = clock
        self._payees = payees
        self._knowing = knowing

    async def put(self, banks: Sequence[Bank]) -> list[BankStatus]:
        """Write banks, each by itself."""
        return [await self._put(each) for each in banks]

    async def _put(self, new: Bank) -> BankStatus:
        if not _is_wellformed(new):
            return BankStatus.FIELD_MALFORMED
        async with self._db.transaction() as tx:
            await payees_store.lock_merchants(tx, [_WRITERS])
            known = await banks_store.list_banks(tx)
            mine = next((each for each in known if each.id == new.id), None)
            if mine is not None and (mine.name, mine.kind) != (new.name, new.kind):
                return BankStatus.FIXED
            if any(each.name == new.name for each in known if each.id != new.id):
                return BankStatus.NAME_TAKEN
            if mine is not None and _told(mine) == _told(new):
                return BankStatus.UNCHANGED
            await banks_store.put_bank(tx, new, self._clock.now())
        return BankStatus.CREATED if mine is None else BankStatus.CHANGED

    async def list_all(self) -> list[Bank]:
        """List banks by name."""
        async with self._db.reading() as tx:
            return await banks_store.list_banks(tx)

    async def list_waiting(self) -> list[BankWaiting]:
        """List what is in no file yet."""
        async with self._db.reading() as tx:
            return await banks_store.list_waiting(tx)

    async def make(self, requests: Sequence[BankFileRequest]) -> list[BankFile | None]:
        """Put what is reserved into files, each by itself."""
        return [await self._make(each) for each in requests]

    async def _make(self, request: BankFileRequest) -> BankFile | None:
        now = self._clock.now()
        async with self._db.reading() as tx:
            asked = await banks_store.list_waiting_merchants(tx, request.bank, request.currency)
        known = asked - await self._knowing.unknown(asked)
        async with self._db.transaction() as tx:
            rows = await banks_store.lock_waiting(
                tx, request.bank, request.currency, known, _LINES_MAX
            )
            # Looked at behind the lock: the same request, sent twice at once, is one file.
            standing = await banks_store.load_files(tx, [request.id])
            if request.id in standing:
                return standing[request.id]
            banks = await banks_store.list_banks(tx)
            bank = next((each for each in banks if each.id == request.bank), None)
            stopped = await payouts_store.load_stopped(tx, [row["id"] for row in rows])
            chosen = _within([r for r in rows if r["id"] not in stopped], request.sum_minor_max)
            if bank is None or not chosen:
                return None
            await banks_store.insert_file(tx, request, bank, chosen, now)
            ids = [row["id"] for row in chosen]
            await banks_store.begin_filing(tx, ids, now)
            steps = [(id, PayoutState.SENT, "bank_file", request.by[:200]) for id in ids]
            await payouts_store.insert_steps(tx, steps, now)
            made = await banks_store.load_files(tx, [request.id])
        return made[request.id]

    async def carry(self, files: Sequence[tuple[UUID, str]]) -> list[bool]:
        """Note that banks have files."""
        now = self._clock.now()
        async with self._db.transaction() as tx:
            return [await banks_store.carry_file(tx, id, by, now) for id, by in files]

    async def list_files(self, queries: Sequence[BankFileQuery]) -> list[list[BankFile]]:
        """List pages of files."""
        async with self._db.reading() as tx:
            return [
                await banks_store.list_files(tx, each, max(0, min(each.files_max, _FILES_MAX)))
                for each in queries
            ]

    async def read_files(self, files: Sequence[UUID]) -> list[BankFile | None]:
        """Read files as they stand."""
        async with self._db.reading() as tx:
            found = await banks_store.load_files(tx, files)
        return [found.get(each) for each in files]

    async def list_lines(self, queries: Sequence[BankLineQuery]) -> list[list[BankLine]]:
        """List pages of files' lines."""
        pages = []
        async with self._db.reading() as tx:
            for query in queries:
                most = max(0, min(query.lines_max, _LINES_MAX))
                rows = await banks_store.list_lines(tx, query, most)
                pages.append([_line(row) for row in rows])
        return pages

    async def read_contents(self, files: Sequence[UUID]) -> list[BankFileContent | None]:
        """Write files out; twice is the same to the byte."""
        return [await self._read(each) for each in files]

    async def _read(self, id: UUID) -> BankFileContent | None:
        async with self._db.reading() as tx:
            file = (await banks_store.load_files(tx, [id])).get(id)
            rows = await banks_store.load_lines(tx, id)
            debtor = await banks_store.load_debtor(tx, id)
        if file is None or debtor is None:
            return None
        wholes = await self._payees.open({row["payee"] for row in rows})
        lines = [
            Line(
                to_serial(row["id"]),
                wholes[row["payee"]].account,
                wholes[row["payee"]].name,
                row["amount_minor"],
            )
            for row in rows
        ]
        name = f"payouts-{file.number}"
        if debtor["kind"] == BankKind.CN_BANK:
            table = bankfiles.write_table(lines, file.currency)
            return BankFileContent(f"{name}.csv", "text/csv", table)
        payer = Debtor(debtor["holder"], debtor["account"], debtor["bic"])
        told = bankfiles.write_pain(lines, file.currency, payer, file.number, file.made_at)
        return BankFileContent(f"{name}.xml", "application/xml", told)


def _within(rows: Sequence[Row], sum_minor_max: int) -> list[Row]:
    """Take the oldest ones, as far as the sum reaches."""
    chosen, left = [], sum_minor_max
    for row in rows:
        if row["amount_minor"] <= left:
            chosen.append(row)
            left -= row["amount_minor"]
    return chosen


def _line(row: Row) -> BankLine:
    return BankLine(
        row["line"],
        PayoutId(row["payout"]),
        row["merchant"],
        row["shown"],
        row["amount_minor"],
        row["result"],
        row["problem"] if row["result"] else "",
    )


def _told(bank: Bank) -> tuple[object, ...]:
    return (bank.title, sorted(bank.currencies), bank.holder, bank.account, bank.bic, bank.is_open)


def _is_wellformed(bank: Bank) -> bool:
    is_account = (
        bankfiles.is_iban(bank.account)
        if bank.kind is BankKind.IBAN
        else bool(re.fullmatch(r"[0-9]{8,30}", bank.account))
    )
    return (
        bool(_NAME.fullmatch(bank.name))
        and 0 < len(bank.title.strip()) <= 80
        and 0 < len(bank.holder.strip()) <= 140
        and is_account
        and (not bank.bic or bool(_BIC.fullmatch(bank.bic)))
        and bool(bank.currencies)
        and set(bank.currencies) <= EXPONENTS.keys()
    )
