"""Passkeys of buyers: made and removed on the account's page, shown on the page to sign in."""

from litestar import Response, post
from litestar.handlers import HTTPRouteHandler

from vendrail.api.buyers import (
    EntryStatus,
    PasskeyAsk,
    PasskeyDrop,
    PasskeyEntry,
    PasskeyId,
    PasskeyProof,
    PasskeyPurpose,
    PasskeyStatus,
)
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.ids import from_serial
from vendrail.kernel.limits.gate import Gate
from vendrail.web.languages import message
from vendrail.web.pages import guards, onward
from vendrail.web.signedin import SignedIn
from vendrail.web.storefront.account import HOME, SIGN_IN, Account, onto_page
from vendrail.web.storefront.front import Asked, Front, Limit, Page
from vendrail.web.visitor import read_form

_CREDENTIAL_LENGTH_MAX = 16_384
_NOT_KNOWN = message("That passkey did not work. Try again, or ask for a code.")
_NOT_ADDED = message("The passkey could not be added. Try again.")
_FULL = message("That is as many passkeys as there may be. Remove one first.")
_LIMITED = message("There were too many tries. Wait a few minutes, then try again.")


class PasskeyPages:
    """What the account's pages do with passkeys; without JavaScript nothing leads here."""

    def __init__(
        self, front: Front, signed_in: SignedIn, limit: Limit | None, account: Account
    ) -> None:
        self._front = front
        self._signed_in = signed_in
        self._limit = limit
        self._account = account

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        return [
            post("/account/passkeys/options", name="web.passkey_options")(self.ask),
            post("/account/passkeys", name="web.passkey_add")(self.add),
            post("/account/passkeys/remove", name="web.passkey_remove")(self.remove),
            post("/account/passkey", name="web.passkey_sign_in")(self.sign_in),
        ]

    async def ask(self, request: Asked) -> Page:
        """Give the script what the browser's own dialogue is opened with."""
        front, signed_in = self._front, self._signed_in
        visitor = front.visitor(request)
        form = await read_form(request)
        refusal = await front.refuse_form(request, visitor, form, self._limit)
        if refusal is not None:
            return refusal
        session = await signed_in.session(visitor)
        is_making = form.get("purpose", "") == PasskeyPurpose.MAKE
        if is_making and (session is None or not signed_in.is_fresh(session)):
            return front.problem(request, 403)
        address, agent = front.address_of(request.scope), request.headers.get("user-agent", "")
        ask = PasskeyAsk(
            PasskeyPurpose.MAKE if is_making else PasskeyPurpose.PROVE,
            signed_in.browser(visitor, address, agent),
            signed_in.token(visitor),
        )
        try:
            [given] = await signed_in.buyers.ask_passkeys([ask])
        except Unavailable as error:
            return front.problem(request, 503, error.retry_after_s)
        if given.status is not PasskeyStatus.DONE:
            return front.problem(request, 429 if given.status is PasskeyStatus.LIMITED else 403)
        headers = {"cache-control": "no-store", **guards()}
        body = given.options.encode()
        return Response(body, media_type="application/json", headers=headers, status_code=200)

    async def add(self, request: Asked) -> Page:
        """Add the passkey that the browser has made, after a fresh proof."""
        front, signed_in = self._front, self._signed_in
        visitor, form, session, instead = await self._account.own(request)
        if session is None:
            return instead or onward(SIGN_IN)
        if not signed_in.is_fresh(session):
            return onward(f"{SIGN_IN}?next={HOME}")
        address, agent = front.address_of(request.scope), request.headers.get("user-agent", "")
        entry = PasskeyEntry(
            form.get("credential", "")[: _CREDENTIAL_LENGTH_MAX + 1],
            form.get("name", ""),
            signed_in.browser(visitor, address, agent),
            signed_in.token(visitor),
        )
        try:
            [status] = await signed_in.buyers.add_passkeys([entry])
        except Unavailable as error:
            return front.problem(request, 503, error.retry_after_s)
        if status is PasskeyStatus.DONE:
            return onward(HOME)
        said = {PasskeyStatus.LIMITED: _LIMITED, PasskeyStatus.FULL: _FULL}.get(status, _NOT_ADDED)
        return await self._account.show(
            request,
            visitor,
            session,
            status=429 if status is PasskeyStatus.LIMITED else 422,
            problem=front.pages.translate(visitor, said),
        )

    async def remove(self, request: Asked) -> Page:
        """Remove a passkey; the code by letter stays."""
        _, form, session, instead = await self._account.own(request)
        if session is None:
            return instead or onward(SIGN_IN)
        try:
            drop = PasskeyDrop(PasskeyId(from_serial(form.get("passkey", ""))), session.buyer.id)
            await self._signed_in.buyers.remove_passkeys([drop])
        except Malformed:
            return onward(HOME)
        except Unavailable as error:
            return self._front.problem(request, 503, error.retry_after_s)
        return onward(HOME)

    async def sign_in(self, request: Asked) -> Page:
        """Sign in by a passkey, or confirm who is in; nobody types an address."""
        front, signed_in = self._front, self._signed_in
        visitor = front.visitor(request)
        form = await read_form(request)
        refusal = await front.refuse_form(request, visitor, form, self._limit)
        if refusal is not None:
            return refusal
        onto = onto_page(form.get("next", ""))
        address, agent = front.address_of(request.scope), request.headers.get("user-agent", "")
        proof = PasskeyProof(
            form.get("credential", "")[: _CREDENTIAL_LENGTH_MAX + 1],
            signed_in.browser(visitor, address, agent),
            signed_in.token(visitor),
        )
        try:
            [result] = await signed_in.buyers.redeem_passkeys([proof])
        except Unavailable as error:
            return front.problem(request, 503, error.retry_after_s)
        if result.status is EntryStatus.ACCEPTED:
            return onward(onto, [signed_in.cookie(result.token)])
        is_limited = result.status is EntryStatus.LIMITED
        return self._account.form(
            request,
            visitor,
            onto,
            status=429 if is_limited else 422,
            problem=_LIMITED if is_limited else _NOT_KNOWN,
            session=await signed_in.session(visitor),
        )


def account_handlers(
    front: Front, signed_in: SignedIn, limit: Limit | None, gate: Gate | None
) -> list[HTTPRouteHandler]:
    """Give the routes of buyers' accounts."""
    account = Account(front, signed_in, limit, gate)
    return [*account.handlers(), *PasskeyPages(front, signed_in, limit, account).handlers()]
