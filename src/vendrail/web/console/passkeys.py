"""Passkeys of the consoles' people: made and removed on their pages, shown at every door."""

from collections.abc import Mapping
from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import (
    PROOF_FRESH,
    ProofResult,
    ProofStatus,
    Session,
    SessionStage,
    StaffPasskeyAsk,
    StaffPasskeyDrop,
    StaffPasskeyEntry,
    StaffPasskeyProof,
    StaffPasskeyPurpose,
    StaffPasskeyResult,
    StaffPasskeyStatus,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import from_serial
from vendrail.web.console.account import ACCOUNT, Account
from vendrail.web.console.caller import Caller, home_of
from vendrail.web.console.desk import CODE, CONFIRM, FACTOR, SIGN_IN, Desk, Entry, safe_next
from vendrail.web.console.signing import LIMITED, Signing, refusal
from vendrail.web.languages import message
from vendrail.web.pages import guards, onward
from vendrail.web.storefront.front import Asked, Page
from vendrail.web.visitor import Visitor

PASSKEY = "/console/passkey"
_CREDENTIAL_LENGTH_MAX = 16_384
_NOT_KNOWN = message("That passkey did not work. Try again, or take another way.")
_NOT_ADDED = message("The passkey could not be added. Try again.")
_FULL = message("That is as many passkeys as there may be. Remove one first.")
_LAST = message("This passkey is your only second factor. Set up another one before.")
_REMOVED = message("The passkey is removed. All your other sessions have ended.")


class Passkeys:
    """What the consoles do with passkeys; without JavaScript nothing leads here."""

    entries: tuple[Entry, ...] = ()

    def __init__(self, desk: Desk, signing: Signing, account: Account) -> None:
        self._desk = desk
        self._identity = desk.apis.identity
        self._signing = signing
        self._account = account

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk = self._desk
        return [
            get(PASSKEY, name="console.passkey")(self.form),
            post(PASSKEY, name="console.passkey.post")(self.add),
            post(f"{PASSKEY}/options", name="console.passkey.options")(self.ask),
            post(f"{SIGN_IN}/passkey", name="console.passkey.sign_in")(self.sign_in),
            post(f"{CODE}/passkey", name="console.passkey.code")(self.show),
            desk.post(f"{CONFIRM}/passkey", self.confirm, None),
            desk.post(f"{ACCOUNT}/passkeys/remove", self.remove, None, is_grave=True),
        ]

    async def _maker(self, request: Asked, visitor: Visitor) -> tuple[Session, str] | Page:
        """Give the session in which a passkey may be made; else where to go instead."""
        desk = self._desk
        session, token = await desk.session(request, visitor)
        if session is None:
            return onward(f"{SIGN_IN}?next={PASSKEY}")
        kept = desk.kept(session, token)
        if session.stage is SessionStage.FACTOR:
            return onward(CODE, kept)
        if desk.clock.now() - session.confirmed_at <= PROOF_FRESH:
            return session, token
        if session.stage is SessionStage.ENROLMENT:
            await self._identity.end_sessions([session.id])
            return onward(SIGN_IN, [desk.cookie("")])
        return onward(f"{CONFIRM}?next={PASSKEY}", kept)

    async def form(self, request: Asked) -> Page:
        """Ask for the name of a new passkey."""
        visitor = self._desk.front.visitor(request)
        found = await self._maker(request, visitor)
        return found if isinstance(found, Response) else self._form(request, visitor, *found)

    def _form(
        self,
        request: Asked,
        visitor: Visitor,
        session: Session,
        token: str,
        *,
        status: int = 200,
        problem: str = "",
        name: str = "",
    ) -> Page:
        desk = self._desk
        page = desk.plain(
            request,
            visitor,
            "console/passkey.html",
            status=status,
            here=PASSKEY,
            is_required=session.stage is SessionStage.ENROLMENT,
            is_first=not session.person.has_second_factor,
            name=name,
            problem=problem,
        )
        if session.token:
            page.set_cookie(desk.cookie(token))
        return page

    async def ask(self, request: Asked) -> Page:
        """Give the script what the browser's own dialogue is opened with."""
        desk = self._desk
        visitor = desk.front.visitor(request)
        form = await desk.own_form(request, visitor)
        if form is None:
            return desk.problem(request, 403)
        try:
            purpose = StaffPasskeyPurpose(form.get("purpose", ""))
        except ValueError:
            return desk.problem(request, 400)
        session, token = None, ""
        if purpose is not StaffPasskeyPurpose.SIGN_IN:
            session, token = await desk.session(request, visitor)
        origin = desk.origin(request, visitor)
        [given] = await self._identity.ask_passkeys([StaffPasskeyAsk(purpose, origin, token)])
        if given.status is not StaffPasskeyStatus.DONE:
            is_limited = given.status is StaffPasskeyStatus.LIMITED
            return desk.problem(request, 429 if is_limited else 403)
        headers = {"cache-control": "no-store", **guards()}
        body = given.options.encode()
        page = Response(body, media_type="application/json", headers=headers, status_code=200)
        if session is not None and session.token:
            page.set_cookie(desk.cookie(token))
        return page

    async def add(self, request: Asked) -> Page:
        """Add the passkey that the browser has made; a first factor shows recovery codes, once."""
        desk = self._desk
        visitor = desk.front.visitor(request)
        form = await desk.own_form(request, visitor)
        if form is None:
            return desk.problem(request, 403)
        found = await self._maker(request, visitor)
        if isinstance(found, Response):
            return found
        session, token = found
        name = form.get("name", "")[:200]
        entry = StaffPasskeyEntry(_credential(form), name, token, desk.origin(request, visitor))
        [result] = await self._identity.add_passkeys([entry])
        if result.status is not StaffPasskeyStatus.DONE:
            said = {StaffPasskeyStatus.LIMITED: LIMITED, StaffPasskeyStatus.FULL: _FULL}
            return self._form(
                request,
                visitor,
                session,
                token,
                status=429 if result.status is StaffPasskeyStatus.LIMITED else 422,
                problem=said.get(result.status, _NOT_ADDED),
                name=name,
            )
        return self._added(request, visitor, session, token, result)

    def _added(
        self,
        request: Asked,
        visitor: Visitor,
        session: Session,
        token: str,
        result: StaffPasskeyResult,
    ) -> Page:
        if not result.recovery_codes:
            kept = self._desk.kept(session, token)
            return onward(f"{ACCOUNT}?done=passkey", kept)
        is_enrolling = session.stage is SessionStage.ENROLMENT
        onto = home_of(session) if is_enrolling else ACCOUNT
        page = self._account.codes(request, visitor, result.recovery_codes, onto)
        page.set_cookie(self._desk.cookie(result.token))
        return page

    async def sign_in(self, request: Asked) -> Page:
        """Sign in by a passkey alone: nobody types an address or a password."""
        desk = self._desk
        visitor = desk.front.visitor(request)
        form = await desk.own_form(request, visitor)
        if form is None:
            return desk.problem(request, 403)
        onto, origin = safe_next(form.get("next", "")), desk.origin(request, visitor)
        proof = StaffPasskeyProof(_credential(form), origin=origin)
        [result] = await self._identity.show_passkeys([proof])
        if result.status is not ProofStatus.ACCEPTED:
            status, problem = refusal(result, _NOT_KNOWN)
            return self._signing.form(request, visitor, onto, status=status, problem=problem)
        return await self._signing.begin(request, visitor, result.token, onto)

    async def show(self, request: Asked) -> Page:
        """Show the second factor that was asked for after the password."""
        desk = self._desk
        visitor = desk.front.visitor(request)
        form = await desk.own_form(request, visitor)
        if form is None:
            return desk.problem(request, 403)
        session, token = await desk.session(request, visitor)
        if session is None:
            return onward(SIGN_IN)
        if session.stage is not SessionStage.FACTOR:
            return onward(FACTOR if session.stage is SessionStage.ENROLMENT else home_of(session))
        onto = safe_next(form.get("next", ""))
        result = await self._prove(request, visitor, form, token)
        if result.status is not ProofStatus.ACCEPTED:
            status, problem = refusal(result, _NOT_KNOWN)
            return self._signing.code_form(
                request, visitor, session, onto, status=status, problem=problem
            )
        return await self._signing.go_on(request, visitor, result.token, onto)

    async def confirm(self, caller: Caller) -> Page:
        """Prove again who is there; the session is fresh again."""
        onto = safe_next(caller.form.get("next", ""))
        result = await self._prove(caller.request, caller.visitor, caller.form, caller.token)
        if result.status is not ProofStatus.ACCEPTED:
            return self._signing.again(caller, onto, *refusal(result, _NOT_KNOWN))
        return onward(onto or home_of(caller.session), [self._desk.cookie(result.token)])

    async def _prove(
        self, request: Asked, visitor: Visitor, form: Mapping[str, str], token: str
    ) -> ProofResult:
        origin = self._desk.origin(request, visitor)
        proof = StaffPasskeyProof(_credential(form), token, origin)
        [result] = await self._identity.show_passkeys([proof])
        return result

    async def remove(self, caller: Caller) -> Page:
        """Remove one of the person's own passkeys."""
        try:
            passkey = UUID(str(from_serial(caller.written("passkey"))))
        except Malformed:
            return self._desk.problem(caller.request, 404, caller)
        origin = self._desk.origin(caller.request, caller.visitor)
        drop = StaffPasskeyDrop(passkey, caller.token, origin)
        [status] = await self._identity.remove_passkeys([drop])
        if status is StaffPasskeyStatus.DONE:
            return await self._account.show(caller, done=_REMOVED)
        if status is StaffPasskeyStatus.LAST:
            return await self._account.show(caller, status=422, problem=_LAST)
        if status is StaffPasskeyStatus.LIMITED:
            return await self._account.show(caller, status=429, problem=LIMITED)
        if self._desk.clock.now() - caller.session.confirmed_at > PROOF_FRESH:
            return onward(f"{CONFIRM}?next={ACCOUNT}")
        return self._desk.problem(caller.request, 404, caller)


def _credential(form: Mapping[str, str]) -> str:
    return form.get("credential", "")[: _CREDENTIAL_LENGTH_MAX + 1]
