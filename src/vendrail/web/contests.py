"""Disputes on the pages of both consoles: what is said against them, and the files with it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from vendrail.api.disputes import (
    AnswerStatus,
    DisputeAnswer,
    DisputeView,
    DropEvidence,
    EvidenceKind,
    EvidenceQuery,
    PutEvidence,
    PutEvidenceStatus,
)
from vendrail.api.identity import NOT_DONE, Permission
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import from_serial, new_id, to_serial
from vendrail.web import talks
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk
from vendrail.web.languages import message
from vendrail.web.pages import onward

Page = Response[bytes]
Log = Callable[[Caller, str, str, Mapping[str, str], DisputeView], Awaitable[None]]

TEXT_MAX = 10_000
NOT_SENT = {
    AnswerStatus.DISPUTE_ENDED: message("The bank has decided already."),
    AnswerStatus.TOO_LATE: message("The time to answer is over."),
    AnswerStatus.TEXT_MALFORMED: message("Write what happened, in at most 10,000 characters."),
    AnswerStatus.ON_ITS_WAY: message(
        "An answer is on its way to the bank: only the same words can be sent again."
    ),
    AnswerStatus.PROVIDER_REFUSED: message(
        "The provider did not take the answer. The platform's people can tell you more."
    ),
    AnswerStatus.PROVIDER_AWAY: message(
        "The provider does not answer just now. What you wrote is kept: send it again in a moment."
    ),
    AnswerStatus.UNSUPPORTED: message(
        "This provider takes answers on its own site only. Ask the platform's people to send it."
    ),
}
NOT_KEPT = {
    PutEvidenceStatus.ALREADY_SENT: message("The answer is with the bank: nothing can be added."),
    PutEvidenceStatus.DISPUTE_ENDED: message("The bank has decided already."),
    PutEvidenceStatus.TOO_LATE: message("The time to answer is over."),
    PutEvidenceStatus.FILE_REFUSED: message(
        "Banks take PDF, PNG and JPEG files; one is at most 2 MB here."
    ),
    PutEvidenceStatus.TOO_MUCH: message("All files of one dispute are at most 4.5 MB together."),
    PutEvidenceStatus.EVIDENCE_NOT_FOUND: message("That file is not there any more."),
}


class Contests:
    """One dispute's page and its forms; whose disputes they are, the console says."""

    def __init__(
        self,
        desk: Desk,
        root: str,
        template: str,
        merchant_of: Callable[[Caller], UUID | None],
        log: Log,
    ) -> None:
        self._desk, self._root, self._template = desk, root, template
        self._merchant_of, self._log = merchant_of, log
        self._disputes = desk.apis.disputes

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, one = self._desk, f"{self._root}/{{serial:str}}"
        read, write = Permission.ORDERS_READ, Permission.REFUNDS_WRITE
        return [
            desk.get(one, self.show, read),
            desk.post(one, self.answer, write),
            desk.get(f"{one}/evidence/{{file:str}}", self.file, read),
            desk.post(f"{one}/evidence", self.put, write, is_streamed=True),
            desk.post(f"{one}/evidence/drop", self.drop, write),
        ]

    async def show(self, caller: Caller) -> Page:
        """Show one dispute, with the forms that answer it."""
        return await self._show(caller, await self._read(caller))

    async def _read(self, caller: Caller) -> DisputeView | None:
        id, merchant = _id(caller.part("serial")), self._merchant_of(caller)
        [found] = await self._disputes.read_disputes([id or UUID(int=0)])
        is_theirs = found is not None and merchant in (None, found.merchant)
        return found if is_theirs else None

    async def _show(
        self,
        caller: Caller,
        dispute: DisputeView | None,
        problem: str = "",
        text: str = "",
        place: str = "answer",
    ) -> Page:
        if dispute is None:
            return self._desk.problem(caller.request, 404, caller)
        now = self._desk.clock.now()
        context: dict[str, Any] = {
            "dispute": dispute,
            "base": f"{self._root}/{to_serial(dispute.id)}",
            "problem": self._desk.say(caller, problem) if problem else "",
            "place": place,
            "text": text,
            "text_max": TEXT_MAX,
            "can_answer": caller.may(Permission.REFUNDS_WRITE),
            "nonce": to_serial(new_id(now)),
            "kinds": [each.value for each in EvidenceKind],
            "now": now,
        }
        return self._desk.page(
            caller, self._template, status=422 if problem else 200, path=self._root, **context
        )

    async def answer(self, caller: Caller) -> Page:
        """Send what is said to the provider, with the files: once, for good."""
        dispute = await self._read(caller)
        if dispute is None:
            return self._desk.problem(caller.request, 404, caller)
        text = caller.written("text", TEXT_MAX + 1)
        act, subject = "dispute.answered", f"dispute:{to_serial(dispute.id)}"
        names = ", ".join(each.name for each in dispute.evidence)
        await self._log(caller, act, subject, {"files": names} if names else {}, dispute)
        person = caller.actor.name
        said = DisputeAnswer(dispute.id, self._merchant_of(caller), text, person)
        [status] = await self._disputes.answer_disputes([said])
        if status in NOT_SENT:
            await self._log(caller, act, subject, {NOT_DONE: status}, dispute)
            if status is AnswerStatus.ON_ITS_WAY:
                dispute, text = await self._read(caller), ""  # The form shows what may be sent.
            return await self._show(caller, dispute, NOT_SENT[status], text)
        return onward(f"{self._root}/{to_serial(dispute.id)}")

    async def put(self, caller: Caller) -> Page:
        """Keep a file, to be sent with the answer."""
        dispute = await self._read(caller)
        if dispute is None:
            return self._desk.problem(caller.request, 404, caller)
        try:
            sent = await talks.read_sent(caller.request)
        except Malformed:
            return self._desk.problem(caller.request, 413, caller)
        id = _id(sent.written("nonce"))
        kinds = {each.value: each for each in EvidenceKind}
        kind = kinds.get(sent.written("kind"))
        if id is None or kind is None:
            return self._desk.problem(caller.request, 404, caller)
        if await talks.holds_card_number(sent):
            return await self._show(caller, dispute, talks.NO_CARD, place="evidence")
        given = next(iter(sent.attachments), None)
        if given is None:
            refused = NOT_KEPT[PutEvidenceStatus.FILE_REFUSED]
            return await self._show(caller, dispute, refused, place="evidence")
        act, subject = "dispute.evidence_kept", f"dispute:{to_serial(dispute.id)}"
        after = {"kind": kind.value, "name": given.name, "size": str(len(given.content))}
        await self._log(caller, act, subject, after, dispute)
        file = PutEvidence(
            id,
            dispute.id,
            self._merchant_of(caller),
            kind,
            given.name,
            given.content,
            caller.actor.name,
        )
        [status] = await self._disputes.put_evidence([file])
        return await self._onward(caller, dispute, act, status)

    async def drop(self, caller: Caller) -> Page:
        """Take a file away that was not sent."""
        dispute, id = await self._read(caller), _id(caller.written("file"))
        if dispute is None or id is None:
            return self._desk.problem(caller.request, 404, caller)
        act, subject = "dispute.evidence_dropped", f"dispute:{to_serial(dispute.id)}"
        name = next((each.name for each in dispute.evidence if each.id == id), "")
        await self._log(caller, act, subject, {"name": name}, dispute)
        asked = DropEvidence(id, dispute.id, self._merchant_of(caller))
        [status] = await self._disputes.drop_evidence([asked])
        return await self._onward(caller, dispute, act, status)

    async def _onward(
        self, caller: Caller, dispute: DisputeView, act: str, status: PutEvidenceStatus
    ) -> Page:
        serial = to_serial(dispute.id)
        if status in NOT_KEPT:
            await self._log(caller, act, f"dispute:{serial}", {NOT_DONE: status}, dispute)
            return await self._show(caller, dispute, NOT_KEPT[status], place="evidence")
        return onward(f"{self._root}/{serial}#evidence")

    async def file(self, caller: Caller) -> Page:
        """Give a file to be kept, never to be run."""
        dispute, id = await self._read(caller), _id(caller.part("file"))
        found = None
        if dispute is not None and id is not None:
            query = EvidenceQuery(id, dispute.id, self._merchant_of(caller))
            [found] = await self._disputes.read_evidence([query])
        if found is None:
            return self._desk.problem(caller.request, 404, caller)
        return talks.as_file(found.name, found.media_type, found.content)


def _id(text: str) -> UUID | None:
    try:
        return from_serial(text)
    except Malformed:
        return None
