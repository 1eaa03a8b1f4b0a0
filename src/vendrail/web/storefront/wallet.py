"""A buyer's wallet: what is in it and how it came there, topping up, and paying orders with it."""

from urllib.parse import quote

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from vendrail.api.buyers import BuyerSession
from vendrail.api.orders import (
    FreeWalletPart,
    OrderId,
    OrderQuery,
    OrderState,
    OrderView,
    PayFromWallet,
    PlaceTopUp,
    TopUpPlaceStatus,
    WalletPayStatus,
)
from vendrail.api.payments import OfferQuestion
from vendrail.api.wallets import WALLET_DESK, WalletQuery, WalletTerms
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.ids import from_serial, new_id, shard_of, to_serial
from vendrail.kernel.money import from_text, to_text
from vendrail.kernel.telemetry import trace_id_here
from vendrail.web.languages import message
from vendrail.web.pages import onward
from vendrail.web.signedin import SignedIn
from vendrail.web.storefront.account import HOME, SIGN_IN
from vendrail.web.storefront.front import Asked, Front, Limit, Page, device_kind
from vendrail.web.storefront.tracking import read_serial
from vendrail.web.visitor import Visitor, read_form
from vendrail.web.wallets import BuyerWallets, PayBox

PAGE = f"{HOME}/wallet"
_ENTRIES_MAX = 30
_TITLE = message("Wallet top-up")
_UNCLEAR = message("That did not work. Please try again.")
_TOP_UP_SAYS = {
    TopUpPlaceStatus.WALLET_OFF: message("This wallet takes nothing in at the moment."),
    TopUpPlaceStatus.AMOUNT_TOO_SMALL: message("That is less than can be topped up at once."),
    TopUpPlaceStatus.AMOUNT_TOO_LARGE: message("That is more than can be topped up at once."),
    TopUpPlaceStatus.BALANCE_TOO_HIGH: message(
        "With that the wallet would hold more than it may. Choose less, or spend some first."
    ),
    TopUpPlaceStatus.METHOD_NOT_OFFERED: message("Choose one of these ways to pay."),
    TopUpPlaceStatus.RISK_REFUSED: message(
        "This order cannot be taken. The shop's support can tell you more."
    ),
}
_PAY_SAYS = {
    WalletPayStatus.BALANCE_TOO_LOW: message(
        "There is not so much in the wallet any more. Nothing was taken."
    ),
    WalletPayStatus.AMOUNT_OUT_OF_RANGE: message(
        "The amount has changed meanwhile. Look at it again, then confirm."
    ),
    WalletPayStatus.RESERVED_DIFFERENT: message(
        "Another part is reserved for this order. Take it back first."
    ),
    WalletPayStatus.NOT_OFFERED: message("This order cannot be paid out of a wallet."),
}


class WalletPages:
    """The pages of a buyer's wallet; only who is signed in meets them."""

    def __init__(
        self, front: Front, wallets: BuyerWallets, signed_in: SignedIn, limit: Limit | None
    ) -> None:
        self._front = front
        self._wallets = wallets
        self._signed_in = signed_in
        self._limit = limit

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        return [
            get(PAGE, name="web.wallet")(self.show),
            post(f"{PAGE}/top-ups", name="web.wallet.top_up")(self.top_up),
            get("/orders/{serial:str}/wallet", name="web.wallet.ask")(self.ask),
            post("/orders/{serial:str}/wallet", name="web.wallet.pay")(self.pay),
            post("/orders/{serial:str}/wallet/free", name="web.wallet.free")(self.free),
        ]

    # What is in it.

    async def show(self, request: Asked) -> Page:
        """Show the wallet of one currency: balance, how to top up, every movement."""
        visitor = self._front.visitor(request)
        session = await self._signed_in.session(visitor)
        if session is None:
            return onward(f"{SIGN_IN}?next={quote(PAGE)}")
        return await self._show(request, visitor, session, request.query_params.get("currency", ""))

    async def _show(
        self,
        request: Asked,
        visitor: Visitor,
        session: BuyerSession,
        currency: str,
        *,
        problem: str = "",
        filled: dict[str, str] | None = None,
    ) -> Page:
        front = self._front
        wallets = await self._wallets.of_buyer(session.buyer.id)
        if not wallets:
            return front.problem(request, 404)
        currencies = [each.currency for each in wallets]
        wanted = next((each for each in (currency, visitor.currency) if each in currencies), "")
        wallet = next((each for each in wallets if each.currency == wanted), wallets[0])
        terms = (await self._wallets.terms()).get(wallet.currency) or WalletTerms(wallet.currency)
        before = _read_before(request.query_params.get("before", ""))
        asked = WalletQuery(session.buyer.id, wallet.currency, before, _ENTRIES_MAX + 1)
        [entries] = await self._wallets.wallets.read_wallet_entries([asked])
        room_minor = min(terms.top_up_minor_max, terms.balance_minor_max - wallet.balance_minor)
        can_top_up = terms.is_on and room_minor >= terms.top_up_minor_min
        methods = []
        if can_top_up:
            question = OfferQuestion(
                WALLET_DESK,
                wallet.currency,
                terms.top_up_minor_min,
                room_minor,
                device_kind(request),
                visitor.country,
                front.habits.of(visitor),
            )
            methods = await front.calls.offered(question)
        return front.page(
            request,
            visitor,
            "wallet.html",
            status=422 if problem else 200,
            is_private=True,
            here=PAGE,
            wallet=wallet,
            wallets=wallets,
            terms=terms,
            room_minor=room_minor,
            can_top_up=can_top_up,
            methods=methods,
            entries=entries[:_ENTRIES_MAX],
            older=entries[_ENTRIES_MAX - 1].transfer if len(entries) > _ENTRIES_MAX else None,
            is_first=before is None,
            nonce=to_serial(new_id(front.clock.now(), shard_of(WALLET_DESK))),
            suggested=to_text(terms.top_up_minor_min, wallet.currency),
            filled=filled or {},
            problem=front.pages.translate(visitor, problem) if problem else "",
        )

    async def top_up(self, request: Asked) -> Page:
        """Place a top-up and lead to its page, where it is paid as any order is."""
        front = self._front
        visitor, form, session, instead = await self._own(request, PAGE, self._limit)
        if session is None:
            return instead or onward(SIGN_IN)
        currency = form.get("currency", "")[:3]
        try:
            amount_minor = from_text(form.get("amount", "").strip()[:20], currency)
            id = OrderId(from_serial(form.get("nonce", "")[:26]))
        except Malformed:
            amount_minor, id = 0, None
        problem: str = _UNCLEAR
        if id is not None:
            asked = PlaceTopUp(
                id,
                session.buyer.id,
                front.pages.translate(visitor, _TITLE),
                amount_minor,
                currency,
                form.get("method", "")[:64],
                front.address_of(request.scope),
                visitor.device,
                visitor.language.tag,
                trace_id=trace_id_here(),
            )
            try:
                [placed] = await self._wallets.orders.place_top_ups([asked])
            except Malformed:
                return front.problem(request, 400)
            except Unavailable as error:
                return front.problem(request, 503, error.retry_after_s)
            if placed.order is not None:
                serial = to_serial(placed.order)
                cookies = [
                    *front.visitors.order_cookies(serial, placed.secret),
                    front.visitors.recent_cookie(visitor, serial),
                ]
                tail = f"?pay={to_serial(placed.attempt)}&go=1" if placed.attempt else ""
                return onward(f"/orders/{serial}{tail}", cookies)
            problem = _TOP_UP_SAYS.get(placed.status, _UNCLEAR)
        return await self._show(request, visitor, session, currency, problem=problem, filled=form)

    # Paying with it.

    async def ask(self, request: Asked, serial: FromPath[str]) -> Page:
        """Ask the buyer to confirm what their wallet is about to pay."""
        visitor = self._front.visitor(request)
        view = await self._order(visitor, serial)
        session = await self._signed_in.session(visitor)
        if view is None or view.state is not OrderState.PLACED:
            return onward(f"/orders/{serial[:26]}")
        if session is None:
            return onward(f"{SIGN_IN}?next={quote(f'/orders/{view.serial}/wallet')}")
        box = await self._wallets.box(visitor, view)
        return await self._ask(request, visitor, view, box, session)

    async def _ask(
        self,
        request: Asked,
        visitor: Visitor,
        view: OrderView,
        box: PayBox,
        session: BuyerSession,
        problem: str = "",
    ) -> Page:
        front = self._front
        if not box.can_pay_minor and not problem:
            return onward(f"/orders/{view.serial}")
        wants_proof = await self._wants_proof(session, view, box.can_pay_minor)
        return front.page(
            request,
            visitor,
            "wallet_pay.html",
            status=422 if problem else 200,
            is_private=True,
            here=f"/orders/{view.serial}",
            order=view,
            box=box,
            amount_minor=box.can_pay_minor,
            amount=to_text(box.can_pay_minor, view.currency),
            wants_proof=wants_proof,
            sign_in=f"{SIGN_IN}?next={quote(f'/orders/{view.serial}/wallet')}",
            problem=front.pages.translate(visitor, problem) if problem else "",
        )

    async def _wants_proof(self, session: BuyerSession, view: OrderView, amount_minor: int) -> bool:
        """Tell whether so much is paid only by who has just shown who they are."""
        terms = (await self._wallets.terms()).get(view.currency)
        limit_minor = terms.step_up_minor if terms is not None else 0
        return 0 < limit_minor < amount_minor and not self._signed_in.is_fresh(session)

    async def pay(self, request: Asked, serial: FromPath[str]) -> Page:
        """Pay what was confirmed: the whole price, or a part to be reserved."""
        front = self._front
        back = f"/orders/{serial[:26]}"
        visitor, form, session, instead = await self._own(request, f"{back}/wallet")
        if session is None:
            return instead or onward(back)
        view = await self._order(visitor, serial)
        if view is None:
            return onward(back)
        try:
            amount_minor = from_text(form.get("amount", "")[:20], view.currency)
        except Malformed:
            return front.problem(request, 400)
        if await self._wants_proof(session, view, amount_minor):
            return onward(f"{SIGN_IN}?next={quote(f'{back}/wallet')}")
        asked = PayFromWallet(view.id, visitor.order_secret, session.buyer.id, amount_minor)
        try:
            [status] = await self._wallets.orders.pay_from_wallets([asked])
        except Unavailable as error:
            return front.problem(request, 503, error.retry_after_s)
        if status in _PAY_SAYS:
            box = await self._wallets.box(visitor, view)
            return await self._ask(request, visitor, view, box, session, _PAY_SAYS[status])
        return onward(back + ("?back=1" if status is WalletPayStatus.PAID else ""))

    async def free(self, request: Asked, serial: FromPath[str]) -> Page:
        """Take a reserved part back."""
        visitor, _, session, instead = await self._own(request, f"/orders/{serial[:26]}")
        if session is None:
            return instead or onward("/")
        view = await self._order(visitor, serial)
        if view is not None:
            asked = FreeWalletPart(view.id, visitor.order_secret)
            try:
                await self._wallets.orders.free_wallet_parts([asked])
            except Unavailable as error:
                return self._front.problem(request, 503, error.retry_after_s)
        return onward(f"/orders/{serial[:26]}")

    async def _own(
        self, request: Asked, onto: str, limit: Limit | None = None
    ) -> tuple[Visitor, dict[str, str], BuyerSession | None, Page | None]:
        """Read a form of who is signed in; a page instead where it is not ours, or nobody is."""
        front = self._front
        visitor = front.visitor(request)
        form = await read_form(request)
        refusal = await front.refuse_form(request, visitor, form, limit)
        if refusal is not None:
            return visitor, form, None, refusal
        session = await self._signed_in.session(visitor)
        instead = onward(f"{SIGN_IN}?next={quote(onto)}") if session is None else None
        return visitor, form, session, instead

    async def _order(self, visitor: Visitor, serial: str) -> OrderView | None:
        id = read_serial(serial)
        if id is None or not visitor.order_secret:
            return None
        return await self._front.read(visitor, OrderQuery(id, visitor.order_secret))


def _read_before(text: str) -> OrderId | None:
    return read_serial(text) if text else None


def wallet_handlers(front: Front, limit: Limit | None) -> list[HTTPRouteHandler]:
    """Give the routes of wallets, where there are any."""
    if front.wallets is None or front.signed_in is None:
        return []
    return WalletPages(front, front.wallets, front.signed_in, limit).handlers()
