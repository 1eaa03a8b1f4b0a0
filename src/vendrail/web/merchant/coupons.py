"""Coupons: what a merchant takes off, its codes, and the orders that have used it."""

import csv
import io
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from urllib.parse import urlencode
from uuid import UUID

from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from vendrail.api.catalog import Catalog, MerchantId, ShopProductQuery, StockedProduct
from vendrail.api.identity import Permission
from vendrail.api.orders import OrderId, OrderQuery
from vendrail.api.promotions import (
    CodePage,
    Coupon,
    CouponId,
    CouponQuery,
    CouponUseQuery,
    CouponView,
    MakeCouponCodes,
    Promotions,
    PutCouponStatus,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import derive, new_id, to_serial
from vendrail.kernel.money import from_text, to_text
from vendrail.web.amounts import time_zone
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import saved_at
from vendrail.web.languages import message
from vendrail.web.merchant.acting import changes, log, log_export, log_undone, read_id
from vendrail.web.merchant.couponfiles import save_coupons, save_uses
from vendrail.web.pages import guards, onward
from vendrail.web.storefront.front import Page

_ROOT = "/merchant/coupons"
_ONE = f"{_ROOT}/{{serial:str}}"
_PAGE = 50
_CODES_MAX = 10_000  # Made by one form.
_PRODUCTS_MAX = 200
_REFUSALS = {
    PutCouponStatus.FIELD_MALFORMED: message(
        "Something does not fit: a title on one line, an amount or a percentage above zero, counts"
        " from one on, an end after the beginning, and a word of 3 to 32 capitals and digits."
    ),
    PutCouponStatus.WORD_TAKEN: message("Another coupon of yours has this word: choose another."),
    PutCouponStatus.USES_BELOW_TAKEN: message(
        "More orders have this coupon already than that: choose a larger number."
    ),
    PutCouponStatus.KIND_FIXED: message("What a coupon takes off cannot be changed later."),
}
_WRONG = message("Write amounts and percentages in digits with one point, and counts in digits.")


class Coupons:
    """What is taken off."""

    entries = (Entry(_ROOT, message("Coupons"), "card", Permission.PRODUCTS_READ),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._promotions: Promotions = desk.apis.promotions
        self._catalog: Catalog = desk.apis.catalog

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, read, write = self._desk, Permission.PRODUCTS_READ, Permission.PRODUCTS_WRITE
        return [
            desk.get(_ROOT, self.coupons, read),
            desk.get(f"{_ROOT}.csv", self.save, read),
            desk.get(f"{_ROOT}/new", self.ask_new, write),
            desk.post(f"{_ROOT}/new", self.make, write),
            desk.get(_ONE, self.coupon, read),
            desk.get(f"{_ONE}/uses.csv", self.save_uses, read),
            desk.post(_ONE, self.change, write),
            desk.post(f"{_ONE}/state", self.switch, write),
            desk.post(f"{_ONE}/codes", self.make_codes, write),
            desk.post(f"{_ONE}/export", self.export, write, is_grave=True),
        ]

    async def coupons(self, caller: Caller) -> Page:
        """Show a page of coupons, newest first."""
        before = read_id(caller.asked("before"))
        query = CouponQuery(caller.merchant, CouponId(before) if before else None, _PAGE + 1)
        [found] = await self._promotions.list_coupons([query])
        shown = found[:_PAGE]
        told = urlencode({"before": to_serial(shown[-1].coupon.id)}) if shown else ""
        return self._desk.page(
            caller,
            "merchant/coupons.html",
            path=_ROOT,
            coupons=[(each, stands(each, self._desk.clock.now())) for each in shown],
            exported=saved_at(caller, _ROOT, ()),
            older=f"{_ROOT}?{told}" if len(found) > _PAGE else "",
            may_write=caller.may(Permission.PRODUCTS_WRITE),
        )

    async def save(self, caller: Caller) -> Page:
        """Give all coupons as CSV."""
        return await save_coupons(self._desk, caller)

    async def save_uses(self, caller: Caller) -> Page:
        """Give the orders that have a coupon as CSV."""
        view = await self._find(caller)
        if view is None:
            return self._desk.problem(caller.request, 404, caller)
        return await save_uses(self._desk, caller, view.coupon.id)

    async def ask_new(self, caller: Caller) -> Page:
        """Ask what is to be taken off."""
        return await self._new(caller, {})

    async def _new(
        self, caller: Caller, written: Mapping[str, str], problem: str = "", status: int = 200
    ) -> Page:
        return self._desk.page(
            caller,
            "merchant/coupon_new.html",
            path=_ROOT,
            status=status,
            written=defaultdict(str, written),
            products=await self._products(caller),
            currencies=await self._currencies(caller),
            nonce=written.get("nonce") or to_serial(new_id(self._desk.clock.now())),
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def _products(self, caller: Caller) -> list[StockedProduct]:
        query = ShopProductQuery(MerchantId(caller.merchant), products_max=_PRODUCTS_MAX)
        return (await self._catalog.list_products([query]))[0]

    async def _currencies(self, caller: Caller) -> list[str]:
        [terms] = await self._desk.apis.settlement.read_fee_terms([caller.merchant])
        own = self._desk.front.settings.default_currency
        return [own, *sorted({each.currency for each in terms} - {own})]

    async def make(self, caller: Caller) -> Page:
        """Make a coupon with its word or its first codes; the same form makes it once."""
        form = caller.form
        nonce = read_id(form.get("nonce", ""))
        if nonce is None:
            return self._desk.problem(caller.request, 400, caller)
        id = CouponId(derive(nonce, f"coupon:{caller.merchant}"))
        currency = form.get("currency", "")
        if currency not in await self._currencies(caller):
            return self._desk.problem(caller.request, 400, caller)
        products = {
            to_serial(each.product.id): each.product.id for each in await self._products(caller)
        }
        chosen = [id_ for serial, id_ in products.items() if f"product_{serial}" in form]
        try:
            codes = _count(form.get("codes_count", ""), or_none=True)
            new = Coupon(
                id,
                caller.merchant,
                form.get("title", "").strip()[:100],
                currency,
                products=list(chosen),
                categories=_listed(form.get("categories", "")),
                word=form.get("word", "").strip().upper()[:32],
            )
            new = self._bounds(_with_kind(new, form), form)
        except (Malformed, ValueError):
            return await self._new(caller, form, _WRONG, 422)
        if codes is not None and not 0 <= codes <= _CODES_MAX:
            return await self._new(caller, form, _WRONG, 422)
        if not (new.word or codes):
            return await self._new(caller, form, _NO_CODE, 422)
        problem = await self._put(caller, new, "coupon.created", {}, _told(new))
        if problem:
            return await self._new(caller, form, problem, 422)
        if codes:
            await self._promotions.make_codes([MakeCouponCodes(id, caller.merchant, codes)])
        return onward(f"{_ROOT}/{to_serial(id)}")

    def _bounds(self, coupon: Coupon, form: Mapping[str, str]) -> Coupon:
        """Read what may be changed of a coupon at any time."""
        least = form.get("order_min", "").strip()
        zone = self._desk.front.settings.time_zone
        return replace(
            coupon,
            title=form.get("title", "").strip()[:100],
            order_minor_min=from_text(least, coupon.currency) if least else 0,
            uses_max=_count(form.get("uses_max", ""), or_none=True),
            uses_per_code=_count(form.get("uses_per_code", "")) or 1,
            uses_per_buyer=_count(form.get("uses_per_buyer", ""), or_none=True),
            starts_at=_moment(form.get("starts_at", ""), zone),
            ends_at=_moment(form.get("ends_at", ""), zone),
        )

    async def _put(
        self,
        caller: Caller,
        coupon: Coupon,
        act: str,
        before: Mapping[str, str],
        after: Mapping[str, str],
    ) -> str:
        """Log and write a coupon; give what stood in the way."""
        was, now = changes(before, after)
        subject = f"coupon:{to_serial(coupon.id)}"
        if was or now:
            await log(self._desk, caller, act, subject, before=was, after=now)
        [status] = await self._promotions.put_coupons([coupon])
        if status in _REFUSALS:
            if was or now:
                await log_undone(self._desk, caller, act, subject, status.value)
            return _REFUSALS[status]
        return ""

    async def _find(self, caller: Caller) -> CouponView | None:
        """Find a coupon of the merchant's own; another's is not there."""
        id = read_id(caller.part("serial"))
        if id is None:
            return None
        [view] = await self._promotions.read_coupons([CouponId(id)])
        return view if view is not None and view.coupon.merchant == caller.merchant else None

    async def coupon(self, caller: Caller) -> Page:
        """Show one coupon, what may be changed of it, and the orders that have it."""
        view = await self._find(caller)
        if view is None:
            return self._desk.problem(caller.request, 404, caller)
        return await self._coupon(caller, view)

    async def _coupon(
        self,
        caller: Caller,
        view: CouponView,
        *,
        problem: str = "",
        written: Mapping[str, str] | None = None,
        status: int = 200,
    ) -> Page:
        terms = view.coupon
        before = read_id(caller.asked("before"))
        query = CouponUseQuery(terms.id, caller.merchant, before, _PAGE + 1)
        [uses] = await self._promotions.list_uses([query])
        shown = uses[:_PAGE]
        orders = await self._desk.apis.orders.read_orders(
            [OrderQuery(OrderId(use.order), None) for use in shown]
        )
        titles: dict[UUID, str] = {
            each.product.id: each.product.title for each in await self._products(caller)
        }
        path = f"{_ROOT}/{to_serial(terms.id)}"
        return self._desk.page(
            caller,
            "merchant/coupon.html",
            path=_ROOT,
            status=status,
            view=view,
            terms=terms,
            stands=stands(view, self._desk.clock.now()),
            exported=saved_at(caller, f"{path}/uses", ()),
            uses=list(zip(shown, orders, strict=True)),
            older=f"{path}?before={to_serial(shown[-1].order)}" if len(uses) > _PAGE else "",
            goods=[titles.get(each, "…") for each in terms.products],
            bounds=defaultdict(str, written or self._written(terms)),
            nonce=to_serial(new_id(self._desk.clock.now())),
            may_write=caller.may(Permission.PRODUCTS_WRITE),
            codes_max=_CODES_MAX,
            problem=self._desk.say(caller, problem) if problem else "",
        )

    def _written(self, terms: Coupon) -> dict[str, str]:
        """Write what may be changed as its form has it."""
        zone = time_zone(self._desk.front.settings.time_zone)

        def local(at: datetime | None) -> str:
            return at.astimezone(zone).strftime("%Y-%m-%dT%H:%M") if at is not None else ""

        least = terms.order_minor_min
        return {
            "title": terms.title,
            "order_min": to_text(least, terms.currency) if least else "",
            "uses_max": str(terms.uses_max or ""),
            "uses_per_code": str(terms.uses_per_code),
            "uses_per_buyer": str(terms.uses_per_buyer or ""),
            "starts_at": local(terms.starts_at),
            "ends_at": local(terms.ends_at),
        }

    async def change(self, caller: Caller) -> Page:
        """Change when, how often and from which amount a coupon is good."""
        view = await self._find(caller)
        if view is None:
            return self._desk.problem(caller.request, 404, caller)
        try:
            new = self._bounds(view.coupon, caller.form)
        except (Malformed, ValueError):
            return await self._coupon(caller, view, problem=_WRONG, written=caller.form, status=422)
        told = (_told(view.coupon), _told(new))
        problem = await self._put(caller, new, "coupon.changed", *told)
        if problem:
            return await self._coupon(
                caller, view, problem=problem, written=caller.form, status=422
            )
        return onward(f"{_ROOT}/{to_serial(new.id)}")

    async def switch(self, caller: Caller) -> Page:
        """Switch a coupon off or on again; orders that have it keep it."""
        view = await self._find(caller)
        if view is None:
            return self._desk.problem(caller.request, 404, caller)
        new = replace(view.coupon, is_on=caller.written("state") == "on")
        problem = await self._put(caller, new, "coupon.changed", _told(view.coupon), _told(new))
        if problem:
            return await self._coupon(caller, view, problem=problem, status=422)
        return onward(f"{_ROOT}/{to_serial(new.id)}")

    async def make_codes(self, caller: Caller) -> Page:
        """Make more codes; the same form makes no more than it said."""
        view = await self._find(caller)
        if view is None:
            return self._desk.problem(caller.request, 404, caller)
        try:
            more = _count(caller.written("codes_count"), or_none=True)
            known = _count(caller.written("known"), or_none=True)
        except ValueError:
            return await self._coupon(caller, view, problem=_WRONG, status=422)
        if more is None or known is None or not 0 < more <= _CODES_MAX:
            return await self._coupon(caller, view, problem=_WRONG, status=422)
        id = view.coupon.id
        after = {"codes": str(known + more)}
        await log(self._desk, caller, "coupon.codes_made", f"coupon:{to_serial(id)}", after=after)
        await self._promotions.make_codes([MakeCouponCodes(id, caller.merchant, known + more)])
        return onward(f"{_ROOT}/{to_serial(id)}#codes")

    async def export(self, caller: Caller) -> Page:
        """Give all codes as a file; who took them is kept."""
        view = await self._find(caller)
        if view is None:
            return self._desk.problem(caller.request, 404, caller)
        subject = f"coupon:{to_serial(view.coupon.id)}"
        after = {"codes": str(view.codes_count)}
        turned = await log_export(self._desk, caller, "coupon.codes_exported", subject, after)
        if turned is not None:
            return turned
        headers = {
            "content-disposition": 'attachment; filename="coupon-codes.csv"',
            "cache-control": "no-store",
            **guards(),
        }
        lines = _lines(self._promotions, view.coupon)
        return Stream(lines, media_type="text/csv; charset=utf-8", headers=headers)  # type: ignore[return-value]


def stands(view: CouponView, now: datetime) -> str:
    """Say whether a coupon can be used now."""
    terms = view.coupon
    if not terms.is_on:
        return "off"
    if terms.ends_at is not None and terms.ends_at <= now:
        return "over"
    if terms.uses_max is not None and view.held_count + view.used_count >= terms.uses_max:
        return "used_up"
    return "later" if terms.starts_at is not None and terms.starts_at > now else "on"


_NO_CODE = message("Give the coupon a word, or have codes made: without either nobody can use it.")


async def _lines(promotions: Promotions, coupon: Coupon) -> AsyncIterator[str]:
    """Write codes a page at a time, as a table."""
    after = -1
    yield "code,taken\n"
    while True:
        [page] = await promotions.list_codes([CodePage(coupon.id, coupon.merchant, after)])
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows((e.code, e.taken_count) for e in page)
        yield text.getvalue()
        if not page:
            return
        after = page[-1].number


def _with_kind(coupon: Coupon, form: Mapping[str, str]) -> Coupon:
    """Read what is taken off: an amount, or a percentage with or without a cap."""
    if form.get("kind", "") != "percent":
        amount = form.get("amount", "").strip()[:20]
        return replace(coupon, amount_minor=from_text(amount, coupon.currency))
    cap = form.get("cap", "").strip()[:20]
    return replace(
        coupon,
        permyriad=from_text(form.get("percent", "").strip()[:6], "CNY"),  # Two places as well.
        cap_minor=from_text(cap, coupon.currency) if cap else 0,
    )


def _count(text: str, *, or_none: bool = False) -> int | None:
    text = text.strip()
    if not text and or_none:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 7):
        raise ValueError(text)
    return int(text)


def _listed(text: str) -> list[str]:
    return [each for line in text.split(",") if (each := line.strip()[:100])]


def _moment(text: str, zone: str) -> datetime | None:
    """Read a moment as it is where the site is."""
    text = text.strip()
    return datetime.fromisoformat(text).replace(tzinfo=time_zone(zone)) if text else None


def _told(coupon: Coupon) -> dict[str, str]:
    """Say a coupon in words, for the log."""
    off = (
        to_text(coupon.amount_minor, coupon.currency)
        if coupon.amount_minor
        else f"{to_text(coupon.permyriad, 'CNY')} %"
    )
    bounds: Sequence[tuple[str, object]] = (
        ("uses_max", coupon.uses_max),
        ("uses_per_code", coupon.uses_per_code),
        ("uses_per_buyer", coupon.uses_per_buyer),
        ("starts_at", coupon.starts_at),
        ("ends_at", coupon.ends_at),
        ("cap_minor", coupon.cap_minor or None),
        ("order_minor_min", coupon.order_minor_min or None),
    )
    return {
        "title": coupon.title,
        "off": off,
        "currency": coupon.currency,
        "state": "on" if coupon.is_on else "off",
        **{name: str(value) for name, value in bounds if value is not None},
    }
