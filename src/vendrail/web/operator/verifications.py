"""Verifications: who merchants say they are, what they show for it, and what it is worth."""

from collections.abc import Mapping, Sequence
from datetime import date
from urllib.parse import urlencode

from litestar.handlers import HTTPRouteHandler

from vendrail.api.compliance import (
    CHECKS,
    FIELDS,
    REASONS,
    DecideStatus,
    DossierDecision,
    DossierHead,
    DossierId,
    DossierQuery,
    DossierState,
    DossierVerdict,
    DossierView,
)
from vendrail.api.identity import Permission
from vendrail.kernel.ids import to_serial
from vendrail.kernel.locales import country_names
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, LISTED, filters_of, save, saved_at
from vendrail.web.console.lists import is_id
from vendrail.web.console.tables import DOSSIERS
from vendrail.web.dossiers import open_document
from vendrail.web.languages import message
from vendrail.web.operator.deeds import GOOD, Deed, Deeds, Said, back_to
from vendrail.web.operator.files import Files, read_id
from vendrail.web.operator.tierterms import TierTerms
from vendrail.web.storefront.front import Page

_PATH = "/operator/verifications"
_SHOWN_MAX = 50
_ACTS = {
    DossierDecision.ACCEPT: "dossier.accepted",
    DossierDecision.ASK_MORE: "dossier.more_asked",
    DossierDecision.REFUSE: "dossier.refused",
    DossierDecision.REVOKE: "dossier.revoked",
}
_OPENED, _DOCUMENT_OPENED = "dossier.opened", "dossier.document_opened"
_SAID = {
    DecideStatus.DECIDED: Said.DECIDED,
    DecideStatus.EXISTS: Said.EXISTS,
    DecideStatus.DOSSIER_NOT_FOUND: Said.NOT_FOUND,
    DecideStatus.CHANGED_SINCE: Said.OTHERWISE,
    DecideStatus.NOT_POSSIBLE: Said.ENDED,
    DecideStatus.CHECKS_MISSING: Said.NOT_CHECKED,
    DecideStatus.REASON_MISSING: Said.NO_REASON,
    DecideStatus.DAY_MALFORMED: Said.NO_DAY,
}


class Verifications:
    """The desk of who merchants are."""

    entries = (Entry(_PATH, message("Verifications"), "person", Permission.COMPLIANCE_WRITE),)

    def __init__(self, desk: Desk, deeds: Deeds, files: Files) -> None:
        self._desk, self._deeds, self._files = desk, deeds, files
        self._compliance = desk.apis.compliance
        self._terms = TierTerms(desk, deeds)
        for act in _ACTS.values():
            deeds.add(Deed(act, Permission.COMPLIANCE_WRITE, self._run))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, needed = self._desk, Permission.COMPLIANCE_WRITE
        one = f"{_PATH}/{{dossier:str}}"
        return [
            desk.get(_PATH, self.table, needed, fields={"merchant": is_id}),
            desk.get(f"{_PATH}.csv", self.export, needed),
            *self._terms.handlers(),
            desk.get(one, self.show, needed, is_grave=True),
            desk.post(one, self.decide, needed, is_grave=True),
            desk.get(f"{one}/documents/{{document:str}}", self.open, needed, is_grave=True),
        ]

    async def table(self, caller: Caller) -> Page:
        """List what waits, the longest first; or the dossiers of one merchant."""
        merchant = read_id(caller.asked("merchant"))
        after = read_id(caller.asked("after"))
        query = DossierQuery(merchant, DossierId(after) if after else None, _SHOWN_MAX + 1)
        [found] = await self._compliance.list_dossiers([query])
        next_page = ""
        if len(found) > _SHOWN_MAX:
            found = found[:_SHOWN_MAX]
            kept = {"merchant": to_serial(merchant)} if merchant else {}
            next_page = f"{_PATH}?{urlencode(kept | {'after': to_serial(found[-1].id)})}"
        [terms] = await self._compliance.list_terms(1)
        return self._desk.page(
            caller,
            "operator/verifications.html",
            dossiers=found,
            merchant=merchant,
            exported=saved_at(caller, _PATH, ("merchant",)),
            next_page=next_page,
            names=await self._files.merchant_names(),
            countries=country_names(caller.visitor.language.tag),
            terms=terms,
            done=self._deeds.said(caller),
        )

    async def export(self, caller: Caller) -> Page:
        """Give the dossiers that the page lists as CSV, nothing of what is in them."""
        told = filters_of(caller, ("merchant",))
        turned = await self._deeds.log_export(caller, LISTED, "list:verifications", told)
        if turned is not None:
            return turned
        merchant = read_id(caller.asked("merchant"))

        async def read(last: DossierHead | None) -> Sequence[DossierHead]:
            query = DossierQuery(merchant, last.id if last else None, AT_ONCE)
            [found] = await self._compliance.list_dossiers([query])
            return found

        return save("verifications", DOSSIERS, read)

    async def show(self, caller: Caller) -> Page:
        """Show one dossier; that it was opened is in the log."""
        view = await self._find(caller)
        if view is None:
            return self._desk.problem(caller.request, 404, caller)
        await self._deeds.log(
            caller, _OPENED, f"dossier:{to_serial(view.id)}", merchant=view.merchant
        )
        return await self._show(caller, view)

    async def _find(self, caller: Caller) -> DossierView | None:
        id = read_id(caller.part("dossier"))
        if id is None:
            return None
        [view] = await self._compliance.read_dossiers([(DossierId(id), None)])
        return None if view is None or view.state is DossierState.DRAFT else view

    async def _show(self, caller: Caller, view: DossierView, said: Said | None = None) -> Page:
        [standing] = await self._compliance.read_standings([view.merchant])
        return self._desk.page(
            caller,
            "operator/verification.html",
            path=_PATH,
            status=200 if said is None else 422,
            dossier=view,
            standing=standing,
            name=(await self._files.merchant_names()).get(view.merchant, ""),
            countries=country_names(caller.visitor.language.tag),
            fields=[each.removeprefix("?") for each in FIELDS[view.tier]],
            checks=CHECKS[view.tier],
            reasons=REASONS,
            written=caller.form,
            done=self._deeds.said(caller),
            problem=self._deeds.problem(caller, said),
        )

    async def open(self, caller: Caller) -> Page:
        """Show a document; that it was opened is in the log."""
        view, document = await self._find(caller), read_id(caller.part("document"))
        if view is None or document is None:
            return self._desk.problem(caller.request, 404, caller)
        subject, told = f"dossier:{to_serial(view.id)}", {"document": to_serial(document)}
        await self._deeds.log(caller, _DOCUMENT_OPENED, subject, merchant=view.merchant, after=told)
        found = await open_document(self._compliance, document, view.id, None)
        return found or self._desk.problem(caller.request, 404, caller)

    async def decide(self, caller: Caller) -> Page:
        """Accept with a second person; ask for more, refuse or take back alone."""
        view = await self._find(caller)
        decision = next((d for d in DossierDecision if d == caller.written("decision", 20)), None)
        version = caller.written("version", 10)
        if view is None or decision is None or not version.isdecimal():
            return self._desk.problem(caller.request, 404, caller)
        checks = [each for each in CHECKS[view.tier] if caller.form.get(f"check-{each}")]
        reasons = [each for each in REASONS if caller.form.get(f"reason-{each}")]
        is_accepted = decision is DossierDecision.ACCEPT
        if is_accepted and len(checks) < len(CHECKS[view.tier]):
            return await self._show(caller, view, Said.NOT_CHECKED)
        if not is_accepted and not reasons:
            return await self._show(caller, view, Said.NO_REASON)
        told = {
            "dossier": to_serial(view.id),
            "merchant": to_serial(view.merchant),
            "tier": str(view.tier),
            "version": version,
            "decision": decision.value,
            "checks" if is_accepted else "reasons": " ".join(checks if is_accepted else reasons),
        }
        if is_accepted and (day := caller.written("expires_on", 10)):
            told["expires_on"] = day
        said = await self._deeds.do(
            caller,
            _ACTS[decision],
            f"dossier:{to_serial(view.id)}",
            told,
            is_joint=is_accepted,
            before={"state": view.state.value},
            merchant=view.merchant,
        )
        path = f"{_PATH}/{to_serial(view.id)}"
        return back_to(path, said) if said in GOOD else await self._show(caller, view, said)

    async def _run(self, told: Mapping[str, str], person: str) -> Said:
        id, day = read_id(told["dossier"]), _day(told.get("expires_on", ""))
        if id is None:
            return Said.NOT_FOUND
        if day is None and "expires_on" in told:
            return Said.NO_DAY
        decision = DossierDecision(told["decision"])
        verdict = DossierVerdict(
            DossierId(id),
            int(told["version"]),
            decision,
            person,
            told.get("checks", "").split(),
            told.get("reasons", "").split(),
            told["reason"],  # Whoever is accepted reads none.
            day,
        )
        [status] = await self._compliance.decide_dossiers([verdict])
        return _SAID[status]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
