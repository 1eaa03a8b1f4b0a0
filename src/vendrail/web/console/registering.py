"""Becoming a merchant: an address is proven by a code, then a shop is opened or applied for."""

from litestar import get, post
from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import (
    RegistrationEntry,
    RegistrationMode,
    RegistrationPolicy,
    RegistrationRequest,
    RegistrationStatus,
    RequestStatus,
)
from vendrail.kernel.codec import encode
from vendrail.kernel.http import limit_key
from vendrail.kernel.limits.gate import Gate
from vendrail.web.console.desk import FACTOR, Desk, Entry
from vendrail.web.console.signing import LIMITED
from vendrail.web.languages import message
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Asked, Page
from vendrail.web.visitor import Visitor

_PATH = "/console/register"
_UNLIKE = message("The two passwords are not the same.")
_ASKED = {
    RequestStatus.EMAIL_MALFORMED: message("Enter a whole e-mail address."),
    RequestStatus.NAME_MALFORMED: message("Give your shop a name of at most 80 characters."),
    RequestStatus.TERMS_DIFFER: message("The terms have changed. Read them, then accept them."),
    RequestStatus.LIMITED: LIMITED,
}
_NOT_ACCEPTED = message("Without accepting the terms nobody sells here.")
_ENTERED = {
    RegistrationStatus.LIMITED: LIMITED,
    RegistrationStatus.TOO_SHORT: message("The password is too short: 12 characters at least."),
    RegistrationStatus.TOO_LONG: message("The password is too long: 256 characters at most."),
    RegistrationStatus.TOO_COMMON: message(
        "That password is easily guessed. Take a few words of yours."
    ),
    RegistrationStatus.REFUSED: message("That code is wrong, used or too old. Ask for a new one."),
}


class Registering:
    """The pages by which merchants come by themselves."""

    entries: tuple[Entry, ...] = ()

    def __init__(self, desk: Desk, gate: Gate | None) -> None:
        self._desk, self._gate = desk, gate
        self._identity = desk.apis.identity

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        return [
            get(_PATH, name="console.register")(self.look),
            post(_PATH, name="console.register.post")(self.ask),
            post(f"{_PATH}/code", name="console.register.code")(self.enter),
            get(f"{_PATH}/terms", name="console.register.terms")(self.terms),
        ]

    async def look(self, request: Asked) -> Page:
        """Show how to become a merchant here, or that it is by invitation."""
        return await self._page(request, self._desk.front.visitor(request), {})

    async def _page(
        self,
        request: Asked,
        visitor: Visitor,
        form: dict[str, str],
        *,
        status: int = 200,
        problem: str = "",
        step: str = "ask",
        challenge: str = "",
        policy: RegistrationPolicy | None = None,
    ) -> Page:
        policy = policy or await self._identity.read_registration_policy()
        is_by_invitation = policy.mode is RegistrationMode.INVITATION
        return self._desk.plain(
            request,
            visitor,
            "console/register.html",
            status=status,
            here=_PATH,
            step="closed" if is_by_invitation else step,
            is_open=policy.mode is RegistrationMode.OPEN,
            terms_version=policy.terms_version,
            challenge=challenge,
            filled=form,
            problem=problem,
        )

    async def terms(self, request: Asked) -> Page:
        """Show the terms that count now."""
        visitor = self._desk.front.visitor(request)
        policy = await self._identity.read_registration_policy()
        if not policy.terms:
            return self._desk.problem(request, 404)
        return self._desk.plain(
            request, visitor, "console/terms.html", here=f"{_PATH}/terms", policy=policy
        )

    async def ask(self, request: Asked) -> Page:
        """Send a code to an address; the answer is the same whether or not it is known here."""
        desk = self._desk
        visitor = desk.front.visitor(request)
        form = await self._desk.own_form(request, visitor)
        if form is None:
            return desk.problem(request, 403)
        policy = await self._identity.read_registration_policy()
        if policy.mode is RegistrationMode.INVITATION:
            return await self._page(request, visitor, form, policy=policy)
        if form.get("accepted", "") != "yes":
            return await self._page(
                request, visitor, form, status=422, problem=_NOT_ACCEPTED, policy=policy
            )
        if self._gate is not None:
            address = desk.front.address_of(request.scope)
            judgement = await self._gate.judge(limit_key(address), form.get("altcha", ""))
            if judgement.is_wanted and not judgement.is_proven:
                challenge = encode(self._gate.challenge()).decode()
                return await self._page(
                    request, visitor, form, status=428, challenge=challenge, policy=policy
                )
        version = form.get("terms_version", "")
        asked = RegistrationRequest(
            form.get("email", "").strip()[:254],
            form.get("shop", "")[:200],
            int(version) if version.isascii() and version.isdecimal() and len(version) < 9 else -1,
            visitor.language.tag,
            desk.origin(request, visitor),
        )
        [sent] = await self._identity.request_registrations([asked])
        if sent in _ASKED:
            code = 429 if sent is RequestStatus.LIMITED else 422
            return await self._page(request, visitor, form, status=code, problem=_ASKED[sent])
        return await self._page(request, visitor, form, step="code", policy=policy)

    async def enter(self, request: Asked) -> Page:
        """Take the code: the owner is in, or an operator decides."""
        desk = self._desk
        visitor = desk.front.visitor(request)
        form = await self._desk.own_form(request, visitor)
        if form is None:
            return desk.problem(request, 403)
        password = form.get("password", "")[:1_000]
        if password != form.get("again", "")[:1_000]:
            return await self._page(
                request, visitor, form, status=422, problem=_UNLIKE, step="code"
            )
        entry = RegistrationEntry(
            form.get("email", "").strip()[:254],
            form.get("code", "")[:32],
            form.get("name", "").strip()[:80],
            password,
            visitor.language.tag,
            desk.origin(request, visitor),
        )
        [result] = await self._identity.register_merchants([entry])
        if result.status is RegistrationStatus.REGISTERED:
            return onward(FACTOR, [desk.cookie(result.token)])
        if result.status is RegistrationStatus.APPLIED:
            return await self._page(request, visitor, form, step="applied")
        status = 429 if result.status is RegistrationStatus.LIMITED else 422
        problem = _ENTERED[result.status]
        return await self._page(request, visitor, form, status=status, problem=problem, step="code")
