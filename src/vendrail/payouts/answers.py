"""What banks answer: read and kept first, noted when somebody says so; each result once."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from uuid import UUID

from vendrail.api.payouts import (
    BankAnswer,
    BankAnswerLine,
    BankAnswerStatus,
    BankNote,
    BankResultStatus,
    NewBankAnswer,
    PayoutId,
    PayoutState,
    TakenAnswer,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import derive, from_serial
from vendrail.payouts import bankfiles
from vendrail.payouts.bankfiles import Told
from vendrail.payouts.store import Database, Row, Transaction
from vendrail.payouts.store import banks as banks_store
from vendrail.payouts.store.banks import Result

_ANSWERS_MAX = 50


class Answers:
    """Reads and notes what banks say."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def take(self, answers: Sequence[NewBankAnswer]) -> list[TakenAnswer]:
        """Read answers and keep them, each by itself."""
        return [await self._take(each) for each in answers]

    async def _take(self, new: NewBankAnswer) -> TakenAnswer:
        async with self._db.reading() as tx:
            if not await banks_store.load_files(tx, [new.file]):
                return TakenAnswer(BankAnswerStatus.FILE_NOT_FOUND)
        if len(new.content) > bankfiles.BYTES_MAX:
            return TakenAnswer(BankAnswerStatus.TOO_LARGE)
        told = bankfiles.read_answer(new.content)
        if told is None:
            return TakenAnswer(BankAnswerStatus.NOT_READABLE)
        if not told:
            return TakenAnswer(BankAnswerStatus.EMPTY)
        if len(told) > bankfiles.LINES_MAX:
            return TakenAnswer(BankAnswerStatus.TOO_LARGE)
        id = derive(new.file, f"answer:{sha256(new.content).hexdigest()}")
        clean = [Told(*(text.replace("\0", "") for text in each)) for each in told]
        async with self._db.transaction() as tx:
            await banks_store.insert_answer(tx, id, new.file, clean, new.by, self._clock.now())
        return TakenAnswer(BankAnswerStatus.READ, id)

    async def read(self, answers: Sequence[UUID]) -> list[BankAnswer | None]:
        """Read answers with what would become of their lines, or what became of them."""
        found: list[BankAnswer | None] = []
        async with self._db.reading() as tx:
            for id in answers:
                head = await banks_store.load_answer(tx, id)
                found.append(await _read(tx, head) if head is not None else None)
        return found

    async def list_of(self, files: Sequence[UUID]) -> list[list[BankAnswer]]:
        """List the heads of files' answers."""
        async with self._db.reading() as tx:
            return [
                [_answer(row, []) for row in await banks_store.list_answers(tx, id, _ANSWERS_MAX)]
                for id in files
            ]

    async def note(self, notes: Sequence[BankNote]) -> list[BankAnswer | None]:
        """Note answers, each by itself; the books follow."""
        return [await self._note(each) for each in notes]

    async def _note(self, note: BankNote) -> BankAnswer | None:
        id, by, now = note.answer, note.by, self._clock.now()
        async with self._db.transaction() as tx:
            head = await banks_store.load_answer(tx, id, is_locked=True)
            if head is None:
                return None
            # Answers of one file take turns: what goes back by all of them is one sum.
            await banks_store.lock_file(tx, head["file"])
            judged = await _judge(tx, head, is_locked=True)
            before_minor = await banks_store.sum_back(tx, head["file"])
            if head["noted_at"] is None:
                answer = _answer(head, judged, before_minor)
                if answer.back_whole_minor > note.back_minor_max:
                    return answer
                results = [result for _, result in judged if result is not None]
                if results:
                    await banks_store.write_results(tx, results, by, now)
                statuses = [(line.line, str(line.status)) for line, _ in judged]
                await banks_store.end_answer(tx, id, statuses, by, now)
                head = await banks_store.load_answer(tx, id)
                assert head is not None
        return _answer(head, judged, before_minor)


Judged = tuple[BankAnswerLine, Result | None]


async def _read(tx: Transaction, head: Row) -> BankAnswer:
    before_minor = await banks_store.sum_back(tx, head["file"])
    return _answer(head, await _judge(tx, head), before_minor)


async def _judge(tx: Transaction, head: Row, *, is_locked: bool = False) -> list[Judged]:
    """Say of each line what becomes of it, or became."""
    rows = await banks_store.load_answer_lines(tx, head["id"])
    numbers = {row["number"]: id for row in rows if (id := _payout(row["number"])) is not None}
    file = (await banks_store.load_files(tx, [head["file"]]))[head["file"]]
    standing = await banks_store.load_standing(
        tx, file.id, set(numbers.values()), is_locked=is_locked
    )
    judged: list[Judged] = []
    said: dict[UUID, str] = {}  # What this answer has said of each payout further up.
    for row in rows:
        id = numbers.get(row["number"])
        line = standing.get(id) if id is not None else None
        if row["status"]:  # It was noted: that stays as it was.
            judged.append((_said(row, line, BankResultStatus(row["status"])), None))
            continue
        status, result = _become(row, line, said, file.currency)
        if line is not None and status in (BankResultStatus.NOTED, BankResultStatus.KNOWN):
            said.setdefault(line["payout"], row["result"])
        judged.append((_said(row, line, status), result))
    return judged


def _become(
    row: Row, line: Row | None, said: Mapping[UUID, str], currency: str
) -> tuple[BankResultStatus, Result | None]:
    """Say what becomes of one line; what was paid may still come back, and nothing else."""
    told = Told(row["number"], row["result"], row["problem"], row["amount"], row["currency"])
    if line is None:
        return BankResultStatus.NOT_IN_FILE, None
    if not told.result:
        return BankResultStatus.UNKNOWN, None
    if not bankfiles.is_amount(told, line["amount_minor"], currency):
        return BankResultStatus.AMOUNT_WRONG, None
    before = said.get(line["payout"], line["result"])
    if before == told.result:
        return BankResultStatus.KNOWN, None
    is_new = line["payout"] not in said and not line["verdict"]
    if is_new and not before and line["state"] == PayoutState.SENT:
        result = Result(line["payout"], told.result, told.result, told.problem)
        return BankResultStatus.NOTED, result
    is_bounce = before == "succeeded" and line["state"] == PayoutState.SUCCEEDED
    if is_new and is_bounce:
        # However the bank calls it: the payout had succeeded and has not any more.
        return BankResultStatus.NOTED, Result(line["payout"], "returned", "returned", told.problem)
    return BankResultStatus.DIFFERENT, None


def _payout(number: str) -> UUID | None:
    try:
        return from_serial(number)
    except Malformed:
        return None


def _said(row: Row, line: Row | None, status: BankResultStatus) -> BankAnswerLine:
    return BankAnswerLine(
        row["line"],
        row["number"],
        row["result"],
        row["problem"],
        f"{row['amount']} {row['currency']}".strip() if row["amount"] else "",
        status,
        PayoutId(line["payout"]) if line is not None else None,
        line["amount_minor"] if line is not None else 0,
    )


def _answer(head: Row, judged: Sequence[Judged], before_minor: int = 0) -> BankAnswer:
    lines = [line for line, _ in judged]
    return BankAnswer(
        head["id"],
        head["file"],
        head["read_at"],
        head["read_by"],
        lines,
        head["noted_at"],
        head["noted_by"],
        before_minor,
    )
