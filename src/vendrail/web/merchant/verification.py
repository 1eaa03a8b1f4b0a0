"""Verification: the merchant says who they are, shows it, and reads what became of it."""

import asyncio
from collections.abc import Callable, Mapping
from urllib.parse import urlencode
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.compliance import (
    COMPANY,
    COMPANY_NUMBERS,
    DOCUMENTS,
    FIELDS,
    PERSON,
    PERSON_NUMBERS,
    AddDocument,
    DocumentStatus,
    DossierId,
    DossierQuery,
    DossierState,
    DossierView,
    FieldProblem,
    RemoveDocument,
    SaveDossier,
    SaveStatus,
    SubmitDossier,
    SubmitResult,
    SubmitStatus,
)
from vendrail.api.identity import Permission
from vendrail.kernel.cards import holds_card
from vendrail.kernel.http import leave_to_page
from vendrail.kernel.ids import derive, new_id, to_serial
from vendrail.kernel.locales import country_names
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.dossiers import open_document
from vendrail.web.languages import message
from vendrail.web.merchant.acting import log, log_undone, read_id
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page
from vendrail.web.talks import NO_CARD
from vendrail.web.uploads import Upload, read_upload
from vendrail.web.visitor import read_form

_ROOT = "/merchant/verification"
SHOWN = f"{_ROOT}/documents/"  # Below it, bodies may be as large as a document.
SENT_BYTES_MAX = 20_000_000  # A telephone's picture that is too large is refused in words.
_DOCUMENT_BYTES_MAX = 5_000_000
_TIERS = {"person": PERSON, "company": COMPANY}
_THEIRS = (DossierState.DRAFT, DossierState.MORE_ASKED)
_CHINESE_NUMBER = 18  # Digits of a number that a card's may be like.
_SAVE = {
    SaveStatus.TIER_MALFORMED: message("Choose whether you sell as a person or as a company."),
    SaveStatus.COUNTRY_MALFORMED: message("Choose your country."),
    SaveStatus.FIELD_MALFORMED: message("Something is too long, or holds odd characters."),
    SaveStatus.NOT_THEIR_TURN: message("It is being looked at, or decided: see below."),
    SaveStatus.ANOTHER_IS_OPEN: message("You have begun already: go on below."),
    SaveStatus.TOO_MANY: message("You have begun often this month. Ask the platform's support."),
}
_DOCUMENT = {
    DocumentStatus.KIND_UNKNOWN: message("Choose what the document shows."),
    DocumentStatus.CONTENT_REFUSED: message(
        "Only pictures (PNG, JPEG, WebP) and PDF of at most 5 MB are taken."
    ),
    DocumentStatus.NOT_THEIR_TURN: message("It is being looked at, or decided: see below."),
    DocumentStatus.FULL: message("There is no room for more: twelve documents, 25 MB in all."),
}
_SUBMIT = {
    SubmitStatus.NOT_THEIR_TURN: message("It is being looked at, or decided: see below."),
    SubmitStatus.CHANGED_SINCE: message("It has changed meanwhile. Look at it, then hand it in."),
    SubmitStatus.FIELDS_WRONG: message("Something is missing or wrong: it is marked below."),
    SubmitStatus.DOCUMENT_MISSING: message("A document is missing: it is marked below."),
}
_FINE = SubmitResult(SubmitStatus.SUBMITTED)


class Verification:
    """The merchant's room of who they are."""

    entries = (Entry(_ROOT, message("Verification"), "shield", Permission.VERIFICATION_WRITE),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._compliance = desk.apis.compliance

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages; whatever is personal is below a fresh session."""
        desk, needed = self._desk, Permission.VERIFICATION_WRITE
        return [
            desk.get(_ROOT, self.show, needed, is_grave=True),
            desk.post(_ROOT, self.begin, needed),
            desk.post(f"{_ROOT}/fields", self.save, needed, is_streamed=True),
            desk.post(f"{SHOWN}{{serial:str}}", self.add, needed, is_streamed=True),
            desk.get(f"{SHOWN}{{serial:str}}/{{document:str}}", self.open, needed, is_grave=True),
            desk.post(
                f"{SHOWN}{{serial:str}}/{{document:str}}/remove",
                self.remove,
                needed,
                is_streamed=True,
            ),
            desk.post(f"{_ROOT}/submit", self.submit, needed, is_grave=True, is_streamed=True),
        ]

    async def show(self, caller: Caller) -> Page:
        """Show the newest dossier, or how to begin one."""
        return await self._show(caller)

    async def _newest(self, caller: Caller) -> DossierView | None:
        query = DossierQuery(caller.merchant, dossiers_max=1)
        [heads] = await self._compliance.list_dossiers([query])
        if not heads:
            return None
        [view] = await self._compliance.read_dossiers([(heads[0].id, caller.merchant)])
        return view

    async def _show(
        self,
        caller: Caller,
        problem: str = "",
        written: dict[str, str] | None = None,
        result: SubmitResult = _FINE,
        kind: str = "",
    ) -> Page:
        view = await self._newest(caller)
        [standing] = await self._compliance.read_standings([caller.merchant])
        [terms] = await self._compliance.list_terms(1)
        tier = view.tier if view is not None else PERSON
        numbers = PERSON_NUMBERS if tier == PERSON else COMPANY_NUMBERS
        return self._desk.page(
            caller,
            "merchant/verification.html",
            path=_ROOT,
            status=422 if problem else 200,
            dossier=view,
            standing=standing,
            terms=terms,
            is_theirs=view is not None and view.state in _THEIRS,
            is_beginning=view is None or view.state not in (*_THEIRS, DossierState.SUBMITTED),
            fields=[(each.removeprefix("?"), not each.startswith("?")) for each in FIELDS[tier]],
            kinds=[(each.removeprefix("?"), not each.startswith("?")) for each in DOCUMENTS[tier]],
            written=written or (view.fields if view is not None else {}),
            number_name=numbers.get(view.country, "") if view is not None else "",
            countries=country_names(caller.visitor.language.tag),
            problems=result.problems,
            missing=result.missing,
            malformed=FieldProblem.MALFORMED,
            nonce=to_serial(new_id(self._desk.clock.now())),
            chosen=caller.form,
            shows=kind or caller.asked("kind"),
            is_file_left=caller.asked("file") == "again",
            done=caller.asked("done") == "yes",
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def begin(self, caller: Caller) -> Page:
        """Begin a dossier, as a person or as a company."""
        nonce = read_id(caller.written("nonce", 40))
        if nonce is None:
            return self._desk.problem(caller.request, 400, caller)
        if (turned := await self._desk.turn_away(caller)) is not None:
            return turned
        id = DossierId(derive(nonce, f"dossier:{caller.merchant}"))
        tier = _TIERS.get(caller.written("tier", 10), 0)
        country = caller.written("country", 2)
        new = SaveDossier(id, caller.merchant, tier, country, {})
        told = {"tier": str(tier), "country": country}
        subject = f"dossier:{to_serial(id)}"
        await log(self._desk, caller, "dossier.begun", subject, after=told)
        [status] = await self._compliance.save_dossiers([new])
        if status is not SaveStatus.SAVED:
            await log_undone(self._desk, caller, "dossier.begun", subject, status)
            return await self._show(caller, _SAVE[status])
        return onward(_ROOT)

    async def save(self, caller: Caller) -> Page:
        """Write the fields: right or not, they are there when the merchant comes back."""
        count_card = leave_to_page(caller.request.scope)
        form = await read_form(caller.request)
        view = await self._newest(caller)
        if view is None or form.get("dossier") != to_serial(view.id):
            return self._desk.problem(caller.request, 404, caller)
        if (turned := await self._desk.turn_away(caller)) is not None:
            return turned
        kept = await self._keep(caller, view, form, count_card)
        return kept or onward(f"{_ROOT}{_unsent(form, done='yes')}")

    async def _keep(
        self,
        caller: Caller,
        view: DossierView,
        form: Mapping[str, str],
        count_card: Callable[[], None],
    ) -> Page | None:
        """Write the fields that a form brings, whatever its button; a page: they cannot be kept."""
        fields, kind = _fields_of(view, form), form.get("kind", "")[:40]
        if fields == {name: text for name, text in view.fields.items() if text}:
            return None
        if carded := _with_card(fields, view.country):
            count_card()
            rest = {name: text for name, text in fields.items() if name not in carded}
            return await self._show(caller, NO_CARD, rest, kind=kind)
        new = SaveDossier(view.id, caller.merchant, view.tier, view.country, fields)
        await log(self._desk, caller, "dossier.written", f"dossier:{to_serial(view.id)}")
        [status] = await self._compliance.save_dossiers([new])
        return (
            None
            if status is SaveStatus.SAVED
            else await self._show(caller, _SAVE[status], fields, kind=kind)
        )

    async def add(self, caller: Caller) -> Page:
        """Take a document in."""
        dossier = read_id(caller.part("serial"))
        view = await self._newest(caller)
        if view is None or view.id != dossier:
            return self._desk.problem(caller.request, 404, caller)
        if (turned := await self._desk.turn_away(caller)) is not None:
            return turned
        count_card = leave_to_page(caller.request.scope)
        upload = await read_upload(caller.request, _DOCUMENT_BYTES_MAX + 1, is_cut=True)
        try:
            kept = await self._keep(caller, view, upload.fields, count_card)
            return kept or await self._add(caller, view, upload)
        finally:
            upload.close()

    async def _add(self, caller: Caller, view: DossierView, upload: Upload) -> Page:
        nonce = read_id(upload.fields.get("nonce", "")[:40])
        if nonce is None:
            return self._desk.problem(caller.request, 400, caller)
        content = await asyncio.to_thread(upload.file.read)
        id = derive(nonce, f"document:{view.id}")
        kind = upload.fields.get("kind", "")[:40]
        subject = f"dossier:{to_serial(view.id)}"
        told = {"document": to_serial(id), "kind": kind}
        await log(self._desk, caller, "dossier.document_added", subject, after=told)
        new = AddDocument(id, view.id, caller.merchant, kind, content)
        [status] = await self._compliance.add_documents([new])
        if status in _DOCUMENT:
            await log_undone(self._desk, caller, "dossier.document_added", subject, status)
            return await self._show(caller, _DOCUMENT[status], kind=kind)
        return onward(f"{_ROOT}#documents")

    async def open(self, caller: Caller) -> Page:
        """Show a document to whoever has brought it."""
        dossier, document = self._parts(caller)
        if dossier is None or document is None:
            return self._desk.problem(caller.request, 404, caller)
        found = await open_document(self._compliance, document, dossier, caller.merchant)
        return found or self._desk.problem(caller.request, 404, caller)

    async def remove(self, caller: Caller) -> Page:
        """Delete a document that is not handed in; what is written in the fields is kept."""
        count_card = leave_to_page(caller.request.scope)
        form = await read_form(caller.request)
        dossier, document = self._parts(caller)
        [view] = (
            await self._compliance.read_dossiers([(dossier, caller.merchant)])
            if dossier is not None
            else [None]
        )
        if view is None or dossier is None or document is None:
            return self._desk.problem(caller.request, 404, caller)
        if (turned := await self._desk.turn_away(caller)) is not None:
            return turned
        if (problem := await self._keep(caller, view, form, count_card)) is not None:
            return problem
        subject, told = f"dossier:{to_serial(dossier)}", {"document": to_serial(document)}
        await log(self._desk, caller, "dossier.document_removed", subject, before=told)
        old = RemoveDocument(document, dossier, caller.merchant)
        await self._compliance.remove_documents([old])
        return onward(f"{_ROOT}{_unsent(form)}#documents")

    async def submit(self, caller: Caller) -> Page:
        """Hand the dossier in as it was seen, with the fields that were written meanwhile."""
        count_card = leave_to_page(caller.request.scope)
        form = await read_form(caller.request)
        view = await self._newest(caller)
        if view is None or form.get("dossier") != to_serial(view.id):
            return self._desk.problem(caller.request, 404, caller)
        if (turned := await self._desk.turn_away(caller)) is not None:
            return turned
        if form.get("version") != str(view.version):
            told = _fields_of(view, form)
            return await self._show(caller, _SUBMIT[SubmitStatus.CHANGED_SINCE], told)
        if (problem := await self._keep(caller, view, form, count_card)) is not None:
            return problem
        [kept] = await self._compliance.read_dossiers([(view.id, caller.merchant)])
        if kept is None:
            return self._desk.problem(caller.request, 404, caller)
        subject = f"dossier:{to_serial(view.id)}"
        await log(self._desk, caller, "dossier.submitted", subject)
        asked = SubmitDossier(view.id, caller.merchant, kept.version)
        [result] = await self._compliance.submit_dossiers([asked])
        if result.status in _SUBMIT:
            await log_undone(self._desk, caller, "dossier.submitted", subject, result.status)
            return await self._show(caller, _SUBMIT[result.status], result=result)
        return onward(_ROOT)

    @staticmethod
    def _parts(caller: Caller) -> tuple[DossierId | None, UUID | None]:
        dossier = read_id(caller.part("serial"))
        return DossierId(dossier) if dossier else None, read_id(caller.part("document"))


def _fields_of(view: DossierView, form: Mapping[str, str]) -> dict[str, str]:
    """Read a form's fields that are not empty; what a form does not have stays as it was."""
    names = [each.removeprefix("?") for each in FIELDS[view.tier]]
    given = {name: form.get(name, view.fields.get(name, "")) for name in names}
    told = {name: " ".join(text.split())[:400] for name, text in given.items()}
    return {name: text for name, text in told.items() if text}


def _unsent(form: Mapping[str, str], **more: str) -> str:
    """Write the query of a page that goes on with a document which was chosen, yet not added."""
    file = "again" if form.get("document") else ""
    told = {**more, "kind": form.get("kind", "")[:40], "file": file}
    asked = urlencode({name: value for name, value in told.items() if value})
    return f"?{asked}" if asked else ""


def _with_card(fields: dict[str, str], country: str) -> set[str]:
    """Name the fields where a card's number is; a person's number may look like one."""
    return {
        name
        for name, text in fields.items()
        if holds_card(f"{name}={text}".encode())
        and not (name == "person_number" and country == "CN" and len(text) == _CHINESE_NUMBER)
    }
