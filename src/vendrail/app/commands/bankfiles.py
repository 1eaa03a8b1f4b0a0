"""`vendrail payouts bank-…`: files for banks without an API, and what they answer."""

import os
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from vendrail.api.payouts import (
    Bank,
    BankAnswer,
    BankAnswerStatus,
    BankFile,
    BankFileContent,
    BankFileQuery,
    BankFileRequest,
    BankNote,
    NewBankAnswer,
    Payouts,
)
from vendrail.app.acts import record_act
from vendrail.app.opened import opened_house, run
from vendrail.app.paging import read_pages
from vendrail.app.serials import read_serial
from vendrail.app.terminal import Json, Reason, need_reason, out, person, show_table, write_json
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id, to_serial
from vendrail.kernel.money import to_text

app = typer.Typer(add_completion=False)

_PAGE_MAX = 100
FileArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="The file's id, as the list shows it.")
]
_ADVICE = {
    BankAnswerStatus.FILE_NOT_FOUND: "there is no such file.",
    BankAnswerStatus.TOO_LARGE: "an answer has at most 1 MB and 5000 lines.",
    BankAnswerStatus.NOT_READABLE: "it is neither a table with number and result, nor pain.002.",
    BankAnswerStatus.EMPTY: "it has no lines.",
}


async def _files(files_max: int) -> tuple[list[BankFile], dict[UUID, Bank]]:
    async with opened_house() as house:
        service: Payouts = house.api(Payouts)

        async def read(last: BankFile | None, size: int) -> list[BankFile]:
            query = BankFileQuery(last.number if last else None, min(size, _PAGE_MAX))
            [page] = await service.list_files([query])
            return page

        banks = {each.id: each for each in await service.list_banks()}
        return await read_pages(read, min(files_max, _PAGE_MAX)), banks


@app.command("bank-files")
def bank_files(
    *,
    files_max: Annotated[int, typer.Option("--max", help="How many, a hundred at most.")] = 20,
    json: Json = False,
) -> None:
    """List files for banks, newest first.

    Example: [bold]vendrail payouts bank-files[/]
    """
    found, banks = run(_files(files_max))
    if json:
        write_json(found)
        return
    show_table(
        "",
        ("file", "number", "bank", "payouts", "open", "sum", "made", "at the bank"),
        [
            (
                to_serial(each.id),
                str(each.number),
                banks[each.bank].name,
                str(each.lines),
                str(each.open_lines),
                f"{to_text(each.sum_minor, each.currency)} {each.currency}",
                f"{each.made_at:%Y-%m-%d %H:%M}",
                f"{each.carried_at:%Y-%m-%d %H:%M}" if each.carried_at else "",
            )
            for each in found
        ],
    )


async def _make(name: str, currency: str, reason: str) -> BankFile | None:
    async with opened_house() as house:
        service: Payouts = house.api(Payouts)
        bank = next((each for each in await service.list_banks() if each.name == name), None)
        if bank is None:
            raise Malformed(f"There is no bank {name}.")
        waiting = await service.list_waiting()
        found = next((e for e in waiting if (e.bank, e.currency) == (bank.id, currency)), None)
        if found is None:
            return None
        told = f"{name}: {to_text(found.sum_minor, currency)} {currency}"
        record_act(house.platform.home, "bank_file.make", told, reason)
        id = new_id(house.clock.now())
        request = BankFileRequest(id, bank.id, currency, found.sum_minor, person())
        [made] = await service.make_files([request])
        return made


@app.command("bank-make")
def bank_make(
    bank: Annotated[str, typer.Argument(help="The bank's name, as bank.icbc.")],
    currency: Annotated[str, typer.Argument(help="As CNY.")],
    reason: Reason,
    *,
    json: Json = False,
) -> None:
    """Make a file of what waits for one: its payouts count as sent.

    Example: [bold]vendrail payouts bank-make bank.icbc CNY --reason "Monday's"[/]
    """
    made = run(_make(bank, currency.upper(), need_reason(reason)))
    if json:
        write_json(made)
    elif made is None:
        out().print("Nothing waits there.")
    else:
        out().print(f"File {to_serial(made.id)}, number {made.number}: {made.lines} payouts.")


async def _content(file: UUID, reason: str) -> BankFileContent | None:
    async with opened_house() as house:
        record_act(house.platform.home, "bank_file.take", to_serial(file), reason)
        service: Payouts = house.api(Payouts)
        [content] = await service.read_contents([file])
        return content


@app.command("bank-file")
def bank_file(
    file: FileArgument,
    target: Annotated[Path, typer.Option("--out", "-o", help="The file to write; must be new.")],
    reason: Reason,
    *,
    json: Json = False,
) -> None:
    """Write a file for a bank to disk, accounts and all.

    Example: [bold]vendrail payouts bank-file 01KB2…BFE --out monday.xml --reason "to carry it"[/]
    """
    id = read_serial(file)
    if target.exists():
        raise Malformed(f"{target} is there already.")
    content = run(_content(id, need_reason(reason)))
    if content is None:
        raise Malformed(f"File {to_serial(id)}: there is no such file.")
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
        written.write(content.content)
    if json:
        write_json({"file": to_serial(id), "name": content.name, "bytes": len(content.content)})
    else:
        out().print(f"{target}: {len(content.content)} bytes, for yourself and the bank alone.")


async def _answer(file: UUID, content: bytes, reason: str, *, is_noted: bool) -> BankAnswer:
    async with opened_house() as house:
        service: Payouts = house.api(Payouts)
        [taken] = await service.take_answers([NewBankAnswer(file, content, person())])
        if taken.answer is None:
            raise Malformed(f"File {to_serial(file)}: {_ADVICE[taken.status]}")
        if is_noted:
            record_act(house.platform.home, "bank_answer.note", to_serial(taken.answer), reason)
        [answer] = await service.read_answers([taken.answer])
        assert answer is not None
        if is_noted:
            note = BankNote(answer.id, person(), answer.back_whole_minor)
            [answer] = await service.note_answers([note])
            assert answer is not None
            if answer.noted_at is None:
                raise Malformed("Another answer of this file was noted just now: look again.")
        return answer


@app.command("bank-answer")
def bank_answer(
    file: FileArgument,
    source: Annotated[Path, typer.Argument(help="What the bank answered: CSV or pain.002.")],
    *,
    note: Annotated[bool, typer.Option("--note", help="Note it; else nothing moves.")] = False,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why, where it is noted.")] = "",
    json: Json = False,
) -> None:
    """Show what would come of a bank's answer, line by line, or note it.

    Example: [bold]vendrail payouts bank-answer 01KB2…BFE answer.csv[/]
    """
    id, why = read_serial(file), need_reason(reason) if note else ""
    if not source.is_file():
        raise Malformed(f"{source} is no file.")
    answer = run(_answer(id, source.read_bytes(), why, is_noted=note))
    if json:
        write_json(answer)
        return
    show_table(
        "",
        ("line", "number", "the bank says", "amount", "problem", "becomes"),
        [
            (str(e.line), e.number, e.result or "?", e.told_amount, e.problem, e.status.value)
            for e in answer.lines
        ],
    )
    if not note:
        out().print("Nothing has moved; --note notes it.")
