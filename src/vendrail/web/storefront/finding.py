"""Finding an order again: by its link, or by a one-time code to the contact; it leaks nothing."""

from contextlib import suppress
from datetime import datetime
from urllib.parse import parse_qs, quote, urlsplit

from litestar import get, post
from litestar.handlers import HTTPRouteHandler

from vendrail.api.orders import FoundOrder, LookupCode, LookupRequest, OrderQuery
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.ids import from_serial, made_at, to_serial
from vendrail.kernel.numbers import bare
from vendrail.web.languages import message
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Asked, Front, Limit, Page
from vendrail.web.storefront.tracking import read_serial
from vendrail.web.visitor import Visitor, read_form

_NO_ORDER = message("No order opens with that. Check the link, or ask for a code instead.")
_NO_CODE = message("That code is wrong, used or too old. Ask for a new one.")
_NO_CONTACT = message("Enter the e-mail address that you gave with the order.")


class Finding:
    """The lookup pages."""

    def __init__(self, front: Front, lookup_limit: Limit | None) -> None:
        self._front = front
        self._limit = lookup_limit

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        return [
            get("/lookup", name="web.lookup")(self.lookup),
            post("/lookup/link", name="web.lookup.link")(self.link),
            post("/lookup/contact", name="web.lookup.contact")(self.contact),
            post("/lookup/code", name="web.lookup.code")(self.code),
        ]

    async def lookup(self, request: Asked) -> Page:
        """Show both ways to find an order, and those placed with this browser."""
        return self._page(request, self._front.visitor(request))

    def _page(
        self,
        request: Asked,
        visitor: Visitor,
        *,
        status: int = 200,
        problem: str = "",
        field: str = "",
        contact: str = "",
        is_code_sent: bool = False,
        found: list[FoundOrder] | None = None,
    ) -> Page:
        front = self._front
        return front.page(
            request,
            visitor,
            "lookup.html",
            status=status,
            is_private=True,
            here="/lookup",
            problem=front.pages.translate(visitor, problem) if problem else "",
            problem_field=field,
            contact=contact,
            recent=[(each, _placed_at(each, front.clock.now())) for each in visitor.recent],
            is_code_sent=is_code_sent,
            found=found,
            quote=quote,
            platform_url=front.public_url,
            platform_name=front.settings.site_name,
        )

    async def link(self, request: Asked) -> Page:
        """Open an order by its whole link."""
        front = self._front
        visitor = front.visitor(request)
        form = await read_form(request)
        refusal = await front.refuse_form(request, visitor, form, self._limit)
        if refusal is not None:
            return refusal
        serial, secret = _read_link(form.get("link", ""))
        id = read_serial(serial)
        view = await front.read(visitor, OrderQuery(id, secret)) if id and secret else None
        if view is None:
            return self._page(request, visitor, status=422, problem=_NO_ORDER, field="link")
        cookies = [
            *front.visitors.order_cookies(view.serial, secret),
            front.visitors.recent_cookie(visitor, view.serial),
        ]
        return onward(f"/orders/{view.serial}", cookies)

    async def contact(self, request: Asked) -> Page:
        """Send a one-time code; the answer is the same whether or not there are orders."""
        front = self._front
        visitor = front.visitor(request)
        form = await read_form(request)
        refusal = await front.refuse_form(request, visitor, form, self._limit)
        if refusal is not None:
            return refusal
        contact = form.get("contact", "").strip()[:254]
        if "@" not in contact:
            return self._page(
                request, visitor, status=422, problem=_NO_CONTACT, field="contact", contact=contact
            )
        try:
            await front.calls.orders.request_lookup_codes(
                [LookupRequest(contact, visitor.language.tag)]
            )
        except Unavailable as error:
            return front.problem(request, 503, error.retry_after_s)
        return self._page(request, visitor, contact=contact, is_code_sent=True)

    async def code(self, request: Asked) -> Page:
        """Redeem a one-time code: list the contact's orders."""
        front = self._front
        visitor = front.visitor(request)
        form = await read_form(request)
        refusal = await front.refuse_form(request, visitor, form, self._limit)
        if refusal is not None:
            return refusal
        contact = form.get("contact", "").strip()[:254]
        code = "".join(form.get("code", "").split())[:32]
        try:
            found = (await front.calls.orders.redeem_lookup_codes([LookupCode(contact, code)]))[0]
        except Unavailable as error:
            return front.problem(request, 503, error.retry_after_s)
        if found is None:
            return self._page(
                request,
                visitor,
                status=422,
                problem=_NO_CODE,
                field="code",
                contact=contact,
                is_code_sent=True,
            )
        return self._page(request, visitor, contact=contact, found=found)


def _placed_at(serial: str, now: datetime) -> datetime | None:
    """Read from an order's number when it was placed; a number that nobody gave has no time."""
    with suppress(OverflowError):
        at = made_at(from_serial(serial))
        return at if at <= now else None
    return None


def _read_link(text: str) -> tuple[str, str]:
    """Read an order's link, or its number and secret parted by a blank."""
    text = bare(text)[:2048]
    if "/" in text or "?" in text:
        try:
            parts = urlsplit(text)
            secret = parse_qs(parts.query, max_num_fields=20).get("key", [""])[0]
        except ValueError:
            return "", ""
        return parts.path.rstrip("/").rpartition("/")[2], secret[:256]
    serial, _, secret = text.partition(" ")
    id = read_serial(serial)
    return (to_serial(id) if id else ""), secret.strip()[:256]
