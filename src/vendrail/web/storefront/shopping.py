"""Shops and products: what there is, what it costs, and the one form that buys it."""

import re
import secrets
from decimal import Decimal
from functools import partial
from hashlib import blake2b
from urllib.parse import urlencode

from litestar import get, post
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from vendrail.api.catalog import Offer, ProductId, ProductQuery, ProductState, ProductView, Variant
from vendrail.api.fx import Quote, QuoteId, QuoteRequest
from vendrail.api.orders import OrderId, Placement, PlaceOrder, PlaceStatus
from vendrail.api.payments import OfferQuestion
from vendrail.kernel.codec import encode, replace
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.http import limit_key
from vendrail.kernel.ids import from_serial, new_id, shard_of, to_serial
from vendrail.kernel.limits.gate import Gate, Judgement
from vendrail.kernel.limits.proofs import Challenge
from vendrail.kernel.telemetry import trace_id_here
from vendrail.web.hosts import domain_of
from vendrail.web.pages import onward
from vendrail.web.storefront.coupons import (
    NOTHING,
    Where,
    apply,
    apply_to_offer,
    code_in,
    said,
)
from vendrail.web.storefront.front import Asked, Front, Limit, Page, device_kind
from vendrail.web.storefront.quick import charge, own_way, ways_in
from vendrail.web.storefront.refusals import NO_QUOTE, SAYS_PLACED, UNCLEAR
from vendrail.web.storefront.tracking import DOORS
from vendrail.web.visitor import Visitor, read_form

_UNASKED = Judgement(is_wanted=False, is_proven=True)  # A face without proofs asks for none.
_RATE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,30})?")


class Shopping:
    """The pages from the front door to the order."""

    def __init__(self, front: Front, place_limit: Limit | None, gate: Gate | None = None) -> None:
        self._front = front
        self._place_limit = place_limit
        self._gate = gate

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        return [
            get("/", name="web.home")(self.home),
            get("/shops/{slug:str}", name="web.shop")(self.shop),
            get("/products/{serial:str}", name="web.product")(self.product),
            post("/orders", name="web.place")(self.place),
            post("/products/{serial:str}/coupon", name="web.coupon")(self.apply),
        ]

    async def home(self, request: Asked) -> Page:
        """Show shops, categories and products, or what a search finds; on its domain, one shop."""
        domain = domain_of(request.scope)
        return await self._list(request, domain.slug if domain is not None else None)

    async def shop(self, request: Asked, slug: FromPath[str]) -> Page:
        """Show one shop; on its own domain it is at the front, and no other shop is there."""
        domain = domain_of(request.scope)
        if domain is None:
            return await self._list(request, slug)
        return onward("/") if slug == domain.slug else self._front.problem(request, 404)

    async def _list(self, request: Asked, slug: str | None) -> Page:
        front = self._front
        visitor = front.visitor(request)
        shop = await front.calls.shop(slug) if slug is not None else None
        if slug is not None and (shop is None or not shop.is_open):
            return front.problem(request, 404)
        category = request.query_params.get("category", "")[:80]
        text = request.query_params.get("q", "").strip()[:80]
        every = await front.calls.found(ProductQuery(shop_slug=slug))
        found = every
        if category or text:
            found = await front.calls.found(
                ProductQuery(shop_slug=slug, category=category or None, words=text or None)
            )
        is_part = "hx-request" in request.headers
        return front.page(
            request,
            visitor,
            "parts/products.html" if is_part else ("shop.html" if shop else "home.html"),
            shop=shop,
            shops=await front.calls.shops() if shop is None else [],
            canonical=front.home_of(shop) if shop is not None else f"{front.public_url}/",
            categories=_categories(every),
            category=category,
            words=text,
            products=found,
            shown={
                view.product.id: await front.purse.shown(view.product.variants, visitor.currency)
                for view in found
            },
        )

    async def product(self, request: Asked, serial: FromPath[str]) -> Page:
        """Show one product with the form that buys it; who is signed in need not tell where to."""
        visitor = self._front.visitor(request)
        return await self._product(request, visitor, _product_id(serial), {})

    async def apply(self, request: Asked, serial: FromPath[str]) -> Page:
        """Give the form back with what a coupon takes off; nothing is held, nothing is placed."""
        visitor = self._front.visitor(request)
        form = await read_form(request)
        refusal = await self._front.refuse_form(request, visitor, form, self._place_limit)
        if refusal is not None:
            return refusal
        return await self._product(request, visitor, _product_id(serial), form)

    async def _product(
        self,
        request: Asked,
        visitor: Visitor,
        id: ProductId | None,
        filled: dict[str, str],
        problem: tuple[str, str] | None = None,
        status: int = 200,
        challenge: Challenge | None = None,
    ) -> Page:
        front = self._front
        view = await front.calls.product(id) if id is not None else None
        if view is None or view.product.state is ProductState.DRAFT:
            return front.problem(request, 404)
        if visitor.domain is not None and visitor.domain.shop_id != view.shop.id:
            return front.problem(request, 404)
        path = f"/products/{to_serial(view.product.id)}"
        variants = sorted(view.product.variants, key=lambda each: each.position)
        chosen = _choose(variants, view, filled.get("sku", ""))
        shown = await front.purse.shown(variants, visitor.currency)
        least_minor, most_minor = span_of(variants, shown.currency)
        field, advice = problem or ("", "")
        where = Where(code_in(filled), front.address_of(request.scope))
        coupon, total_minor = NOTHING, 0
        wanted = next((each for each in variants if each.sku == chosen), None)
        if where.code and wanted is not None:
            quantity = _quantity(filled.get("quantity", "1")) or 1
            total_minor = wanted.total_minor(quantity, shown.currency)
            coupon = await apply(front.calls, view, wanted, quantity, shown.currency, where)
        learned = await front.habits.learn(visitor)
        session = await front.session(visitor)
        if session is not None:
            filled = {"contact": session.buyer.email, **filled}
        return front.page(
            request,
            visitor,
            "product.html",
            status=status,
            here=path,
            canonical=f"{front.hosts.origin_of(view.shop.id) or front.public_url}{path}",
            view=view,
            product=view.product,
            shop=view.shop,
            variants=variants,
            chosen=chosen,
            shown=shown,
            methods=await front.calls.offered(
                OfferQuestion(
                    view.shop.merchant,
                    shown.paid_currency,
                    shown.paid(least_minor),
                    shown.paid(most_minor),
                    device_kind(request),
                    visitor.country,
                    front.habits.of(visitor),
                )
            ),
            cookies=learned,
            ways=await ways_in(front, session, shown.paid_currency),
            can_save=session is not None,
            filled=filled,
            nonce=filled.get("nonce") or secrets.token_urlsafe(18),
            challenge=encode(challenge).decode() if challenge else "",
            problem_field=field,
            problem=front.pages.translate(visitor, advice) if advice else "",
            coupon=coupon,
            coupon_total_minor=total_minor - coupon.discount_minor,
            coupon_problem=front.pages.translate(visitor, coupon.problem) if coupon.problem else "",
        )

    async def place(self, request: Asked) -> Page:
        """Take the form: place the order and go on to pay; the same form gives the same order."""
        front = self._front
        visitor = front.visitor(request)
        form = await read_form(request)
        refusal = await front.refuse_form(request, visitor, form, self._place_limit)
        if refusal is not None:
            return refusal
        offer = await self._offer(visitor, form)
        if offer is None:
            again = _product_id(form.get("product", ""))
            problem = SAYS_PLACED[PlaceStatus.SKU_NOT_FOUND]
            return await self._product(request, visitor, again, form, problem, 422)
        currency = form.get("currency", "")
        if currency not in offer.prices_minor:
            currency = next(iter(offer.prices_minor), "")
        address = front.address_of(request.scope)
        session = await front.session(visitor)
        saved = await own_way(front, session, form, currency)
        judgement = await self._judge(address, form, saved)
        quote = None
        if form.get("paid_currency", "") not in ("", currency):
            # A quote is written: not for who would be refused by the order after it.
            is_work_left = (judgement.is_wanted or offer.is_pressed) and not judgement.is_proven
            if is_work_left and self._gate is not None:
                return await self._challenge(request, visitor, offer, form, self._gate)
            quote, refusal = await self._promise(request, visitor, offer, form, currency)
            if refusal is not None:
                return refusal
        order = PlaceOrder(
            id=OrderId(new_id(front.clock.now(), shard_of(offer.merchant))),
            sku=offer.sku,
            quantity=_quantity(form.get("quantity", "1")),
            currency=currency,
            contact=form.get("contact", "").strip()[:254],
            method="" if saved else form.get("method", "")[:64],
            address=address,
            device=visitor.device,
            locale=visitor.language.tag,
            idempotency_key=_idempotency_key(visitor, form),
            trace_id=trace_id_here(),
            is_proof_wanted=judgement.is_wanted,
            is_proven=judgement.is_proven,
            quote=quote.id if quote is not None else None,
            paid_currency=quote.paid_currency if quote is not None else "",
            browser=device_kind(request),
            country=visitor.country,
            buyer=session.buyer.id if session is not None else None,
            is_remembered=form.get("remember", "") == "yes",
            coupon=code_in(form),
        )
        try:
            placed = await front.calls.place(order)
        except Unavailable as error:
            return front.problem(request, 503, error.retry_after_s)
        if placed.status is PlaceStatus.ID_NOT_OF_NOW:  # It waited too long on its way.
            return front.problem(request, 503, 1.0)
        if placed.status is PlaceStatus.PROOF_WANTED and self._gate is not None:
            return await self._challenge(request, visitor, offer, form, self._gate)
        if placed.status not in (PlaceStatus.PLACED, PlaceStatus.EXISTS) or placed.order is None:
            problem = _why(placed)
            return await self._product(request, visitor, offer.product, form, problem, 422)
        if saved and session is not None:
            is_told = _is_as_told(placed, form)
            due = partial(self._is_proof_due, address, form, offer)
            whose = (visitor, session, placed.order, placed.secret)
            return await charge(front, request, *whose, saved, is_as_told=is_told, is_proof_due=due)
        paid = placed.exchange.currency if placed.exchange else currency
        return await self._placed(visitor, placed, placed.order, order.method, paid)

    async def _offer(self, visitor: Visitor, form: dict[str, str]) -> Offer | None:
        """Find what a form asks for; on a shop's own domain, no other shop's is sold."""
        offer = await self._front.calls.offer(form.get("sku", "")[:64])
        domain = visitor.domain
        is_elsewhere = offer is not None and domain is not None and offer.shop != domain.shop_id
        return None if is_elsewhere else offer

    async def _judge(self, address: str, form: dict[str, str], saved: str) -> Judgement:
        """Say whether a proof of work is asked for, and whether a good one was shown.

        Whoever pays at once, with what a provider remembers, holds no stock unpaid: what is not
        paid then is judged afterwards, and cancelled where a proof was due.
        """
        if self._gate is None or saved:
            return _UNASKED
        return await self._gate.judge(limit_key(address), form.get("altcha", ""))

    async def _is_proof_due(self, address: str, form: dict[str, str], offer: Offer) -> bool:
        """Say whether who pays nothing after all owes the proof of work that was not asked for."""
        if self._gate is None:
            return False
        judgement = await self._judge(address, form, "")
        return (judgement.is_wanted or offer.is_pressed) and not judgement.is_proven

    async def _challenge(
        self, request: Asked, visitor: Visitor, offer: Offer, form: dict[str, str], gate: Gate
    ) -> Page:
        """Give the form back with what is to be solved."""
        return await self._product(
            request, visitor, offer.product, form, None, 428, challenge=gate.challenge()
        )

    async def _promise(
        self, request: Asked, visitor: Visitor, offer: Offer, form: dict[str, str], currency: str
    ) -> tuple[Quote | None, Page | None]:
        """Have the price promised, unless nobody can be taken in just now; or give what to say."""
        if self._front.calls.is_full():
            return None, self._front.problem(request, 503, 1.0)
        where = Where(code_in(form), self._front.address_of(request.scope))
        quote, problem = await self._quote(offer, currency, form, where)
        if problem is None:
            return quote, None
        return None, await self._product(request, visitor, offer.product, form, problem, 422)

    async def _quote(
        self, offer: Offer, currency: str, form: dict[str, str], where: Where
    ) -> tuple[Quote | None, tuple[str, str] | None]:
        """Have the price promised in the currency that the form was shown in, never dearer."""
        front = self._front
        wanted = form.get("paid_currency", "")
        amount_minor = offer.total_minor(_quantity(form.get("quantity", "1")), currency)
        if wanted in ("", currency) or amount_minor <= 0:
            return None, None
        if wanted not in front.purse.currencies:
            return None, SAYS_PLACED[PlaceStatus.QUOTE_NOT_USABLE]
        coupon = await apply_to_offer(front.calls, offer, amount_minor, currency, where)
        if coupon.problem:
            return None, ("coupon", coupon.problem)
        amount_minor -= coupon.discount_minor
        id = QuoteId(new_id(front.clock.now()))
        result = await front.calls.quote(QuoteRequest(id, amount_minor, currency, wanted))
        quote = result.quote
        if quote is None:
            return None, (
                "",
                NO_QUOTE.get(result.status, SAYS_PLACED[PlaceStatus.QUOTE_NOT_USABLE][1]),
            )
        if _is_dearer(quote, form.get("rate", "")):
            return None, SAYS_PLACED[PlaceStatus.QUOTE_NOT_USABLE]
        return quote, None

    async def _placed(
        self,
        visitor: Visitor,
        placed: Placement,
        id: OrderId,
        method: str,
        currency: str,
    ) -> Page:
        front = self._front
        serial = to_serial(id)
        query = {}
        opened: list[Cookie] = []
        if placed.attempt is not None:
            query["pay"] = to_serial(placed.attempt)
            opened = [front.habits.opened(visitor, serial, method)]
            offered = await front.calls.methods(currency)
            if any(each.method == method and each.shows in DOORS for each in offered):
                query["go"] = "1"
        cookies = [
            *front.visitors.order_cookies(serial, placed.secret),
            front.visitors.recent_cookie(visitor, serial),
            *opened,
        ]
        tail = f"?{urlencode(query)}" if query else ""
        return onward(f"/orders/{serial}{tail}", cookies)


def _why(placed: Placement) -> tuple[str, str]:
    """Say which field of the form an order was refused for, and in which words."""
    if placed.status is PlaceStatus.COUPON_REFUSED:
        return "coupon", said(placed.coupon_problem)
    return SAYS_PLACED.get(placed.status, UNCLEAR)


def span_of(variants: list[Variant], currency: str) -> tuple[int, int]:
    """Give the least and the most that an order of these can cost."""
    spans = [each.span_minor(currency) for each in variants if currency in each.prices_minor]
    least_minor = min((least for least, _ in spans), default=0)
    return least_minor, max((most for _, most in spans), default=0)


def _categories(views: list[ProductView]) -> list[str]:
    return sorted({view.product.category for view in views if view.product.category})


def _product_id(serial: str) -> ProductId | None:
    try:
        return ProductId(from_serial(serial))
    except Malformed:
        return None


def _is_dearer(quote: Quote, shown_mid: str) -> bool:
    """Whether a quote costs more than the page said that its form came from."""
    if not _RATE.fullmatch(shown_mid):
        return True
    shown = replace(quote.rate, mid=Decimal(shown_mid)).price(quote.amount_minor)
    return quote.paid_minor > shown.paid_minor


def _is_as_told(placed: Placement, form: dict[str, str]) -> bool:
    """Whether an order costs no more than the page said on which its buyer confirmed it."""
    told = form.get("total_minor", "")
    if not (told.isascii() and told.isdigit() and len(told) <= 18):
        return False
    due_minor = placed.exchange.amount_minor if placed.exchange else placed.amount_minor
    currency = placed.exchange.currency if placed.exchange else placed.currency
    return form.get("total_currency", "") == currency and due_minor <= int(told)


def _choose(variants: list[Variant], view: ProductView, sku: str) -> str:
    """Choose what the form shows as chosen: what was chosen, else the first that can be had."""
    skus = [variant.sku for variant in variants]
    if sku in skus:
        return sku
    left = [sku for sku in skus if view.stock.get(sku, 0) != 0]
    return next(iter(left or skus), "")


def _quantity(text: str) -> int:
    """Read a quantity; what is none becomes 0, which orders refuses by its own rule."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0


def _idempotency_key(visitor: Visitor, form: dict[str, str]) -> str:
    """Name the choice: sent twice it is one order, changed it is another."""
    fields = ("nonce", "sku", "quantity", "contact", "method", "currency", "paid_currency")
    parts = [visitor.device, *(form.get(name, "") for name in fields)]
    if code_in(form):
        parts.append(code_in(form))
    return blake2b("\0".join(parts).encode(), digest_size=24).hexdigest()
