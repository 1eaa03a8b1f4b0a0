"""A buyer's account: signing in by a code, the orders that are theirs, and leaving again."""

from typing import Any
from urllib.parse import quote

import structlog
from litestar import get, post
from litestar.handlers import HTTPRouteHandler

from vendrail.api.buyers import (
    BuyerId,
    BuyerSession,
    BuyerSessionId,
    CodeEntry,
    CodeRequest,
    CodeStatus,
    EntryStatus,
)
from vendrail.api.orders import BoughtQuery
from vendrail.api.payments import SavedDrop, SavedId
from vendrail.kernel.codec import encode
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.http import limit_key
from vendrail.kernel.ids import from_serial
from vendrail.kernel.limits.gate import Gate
from vendrail.web.agents import name_agent
from vendrail.web.languages import LANGUAGES, message
from vendrail.web.pages import onward
from vendrail.web.signedin import SignedIn
from vendrail.web.storefront.front import Asked, Front, Limit, Page
from vendrail.web.storefront.tracking import read_serial
from vendrail.web.visitor import LANGUAGE, LEFT, Visitor, local_path, read_form

_log = structlog.get_logger(__name__)

HOME, SIGN_IN = "/account", "/account/sign-in"
_ORDERS_MAX = 20
_NO_EMAIL = message("Enter a whole e-mail address.")
_NO_CODE = message("That code is wrong, used or too old. Ask for a new one.")
_LIMITED = message("There were too many tries. Wait a few minutes, then try again.")


class Account:
    """The pages of a buyer's account; whoever buys as a guest never meets them."""

    def __init__(
        self, front: Front, signed_in: SignedIn, limit: Limit | None, gate: Gate | None
    ) -> None:
        self._front = front
        self._signed_in = signed_in
        self._limit = limit
        self._gate = gate

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        return [
            get(HOME, name="web.account")(self.home),
            get(SIGN_IN, name="web.sign_in")(self.ask),
            post(SIGN_IN, name="web.sign_in.post")(self.send_code),
            post("/account/code", name="web.sign_in.code")(self.show_code),
            post("/account/sign-out", name="web.sign_out")(self.sign_out),
            get(LEFT, name="web.left")(self.left),
            post("/account/sessions", name="web.buyer_sessions")(self.end_sessions),
            post("/account/language", name="web.buyer_language")(self.choose_language),
            post("/account/saved", name="web.buyer_saved")(self.forget_saved),
            post("/account/delete", name="web.buyer_delete")(self.delete),
        ]

    async def home(self, request: Asked) -> Page:
        """Show the account: orders, sessions, language, and how to leave."""
        front, signed_in = self._front, self._signed_in
        visitor = front.visitor(request)
        session = await signed_in.session(visitor, is_renewing=True)
        if session is None:
            return onward(SIGN_IN)
        return await self.show(request, visitor, session)

    async def show(
        self,
        request: Asked,
        visitor: Visitor,
        session: BuyerSession,
        *,
        status: int = 200,
        problem: str = "",
    ) -> Page:
        """Show the account of who is in; perhaps with what went wrong with a passkey."""
        front, buyer = self._front, session.buyer
        before = read_serial(request.query_params.get("before", "-"))
        asked = BoughtQuery(buyer.id, buyer.email, before, _ORDERS_MAX + 1)
        [orders] = await front.calls.orders.list_bought([asked])
        ways = await front.calls.saved_ways(buyer.id, is_fresh=True)
        agreements = await front.calls.agreements(buyer.id)
        [sessions] = await self._signed_in.buyers.list_sessions([buyer.id])
        [passkeys] = await self._signed_in.buyers.list_passkeys([buyer.id])
        wallets = await front.wallets.of_buyer(buyer.id) if front.wallets is not None else []
        page = front.page(
            request,
            visitor,
            "account.html",
            status=status,
            is_private=True,
            problem=problem,
            is_kept="kept" in request.query_params,
            passkeys=passkeys,
            passkey_name=" · ".join(filter(None, name_agent(session.agent))),
            has_passkeys=self._signed_in.has_passkeys,
            wallets=wallets,
            holds_money=any(each.balance_minor for each in wallets),
            here=HOME,
            buyer=buyer,
            session=session,
            orders=orders[:_ORDERS_MAX],
            older=orders[_ORDERS_MAX - 1].serial if len(orders) > _ORDERS_MAX else "",
            is_first=before is None,
            ways=ways,
            agreements=agreements,
            sessions=[(each, *name_agent(each.agent)) for each in sessions],
            is_fresh=self._signed_in.is_fresh(session),
            quote=quote,
        )
        if session.token:
            page.set_cookie(self._signed_in.cookie(session.token))
        return page

    async def ask(self, request: Asked) -> Page:
        """Ask for the address; who is in goes on, unless a fresh proof is wanted."""
        front = self._front
        visitor = front.visitor(request)
        onto = onto_page(request.query_params.get("next", ""))
        session = await self._signed_in.session(visitor)
        if session is not None and self._signed_in.is_fresh(session):
            return onward(onto)
        return self.form(request, visitor, onto, session=session)

    def form(
        self,
        request: Asked,
        visitor: Visitor,
        onto: str,
        *,
        status: int = 200,
        problem: str = "",
        email: str = "",
        is_code_sent: bool = False,
        session: BuyerSession | None = None,
        challenge: str = "",
        filled: dict[str, str] | None = None,
    ) -> Page:
        """Show the form for the address or the code, and the way in by a passkey."""
        return self._front.page(
            request,
            visitor,
            "sign_in.html",
            status=status,
            is_private=True,
            here=SIGN_IN,
            onto=onto,
            email=session.buyer.email if session is not None else email,
            is_again=session is not None,
            has_passkeys=self._signed_in.has_passkeys,
            is_code_sent=is_code_sent,
            challenge=challenge,
            filled=filled or {},
            problem=self._front.pages.translate(visitor, problem) if problem else "",
        )

    async def send_code(self, request: Asked) -> Page:
        """Send a code; the answer is the same whether or not there is an account."""
        front = self._front
        visitor = front.visitor(request)
        form = await read_form(request)
        refusal = await front.refuse_form(request, visitor, form, self._limit)
        if refusal is not None:
            return refusal
        onto = onto_page(form.get("next", ""))
        session = await self._signed_in.session(visitor)
        # Who is in confirms their own address, whatever the form says.
        email = session.buyer.email if session is not None else form.get("email", "").strip()[:254]
        address = front.address_of(request.scope)
        more: dict[str, Any] = {"email": email, "session": session}
        if self._gate is not None:
            judgement = await self._gate.judge(limit_key(address), form.get("altcha", ""))
            if judgement.is_wanted and not judgement.is_proven:
                challenge = encode(self._gate.challenge()).decode()
                return self.form(
                    request, visitor, onto, status=428, challenge=challenge, filled=form, **more
                )
        browser = self._signed_in.browser(visitor, address, request.headers.get("user-agent", ""))
        try:
            [result] = await self._signed_in.buyers.request_codes(
                [CodeRequest(email, browser, visitor.language.tag)]
            )
        except Unavailable as error:
            return front.problem(request, 503, error.retry_after_s)
        if result.status is CodeStatus.EMAIL_MALFORMED:
            return self.form(request, visitor, onto, status=422, problem=_NO_EMAIL, **more)
        if result.status is CodeStatus.LIMITED:
            return self.form(request, visitor, onto, status=429, problem=_LIMITED, **more)
        return self.form(request, visitor, onto, is_code_sent=True, **more)

    async def show_code(self, request: Asked) -> Page:
        """Check a code. The session begins, or goes on, with a token that nobody had before."""
        front, signed_in = self._front, self._signed_in
        visitor = front.visitor(request)
        form = await read_form(request)
        refusal = await front.refuse_form(request, visitor, form, self._limit)
        if refusal is not None:
            return refusal
        onto = onto_page(form.get("next", ""))
        session = await signed_in.session(visitor)
        email = session.buyer.email if session is not None else form.get("email", "").strip()[:254]
        address, agent = front.address_of(request.scope), request.headers.get("user-agent", "")
        entry = CodeEntry(
            email,
            "".join(form.get("code", "").split())[:32],
            signed_in.browser(visitor, address, agent),
            signed_in.token(visitor),
            visitor.language.tag,
        )
        try:
            [result] = await signed_in.buyers.redeem_codes([entry])
        except Unavailable as error:
            return front.problem(request, 503, error.retry_after_s)
        if result.status is not EntryStatus.ACCEPTED:
            is_limited = result.status is EntryStatus.LIMITED
            return self.form(
                request,
                visitor,
                onto,
                status=429 if is_limited else 422,
                problem=_LIMITED if is_limited else _NO_CODE,
                email=email,
                is_code_sent=True,
                session=session,
            )
        return onward(onto, [signed_in.cookie(result.token), signed_in.known_cookie(result.known)])

    async def own(
        self, request: Asked
    ) -> tuple[Visitor, dict[str, str], BuyerSession | None, Page | None]:
        """Read a form of the account; a page instead where it is not ours or nobody is in."""
        front = self._front
        visitor = front.visitor(request)
        form = await read_form(request)
        refusal = await front.refuse_form(request, visitor, form)
        if refusal is not None:
            return visitor, form, None, refusal
        session = await self._signed_in.session(visitor)
        return visitor, form, session, None if session is not None else onward(SIGN_IN)

    async def sign_out(self, request: Asked) -> Page:
        """End this session; the orders that it opened are closed as well."""
        visitor, _, session, instead = await self.own(request)
        if session is None:
            return instead or onward(SIGN_IN)
        await self._signed_in.buyers.end_sessions([session.id])
        return await self._leave(visitor, session)

    async def _leave(self, visitor: Visitor, session: BuyerSession) -> Page:
        """Lead out of the account, and take back what opens its orders in this browser."""
        return self._out(visitor, await self._opened(session))

    async def _opened(self, session: BuyerSession) -> list[str]:
        """Give the account's orders, as far as this browser may open them."""
        buyer = session.buyer
        serials: list[str] = []
        try:
            asked = BoughtQuery(buyer.id, buyer.email, None, _ORDERS_MAX)
            [orders] = await self._front.calls.orders.list_bought([asked])
            serials = [each.serial for each in orders]
        except Unavailable as error:  # Nobody is kept in for that: the last ones are known here.
            _log.warning("web.orders_away", error=str(error))
        return serials

    def _out(self, visitor: Visitor, serials: list[str]) -> Page:
        closed = self._front.visitors.leaving(visitor, serials)
        return onward(LEFT, [self._signed_in.cookie(""), *closed])

    async def left(self, request: Asked) -> Page:
        """Take the rest back of what opened orders in this browser, and lead to the front page."""
        visitors = self._front.visitors
        return onward("/", visitors.left(self._front.visitor(request)))

    async def end_sessions(self, request: Asked) -> Page:
        """End one of the buyer's other sessions, or all of them."""
        visitor, form, session, instead = await self.own(request)
        if session is None:
            return instead or onward(SIGN_IN)
        buyers = self._signed_in.buyers
        if form.get("session", "") == "all":
            await buyers.end_all_sessions([session.buyer.id])
            return await self._leave(visitor, session)
        [theirs] = await buyers.list_sessions([session.buyer.id])
        ended = [each.id for each in theirs if str(each.id) == form.get("session", "")]
        await buyers.end_sessions([BuyerSessionId(id) for id in ended])
        return await self._leave(visitor, session) if session.id in ended else onward(HOME)

    async def choose_language(self, request: Asked) -> Page:
        """Remember the language of pages and letters."""
        _, form, session, instead = await self.own(request)
        if session is None:
            return instead or onward(SIGN_IN)
        tag = form.get("language", "")
        if tag not in LANGUAGES:
            return onward(HOME)
        await self._signed_in.buyers.choose_languages([(session.buyer.id, tag)])
        return onward(HOME, [self._front.visitors.cookie(LANGUAGE, tag)])

    async def forget_saved(self, request: Asked) -> Page:
        """Forget a saved way to pay: at once here, and at its provider until it has."""
        _, form, session, instead = await self.own(request)
        if session is None:
            return instead or onward(SIGN_IN)
        try:
            drop = SavedDrop(SavedId(from_serial(form.get("saved", ""))), session.buyer.id)
            await self._front.calls.payments.forget_saved([drop])
        except Malformed:
            return onward(HOME)
        except Unavailable as error:
            return self._front.problem(request, 503, error.retry_after_s)
        return onward(HOME)

    async def delete(self, request: Asked) -> Page:
        """Delete the account, after a fresh proof; the orders stay, and open by their links."""
        visitor, form, session, instead = await self.own(request)
        if session is None:
            return instead or onward(SIGN_IN)
        if not self._signed_in.is_fresh(session):
            return onward(f"{SIGN_IN}?next={quote(HOME)}")
        id = BuyerId(session.buyer.id)
        wallets = self._front.wallets
        has_money = wallets is not None and await wallets.holds_money(id)
        if form.get("sure", "") != "yes" or has_money:
            return onward(HOME)
        serials = await self._opened(session)  # Before they are nobody's.
        try:
            [is_cut_loose] = await self._front.calls.orders.forget_buyers([id])
            if not is_cut_loose:
                return onward(f"{HOME}?kept=1#delete-title")
            await self._front.calls.payments.forget_customers([id])
            await self._signed_in.buyers.forget_buyers([id])
        except Unavailable as error:
            return self._front.problem(request, 503, error.retry_after_s)
        return self._out(visitor, serials)


def onto_page(path: str) -> str:
    """Give back where to go after signing in: a page of ours, the account where none is told."""
    return local_path(path[:500]) if path.startswith("/") else HOME
