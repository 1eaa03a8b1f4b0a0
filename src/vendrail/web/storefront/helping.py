"""Help with an order: what was written about it, and complaining of it. Its secret opens it."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Stream

from vendrail.api.orders import OrderQuery, OrderView
from vendrail.api.support import (
    ComplaintKind,
    ComplaintStep,
    OpenComplaint,
    OpenStatus,
    Party,
    Side,
    StepKind,
    StepStatus,
    Support,
    TalkQuery,
    TalkView,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import derive, new_id, shard_in, to_serial
from vendrail.web import talks
from vendrail.web.live import LivePages
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Asked, Front, Limit, Page
from vendrail.web.storefront.tracking import read_serial
from vendrail.web.visitor import Visitor, read_form

_STEPS = {"accept": StepKind.ACCEPT, "escalate": StepKind.ESCALATE, "withdraw": StepKind.WITHDRAW}
_OPENED = (OpenStatus.OPENED, OpenStatus.EXISTS)
_TAKEN = (StepStatus.TAKEN, StepStatus.EXISTS)


class Helping:
    """The page of help with one order, and what can be sent from it."""

    def __init__(
        self, front: Front, live: LivePages, support: Support, limit: Limit | None = None
    ) -> None:
        self._front = front
        self._following = talks.Following(live, support)
        self._support = support
        self._limit = limit

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        root = "/orders/{serial:str}/help"
        return [
            get(root, name="web.order_help")(self.help),
            get(f"{root}/part", name="web.order_help_part")(self.part),
            get(f"{root}/events", name="web.order_help_events")(self.events),
            get(f"{root}/files/{{file:str}}", name="web.order_help_file")(self.file),
            post(f"{root}/messages", name="web.order_help_write")(self.write),
            post(f"{root}/complaints", name="web.order_help_complain")(self.complain),
            post(f"{root}/steps", name="web.order_help_step")(self.step),
        ]

    async def help(self, request: Asked, serial: FromPath[str]) -> Page:
        """Show what was written and where a complaint stands."""
        visitor = self._front.visitor(request)
        order = await self._read(visitor, serial)
        if order is None:
            return self._closed(request, visitor)
        return await self._show(request, visitor, order)

    async def _show(
        self,
        request: Asked,
        visitor: Visitor,
        order: OrderView,
        problem: str = "",
        written: talks.Sent | None = None,
    ) -> Page:
        talk = await self._talk(visitor, order.id)
        if talk is None:
            return self._closed(request, visitor)
        front = self._front
        known = written.written if written else lambda _: ""
        return front.page(
            request,
            visitor,
            "help_order.html",
            status=422 if problem else 200,
            is_private=True,
            here=f"/orders/{order.serial}/help",
            order=order,
            problem=front.pages.translate(visitor, problem) if problem else "",
            text=known("text"),
            kind=known("kind"),
            positions=_positions(written, order) if written else [],
            kinds=_kinds(order),
            can_complain=talk.live is None and order.delivered_at is not None,
            nonce=to_serial(new_id(front.clock.now(), shard_in(order.id))),
            **_context(talk, order),
        )

    async def part(self, request: Asked, serial: FromPath[str]) -> Page:
        """Give the part anew, or nothing when it is the same: for pages without events."""
        visitor = self._front.visitor(request)
        order = await self._read(visitor, serial)
        if order is None:
            return self._closed(request, visitor)
        if request.query_params.get("seen", "") == await self._following.version(order.id):
            return talks.no_content()
        talk = await self._talk(visitor, order.id)
        if talk is None:
            return self._closed(request, visitor)
        context = _context(talk, order)
        return self._front.page(request, visitor, talks.PART, is_private=True, **context)

    async def events(self, request: Asked, serial: FromPath[str]) -> Page | Stream:
        """Stream the part whenever something was written or moved (server-sent events)."""
        visitor = self._front.visitor(request)
        order = await self._read(visitor, serial)
        if order is None:
            return Page(b"", status_code=404, media_type="text/plain")
        address = self._front.address_of(request.scope)
        seen = request.query_params.get("seen", "")
        follow = talks.Follow(order.id, Side.BUYER, address, seen)
        refusal = self._following.refusal(follow)
        if refusal is not None:
            return refusal
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        parts = self._parts(visitor, order, follow)
        return Stream(parts, media_type="text/event-stream", headers=headers)

    def _parts(
        self, visitor: Visitor, order: OrderView, follow: talks.Follow
    ) -> AsyncGenerator[bytes, None]:
        def write(talk: TalkView) -> str:
            return self._front.pages.text(talks.PART, visitor, **_context(talk, order))

        return self._following.parts(follow, lambda: self._talk(visitor, order.id), write)

    async def file(self, request: Asked, serial: FromPath[str], file: FromPath[str]) -> Page:
        """Give a file of the conversation."""
        visitor = self._front.visitor(request)
        order = await self._read(visitor, serial)
        if order is None:
            return self._closed(request, visitor)
        found = await talks.open_file(self._support, read_serial(file), order.id, _party(visitor))
        return found if found is not None else self._front.problem(request, 404)

    async def write(self, request: Asked, serial: FromPath[str]) -> Page:
        """Write to the merchant."""
        taken = await self._take(request, serial)
        if isinstance(taken, Response):
            return taken
        visitor, order, sent, nonce = taken
        by = _party(visitor)
        problem = await talks.send(self._support, nonce, order.id, by, sent)
        if problem:
            return await self._show(request, visitor, order, problem, sent)
        return onward(f"/orders/{order.serial}/help#last")

    async def complain(self, request: Asked, serial: FromPath[str]) -> Page:
        """Open a complaint, with the evidence that came with it."""
        taken = await self._take(request, serial)
        if isinstance(taken, Response):
            return taken
        visitor, order, sent, nonce = taken
        kinds = {each.value: each for each in ComplaintKind}
        kind = kinds.get(sent.written("kind"))
        if kind is None or await talks.holds_card_number(sent):
            problem = talks.NO_CARD if kind else talks.SAID[StepStatus.REMEDY_MALFORMED]
            return await self._show(request, visitor, order, problem, sent)
        text, positions = sent.written("text"), _positions(sent, order)
        asked = OpenComplaint(nonce, order.id, visitor.order_secret, kind, text, positions)
        [status] = await self._support.open_complaints([asked])
        if status not in _OPENED:
            problem = talks.SAID.get(status, talks.SAID[StepStatus.NOT_THEIR_TURN])
            return await self._show(request, visitor, order, problem, sent)
        if sent.attachments:
            evidence = talks.Sent({}, sent.attachments, sent.count_card)
            id = derive(nonce, "evidence")
            problem = await talks.send(self._support, id, order.id, _party(visitor), evidence)
            if problem:
                return await self._show(request, visitor, order, problem)
        return onward(f"/orders/{order.serial}/help#talk")

    async def _take(
        self, request: Asked, serial: str
    ) -> "Page | tuple[Visitor, OrderView, talks.Sent, UUID]":
        """Read a form that came with a file, if it is ours and about an order of theirs."""
        front = self._front
        visitor = front.visitor(request)
        try:
            sent = await talks.read_sent(request)
        except Malformed:
            return front.problem(request, 413)
        refusal = await front.refuse_form(request, visitor, sent.fields, self._limit)
        if refusal is not None:
            return refusal
        order = await self._read(visitor, serial)
        nonce = read_serial(sent.written("nonce"))
        if order is None or nonce is None:
            return self._closed(request, visitor)
        return visitor, order, sent, nonce

    async def step(self, request: Asked, serial: FromPath[str]) -> Page:
        """Accept what was offered, ask the platform, or take the complaint back."""
        front = self._front
        visitor = front.visitor(request)
        form = await read_form(request)
        refusal = await front.refuse_form(request, visitor, form, self._limit)
        if refusal is not None:
            return refusal
        order = await self._read(visitor, serial)
        complaint = read_serial(form.get("complaint", ""))
        kind = _STEPS.get(form.get("step", ""))
        if order is None or complaint is None or kind is None:
            return self._closed(request, visitor)
        # The same button of the same state again is the same step.
        id = derive(complaint, f"buyer:{kind}:{form.get('seen', '')[:80]}")
        step = ComplaintStep(id, complaint, _party(visitor), kind)
        [status] = await self._support.take_steps([step])
        if status not in _TAKEN:
            problem = talks.SAID.get(status, talks.SAID[StepStatus.NOT_THEIR_TURN])
            return await self._show(request, visitor, order, problem)
        return onward(f"/orders/{order.serial}/help#talk")

    async def _talk(self, visitor: Visitor, order: UUID) -> TalkView | None:
        [talk] = await self._support.read_talks([TalkQuery(order, _party(visitor), is_seen=True)])
        return talk

    async def _read(self, visitor: Visitor, serial: str) -> OrderView | None:
        id, secret = read_serial(serial), visitor.order_secret
        if id is None or not secret:
            return None
        return await self._front.read(visitor, OrderQuery(id, secret))

    def _closed(self, request: Asked, visitor: Visitor) -> Page:
        """Answer alike for an order that is not there and for one that is not theirs."""
        return self._front.page(
            request, visitor, "closed.html", status=404, is_private=True, here="/lookup"
        )


def _party(visitor: Visitor) -> Party:
    return Party(Side.BUYER, visitor.order_secret)


def _context(talk: TalkView, order: OrderView) -> dict[str, Any]:
    root = f"/orders/{order.serial}/help"
    return {"talk": talk, "base": root, "side": "buyer", "complaint": talk.live}


def _positions(sent: talks.Sent, order: OrderView) -> list[int]:
    return [n for n in range(1, order.quantity + 1) if f"key_{n}" in sent.fields]


def _kinds(order: OrderView) -> list[str]:
    """Give what can be wrong with an order of its kind."""
    if order.is_charge:
        return ["not_arrived", "not_as_described", "other"]
    is_key = order.delivery in ("unique_key", "reusable_key")
    return [*(["dead_key"] if is_key else []), "not_as_described", "not_arrived", "other"]
