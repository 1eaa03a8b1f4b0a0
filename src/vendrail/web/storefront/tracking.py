"""One order: pay it, watch the money, read the keys. Its secret opens it, nothing else does."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import quote
from uuid import UUID

import structlog
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Stream

from vendrail.api.catalog import DeliveryKind, ProductId
from vendrail.api.orders import (
    OrderId,
    OrderQuery,
    OrderState,
    OrderView,
    PayOrder,
    PayStatus,
)
from vendrail.api.payments import (
    ActionKind,
    Attempt,
    AttemptId,
    AttemptState,
    AttemptView,
    Device,
    Method,
    OfferQuestion,
    PaymentAction,
    PresentRequest,
    SavedWay,
)
from vendrail.api.payments.deposits import DepositView
from vendrail.api.support import Party, Side, Support, TalkQuery
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.http import as_attachment
from vendrail.kernel.ids import from_serial, to_serial
from vendrail.kernel.soldfiles import SoldFiles, pieces_of
from vendrail.web.languages import message
from vendrail.web.live import LivePages, version_of
from vendrail.web.pages import arrival_of, guards, onward
from vendrail.web.storefront.front import Asked, Front, Page, device_kind
from vendrail.web.visitor import Visitor, read_form
from vendrail.web.wallets import PayBox

_log = structlog.get_logger(__name__)

_ALIVE = (OrderState.PLACED, OrderState.PAID, OrderState.EXPIRED, OrderState.REFUNDING)
_QUICK = (OrderState.PLACED, OrderState.PAID)
_BACK_WAIT_S = 2.0
_PART = "parts/live.html"
_DEPOSIT_PART = "parts/deposit_alone.html"
DOORS = ("redirect", "embed")  # Ways to pay whose door is opened at once.
_DRAWN = ("qr", "address")  # Ways to pay that show here what is to be scanned or paid to.
_SHOWN = (ActionKind.QR, ActionKind.ADDRESS)
_OURS = {"pay", "go", "key", "dearer"}
_DEARER = message("The price in your currency has changed. Look at it again, then go on.")
_PAY_SAYS = {
    PayStatus.METHOD_NOT_OFFERED: message("Choose one of these ways to pay."),
    PayStatus.TOO_MANY_ATTEMPTS: message(
        "There were many tries already. Use one of the ways opened before: each still counts."
    ),
}


class Tracking:
    """The page of one order, its live part, and what can be done on it."""

    def __init__(
        self, front: Front, live: LivePages, files: SoldFiles, support: Support | None = None
    ) -> None:
        self._support = support
        self._front = front
        self._live = live
        self._files = files  # Never public: only an order that bought one opens one.

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        return [
            get("/orders/{serial:str}", name="web.order")(self.order),
            get("/orders/{serial:str}/live", name="web.live")(self.live),
            get("/orders/{serial:str}/deposit", name="web.deposit")(self.deposit),
            get("/orders/{serial:str}/keys.txt", name="web.keys")(self.keys),
            get("/orders/{serial:str}/files/{number:str}", name="web.file")(self.file),
            post("/orders/{serial:str}/payments", name="web.pay")(self.pay),
            post("/orders/{serial:str}/cancel", name="web.cancel")(self.cancel),
            get("/orders/{serial:str}/events", name="web.events")(self.events),
        ]

    async def order(self, request: Asked, serial: FromPath[str]) -> Page:
        """Show an order. A link that carries the secret moves it from the address to a cookie."""
        front = self._front
        visitor = front.visitor(request)
        id = read_serial(serial)
        if id is None:
            return self._closed(request, visitor)
        serial = to_serial(id)
        key = request.query_params.get("key", "")
        if key:
            view = await front.read(visitor, OrderQuery(id, key[:256]))
            if view is None:
                return self._closed(request, visitor)
            cookies = [
                *front.visitors.order_cookies(serial, key[:256], is_brief=front.is_brief(visitor)),
                front.visitors.recent_cookie(visitor, serial),
            ]
            return onward(f"/orders/{serial}", cookies)
        view = await self._read(visitor, id)
        if view is None:
            return self._closed(request, visitor)
        if _is_back(request) and view.state in _QUICK and self._live.has_room:
            view = await self._await_key(visitor, view)
        is_dearer = "dearer" in request.query_params and view.state is OrderState.PLACED
        return await self._show(request, visitor, view, _DEARER if is_dearer else "")

    async def _await_key(self, visitor: Visitor, view: OrderView) -> OrderView:
        """Wait a moment for the money of a buyer who comes back: most keys are there by then."""
        read = partial(self._read, visitor, view.id)
        with self._live.watch(view.id, version_of(view)) as watch, suppress(TimeoutError):
            async with asyncio.timeout(_BACK_WAIT_S):
                while view.state in _QUICK and not view.waiting:
                    if not await watch.until_changed(read):
                        break
                    view = watch.view or view
        return view

    async def _show(
        self, request: Asked, visitor: Visitor, view: OrderView, problem: str = ""
    ) -> Page:
        context = await self._context(request, visitor, view)
        attempt = context["attempt"]
        address = f"{self._front.public_url}/orders/{view.serial}"
        learned = await self._front.habits.paid(visitor, view)
        is_going = "go" in request.query_params and attempt is not None and not problem
        return self._front.page(
            request,
            visitor,
            "order.html",
            status=422 if problem else 200,
            is_private=True,
            cookies=learned,
            here=f"/orders/{view.serial}",
            go=context["door"] if is_going and context["door"] else "",
            problem=self._front.pages.translate(visitor, problem) if problem else "",
            is_swapped=False,
            unread=await self._unread(visitor, view),
            private_link=f"{address}?key={quote(visitor.order_secret, safe='')}",
            **context,
        )

    async def _unread(self, visitor: Visitor, view: OrderView) -> int | None:
        """Count what the buyer has not read; None: there is no help with such an order."""
        if self._support is None or view.paid_at is None:
            return None
        query = TalkQuery(view.id, Party(Side.BUYER, visitor.order_secret))
        try:
            [talk] = await self._support.read_talks([query])
        except Unavailable:
            return 0
        return talk.unread if talk is not None else 0

    async def live(self, request: Asked, serial: FromPath[str]) -> Page:
        """Give the live part anew, or nothing when it has not changed: for pages without events."""
        visitor = self._front.visitor(request)
        id = read_serial(serial)
        view = await self._read(visitor, id) if id is not None else None
        if view is None:
            return self._closed(request, visitor)
        is_same = request.query_params.get("seen", "") == version_of(view)
        if is_same and not await self._has_failed(request, view):
            return Page(b"", status_code=204, headers={"cache-control": "no-store"})
        context = await self._context(request, visitor, view)
        return self._front.page(
            request, visitor, _PART, is_private=True, problem="", is_swapped=True, **context
        )

    async def _has_failed(self, request: Asked, view: OrderView) -> bool:
        """Tell whether the way to pay that a page shows has failed since."""
        shown = read_serial(request.query_params.get("pay", "") or "-")
        if view.state is not OrderState.PLACED or shown is None:
            return False
        known = await self._front.calls.attempts(view.id)
        return any(each.attempt.id == shown for each in known if _is_failed(each))

    async def deposit(self, request: Asked, serial: FromPath[str]) -> Page:
        """Give anew what has come to an attempt's address, or nothing when it is the same."""
        visitor = self._front.visitor(request)
        id = read_serial(serial)
        view = await self._read(visitor, id) if id is not None else None
        if view is None:
            return self._closed(request, visitor)
        context = await self._context(request, visitor, view)
        deposit, attempt = context["deposit"], context["attempt"]
        is_same = request.query_params.get("seen", "") == arrival_of(deposit)
        if deposit is None or is_same:
            return Page(b"", status_code=204, headers={"cache-control": "no-store"})
        poll = f"/orders/{view.serial}/deposit?pay={to_serial(attempt.id)}"
        return self._front.page(
            request, visitor, _DEPOSIT_PART, is_private=True, poll=poll, **context
        )

    async def keys(self, request: Asked, serial: FromPath[str]) -> Page:
        """Give the keys as a text file."""
        visitor = self._front.visitor(request)
        id = read_serial(serial)
        view = await self._read(visitor, id) if id is not None else None
        if view is None or not view.items or view.delivery == DeliveryKind.FILE:
            return self._closed(request, visitor)
        headers = {
            "cache-control": "no-store",
            "content-disposition": f'attachment; filename="{view.serial}.txt"',
            **guards(),
        }
        body = "".join(f"{item}\n" for item in view.items).encode()
        return Page(body, media_type="text/plain", headers=headers)

    async def file(
        self, request: Asked, serial: FromPath[str], number: FromPath[str]
    ) -> Page | Stream:
        """Give a file that the order has bought, once it is delivered; they count from 1."""
        visitor = self._front.visitor(request)
        id = read_serial(serial)
        view = await self._read(visitor, id) if id is not None else None
        path = view.file_path(number) if view is not None else None
        if path is None:
            return self._closed(request, visitor)
        found = await asyncio.to_thread(self._files.open, path)
        if found is None:
            _log.error("web.file_missing", order=serial, path=path)
            return self._front.problem(request, 404)
        headers = {
            "cache-control": "no-store",
            "content-disposition": as_attachment(found.name),
            "content-length": str(found.size),
            **guards(),
        }
        return Stream(pieces_of(found), media_type="application/octet-stream", headers=headers)

    async def pay(self, request: Asked, serial: FromPath[str]) -> Page:
        """Open another way to pay; earlier ones stay payable."""
        front = self._front
        visitor = front.visitor(request)
        form = await read_form(request)
        refusal = await front.refuse_form(request, visitor, form)
        if refusal is not None:
            return refusal
        id = read_serial(serial)
        view = await self._read(visitor, id) if id is not None else None
        if id is None or view is None:
            return self._closed(request, visitor)
        method = form.get("method", "")[:64]
        session = await front.session(visitor) if form.get("remember", "") == "yes" else None
        try:
            asked = PayOrder(
                id,
                visitor.order_secret,
                method,
                browser=device_kind(request),
                country=visitor.country,
                buyer=session.buyer.id if session is not None else None,
            )
            result = await front.calls.pay(asked)
        except Unavailable as error:
            return front.problem(request, 503, error.retry_after_s)
        if result.status in _PAY_SAYS:
            return await self._show(request, visitor, view, _PAY_SAYS[result.status])
        if result.attempt is None:  # Paid or ended meanwhile: the order's page says so.
            return onward(f"/orders/{view.serial}")
        offered = await front.calls.methods(view.due_currency)
        is_door = any(each.method == method and each.shows in DOORS for each in offered)
        tail = "&go=1" if is_door else ""
        cookies = [front.habits.opened(visitor, view.serial, method)]
        return onward(f"/orders/{view.serial}?pay={to_serial(result.attempt)}{tail}", cookies)

    async def cancel(self, request: Asked, serial: FromPath[str]) -> Page:
        """Cancel an unpaid order."""
        front = self._front
        visitor = front.visitor(request)
        refusal = await front.refuse_form(request, visitor, await read_form(request))
        if refusal is not None:
            return refusal
        id = read_serial(serial)
        try:
            if id is None or await self._read(visitor, id) is None:
                return self._closed(request, visitor)
            await front.calls.orders.cancel_orders([OrderQuery(id, visitor.order_secret)])
        except Unavailable as error:
            return front.problem(request, 503, error.retry_after_s)
        return onward(f"/orders/{to_serial(id)}")

    def _closed(self, request: Asked, visitor: Visitor) -> Page:
        """Answer alike for an order that is not there and for one that is not theirs."""
        return self._front.page(
            request, visitor, "closed.html", status=404, is_private=True, here="/lookup"
        )

    async def _read(self, visitor: Visitor, id: OrderId) -> OrderView | None:
        secret = visitor.order_secret
        if not secret:
            return None
        return await self._front.read(visitor, OrderQuery(id, secret, with_items=True))

    async def _context(self, request: Asked, visitor: Visitor, view: OrderView) -> dict[str, Any]:
        """Gather what the page and its live part show."""
        front = self._front
        methods: list[Method] = []
        offered: list[Method] = []
        attempt: AttemptView | None = None
        action: PaymentAction | None = None
        failed: Attempt | None = None
        deposit: DepositView | None = None
        door = ""
        session = await front.session(front.visitor(request))
        ways: list[SavedWay] = []
        box = PayBox(due_minor=view.due_minor)
        if front.wallets is not None:
            box = await front.wallets.box(visitor, view)
        if view.state is OrderState.PLACED:
            if session is not None:
                found = await front.calls.saved_ways(session.buyer.id)
                ways = [each for each in found if view.due_currency in each.currencies]
            methods = await front.calls.methods(view.due_currency)
            due_minor, device = box.due_minor, device_kind(request)
            asked = OfferQuestion(
                view.merchant,
                view.due_currency,
                due_minor,
                due_minor,
                device,
                visitor.country,
                front.habits.of(visitor),
            )
            offered = await front.calls.offered(asked)
            known = [
                each
                for each in await front.calls.attempts(view.id)
                if each.attempt.amount_minor == due_minor
            ]
            here = [each for each in known if _opens_on(device, each.attempt, methods, offered)]
            attempt = _current(here, request.query_params.get("pay", ""))
            failed = known[-1].attempt if known and _is_failed(known[-1]) else None
        if attempt is not None:
            method = attempt.attempt.method
            is_drawn = any(each.method == method and each.shows in _DRAWN for each in methods)
            door = f"/pay/{view.serial}/{to_serial(attempt.attempt.id)}"
            if is_drawn:
                back = f"{front.origin(visitor)}/orders/{view.serial}"
                action = await self._present(request, attempt.attempt.id, back)
                if action.kind is ActionKind.ADDRESS:
                    deposit = await front.calls.deposit(attempt.attempt.id)
        return {
            "order": view,
            "product": None
            if view.is_charge or view.is_top_up
            else await front.calls.product(ProductId(view.product)),
            "box": box,
            "way_back": await front.calls.way_back(view),
            "methods": offered,
            "ways": ways,
            "can_save": session is not None and session.buyer.id == view.buyer,
            "attempt": attempt.attempt if attempt else None,
            "action": action if action and action.kind in _SHOWN else None,
            "deposit": deposit,
            "device": device_kind(request),
            "door": door,
            "failed": failed,
            "is_alive": view.state in _ALIVE,
            "seen": version_of(view),
            "done": {step.kind: step.at for step in view.timeline},
        }

    async def _present(self, request: Asked, attempt: AttemptId, back: str) -> PaymentAction:
        address = self._front.address_of(request.scope)
        asked = PresentRequest(attempt, device_kind(request), back, back, address)
        try:
            return await self._front.calls.present_code(asked)
        except Unavailable:
            return PaymentAction(ActionKind.NONE, problem="provider_away")

    async def events(self, request: Asked, serial: FromPath[str]) -> Page | Stream:
        """Stream the live part whenever the order has changed (server-sent events)."""
        visitor = self._front.visitor(request)
        id = read_serial(serial)
        view = await self._read(visitor, id) if id is not None else None
        if view is None:
            return Page(b"", status_code=404, media_type="text/plain")
        if not self._live.has_room:  # The page asks every few seconds instead.
            return Page(b"", status_code=503, media_type="text/plain", headers={"retry-after": "9"})
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        parts = self._parts(request, visitor, view.id)
        return Stream(parts, media_type="text/event-stream", headers=headers)

    async def _parts(
        self, request: Asked, visitor: Visitor, id: OrderId
    ) -> AsyncGenerator[bytes, None]:
        """Give the live part at every change, and a sign of life between."""
        yield b"retry: 3000\n\n"
        with self._live.watch(id, request.query_params.get("seen", "")) as watch:
            while await watch.until_changed(lambda: self._read(visitor, id)):
                if watch.view is None:
                    yield b": still here\n\n"
                    continue
                context = await self._context(request, visitor, watch.view)
                part = self._front.pages.text(
                    _PART, visitor, problem="", is_swapped=True, **context
                )
                lines = "".join(f"data: {line}\n" for line in part.splitlines())
                yield f"event: order\n{lines}\n".encode()


def _is_back(request: Asked) -> bool:
    """Whether the buyer comes from elsewhere: a provider adds parameters, or its site shows."""
    site = request.headers.get("sec-fetch-site", "")
    return bool(set(request.query_params) - _OURS) or site in ("cross-site", "same-site")


def read_serial(serial: str) -> OrderId | None:
    """Read the serial number of an address; None where it is none."""
    try:
        return OrderId(from_serial(serial))
    except Malformed:
        return None


def _is_failed(attempt: AttemptView) -> bool:
    return attempt.state is AttemptState.FAILED


def _opens_on(
    device: Device, attempt: Attempt, methods: list[Method], offered: list[Method]
) -> bool:
    """Tell whether a way opens in this browser, or none would open here any better."""
    same = [each for each in (*methods, *offered) if each.method == attempt.method]
    is_better = any(each.works_on(device) for each in offered)
    return not (same and is_better) or any(each.works_on(device) for each in same)


def _current(attempts: list[AttemptView], wanted: str) -> AttemptView | None:
    """Choose the way to pay that is shown: the one asked for, else the last that is open."""
    is_open = [each for each in attempts if each.state is AttemptState.OPEN]
    asked: UUID | None = read_serial(wanted) if wanted else None
    return next(
        (each for each in is_open if each.attempt.id == asked), is_open[-1] if is_open else None
    )
