"""Banks without an API for operators: files for them, and what they answer; large ones by two."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.payouts import (
    Bank,
    BankAnswer,
    BankAnswerLine,
    BankAnswerStatus,
    BankFile,
    BankFileQuery,
    BankFileRequest,
    BankKind,
    BankLineQuery,
    BankNote,
    BankResultStatus,
    BankStatus,
    NewBankAnswer,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.http import as_attachment
from vendrail.kernel.ids import derive, from_serial, new_id, to_serial
from vendrail.kernel.money import EXPONENTS
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, LISTED, save, saved_at
from vendrail.web.console.tables import BANK_FILES
from vendrail.web.languages import message
from vendrail.web.operator.deeds import GOOD, Deed, Deeds, Said, back_to
from vendrail.web.operator.files import known_names, read_id
from vendrail.web.pages import guards, onward
from vendrail.web.storefront.front import Page
from vendrail.web.uploads import read_upload

_PATH, _BANKS = "/operator/bank-files", "/operator/banks"
_PAGE, _LINES, _ANSWER_LINES = 30, 100, 200
_BYTES_MAX = 1 << 20
_MADE, _CARRIED, _NOTED, _WRITTEN = (
    "bank_file.made",
    "bank_file.carried",
    "bank_answer.noted",
    "bank.written",
)
_SAID = {
    BankStatus.CREATED: Said.SAVED,
    BankStatus.CHANGED: Said.SAVED,
    BankStatus.UNCHANGED: Said.EXISTS,
    BankStatus.FIELD_MALFORMED: Said.NO_BANK,
    BankStatus.FIXED: Said.NO_BANK,
    BankStatus.NAME_TAKEN: Said.NAME_TAKEN,
}
_NOT_READ = {
    BankAnswerStatus.FILE_NOT_FOUND: message("There is no such file."),
    BankAnswerStatus.TOO_LARGE: message("That is larger than an answer may be: 1 MB, 5000 lines."),
    BankAnswerStatus.NOT_READABLE: message(
        "That is no answer that can be read: a table with the columns number and result, or a"
        " status report (pain.002)."
    ),
    BankAnswerStatus.EMPTY: message("That answer has no lines."),
}
_NO_FILE = message("Choose a file.")
_REFUSED = (
    BankResultStatus.AMOUNT_WRONG,
    BankResultStatus.DIFFERENT,
    BankResultStatus.NOT_IN_FILE,
    BankResultStatus.UNKNOWN,
    BankResultStatus.NOTED,
    BankResultStatus.KNOWN,
)


class BankFilesDesk:
    """The operator's room of banks that take files."""

    entries = (
        Entry(_PATH, message("Bank files"), "book", Permission.PAYOUTS_WRITE),
        Entry(_BANKS, message("Banks"), "home", Permission.PAYOUTS_WRITE),
    )

    def __init__(self, desk: Desk, deeds: Deeds) -> None:
        self._desk, self._deeds = desk, deeds
        self._payouts = desk.apis.payouts
        deeds.add(Deed(_MADE, Permission.PAYOUTS_WRITE, self._make))
        deeds.add(Deed(_CARRIED, Permission.PAYOUTS_WRITE, self._carry))
        deeds.add(Deed(_NOTED, Permission.PAYOUTS_WRITE, self._note))
        deeds.add(Deed(_WRITTEN, Permission.PAYOUTS_WRITE, self._write))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, write = self._desk, Permission.PAYOUTS_WRITE
        one = f"{_PATH}/{{serial:str}}"
        return [
            desk.get(_PATH, self.table, write),
            desk.get(f"{_PATH}.csv", self.export, write),
            desk.post(_PATH, self.make, write, is_grave=True),
            desk.get(one, self.show, write),
            desk.post(f"{one}/content", self.give, write, is_grave=True),
            desk.post(f"{one}/carried", self.carry, write, is_grave=True),
            desk.post(f"{one}/answers", self.take, write, is_grave=True, is_streamed=True),
            desk.post(f"{one}/answers/{{answer:str}}", self.note, write, is_grave=True),
            desk.get(_BANKS, self.banks, write),
            desk.post(_BANKS, self.write, write, is_grave=True),
        ]

    async def table(self, caller: Caller) -> Page:
        """Show what waits for a file, and the files that were made."""
        return await self._table(caller)

    async def _table(self, caller: Caller, said: Said | None = None) -> Page:
        asked = caller.asked("before", 15)
        before = int(asked) if asked.isdecimal() else None
        [files] = await self._payouts.list_files([BankFileQuery(before, _PAGE + 1)])
        next_page = ""
        if len(files) > _PAGE:
            files = files[:_PAGE]
            next_page = f"{_PATH}?{urlencode({'before': files[-1].number})}"
        return self._desk.page(
            caller,
            "operator/bank_files.html",
            path=_PATH,
            status=200 if said is None else 422,
            waiting=await self._payouts.list_waiting(),
            banks={each.id: each for each in await self._payouts.list_banks()},
            files=files,
            exported=saved_at(caller, _PATH, ()),
            next_page=next_page,
            nonce=to_serial(new_id(self._desk.clock.now())),
            done=self._deeds.said(caller),
            problem=self._deeds.problem(caller, said),
        )

    async def export(self, caller: Caller) -> Page:
        """Give the list of files as CSV, not what is in them; who took it is kept."""
        turned = await self._deeds.log_export(caller, LISTED, "list:bank-files")
        if turned is not None:
            return turned

        async def read(last: BankFile | None) -> Sequence[BankFile]:
            query = BankFileQuery(last.number if last else None, AT_ONCE)
            [found] = await self._payouts.list_files([query])
            return found

        return save("bank-files", BANK_FILES, read)

    async def make(self, caller: Caller) -> Page:
        """Make a file of what waits, as much of it as waits now; much of it with a second person.

        What is asked of the second person is the whole sum, so that no form can make it less.
        """
        bank, nonce = read_id(caller.written("bank", 40)), read_id(caller.written("nonce", 40))
        currency = caller.written("currency", 3)
        waiting = await self._payouts.list_waiting()
        found = next((e for e in waiting if (e.bank, e.currency) == (bank, currency)), None)
        if found is None or nonce is None:
            return await self._table(caller, Said.NOTHING_WAITS)
        payload = {
            "id": to_serial(derive(nonce, f"bank-file:{found.bank}:{currency}")),
            "bank": to_serial(found.bank),
            "currency": currency,
            "amount_minor": str(found.sum_minor),
        }
        said = await self._deeds.do(
            caller,
            _MADE,
            f"bank:{to_serial(found.bank)}",
            payload,
            amount=(found.sum_minor, currency),
        )
        if said is Said.FILE_MADE:
            return back_to(f"{_PATH}/{payload['id']}", said)
        return back_to(_PATH, said) if said in GOOD else await self._table(caller, said)

    async def _make(self, payload: Mapping[str, str], by: str) -> Said:
        request = BankFileRequest(
            from_serial(payload["id"]),
            from_serial(payload["bank"]),
            payload["currency"],
            int(payload["amount_minor"]),
            by,
        )
        [made] = await self._payouts.make_files([request])
        return Said.FILE_MADE if made is not None else Said.NOTHING_WAITS

    async def _find(self, caller: Caller) -> BankFile | None:
        id = read_id(caller.part("serial"))
        [file] = await self._payouts.read_files([id]) if id is not None else [None]
        return file

    async def show(self, caller: Caller) -> Page:
        """Show one file with its lines, and what the bank has answered."""
        file = await self._find(caller)
        return await self._show(caller, file) if file is not None else self._none(caller)

    def _none(self, caller: Caller) -> Page:
        return self._desk.problem(caller.request, 404, caller)

    async def _show(
        self, caller: Caller, file: BankFile, said: Said | None = None, problem: str = ""
    ) -> Page:
        after = caller.asked("after", 6)
        query = BankLineQuery(file.id, int(after) if after.isdecimal() else 0, _LINES + 1)
        [lines] = await self._payouts.list_lines([query])
        next_page = ""
        if len(lines) > _LINES:
            lines = lines[:_LINES]
            next_page = f"{_PATH}/{to_serial(file.id)}?after={lines[-1].line}"
        [answers] = await self._payouts.list_answers([file.id])
        banks = await self._payouts.list_banks()
        answer = await self._answer(caller, file)
        counts = Counter(each.status for each in answer.lines) if answer is not None else Counter()
        return self._desk.page(
            caller,
            "operator/bank_file.html",
            path=_PATH,
            status=200 if said is None and not problem else 422,
            file=file,
            bank=next((each for each in banks if each.id == file.bank), None),
            lines=lines,
            next_page=next_page,
            answers=answers,
            answer=answer,
            counts=counts,
            answer_lines=_worst_first(answer)[:_ANSWER_LINES] if answer is not None else [],
            names=await self._names(),
            reason=caller.written("reason"),
            done=self._deeds.said(caller),
            problem=self._desk.say(caller, problem)
            if problem
            else self._deeds.problem(caller, said),
        )

    async def _names(self) -> dict[UUID, str]:
        return await known_names(self._desk.apis.identity)

    async def _answer(self, caller: Caller, file: BankFile) -> BankAnswer | None:
        told = caller.request.path_params.get("answer") or caller.asked("answer", 40)
        id = read_id(str(told)) if told else None
        [answer] = await self._payouts.read_answers([id]) if id is not None else [None]
        return answer if answer is not None and answer.file == file.id else None

    async def give(self, caller: Caller) -> Page:
        """Give a file's content, accounts and all; who took it is kept."""
        file = await self._find(caller)
        if file is None:
            return self._none(caller)
        await self._deeds.log(caller, "bank_file.taken", f"bank_file:{file.number}")
        [content] = await self._payouts.read_contents([file.id])
        if content is None:
            return self._none(caller)
        headers = {
            "content-disposition": as_attachment(content.name),
            "cache-control": "no-store",
            **guards(),
        }
        return Page(content.content, media_type=content.media_type, headers=headers)

    async def carry(self, caller: Caller) -> Page:
        """Note that the bank has the file."""
        file = await self._find(caller)
        if file is None:
            return self._none(caller)
        payload = {"id": to_serial(file.id)}
        said = await self._deeds.do(caller, _CARRIED, f"bank_file:{file.number}", payload)
        if said in GOOD:
            return back_to(f"{_PATH}/{to_serial(file.id)}", said)
        return await self._show(caller, file, said)

    async def _carry(self, payload: Mapping[str, str], by: str) -> Said:
        [is_new] = await self._payouts.carry_files([(from_serial(payload["id"]), by)])
        return Said.FILE_CARRIED if is_new else Said.EXISTS

    async def take(self, caller: Caller) -> Page:
        """Read what the bank has answered, and show what would come of it: nothing has yet."""
        file = await self._find(caller)
        if file is None:
            return self._none(caller)
        try:
            upload = await read_upload(caller.request, _BYTES_MAX)
        except Malformed:
            return await self._show(caller, file, problem=_NOT_READ[BankAnswerStatus.TOO_LARGE])
        try:
            content = await asyncio.to_thread(upload.file.read)
        finally:
            upload.close()
        if not content:
            return await self._show(caller, file, problem=_NO_FILE)
        await self._deeds.log(
            caller,
            "bank_answer.read",
            f"bank_file:{file.number}",
            after={"file": upload.name[:100]},
        )
        new = NewBankAnswer(file.id, content, caller.person.email)
        [taken] = await self._payouts.take_answers([new])
        if taken.answer is None:
            return await self._show(caller, file, problem=_NOT_READ[taken.status])
        return onward(f"{_PATH}/{to_serial(file.id)}?answer={to_serial(taken.answer)}#answer")

    async def note(self, caller: Caller) -> Page:
        """Note an answer; where much goes back to merchants, with a second person.

        What is asked is the sum of the whole file, however many answers it is told in.
        """
        file = await self._find(caller)
        answer = await self._answer(caller, file) if file is not None else None
        if file is None or answer is None:
            return self._none(caller)
        payload = {
            "answer": to_serial(answer.id),
            "file": str(file.number),
            "currency": file.currency,
            "amount_minor": str(answer.back_whole_minor),
        }
        said = await self._deeds.do(
            caller,
            _NOTED,
            f"bank_file:{file.number}",
            payload,
            amount=(answer.back_whole_minor, file.currency),
        )
        if said in GOOD:
            there = f"{_PATH}/{to_serial(file.id)}"
            return onward(f"{there}?said={said}&answer={to_serial(answer.id)}#answer")
        return await self._show(caller, file, said)

    async def _note(self, payload: Mapping[str, str], by: str) -> Said:
        id = from_serial(payload["answer"])
        [before] = await self._payouts.read_answers([id])
        if before is None:
            return Said.NOT_FOUND
        if before.noted_at is not None:
            return Said.EXISTS
        note = BankNote(id, by, int(payload["amount_minor"]))
        [noted] = await self._payouts.note_answers([note])
        is_noted = noted is not None and noted.noted_at is not None
        return Said.ANSWER_NOTED if is_noted else Said.OTHERWISE

    async def banks(self, caller: Caller) -> Page:
        """Show the banks, and the form of one."""
        return await self._banks(caller)

    async def _banks(self, caller: Caller, said: Said | None = None) -> Page:
        found = await self._payouts.list_banks()
        wanted = read_id(caller.asked("bank", 40) or caller.written("bank", 40))
        chosen = next((each for each in found if each.id == wanted), None)
        return self._desk.page(
            caller,
            "operator/banks.html",
            path=_BANKS,
            status=200 if said is None else 422,
            banks=found,
            chosen=chosen,
            kinds=list(BankKind),
            currencies=sorted(EXPONENTS),
            written=dict(caller.form) if said is not None else _fields(chosen),
            nonce=to_serial(new_id(self._desk.clock.now())),
            reason=caller.written("reason"),
            done=self._deeds.said(caller),
            problem=self._deeds.problem(caller, said),
        )

    async def write(self, caller: Caller) -> Page:
        """Write a bank; its name and kind stay as they are."""
        found = await self._payouts.list_banks()
        wanted, nonce = read_id(caller.written("bank", 40)), read_id(caller.written("nonce", 40))
        chosen = next((each for each in found if each.id == wanted), None)
        if nonce is None or (wanted is not None and chosen is None):
            return await self._banks(caller, Said.NO_BANK)
        name = chosen.name if chosen else f"bank.{caller.written('name', 40).lower()}"
        payload = {
            "id": to_serial(chosen.id if chosen else derive(nonce, "bank")),
            "name": name,
            "title": caller.written("title", 80),
            "kind": chosen.kind.value if chosen else caller.written("kind", 20),
            "currencies": " ".join(caller.written("currencies", 100).upper().split()),
            "holder": caller.written("holder", 140),
            "account": "".join(caller.written("account", 60).split()).upper(),
            "bic": caller.written("bic", 11).upper(),
            "open": "no" if caller.written("closed", 3) == "yes" else "yes",
        }
        if payload["kind"] not in set(BankKind):
            return await self._banks(caller, Said.NO_BANK)
        said = await self._deeds.do(
            caller, _WRITTEN, f"bank:{name}", payload, before=_fields(chosen)
        )
        return back_to(_BANKS, said) if said in GOOD else await self._banks(caller, said)

    async def _write(self, payload: Mapping[str, str], by: str) -> Said:
        bank = Bank(
            from_serial(payload["id"]),
            payload["name"],
            payload["title"],
            BankKind(payload["kind"]),
            sorted(set(payload["currencies"].split())),
            payload["holder"],
            payload["account"],
            payload["bic"],
            payload["open"] == "yes",
            by,
        )
        [status] = await self._payouts.put_banks([bank])
        return _SAID[status]


def _worst_first(answer: BankAnswer) -> list[BankAnswerLine]:
    return sorted(answer.lines, key=lambda each: (_REFUSED.index(each.status), each.line))


def _fields(bank: Bank | None) -> dict[str, str]:
    if bank is None:
        return {}
    return {
        "title": bank.title,
        "currencies": " ".join(bank.currencies),
        "holder": bank.holder,
        "account": bank.account,
        "bic": bank.bic,
        "closed": "" if bank.is_open else "yes",
    }
