"""Signing in and out, showing a code, and getting back in by mail."""

from urllib.parse import quote

from litestar import get, post
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import (
    Proof,
    ProofResult,
    ProofStatus,
    ResetRequest,
    Session,
    SessionStage,
    SignIn,
)
from vendrail.web.console.caller import Caller, home_of
from vendrail.web.console.desk import CODE, CONFIRM, FACTOR, SIGN_IN, Desk, Entry, safe_next
from vendrail.web.languages import LANGUAGES, message
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Asked, Page
from vendrail.web.visitor import LANGUAGE, Visitor

_REFUSED = message("The e-mail address or the password is wrong, or the account is locked.")
_CODE_REFUSED = message("That code is wrong or was used before. Wait for the next one.")
_PASSWORD_REFUSED = message("That is not your password.")
LIMITED = message("There were too many tries. Wait a few minutes, then try again.")
_NO_ADDRESS = message("Enter a whole e-mail address.")


class Signing:
    """The pages between a browser and an open session."""

    entries: tuple[Entry, ...] = ()

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._identity = desk.apis.identity

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        return [
            self._desk.get("/console", self.console, None),
            get(SIGN_IN, name="console.sign_in")(self.ask),
            post(SIGN_IN, name="console.sign_in.post")(self.sign_in),
            get(CODE, name="console.code")(self.ask_code),
            post(CODE, name="console.code.post")(self.show_code),
            get("/console/forgotten", name="console.forgotten")(self.forgotten),
            post("/console/forgotten", name="console.forgotten.post")(self.send_reset),
            post("/console/sign-out", name="console.sign_out")(self.sign_out),
            self._desk.get(CONFIRM, self.ask_again, None),
            self._desk.post(CONFIRM, self.confirm, None),
        ]

    async def console(self, caller: Caller) -> Page:
        """Lead to the console that the person begins with."""
        return onward(home_of(caller.session))

    async def ask(self, request: Asked) -> Page:
        """Ask for address and password; who is in already goes on."""
        desk = self._desk
        visitor = desk.front.visitor(request)
        session, _ = await desk.session(request, visitor)
        onto = safe_next(request.query_params.get("next", ""))
        if session is not None:
            return onward(_way(session, onto))
        return self.form(request, visitor, onto)

    def form(
        self,
        request: Asked,
        visitor: Visitor,
        onto: str,
        *,
        status: int = 200,
        problem: str = "",
        email: str = "",
    ) -> Page:
        """Answer with the page to sign in."""
        desk = self._desk
        return desk.plain(
            request,
            visitor,
            "console/sign_in.html",
            status=status,
            here=SIGN_IN,
            onto=onto,
            email=email,
            problem=problem,
        )

    async def sign_in(self, request: Asked) -> Page:
        """Check a password. Whatever session the browser came with is not gone on with."""
        desk = self._desk
        visitor = desk.front.visitor(request)
        form = await self._desk.own_form(request, visitor)
        if form is None:
            return desk.problem(request, 403)
        email, onto = form.get("email", "").strip()[:254], safe_next(form.get("next", ""))
        origin = desk.origin(request, visitor)
        attempt = SignIn(email, form.get("password", "")[:1_000], origin)
        [result] = await self._identity.sign_in([attempt])
        if result.status is not ProofStatus.ACCEPTED:
            status, problem = refusal(result, _REFUSED)
            return self.form(request, visitor, onto, status=status, problem=problem, email=email)
        return await self.begin(request, visitor, result.token, onto)

    async def begin(self, request: Asked, visitor: Visitor, token: str, onto: str) -> Page:
        """Begin by a new token; what session the browser came with is over."""
        before, _ = await self._desk.session(request, visitor)
        if before is not None:
            await self._identity.end_sessions([before.id])
        return await self.go_on(request, visitor, token, onto)

    async def go_on(self, request: Asked, visitor: Visitor, token: str, onto: str) -> Page:
        """Go on with a new token, to wherever it leads."""
        desk = self._desk
        visitor.cookies[desk.cookie_name] = token
        session, token = await desk.session(request, visitor)
        if session is None:
            return onward(SIGN_IN)
        cookies = [desk.cookie(token), *await self._agree_on_language(visitor, session)]
        return onward(_way(session, onto), cookies)

    async def _agree_on_language(self, visitor: Visitor, session: Session) -> list[Cookie]:
        """Let the account learn what the browser has chosen; a new browser learns from it."""
        known, chosen = session.person.locale, visitor.cookies.get(LANGUAGE, "")
        if chosen in LANGUAGES:
            if chosen != known:
                await self._identity.choose_languages([(session.person.id, chosen)])
            return []
        visitors = self._desk.front.visitors
        return [visitors.cookie(LANGUAGE, known)] if known in LANGUAGES else []

    async def ask_code(self, request: Asked) -> Page:
        """Ask for the second factor."""
        desk = self._desk
        visitor = desk.front.visitor(request)
        session, token = await desk.session(request, visitor)
        onto = safe_next(request.query_params.get("next", ""))
        if session is None or session.stage is not SessionStage.FACTOR:
            return onward(SIGN_IN if session is None else _way(session, onto))
        page = self.code_form(request, visitor, session, onto)
        if session.token:
            page.set_cookie(desk.cookie(token))
        return page

    def code_form(
        self,
        request: Asked,
        visitor: Visitor,
        session: Session,
        onto: str,
        *,
        status: int = 200,
        problem: str = "",
    ) -> Page:
        """Answer with the page that asks for the second factor."""
        desk = self._desk
        return desk.plain(
            request,
            visitor,
            "console/code.html",
            status=status,
            here=CODE,
            onto=onto,
            who=session.person,
            problem=problem,
        )

    async def show_code(self, request: Asked) -> Page:
        """Check a code of either kind; the session gets another token with it."""
        desk = self._desk
        visitor = desk.front.visitor(request)
        form = await self._desk.own_form(request, visitor)
        if form is None:
            return desk.problem(request, 403)
        session, token = await desk.session(request, visitor)
        if session is None:
            return onward(SIGN_IN)
        onto = safe_next(form.get("next", ""))
        proof = Proof(token, form.get("code", "")[:64], origin=desk.origin(request, visitor))
        [result] = await self._identity.show_proofs([proof])
        if result.status is not ProofStatus.ACCEPTED:
            status, problem = refusal(result, _CODE_REFUSED)
            return self.code_form(request, visitor, session, onto, status=status, problem=problem)
        return await self.go_on(request, visitor, result.token, onto)

    async def forgotten(self, request: Asked) -> Page:
        """Ask where to send a link to."""
        return self._forgotten(request, self._desk.front.visitor(request))

    def _forgotten(
        self,
        request: Asked,
        visitor: Visitor,
        *,
        status: int = 200,
        problem: str = "",
        email: str = "",
        is_sent: bool = False,
    ) -> Page:
        desk = self._desk
        return desk.plain(
            request,
            visitor,
            "console/forgotten.html",
            status=status,
            here="/console/forgotten",
            email=email,
            is_sent=is_sent,
            problem=problem,
        )

    async def send_reset(self, request: Asked) -> Page:
        """Send a link by mail; the answer is the same whether or not there is such a person."""
        desk = self._desk
        visitor = desk.front.visitor(request)
        form = await self._desk.own_form(request, visitor)
        if form is None:
            return desk.problem(request, 403)
        email = form.get("email", "").strip()[:254]
        origin = desk.origin(request, visitor)
        asked = ResetRequest(email, visitor.language.tag, origin)
        [status] = await self._identity.request_resets([asked])
        if status is ProofStatus.LIMITED:
            return self._forgotten(request, visitor, status=429, problem=LIMITED, email=email)
        if status is not ProofStatus.ACCEPTED:
            return self._forgotten(request, visitor, status=422, problem=_NO_ADDRESS, email=email)
        return self._forgotten(request, visitor, email=email, is_sent=True)

    async def sign_out(self, request: Asked) -> Page:
        """End the session."""
        desk = self._desk
        visitor = desk.front.visitor(request)
        if await self._desk.own_form(request, visitor) is None:
            return desk.problem(request, 403)
        session, _ = await desk.session(request, visitor)
        if session is not None:
            await self._identity.end_sessions([session.id])
        return onward(SIGN_IN, [desk.cookie("")])

    async def ask_again(self, caller: Caller) -> Page:
        """Ask for a proof again, before a grave act."""
        return self.again(caller, safe_next(caller.asked("next", 500)))

    def again(self, caller: Caller, onto: str, status: int = 200, problem: str = "") -> Page:
        """Answer with the page that asks for a fresh proof."""
        return self._desk.plain(
            caller.request,
            caller.visitor,
            "console/confirm.html",
            status=status,
            here=CONFIRM,
            onto=onto,
            who=caller.person,
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def confirm(self, caller: Caller) -> Page:
        """Check the proof; the session is fresh again."""
        onto = safe_next(caller.form.get("next", ""))
        proof = Proof(
            caller.token,
            caller.form.get("code", "")[:64],
            caller.form.get("password", "")[:1_000],
            self._desk.origin(caller.request, caller.visitor),
        )
        [result] = await self._identity.show_proofs([proof])
        if result.status is not ProofStatus.ACCEPTED:
            has_factor = caller.person.has_second_factor
            status, problem = refusal(result, _CODE_REFUSED if has_factor else _PASSWORD_REFUSED)
            return self.again(caller, onto, status, problem)
        return onward(onto or home_of(caller.session), [self._desk.cookie(result.token)])


def refusal(result: ProofResult, wrong: str) -> tuple[int, str]:
    """Say with which status and words a proof was refused."""
    return (429, LIMITED) if result.status is ProofStatus.LIMITED else (422, wrong)


def _way(session: Session, onto: str) -> str:
    """Give where a session leads next."""
    if session.stage is SessionStage.FACTOR:
        return f"{CODE}?next={quote(onto)}" if onto else CODE
    if session.stage is SessionStage.ENROLMENT:
        return FACTOR
    return onto or home_of(session)
