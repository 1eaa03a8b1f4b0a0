"""One click: a buyer who is signed in pays with what their provider remembers, after one look."""

from collections.abc import Awaitable, Callable

from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from vendrail.api.buyers import BuyerSession
from vendrail.api.catalog import ProductId
from vendrail.api.orders import OrderId, OrderQuery, PaySaved, PaySavedResult, PaySavedStatus
from vendrail.api.payments import SavedId, SavedWay
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.ids import from_serial, to_serial
from vendrail.web.pages import onward
from vendrail.web.storefront.coupons import Where, apply, code_in
from vendrail.web.storefront.front import Asked, Front, Limit, Page, device_kind
from vendrail.web.storefront.tracking import read_serial
from vendrail.web.visitor import Visitor, read_form

_GOING = (PaySavedStatus.PAID, PaySavedStatus.PENDING, PaySavedStatus.BUYER_NEEDED)


class Quick:
    """The page before the one click, and the click itself."""

    def __init__(self, front: Front, limit: Limit | None) -> None:
        self._front = front
        self._limit = limit

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        return [
            post("/orders/confirm", name="web.confirm")(self.confirm),
            post("/orders/{serial:str}/saved", name="web.pay_saved")(self.pay),
        ]

    async def confirm(self, request: Asked) -> Page:
        """Show what is about to be bought and charged; nothing is placed yet."""
        front = self._front
        visitor = front.visitor(request)
        form = await read_form(request)
        refusal = await front.refuse_form(request, visitor, form)
        if refusal is not None:
            return refusal
        back = f"/products/{form.get('product', '')[:26]}"
        product = _product_id(form.get("product", ""))
        view = await front.calls.product(product) if product is not None else None
        session = await front.session(visitor)
        variant = (
            next((each for each in view.product.variants if each.sku == form.get("sku", "")), None)
            if view is not None
            else None
        )
        if session is None or view is None or variant is None:
            return onward(back)
        shown = await front.purse.shown(view.product.variants, visitor.currency)
        ways = await ways_in(front, session, shown.paid_currency)
        way = next((each for each in ways if to_serial(each.id) == form.get("saved", "")), None)
        quantity = _quantity(form.get("quantity", "1"))
        price_minor = variant.total_minor(quantity, shown.currency)
        in_bounds = variant.quantity_min <= quantity <= variant.quantity_max
        if way is None or not in_bounds or price_minor <= 0:
            return onward(back)
        where = Where(code_in(form), front.address_of(request.scope))
        coupon = await apply(front.calls, view, variant, quantity, shown.currency, where)
        price_minor -= coupon.discount_minor
        return front.page(
            request,
            visitor,
            "confirm.html",
            is_private=True,
            here=back,
            view=view,
            shop=view.shop,
            variant=variant,
            quantity=quantity,
            shown=shown,
            price_minor=price_minor,
            coupon=coupon,
            coupon_problem=front.pages.translate(visitor, coupon.problem) if coupon.problem else "",
            total_minor=shown.paid(price_minor),
            way=way,
            email=form.get("contact", "").strip()[:254] or session.buyer.email,
            nonce=form.get("nonce", ""),
        )

    async def pay(self, request: Asked, serial: FromPath[str]) -> Page:
        """Pay a standing order with a saved way."""
        front = self._front
        visitor = front.visitor(request)
        form = await read_form(request)
        refusal = await front.refuse_form(request, visitor, form, self._limit)
        if refusal is not None:
            return refusal
        id = read_serial(serial)
        session = await front.session(visitor)
        if id is None or session is None or not visitor.order_secret:
            return onward(f"/orders/{serial[:26]}")
        return await charge(
            front, request, visitor, session, id, visitor.order_secret, form.get("saved", "")
        )


async def ways_in(front: Front, session: BuyerSession | None, currency: str) -> list[SavedWay]:
    """List the saved ways that a buyer can pay with in a currency; a guest has none."""
    if session is None:
        return []
    found = await front.calls.saved_ways(session.buyer.id)
    return [each for each in found if currency in each.currencies]


async def own_way(
    front: Front, session: BuyerSession | None, form: dict[str, str], currency: str
) -> str:
    """Give the saved way that a form names, where it is the buyer's own; nothing otherwise."""
    wanted = form.get("saved", "")
    if not wanted:
        return ""
    ways = await ways_in(front, session, form.get("paid_currency", "") or currency)
    return wanted if any(to_serial(each.id) == wanted for each in ways) else ""


async def charge(
    front: Front,
    request: Asked,
    visitor: Visitor,
    session: BuyerSession,
    id: OrderId,
    secret: str,
    saved: str,
    *,
    is_as_told: bool = True,
    is_proof_due: Callable[[], Awaitable[bool]] | None = None,
) -> Page:
    """Pay an order with a saved way, and lead on: to the key, to the bank, or to a fresh proof.

    Nothing is charged where the price is not as its buyer was told. What then stays unpaid is
    cancelled where a proof of work was due: stock is held for nobody who showed none.
    """
    serial = to_serial(id)
    order = f"/orders/{serial}"
    cookies = [
        *front.visitors.order_cookies(serial, secret),
        front.visitors.recent_cookie(visitor, serial),
    ]
    try:
        way = SavedId(from_serial(saved))
    except Malformed:
        return onward(order, cookies)
    signed_in = front.signed_in
    asked = PaySaved(
        id,
        secret,
        session.buyer.id,
        way,
        is_confirmed=signed_in is not None and signed_in.is_fresh(session),
        return_url=f"{front.public_url}{order}",
        browser=device_kind(request),
        country=visitor.country,
    )
    try:
        result = (await front.calls.orders.pay_saved([asked]))[0] if is_as_told else None
        is_going = result is not None and result.status in _GOING
        if not is_going and is_proof_due is not None and await is_proof_due():
            await front.calls.orders.cancel_orders([OrderQuery(id, secret)])
            return onward(order, cookies)
    except Unavailable as error:
        return front.problem(request, 503, error.retry_after_s)
    return onward(_onto(result, order) if result is not None else f"{order}?dearer=1", cookies)


def _onto(result: PaySavedResult, order: str) -> str:
    if result.status is PaySavedStatus.PROOF_WANTED:
        return f"/account/sign-in?next={order}"
    if result.status is PaySavedStatus.BUYER_NEEDED and result.attempt is not None:
        # By a page of ours: a form may lead nowhere else, not even by a redirect.
        return f"{order}?pay={to_serial(result.attempt)}&go=1"
    return order


def _product_id(serial: str) -> ProductId | None:
    try:
        return ProductId(from_serial(serial))
    except Malformed:
        return None


def _quantity(text: str) -> int:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0
