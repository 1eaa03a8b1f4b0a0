"""Complaints and messages: what buyers say about orders, and what the merchant answers."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from vendrail.api.identity import Permission
from vendrail.api.orders import OrderId, OrderQuery, OrderView
from vendrail.api.support import (
    CannedAnswer,
    CannedStatus,
    ComplaintQuery,
    ComplaintState,
    ComplaintStep,
    ComplaintView,
    InboxQuery,
    Party,
    Remedy,
    Side,
    StepKind,
    StepStatus,
    TalkHead,
    TalkQuery,
    TalkView,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id, shard_in, to_serial
from vendrail.kernel.money import from_text, to_text
from vendrail.web import talks
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, LISTED, filters_of, save, saved_at
from vendrail.web.console.lists import one_of
from vendrail.web.console.tables import COMPLAINTS, TALKS, Talk
from vendrail.web.languages import message
from vendrail.web.live import LivePages
from vendrail.web.merchant.acting import log, log_export, log_undone, read_id
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page

_ROOT, _CANNED, _TALKS = "/merchant/complaints", "/merchant/answers", "/merchant/messages"
_PAGE = 50
_TAKEN = (StepStatus.TAKEN, StepStatus.EXISTS)
_STANDING = [ComplaintState.OPEN, ComplaintState.ANSWERED, ComplaintState.ESCALATED]
_FILTERS = {
    "mine": [ComplaintState.OPEN],
    "standing": [*_STANDING, ComplaintState.CARRYING],
    "all": [],
}
_CANNED_WRONG = message("A ready answer needs a title of at most 60 letters, and a text.")
_CANNED_MANY = message("There are fifty ready answers already: take one away first.")
_NOT_ALLOWED = message("Your role does not give money back: ask somebody whose does.")


class Complaints:
    """The merchant's side of what buyers write."""

    entries = (
        Entry(_ROOT, message("Complaints"), "flag", Permission.ORDERS_READ),
        Entry(_TALKS, message("Conversations"), "mail", Permission.ORDERS_READ),
    )

    def __init__(self, desk: Desk, live: LivePages) -> None:
        self._desk = desk
        self._following = talks.Following(live, desk.apis.support)
        self._support = desk.apis.support

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, one = self._desk, f"{_ROOT}/{{serial:str}}"
        read, write = Permission.ORDERS_READ, Permission.ORDERS_WRITE
        return [
            desk.get(_ROOT, self.table, read, fields={"show": one_of(_FILTERS)}),
            desk.get(f"{_ROOT}.csv", self.export, read),
            desk.get(_TALKS, self.inbox, read),
            desk.get(f"{_TALKS}.csv", self.save_talks, read),
            desk.get(_CANNED, self.canned, read),
            desk.post(_CANNED, self.put_canned, write),
            desk.get(one, self.show, read),
            desk.get(f"{one}/part", self.part, read),
            desk.get(f"{one}/events", self.events, read),
            desk.get(f"{one}/files/{{file:str}}", self.file, read),
            desk.post(f"{one}/messages", self.write, write, is_streamed=True),
            desk.post(f"{one}/answer", self.answer, write, is_grave=True),
        ]

    async def table(self, caller: Caller) -> Page:
        """List complaints, newest first."""
        wanted = _wanted(caller)
        before = read_id(caller.asked("before"))
        query = ComplaintQuery(caller.merchant, _FILTERS[wanted], before, _PAGE + 1)
        [found] = await self._support.list_complaints([query])
        [figures] = await self._support.sum_complaints([caller.merchant])
        older = ""
        if len(found) > _PAGE:
            found = found[:_PAGE]
            older = f"{_ROOT}?{urlencode({'show': wanted, 'before': to_serial(found[-1].id)})}"
        return self._desk.page(
            caller,
            "merchant/complaints.html",
            path=_ROOT,
            complaints=found,
            older=older,
            exported=saved_at(caller, _ROOT, ("show",)),
            wanted=wanted,
            figures=figures,
            now=self._desk.clock.now(),
        )

    async def export(self, caller: Caller) -> Page:
        """Give the complaints that the page lists as CSV; who took them is kept."""
        states = _FILTERS[_wanted(caller)]
        told = filters_of(caller, ("show",))
        turned = await log_export(self._desk, caller, LISTED, "list:complaints", told)
        if turned is not None:
            return turned

        async def read(last: ComplaintView | None) -> Sequence[ComplaintView]:
            query = ComplaintQuery(caller.merchant, states, last.id if last else None, AT_ONCE)
            [found] = await self._support.list_complaints([query])
            return found

        return save("complaints", COMPLAINTS, read)

    async def inbox(self, caller: Caller) -> Page:
        """List conversations, the last written first."""
        before, order = _moment(caller.asked("before")), read_id(caller.asked("order"))
        query = InboxQuery(caller.merchant, before, _PAGE + 1, order)
        [found] = await self._support.list_talks([query])
        older = ""
        if len(found) > _PAGE:
            found, last = found[:_PAGE], found[_PAGE - 1]
            told = {"before": last.last_at.isoformat(), "order": to_serial(last.order)}
            older = f"{_TALKS}?{urlencode(told)}"
        return self._desk.page(
            caller,
            "merchant/messages.html",
            path=_TALKS,
            heads=found,
            titles=await self._titles(found),
            exported=saved_at(caller, _TALKS, ()),
            older=older,
        )

    async def _titles(self, heads: Sequence[TalkHead]) -> dict[UUID, str]:
        """Give what the orders of conversations were for."""
        views = await self._desk.apis.orders.read_orders(
            [OrderQuery(OrderId(each.order), None) for each in heads]
        )
        return {view.id: view.title for view in views if view is not None}

    async def save_talks(self, caller: Caller) -> Page:
        """Give all conversations as CSV, without what was written; who took them is kept."""
        turned = await log_export(self._desk, caller, LISTED, "list:messages")
        if turned is not None:
            return turned

        async def read(last: Talk | None) -> Sequence[Talk]:
            head = last.head if last else None
            before, order = (head.last_at, head.order) if head else (None, None)
            query = InboxQuery(caller.merchant, before, AT_ONCE, order)
            [found] = await self._support.list_talks([query])
            titles = await self._titles(found)
            return [Talk(each, titles.get(each.order, "")) for each in found]

        return save("messages", TALKS, read)

    async def show(self, caller: Caller) -> Page:
        """Show one order's complaint and conversation."""
        return await self._show(caller)

    async def _show(self, caller: Caller, problem: str = "", text: str = "") -> Page:
        order = await self._own(caller)
        talk = await self._talk(caller, order.id) if order is not None else None
        if order is None or talk is None:
            return self._desk.problem(caller.request, 404, caller)
        [canned] = await self._support.list_canned([caller.merchant])
        can_answer = talk.live is not None and talk.live.state in _STANDING
        return self._desk.page(
            caller,
            "merchant/complaint.html",
            status=422 if problem else 200,
            path=_ROOT,
            order=order,
            problem=self._desk.say(caller, problem) if problem else "",
            canned=canned,
            can_write=caller.may(Permission.ORDERS_WRITE),
            can_answer=can_answer and caller.may(Permission.ORDERS_WRITE),
            can_refund=caller.may(Permission.REFUNDS_WRITE),
            is_key=order.delivery == "unique_key",
            left_text=to_text(talk.live.amount_minor, order.currency) if talk.live else "",
            written={name: caller.written(name) for name in ("remedy", "amount", "text")},
            message=text,
            nonce=to_serial(new_id(self._desk.clock.now(), shard_in(order.id))),
            **_context(talk, order),
        )

    async def part(self, caller: Caller) -> Page:
        """Give the part anew, or nothing when it is the same: for pages without events."""
        order = await self._own(caller)
        if order is None:
            return self._desk.problem(caller.request, 404, caller)
        if caller.asked("seen") == await self._following.version(order.id):
            return talks.no_content()
        talk = await self._talk(caller, order.id)
        if talk is None:
            return self._desk.problem(caller.request, 404, caller)
        return self._desk.page(caller, talks.PART, path=_ROOT, **_context(talk, order))

    async def events(self, caller: Caller) -> Page:
        """Stream the part whenever something was written or moved (server-sent events)."""
        order = await self._own(caller)
        if order is None:
            return Page(b"", status_code=404, media_type="text/plain")
        follow = talks.Follow(
            order.id, Side.MERCHANT, caller.session.origin.address, caller.asked("seen")
        )
        refusal = self._following.refusal(follow)
        if refusal is not None:
            return refusal
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        parts = self._parts(caller, order, follow)
        return Stream(parts, media_type="text/event-stream", headers=headers)  # type: ignore[return-value]

    def _parts(
        self, caller: Caller, order: OrderView, follow: talks.Follow
    ) -> AsyncGenerator[bytes, None]:
        def write(talk: TalkView) -> str:
            context = _context(talk, order)
            return self._desk.front.pages.text(talks.PART, caller.visitor, **context)

        return self._following.parts(
            follow,
            lambda: self._talk(caller, order.id),
            write,
            lambda: self._desk.still_may(caller, Permission.ORDERS_READ),
        )

    async def file(self, caller: Caller) -> Page:
        """Give a file of the conversation."""
        order = await self._own(caller)
        if order is None:
            return self._desk.problem(caller.request, 404, caller)
        id = read_id(caller.part("file"))
        found = await talks.open_file(self._support, id, order.id, _party(caller))
        return found if found is not None else self._desk.problem(caller.request, 404, caller)

    async def write(self, caller: Caller) -> Page:
        """Write to the buyer."""
        order = await self._own(caller)
        if order is None:
            return self._desk.problem(caller.request, 404, caller)
        try:
            sent = await talks.read_sent(caller.request)
        except Malformed:
            return self._desk.problem(caller.request, 413, caller)
        nonce = read_id(sent.written("nonce"))
        if nonce is None:
            return self._desk.problem(caller.request, 404, caller)
        problem = await talks.send(self._support, nonce, order.id, _party(caller), sent)
        if problem:
            return await self._show(caller, problem, sent.written("text"))
        return onward(f"{_ROOT}/{order.serial}#last")

    async def answer(self, caller: Caller) -> Page:
        """Grant a complaint, offer a part, or reject it."""
        order, nonce = await self._own(caller), read_id(caller.written("nonce"))
        talk = await self._talk(caller, order.id) if order is not None else None
        if order is None or nonce is None or talk is None:
            return self._desk.problem(caller.request, 404, caller)
        remedies = {each.value: each for each in Remedy}
        remedy = remedies.get(caller.written("remedy"))
        if talk.live is None or remedy is None:
            status = StepStatus.NOT_THEIR_TURN if remedy else StepStatus.REMEDY_MALFORMED
            return await self._show(caller, talks.SAID[status])
        is_money = remedy in (Remedy.REFUND, Remedy.PART)
        if is_money and not caller.may(Permission.REFUNDS_WRITE):
            return await self._show(caller, _NOT_ALLOWED)
        amount_minor = _amount(caller.written("amount"), order.currency)
        text = caller.written("text", 5_000).replace("\r\n", "\n")
        step = ComplaintStep(
            nonce,
            talk.live.id,
            _party(caller),
            StepKind.ANSWER,
            remedy,
            amount_minor if remedy is Remedy.PART else 0,
            text,
        )
        subject = f"order:{order.serial}"
        after = {"remedy": remedy.value, "amount": to_text(amount_minor, order.currency)}
        if remedy is not Remedy.PART:
            after.pop("amount")
        await log(self._desk, caller, "complaint.answered", subject, after=after, reason=text[:500])
        [status] = await self._support.take_steps([step])
        if status not in _TAKEN:
            await log_undone(self._desk, caller, "complaint.answered", subject, status)
            known = talks.SAID.get(status, talks.SAID[StepStatus.NOT_THEIR_TURN])
            return await self._show(caller, known)
        return onward(f"{_ROOT}/{order.serial}#talk")

    async def canned(self, caller: Caller) -> Page:
        """List the answers that are ready to be sent."""
        return await self._canned(caller)

    async def _canned(self, caller: Caller, problem: str = "") -> Page:
        [found] = await self._support.list_canned([caller.merchant])
        return self._desk.page(
            caller,
            "merchant/answers.html",
            status=422 if problem else 200,
            path=_ROOT,
            answers=found,
            can_write=caller.may(Permission.ORDERS_WRITE),
            problem=self._desk.say(caller, problem) if problem else "",
            written={name: caller.written(name, 5_000) for name in ("title", "text")},
            nonce=to_serial(new_id(self._desk.clock.now())),
        )

    async def put_canned(self, caller: Caller) -> Page:
        """Write or take away a ready answer."""
        id = read_id(caller.written("nonce"))
        if id is None:
            return self._desk.problem(caller.request, 404, caller)
        is_removed = caller.written("act") == "remove"
        text = "" if is_removed else caller.written("text", 5_000).replace("\r\n", "\n")
        title = caller.written("title", 200)
        if not is_removed and not text:
            return await self._canned(caller, _CANNED_WRONG)
        subject = f"answer:{to_serial(id)}"
        act = "answer.removed" if is_removed else "answer.written"
        await log(self._desk, caller, act, subject, after={"title": title})
        [status] = await self._support.put_canned([CannedAnswer(id, caller.merchant, title, text)])
        if status in (CannedStatus.TEXT_MALFORMED, CannedStatus.TOO_MANY):
            await log_undone(self._desk, caller, act, subject, status)
            is_many = status is CannedStatus.TOO_MANY
            return await self._canned(caller, _CANNED_MANY if is_many else _CANNED_WRONG)
        return onward(_CANNED)

    async def _talk(self, caller: Caller, order: UUID) -> TalkView | None:
        [talk] = await self._support.read_talks([TalkQuery(order, _party(caller), is_seen=True)])
        return talk

    async def _own(self, caller: Caller) -> OrderView | None:
        id = read_id(caller.part("serial"))
        if id is None:
            return None
        [view] = await self._desk.apis.orders.read_orders([OrderQuery(OrderId(id), None)])
        return view if view is not None and view.merchant == caller.merchant else None


def _party(caller: Caller) -> Party:
    return Party(Side.MERCHANT, merchant=caller.merchant, person=caller.person.email)


def _context(talk: TalkView, order: OrderView) -> dict[str, Any]:
    root = f"{_ROOT}/{order.serial}"
    return {"talk": talk, "base": root, "side": "merchant", "complaint": talk.live}


def _amount(text: str, currency: str) -> int:
    """Read an amount; what is none is zero, which is out of range."""
    try:
        return from_text(text, currency) if text else 0
    except Malformed:
        return 0


def _moment(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _wanted(caller: Caller) -> str:
    return asked if (asked := caller.asked("show")) in _FILTERS else "standing"
