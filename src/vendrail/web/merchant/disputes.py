"""Disputes: what buyers' banks take back, and what the merchant says against it."""

from urllib.parse import urlencode
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.disputes import (
    AnswerStatus,
    DisputeAnswer,
    DisputeQuery,
    DisputeState,
    DisputeView,
)
from vendrail.api.identity import Permission
from vendrail.kernel.ids import to_serial
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.merchant.acting import log, log_undone, read_id
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page

ROOT = "/merchant/disputes"
_PAGE = 50
_TEXT_MAX = 10_000
_NOT_SENT = {
    AnswerStatus.DISPUTE_ENDED: message("The bank has decided already."),
    AnswerStatus.TOO_LATE: message("The time to answer is over."),
    AnswerStatus.TEXT_MALFORMED: message("Write what happened, in at most 10,000 characters."),
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


class Disputes:
    """What is disputed of a merchant's sales."""

    entries = (Entry(ROOT, message("Disputes"), "flag", Permission.ORDERS_READ),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._disputes = desk.apis.disputes

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk = self._desk
        return [
            desk.get(ROOT, self.table, Permission.ORDERS_READ),
            desk.get(f"{ROOT}/{{serial:str}}", self.show, Permission.ORDERS_READ),
            desk.post(f"{ROOT}/{{serial:str}}", self.answer, Permission.REFUNDS_WRITE),
        ]

    async def table(self, caller: Caller) -> Page:
        """List the merchant's disputes, newest first."""
        wanted = read_state(caller)
        query = DisputeQuery(
            caller.merchant, wanted, read_id(caller.asked("before")), disputes_max=_PAGE + 1
        )
        [found] = await self._disputes.list_disputes([query])
        return self._desk.page(
            caller,
            "merchant/disputes.html",
            path=ROOT,
            disputes=found[:_PAGE],
            wanted=wanted,
            states=list(DisputeState),
            older=older_of(ROOT, wanted, found, _PAGE),
            now=self._desk.clock.now(),
        )

    async def show(self, caller: Caller) -> Page:
        """Show one dispute, with the form that answers it."""
        return await self._show(caller, await self._read(caller))

    async def _read(self, caller: Caller) -> DisputeView | None:
        id = read_id(caller.part("serial"))
        [found] = await self._disputes.read_disputes([id or UUID(int=0)])
        return found if found is not None and found.merchant == caller.merchant else None

    async def _show(
        self, caller: Caller, dispute: DisputeView | None, problem: str = "", text: str = ""
    ) -> Page:
        if dispute is None:
            return self._desk.problem(caller.request, 404, caller)
        return self._desk.page(
            caller,
            "merchant/dispute.html",
            status=422 if problem else 200,
            path=ROOT,
            dispute=dispute,
            problem=problem,
            text=text,
            text_max=_TEXT_MAX,
            can_answer=caller.may(Permission.REFUNDS_WRITE),
            now=self._desk.clock.now(),
        )

    async def answer(self, caller: Caller) -> Page:
        """Send what the merchant says to the provider: once, for good."""
        dispute = await self._read(caller)
        if dispute is None:
            return self._desk.problem(caller.request, 404, caller)
        text = caller.written("text", _TEXT_MAX + 1)
        subject = f"dispute:{to_serial(dispute.id)}"
        await log(self._desk, caller, "dispute.answered", subject)
        person = caller.actor.name
        said = DisputeAnswer(dispute.id, caller.merchant, text, person)
        [status] = await self._disputes.answer_disputes([said])
        if status in _NOT_SENT:
            await log_undone(self._desk, caller, "dispute.answered", subject, status)
            problem = self._desk.front.pages.translate(caller.visitor, _NOT_SENT[status])
            return await self._show(caller, dispute, problem, text)
        return onward(f"{ROOT}/{to_serial(dispute.id)}")


def read_state(caller: Caller) -> DisputeState | None:
    """Read which state a list is asked for; None: all."""
    asked = caller.asked("state", 20)
    return DisputeState(asked) if asked in list(DisputeState) else None


def older_of(root: str, state: DisputeState | None, found: list[DisputeView], page: int) -> str:
    """Give the address of the page after this one, or nothing."""
    if len(found) <= page:
        return ""
    kept = {"state": state.value} if state else {}
    return f"{root}?{urlencode(kept | {'before': to_serial(found[page - 1].id)})}"
