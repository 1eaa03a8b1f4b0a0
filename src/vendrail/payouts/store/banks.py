"""Banks, their files, the lines of these, and what banks answer."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.api.payouts import (
    Bank,
    BankFile,
    BankFileQuery,
    BankFileRequest,
    BankKind,
    BankLineQuery,
    BankWaiting,
)
from vendrail.kernel.db import Row, Transaction
from vendrail.payouts.bankfiles import Told

_FILE = (
    "select f.*, (select count(*) from payouts.bank_line l where l.file = f.id and l.result = '')"
    " as open_lines from payouts.bank_file f"
)


async def list_banks(tx: Transaction) -> list[Bank]:
    """Read all banks; there are few."""
    rows = await tx.fetch("select * from payouts.bank order by name")
    return [
        Bank(
            row["id"],
            row["name"],
            row["title"],
            BankKind(row["kind"]),
            list(row["currencies"]),
            row["holder"],
            row["account"],
            row["bic"],
            row["is_open"],
            row["made_by"],
        )
        for row in rows
    ]


async def put_bank(tx: Transaction, bank: Bank, now: datetime) -> None:
    """Write a bank; its name and kind never change."""
    await tx.execute(
        "insert into payouts.bank (id, name, title, kind, currencies, holder, account, bic,"
        " is_open, made_at, made_by) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
        " on conflict (id) do update set title = $3, currencies = $5, holder = $6, account = $7,"
        " bic = $8, is_open = $9, made_by = $11",
        bank.id,
        bank.name,
        bank.title,
        str(bank.kind),
        bank.currencies,
        bank.holder,
        bank.account,
        bank.bic,
        bank.is_open,
        now,
        bank.by[:200],
    )


async def list_waiting(tx: Transaction) -> list[BankWaiting]:
    """Sum what is in no file yet."""
    rows = await tx.fetch(
        "select channel, currency, count(*) as lines, sum(amount_minor)::bigint as minor"
        " from payouts.payout where state = 'reserved' and is_filed and verdict = ''"
        " group by channel, currency order by channel, currency"
    )
    return [BankWaiting(*row) for row in rows]


async def list_waiting_merchants(tx: Transaction, bank: UUID, currency: str) -> set[UUID]:
    """List whose payouts wait for a file."""
    rows = await tx.fetch(
        "select distinct merchant from payouts.payout where state = 'reserved'"
        " and is_filed and verdict = '' and channel = $1 and currency = $2",
        bank,
        currency,
    )
    return {row["merchant"] for row in rows}


async def lock_waiting(
    tx: Transaction, bank: UUID, currency: str, merchants: Collection[UUID], lines_max: int
) -> list[Row]:
    """Hold payouts that wait for a file, and tests, the oldest first; other makers wait."""
    return await tx.fetch(
        "select id, amount_minor from payouts.payout where state = 'reserved'"
        " and is_filed and verdict = '' and channel = $1 and currency = $2"
        " and (origin = 'test' or merchant = any($4::uuid[])) order by id limit $3"
        " for no key update",
        bank,
        currency,
        lines_max,
        list(merchants),
    )


async def insert_file(
    tx: Transaction, request: BankFileRequest, bank: Bank, payouts: Sequence[Row], now: datetime
) -> None:
    """Write a file and its lines."""
    await tx.execute(
        "insert into payouts.bank_file (id, bank, currency, lines, sum_minor, holder, account,"
        " bic, made_at, made_by) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        request.id,
        request.bank,
        request.currency,
        len(payouts),
        sum(row["amount_minor"] for row in payouts),
        bank.holder,
        bank.account,
        bank.bic,
        now,
        request.by[:200],
    )
    await tx.execute(
        "insert into payouts.bank_line (payout, file, line)"
        " select u.id, $2, u.line from unnest($1::uuid[]) with ordinality as u (id, line)",
        [row["id"] for row in payouts],
        request.id,
    )


async def begin_filing(tx: Transaction, ids: Collection[UUID], now: datetime) -> None:
    """Write that payouts have left in a file; nobody asks for them by themselves."""
    await tx.execute(
        "update payouts.payout set state = 'sent', tries = 1, sent_at = $2, due_at = null,"
        " turn = turn + 1 where id = any($1::uuid[])",
        list(ids),
        now,
    )


async def carry_file(tx: Transaction, id: UUID, by: str, now: datetime) -> bool:
    """Note that the bank has a file."""
    count = await tx.execute(
        "update payouts.bank_file set carried_at = $3, carried_by = $2"
        " where id = $1 and carried_at is null",
        id,
        by[:200],
        now,
    )
    return count == 1


async def load_files(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, BankFile]:
    """Read files."""
    rows = await tx.fetch(f"{_FILE} where f.id = any($1::uuid[])", list(ids))
    return {row["id"]: _file(row) for row in rows}


async def list_files(tx: Transaction, query: BankFileQuery, files_max: int) -> list[BankFile]:
    """Read a page of files, the newest first."""
    rows = await tx.fetch(
        f"{_FILE} where $1::bigint is null or f.number < $1 order by f.number desc limit $2",
        query.before,
        files_max,
    )
    return [_file(row) for row in rows]


async def load_debtor(tx: Transaction, file: UUID) -> Row | None:
    """Read the platform's account as a file was made with."""
    return await tx.fetch_row(
        "select f.holder, f.account, f.bic, b.kind from payouts.bank_file f"
        " join payouts.bank b on b.id = f.bank where f.id = $1",
        file,
    )


async def load_lines(tx: Transaction, file: UUID) -> list[Row]:
    """Read what lies in a file, in its order."""
    return await tx.fetch(
        "select o.id, o.payee, o.amount_minor from payouts.bank_line l"
        " join payouts.payout o on o.id = l.payout where l.file = $1 order by l.line",
        file,
    )


async def list_lines(tx: Transaction, query: BankLineQuery, lines_max: int) -> list[Row]:
    """Read a page of a file's lines with what the bank said of them."""
    return await tx.fetch(
        "select l.line, l.payout, l.result, o.merchant, o.amount_minor, o.problem, p.shown"
        " from payouts.bank_line l join payouts.payout o on o.id = l.payout"
        " join payouts.payee p on p.id = o.payee"
        " where l.file = $1 and l.line > $2 order by l.line limit $3",
        query.file,
        query.after,
        lines_max,
    )


async def load_standing(
    tx: Transaction, file: UUID, payouts: Collection[UUID], *, is_locked: bool
) -> dict[UUID, Row]:
    """Read lines of a file with their payouts, in the order of these; locked, nobody else writes.

    Payouts are locked first and alone, as all who write them do.
    """
    if is_locked:
        await tx.fetch(
            "select from payouts.payout o where o.id in (select payout from payouts.bank_line"
            " where file = $1 and payout = any($2::uuid[])) order by o.id for no key update",
            file,
            list(payouts),
        )
    rows = await tx.fetch(
        "select l.payout, l.result, o.state, o.verdict, o.amount_minor from payouts.bank_line l"
        " join payouts.payout o on o.id = l.payout"
        " where l.file = $1 and l.payout = any($2::uuid[])",
        file,
        list(payouts),
    )
    return {row["payout"]: row for row in rows}


class Result(NamedTuple):
    """What a bank has said of a payout, and what that means for the books."""

    payout: UUID
    result: str
    verdict: str
    problem: str


async def write_results(tx: Transaction, results: Sequence[Result], by: str, now: datetime) -> None:
    """Write what the bank has said, and let the books follow it."""
    ids = [each.payout for each in results]
    await tx.execute(
        "update payouts.bank_line l set result = v.result, result_at = $3, result_by = $4"
        " from unnest($1::uuid[], $2::text[]) as v (payout, result) where l.payout = v.payout",
        ids,
        [each.result for each in results],
        now,
        by[:200],
    )
    await tx.execute(
        "update payouts.payout o set verdict = v.verdict, problem = v.problem, due_at = $4,"
        " turn = turn + 1 from unnest($1::uuid[], $2::text[], $3::text[])"
        " as v (id, verdict, problem) where o.id = v.id",
        ids,
        [each.verdict for each in results],
        [each.problem for each in results],
        now,
    )


async def insert_answer(
    tx: Transaction, id: UUID, file: UUID, told: Sequence[Told], by: str, now: datetime
) -> None:
    """Write an answer as it was read; a rival's stays as it is."""
    count = await tx.execute(
        "insert into payouts.bank_answer (id, file, read_at, read_by) values ($1, $2, $3, $4)"
        " on conflict (id) do nothing",
        id,
        file,
        now,
        by[:200],
    )
    if not count:
        return
    columns: list[list[str]] = [list(each) for each in zip(*told, strict=True)]
    await tx.execute(
        "insert into payouts.bank_answer_line"
        " (answer, line, number, result, problem, amount, currency)"
        " select $1, u.line, u.number, u.result, u.problem, u.amount, u.currency"
        " from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) with ordinality"
        " as u (number, result, problem, amount, currency, line)",
        id,
        *columns,
    )


async def lock_file(tx: Transaction, id: UUID) -> None:
    """Hold a file: others that note an answer of it wait."""
    await tx.fetch("select from payouts.bank_file where id = $1 for no key update", id)


async def sum_back(tx: Transaction, file: UUID) -> int:
    """Sum what has come back of a file by the answers noted so far."""
    minor: int = await tx.fetch_value(
        "select coalesce(sum(o.amount_minor), 0)::bigint from payouts.bank_line l"
        " join payouts.payout o on o.id = l.payout"
        " where l.file = $1 and l.result in ('failed', 'returned')",
        file,
    )
    return minor


async def load_answer(tx: Transaction, id: UUID, *, is_locked: bool = False) -> Row | None:
    """Read an answer's head."""
    lock = " for no key update" if is_locked else ""
    return await tx.fetch_row(f"select * from payouts.bank_answer where id = $1{lock}", id)  # noqa: S608 - a constant


async def load_answer_lines(tx: Transaction, id: UUID) -> list[Row]:
    """Read an answer's lines in their order."""
    return await tx.fetch(
        "select * from payouts.bank_answer_line where answer = $1 order by line", id
    )


async def list_answers(tx: Transaction, file: UUID, answers_max: int) -> list[Row]:
    """Read the heads of a file's answers, the newest first."""
    return await tx.fetch(
        "select * from payouts.bank_answer where file = $1 order by read_at desc, id limit $2",
        file,
        answers_max,
    )


async def end_answer(
    tx: Transaction, id: UUID, statuses: Sequence[tuple[int, str]], by: str, now: datetime
) -> None:
    """Write what became of an answer's lines."""
    await tx.execute(
        "update payouts.bank_answer set noted_at = $2, noted_by = $3 where id = $1",
        id,
        now,
        by[:200],
    )
    await tx.execute(
        "update payouts.bank_answer_line l set status = v.status"
        " from unnest($2::int[], $3::text[]) as v (line, status)"
        " where l.answer = $1 and l.line = v.line",
        id,
        [line for line, _ in statuses],
        [status for _, status in statuses],
    )


def _file(row: Row) -> BankFile:
    return BankFile(
        row["id"],
        row["number"],
        row["bank"],
        row["currency"],
        row["lines"],
        row["sum_minor"],
        row["made_at"],
        row["made_by"],
        row["carried_at"],
        row["carried_by"],
        row["open_lines"],
    )
