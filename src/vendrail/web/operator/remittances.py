"""Providers' settlements: what has arrived is booked by hand or by a file, with a second person."""

from collections.abc import Mapping, Sequence

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.payouts import (
    Remittance,
    RemittanceQuery,
    RemittanceStatus,
    RemittanceTarget,
    RemittanceView,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id, to_serial
from vendrail.web.amounts import time_zone
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry, replace_form
from vendrail.web.console.exports import AT_ONCE, LISTED, save, saved_at
from vendrail.web.console.tables import REMITTANCES
from vendrail.web.languages import message
from vendrail.web.operator.deeds import GOOD, Deed, Deeds, Said, back_to
from vendrail.web.operator.files import read_id
from vendrail.web.remittances import (
    COLUMNS,
    LineMalformed,
    read_bytes,
    read_line,
    read_written,
    write_line,
)
from vendrail.web.storefront.front import Page
from vendrail.web.uploads import read_upload

_PATH = "/operator/remittances"
_BOOKED = "remittance.booked"
_PAGE = 50
_FILE_BYTES_MAX = 100_000
_SAID = {
    RemittanceStatus.BOOKED: Said.BOOKED,
    RemittanceStatus.EXISTS: Said.EXISTS,
    RemittanceStatus.EXISTS_DIFFERENT: Said.REMITTED_OTHERWISE,
    RemittanceStatus.FIELD_MALFORMED: Said.NO_REMITTANCE,
    RemittanceStatus.CHANNEL_UNKNOWN: Said.NO_REMITTANCE,
    RemittanceStatus.NO_RESERVE: Said.NO_REMITTANCE,
    RemittanceStatus.MORE_THAN_OWED: Said.MORE_THAN_OWED,
}
_FILE_WRONG = message("The file cannot be read, or has no settlement, or more than 100.")
_FILE_LINE = message(
    "Line %(line)s of the file cannot be read. The first names the columns; a day is written as"
    " 2026-11-30, an amount as 12.30, where it arrived as reserve or bank."
)
_LINE = message("Settlement %(number)s: %(problem)s")


class RemittancesDesk:
    """The operator's page of what providers have settled."""

    entries = (Entry(_PATH, message("Provider settlements"), "coins", Permission.PAYOUTS_WRITE),)

    def __init__(self, desk: Desk, deeds: Deeds) -> None:
        self._desk, self._deeds = desk, deeds
        self._payouts = desk.apis.payouts
        deeds.add(Deed(_BOOKED, Permission.PAYOUTS_WRITE, self._put))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, write = self._desk, Permission.PAYOUTS_WRITE
        return [
            desk.get(_PATH, self.show, write),
            desk.get(f"{_PATH}.csv", self.export, write),
            desk.post(_PATH, self.book, write, is_grave=True),
            desk.post(f"{_PATH}/file", self.book_file, write, is_grave=True, is_streamed=True),
        ]

    async def show(self, caller: Caller) -> Page:
        """List what was settled, and what each provider owes still."""
        return await self._show(caller)

    async def _show(self, caller: Caller, problem: str = "") -> Page:
        before = caller.asked("before", 20)
        query = RemittanceQuery(
            int(before) if before.isascii() and before.isdigit() else None, _PAGE + 1
        )
        found = await self._payouts.list_remittances(query)
        next_page = ""
        if len(found) > _PAGE:
            found = found[:_PAGE]
            next_page = f"{_PATH}?before={found[-1].place}"
        channels = await self._desk.apis.payments.list_channels()
        now = self._desk.clock.now()
        return self._desk.page(
            caller,
            "operator/remittances.html",
            path=_PATH,
            status=422 if problem else 200,
            remittances=found,
            exported=saved_at(caller, _PATH, ()),
            next_page=next_page,
            choices=sorted((each.name, of) for each in channels for of in each.currencies),
            written=dict.fromkeys(("way", *COLUMNS), "") | (dict(caller.form) if problem else {}),
            targets=list(RemittanceTarget),
            columns=", ".join(COLUMNS),
            today=now.astimezone(time_zone(self._desk.front.settings.time_zone)).date(),
            reason=caller.written("reason"),
            nonce=to_serial(new_id(now)),
            done=self._deeds.said(caller),
            problem=problem,
        )

    async def export(self, caller: Caller) -> Page:
        """Give all that was settled as CSV; who took it is kept."""
        turned = await self._deeds.log_export(caller, LISTED, "list:remittances")
        if turned is not None:
            return turned

        async def read(last: RemittanceView | None) -> Sequence[RemittanceView]:
            query = RemittanceQuery(last.place if last else None, AT_ONCE)
            return await self._payouts.list_remittances(query)

        return save("remittances", REMITTANCES, read)

    async def book(self, caller: Caller) -> Page:
        """Put one settlement up for a second person."""
        name, _, currency = caller.written("way", 60).partition("|")
        told = {**caller.form, "channel": name, "currency": currency}
        try:
            lines = [read_line(told)]
        except Malformed:
            return await self._show(caller, self._deeds.problem(caller, Said.NO_REMITTANCE))
        return await self._propose(caller, lines)

    async def book_file(self, caller: Caller) -> Page:
        """Put all settlements of a file up for a second person, as one."""
        upload = await read_upload(caller.request, _FILE_BYTES_MAX)
        caller = replace_form(caller, upload.fields)
        try:
            lines = read_bytes(upload.file.read())
        except LineMalformed as error:
            problem = self._desk.say(caller, _FILE_LINE) % {"line": error.line}
            return await self._show(caller, problem)
        except Malformed:
            return await self._show(caller, self._desk.say(caller, _FILE_WRONG))
        finally:
            upload.close()
        return await self._propose(caller, lines)

    async def _propose(self, caller: Caller, lines: Sequence[Remittance]) -> Page:
        nonce = read_id(caller.written("nonce", 40))
        if nonce is None:
            return self._desk.problem(caller.request, 400, caller)
        statuses = await self._payouts.check_remittances(lines)
        for number, status in enumerate(statuses, 1):
            if _SAID[status] not in GOOD:
                problem = self._deeds.problem(caller, _SAID[status])
                if len(lines) > 1:
                    told = {"number": number, "problem": problem}
                    problem = self._desk.say(caller, _LINE) % told
                return await self._show(caller, problem)
        new = [
            e
            for e, each in zip(lines, statuses, strict=True)
            if each is not RemittanceStatus.EXISTS
        ]
        if not new:
            return back_to(_PATH, Said.EXISTS)
        payload = {f"settlement {number}": write_line(each) for number, each in enumerate(new, 1)}
        subject = f"channel:{new[0].channel_name}" if len(new) == 1 else "channels"
        payload["form"] = to_serial(nonce)  # What was refused may be put up again the same day.
        said = await self._deeds.do(caller, _BOOKED, subject, payload, is_joint=True)
        if said in GOOD:
            return back_to(_PATH, said)
        return await self._show(caller, self._deeds.problem(caller, said))

    async def _put(self, told: Mapping[str, str], person: str) -> Said:
        """Book all of them, or, where one cannot be booked any more, none."""
        lines = [
            replace(read_written(text), by=person, reason=told["reason"])
            for name, text in told.items()
            if name.startswith("settlement ")
        ]
        for status in await self._payouts.check_remittances(lines):
            if _SAID[status] not in GOOD:
                return _SAID[status]
        statuses = await self._payouts.book_remittances(lines)
        said = [_SAID[status] for status in statuses]
        return next((each for each in said if each not in GOOD), said[0])
