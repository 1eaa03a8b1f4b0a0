"""Approvals: what one person has put up and a second must say yes to."""

from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import ProposalState, ProposalView
from vendrail.kernel.ids import to_serial
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import LISTED, save_whole, saved_at
from vendrail.web.console.tables import APPROVALS
from vendrail.web.languages import message
from vendrail.web.operator.deeds import GOOD, Deeds, Said, back_to
from vendrail.web.operator.feeforms import read_told_rule, read_told_terms
from vendrail.web.operator.files import Files, read_id
from vendrail.web.storefront.front import Page

_PATH = "/operator/approvals"
_SHOWN_MAX, _READ_MAX = 100, 1_000
_PLATFORM = UUID(int=0)  # Its terms are for merchants without their own.


class Proposals:
    """The desk of second persons; everybody sees it, who holds the permission may approve."""

    entries = (Entry(_PATH, message("Approvals"), "check"),)

    def __init__(self, desk: Desk, deeds: Deeds, files: Files) -> None:
        self._desk, self._deeds, self._files = desk, deeds, files
        self._identity = desk.apis.identity

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        return [
            self._desk.get(_PATH, self.table, None),
            self._desk.get(f"{_PATH}.csv", self.export, None),
            self._desk.post(f"{_PATH}/{{proposal:str}}", self.decide, None, is_grave=True),
        ]

    async def table(self, caller: Caller) -> Page:
        """List what waits and what became of the rest."""
        return await self._list(caller)

    async def _list(self, caller: Caller, said: Said | None = None) -> Page:
        views = await self._identity.list_proposals(None, _SHOWN_MAX)
        names = await self._files.merchant_names()
        return self._desk.page(
            caller,
            "operator/approvals.html",
            path=_PATH,
            status=200 if said is None else 422,
            waiting=[each for each in views if each.state in _LIVE],
            ended=[each for each in views if each.state not in _LIVE],
            exported=saved_at(caller, _PATH, ()),
            rule_of=read_told_rule,
            terms_of=read_told_terms,
            names={to_serial(id): name for id, name in names.items()},
            platform=to_serial(_PLATFORM),
            done=self._deeds.said(caller),
            problem=self._deeds.problem(caller, said),
        )

    async def export(self, caller: Caller) -> Page:
        """Give what was put up as CSV, without what would be done; who took it is kept."""
        turned = await self._deeds.log_export(caller, LISTED, "list:approvals")
        if turned is not None:
            return turned
        views = await self._identity.list_proposals(None, _READ_MAX)
        return save_whole("approvals", APPROVALS, views)

    async def decide(self, caller: Caller) -> Page:
        """Approve and carry out, or refuse."""
        wanted = read_id(caller.part("proposal"))
        views = await self._identity.list_proposals(None, _READ_MAX)
        view: ProposalView | None = next((v for v in views if v.proposal.id == wanted), None)
        decision = caller.written("decision")
        if view is None or decision not in ("approve", "refuse"):
            return self._desk.problem(caller.request, 404, caller)
        said = await self._deeds.decide(caller, view, is_approved=decision == "approve")
        return back_to(_PATH, said) if said in GOOD else await self._list(caller, said)


_LIVE = (ProposalState.OPEN, ProposalState.APPROVED)
