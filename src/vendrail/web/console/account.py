"""A person's own page: second factor, recovery codes, password, open sessions; and their places."""

from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import PasswordChange, Proof, ProofStatus, Session, SessionStage
from vendrail.web.agents import name_agent
from vendrail.web.console.caller import MERCHANT, Caller, home_of
from vendrail.web.console.desk import CODE, FACTOR, SIGN_IN, Desk, Entry
from vendrail.web.console.joining import why_refused
from vendrail.web.console.signing import refusal
from vendrail.web.languages import LANGUAGES, message
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Asked, Page
from vendrail.web.visitor import LANGUAGE, Visitor

_CODE_REFUSED = message("That code does not fit. Check the clock of your phone, and try the next.")
_PASSWORD_REFUSED = message("That is not the password you have now.")
_UNLIKE = message("The two new passwords are not the same.")
_CHANGED = message("Your password is changed. All your other sessions have ended.")
_ENDED = message("The session has ended.")
_PASSKEY = message("The passkey is added: it signs you in from now on.")
ACCOUNT = "/console/account"


class Account:
    """What people see and change of themselves."""

    entries: tuple[Entry, ...] = ()

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._identity = desk.apis.identity

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk = self._desk
        return [
            desk.get(ACCOUNT, self.account, None),
            desk.post("/console/account/password", self.change_password, None),
            desk.post("/console/account/sessions", self.end_session, None),
            desk.post("/console/account/codes", self.renew_codes, None, is_grave=True),
            desk.post("/console/place", self.choose_place, None),
            desk.post("/console/language", self.choose_language, None),
            get(FACTOR, name="console.factor")(self.draft),
            post(FACTOR, name="console.factor.post")(self.set),
        ]

    async def account(self, caller: Caller) -> Page:
        """Show what a person has."""
        is_added = caller.asked("done", 20) == "passkey"
        return await self.show(caller, done=_PASSKEY if is_added else "")

    async def show(
        self, caller: Caller, *, status: int = 200, problem: str = "", done: str = ""
    ) -> Page:
        """Show what a person has, and what became of what they did."""
        [sessions] = await self._identity.list_sessions([caller.person.id])
        [passkeys] = await self._identity.list_passkeys([caller.person.id])
        return self._desk.page(
            caller,
            "console/account.html",
            status=status,
            here=ACCOUNT,
            passkeys=passkeys,
            sessions=[(each, *name_agent(each.origin.agent)) for each in sessions],
            problem=self._desk.say(caller, problem) if problem else "",
            done=self._desk.say(caller, done) if done else "",
        )

    async def change_password(self, caller: Caller) -> Page:
        """Set a new password; all other sessions end."""
        form = caller.form
        after = form.get("after", "")[:1_000]
        if after != form.get("again", "")[:1_000]:
            return await self.show(caller, status=422, problem=_UNLIKE)
        origin = self._desk.origin(caller.request, caller.visitor)
        change = PasswordChange(caller.token, form.get("before", "")[:1_000], after, origin)
        [result] = await self._identity.change_passwords([change])
        if result.status is not ProofStatus.ACCEPTED:
            status = 429 if result.status is ProofStatus.LIMITED else 422
            problem = why_refused(result, _PASSWORD_REFUSED)
            return await self.show(caller, status=status, problem=problem)
        page = await self.show(caller, done=_CHANGED)
        page.set_cookie(self._desk.cookie(result.token))
        return page

    async def end_session(self, caller: Caller) -> Page:
        """End one of the person's own sessions."""
        [sessions] = await self._identity.list_sessions([caller.person.id])
        ended = [each.id for each in sessions if str(each.id) == caller.written("session")]
        if not ended:
            return self._desk.problem(caller.request, 404, caller)
        await self._identity.end_sessions(ended)
        if caller.session.id in ended:
            return onward(SIGN_IN, [self._desk.cookie("")])
        return await self.show(caller, done=_ENDED)

    async def renew_codes(self, caller: Caller) -> Page:
        """Make new recovery codes in place of the old ones, and show them once."""
        [codes] = await self._identity.renew_recovery_codes([caller.token])
        if not codes:
            return onward("/console/confirm?next=/console/account")
        return self.codes(caller.request, caller.visitor, codes, ACCOUNT)

    def codes(self, request: Asked, visitor: Visitor, codes: list[str], onto: str) -> Page:
        """Show recovery codes, once."""
        return self._desk.plain(
            request, visitor, "console/codes.html", here=ACCOUNT, codes=codes, onto=onto
        )

    async def choose_place(self, caller: Caller) -> Page:
        """Work for another merchant from now on."""
        try:
            merchant = UUID(caller.written("merchant"))
        except ValueError:
            return self._desk.problem(caller.request, 400, caller)
        [is_theirs] = await self._identity.choose_merchants([(caller.session.id, merchant)])
        if not is_theirs:
            return self._desk.problem(caller.request, 404, caller)
        return onward(MERCHANT)

    async def choose_language(self, caller: Caller) -> Page:
        """Speak another language: in this browser, and in letters to the person."""
        tag = caller.written("language")
        if tag not in LANGUAGES:
            return self._desk.problem(caller.request, 400, caller)
        await self._identity.choose_languages([(caller.person.id, tag)])
        visitors = self._desk.front.visitors
        return onward(self._desk.back(caller.request), [visitors.cookie(LANGUAGE, tag)])

    async def _enrolling(self, request: Asked, visitor: Visitor) -> tuple[Session, str] | Page:
        """Give the session in which a second factor may be set up; else where to go instead."""
        session, token = await self._desk.session(request, visitor)
        if session is None:
            return onward(f"{SIGN_IN}?next={FACTOR}")
        if session.stage is SessionStage.FACTOR:
            return onward(CODE)
        return session, token

    async def draft(self, request: Asked) -> Page:
        """Show a new second factor, to be read by an authenticator app."""
        visitor = self._desk.front.visitor(request)
        found = await self._enrolling(request, visitor)
        return (
            found if isinstance(found, Response) else await self._factor(request, visitor, *found)
        )

    async def _factor(
        self,
        request: Asked,
        visitor: Visitor,
        session: Session,
        token: str,
        *,
        status: int = 200,
        problem: str = "",
    ) -> Page:
        desk = self._desk
        [draft] = await self._identity.draft_factors([token])
        if draft is None:  # The proof is too old to change what proves.
            kept = desk.kept(session, token)
            if session.stage is SessionStage.ENROLMENT:
                await self._identity.end_sessions([session.id])
                return onward(SIGN_IN, [desk.cookie("")])
            return onward(f"/console/confirm?next={FACTOR}", kept)
        page = desk.plain(
            request,
            visitor,
            "console/factor.html",
            status=status,
            here=FACTOR,
            draft=draft,
            secret_groups=[draft.secret[at : at + 4] for at in range(0, len(draft.secret), 4)],
            is_required=session.stage is SessionStage.ENROLMENT,
            problem=problem,
        )
        if session.token:
            page.set_cookie(desk.cookie(token))
        return page

    async def set(self, request: Asked) -> Page:
        """Take the second factor into use by its first code; show the recovery codes, once."""
        desk = self._desk
        visitor = desk.front.visitor(request)
        form = await desk.own_form(request, visitor)
        if form is None:
            return desk.problem(request, 403)
        found = await self._enrolling(request, visitor)
        if isinstance(found, Response):
            return found
        session, token = found
        proof = Proof(token, form.get("code", "")[:64], origin=desk.origin(request, visitor))
        [result] = await self._identity.set_factors([proof])
        if result.status is not ProofStatus.ACCEPTED:
            status, problem = refusal(result, _CODE_REFUSED)
            return await self._factor(
                request, visitor, session, token, status=status, problem=problem
            )
        page = self.codes(request, visitor, result.recovery_codes, home_of(session))
        page.set_cookie(desk.cookie(result.token))
        return page
