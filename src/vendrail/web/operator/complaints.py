"""Complaints that the platform decides: evidence, both sides' words, and the ruling."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from vendrail.api.identity import Permission
from vendrail.api.support import (
    ComplaintQuery,
    ComplaintState,
    ComplaintStep,
    ComplaintView,
    Party,
    Remedy,
    Side,
    StepKind,
    StepStatus,
    TalkQuery,
    TalkView,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import derive, new_id, shard_in, to_serial
from vendrail.kernel.money import from_text
from vendrail.web import talks
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, LISTED, filters_of, save, saved_at
from vendrail.web.console.lists import one_of
from vendrail.web.console.tables import COMPLAINTS
from vendrail.web.languages import message
from vendrail.web.live import LivePages
from vendrail.web.operator.deeds import GOOD, Deed, Deeds, Said, back_to
from vendrail.web.operator.files import Files, OrderFile, read_id
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page

_PATH = "/operator/complaints"
_SHOWN_MAX = 50
_RULED, _READ = "complaint.ruled", "talk.read"
_STANDING = [ComplaintState.OPEN, ComplaintState.ANSWERED, ComplaintState.ESCALATED]
_FILTERS = {
    "mine": [ComplaintState.ESCALATED],
    "standing": [*_STANDING, ComplaintState.CARRYING],
    "all": [],
}
_SAID = {
    StepStatus.TAKEN: Said.RULED,
    StepStatus.EXISTS: Said.EXISTS,
    StepStatus.COMPLAINT_NOT_FOUND: Said.NOT_FOUND,
    StepStatus.NOT_THEIR_TURN: Said.ENDED,
    StepStatus.REMEDY_MALFORMED: Said.NOT_FOUND,
    StepStatus.CANNOT_REPLACE: Said.NOT_FOUND,
    StepStatus.AMOUNT_OUT_OF_RANGE: Said.NO_AMOUNT,
    StepStatus.TEXT_MALFORMED: Said.NO_REASON,
}


class ComplaintsDesk:
    """The desk of complaints."""

    entries = (Entry(_PATH, message("Complaints"), "flag", Permission.ORDERS_READ),)

    def __init__(self, desk: Desk, deeds: Deeds, files: Files, live: LivePages) -> None:
        self._desk, self._deeds, self._files = desk, deeds, files
        self._following = talks.Following(live, desk.apis.support)
        self._support = desk.apis.support
        deeds.add(Deed(_RULED, Permission.REFUNDS_WRITE, self._rule))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, one = self._desk, f"{_PATH}/{{order:str}}"
        read, write = Permission.ORDERS_READ, Permission.ORDERS_WRITE
        return [
            desk.get(_PATH, self.table, read, fields={"show": one_of(_FILTERS)}),
            desk.get(f"{_PATH}.csv", self.export, read),
            desk.get(one, self.show, read),
            desk.get(f"{one}/part", self.part, read),
            desk.get(f"{one}/events", self.events, read),
            desk.get(f"{one}/files/{{file:str}}", self.file, read),
            desk.post(f"{one}/read", self.read, read),
            desk.post(f"{one}/messages", self.write, write, is_streamed=True),
            desk.post(f"{one}/ruling", self.rule, Permission.REFUNDS_WRITE, is_grave=True),
        ]

    async def table(self, caller: Caller) -> Page:
        """List complaints, newest first: those that wait for the platform, or as asked."""
        wanted = _wanted(caller)
        query = ComplaintQuery(
            None, _FILTERS[wanted], read_id(caller.asked("before")), _SHOWN_MAX + 1
        )
        [found] = await self._support.list_complaints([query])
        older = ""
        if len(found) > _SHOWN_MAX:
            found = found[:_SHOWN_MAX]
            older = f"{_PATH}?{urlencode({'show': wanted, 'before': to_serial(found[-1].id)})}"
        return self._desk.page(
            caller,
            "operator/complaints.html",
            complaints=found,
            older=older,
            exported=saved_at(caller, _PATH, ("show",)),
            wanted=wanted,
            names=await self._files.merchant_names(),
            counts=await self._support.count_complaints(),
            now=self._desk.clock.now(),
        )

    async def export(self, caller: Caller) -> Page:
        """Give the complaints that the page lists as CSV; who took them is kept."""
        states = _FILTERS[_wanted(caller)]
        told = filters_of(caller, ("show",))
        turned = await self._deeds.log_export(caller, LISTED, "list:complaints", told)
        if turned is not None:
            return turned

        async def read(last: ComplaintView | None) -> Sequence[ComplaintView]:
            query = ComplaintQuery(None, states, last.id if last else None, AT_ONCE)
            [found] = await self._support.list_complaints([query])
            return found

        return save("complaints", COMPLAINTS, read)

    async def show(self, caller: Caller) -> Page:
        """Show one complaint whole; without one, words are private until a reading is logged."""
        return await self._show(caller)

    async def read(self, caller: Caller) -> Page:
        """Show a conversation though no complaint stands: that is written to the log."""
        file = await self._files.read(read_id(caller.part("order")))
        if file is None:
            return self._desk.problem(caller.request, 404, caller)
        await self._log_reading(caller, file)
        return await self._show(caller, is_logged=True)

    async def _log_reading(self, caller: Caller, file: OrderFile) -> None:
        subject, merchant = f"order:{file.view.serial}", file.view.merchant
        await self._deeds.log(caller, _READ, subject, merchant=merchant)

    async def _show(
        self,
        caller: Caller,
        *,
        said: Said | None = None,
        problem: str = "",
        text: str = "",
        is_logged: bool = False,
    ) -> Page:
        file = await self._files.read(read_id(caller.part("order")))
        talk = await self._talk(caller, file.view.id) if file is not None else None
        if file is None or talk is None:
            return self._desk.problem(caller.request, 404, caller)
        order, case = file.view, talk.live
        [figures] = await self._support.sum_complaints([order.merchant])
        can_rule = case is not None and case.state in _STANDING
        return self._desk.page(
            caller,
            "operator/complaint.html",
            status=422 if said is not None or problem else 200,
            path=_PATH,
            file=file,
            order=order,
            figures=figures,
            names=await self._files.merchant_names(),
            is_open=case is not None or is_logged,
            can_write=caller.may(Permission.ORDERS_WRITE) and case is not None,
            can_rule=can_rule and caller.may(Permission.REFUNDS_WRITE),
            is_key=order.delivery == "unique_key",
            problem=self._desk.say(caller, problem)
            if problem
            else self._deeds.problem(caller, said),
            done=self._deeds.said(caller),
            written={name: caller.written(name) for name in ("remedy", "amount", "reason")},
            message=text,
            nonce=to_serial(new_id(self._desk.clock.now(), shard_in(order.id))),
            **_context(talk, order.serial),
        )

    async def part(self, caller: Caller) -> Page:
        """Give the part anew, or nothing when it is the same: for pages without events."""
        order = read_id(caller.part("order"))
        if order is None:
            return self._desk.problem(caller.request, 404, caller)
        if caller.asked("seen") == await self._following.version(order):
            return talks.no_content()
        talk = await self._talk(caller, order)
        if talk is None:
            return self._desk.problem(caller.request, 404, caller)
        if talk.live is None:
            return talks.no_content()
        return self._desk.page(caller, talks.PART, path=_PATH, **_context(talk, to_serial(order)))

    async def events(self, caller: Caller) -> Page:
        """Stream the part of a complaint that stands (server-sent events)."""
        order = read_id(caller.part("order"))
        talk = await self._talk(caller, order) if order is not None else None
        if order is None or talk is None or talk.live is None:
            return talks.no_content()
        follow = talks.Follow(
            order, Side.OPERATOR, caller.session.origin.address, caller.asked("seen")
        )
        refusal = self._following.refusal(follow)
        if refusal is not None:
            return refusal
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        parts = self._parts(caller, follow)
        return Stream(parts, media_type="text/event-stream", headers=headers)  # type: ignore[return-value]

    def _parts(self, caller: Caller, follow: talks.Follow) -> AsyncGenerator[bytes, None]:
        """Follow a complaint while it stands: its end is the last that is told."""

        def write(talk: TalkView) -> str:
            context = _context(talk, to_serial(follow.order))
            return self._desk.front.pages.text(talks.PART, caller.visitor, **context)

        async def read() -> TalkView | None:
            talk = await self._talk(caller, follow.order)
            return talk if talk is not None and talk.complaints else None

        return self._following.parts(
            follow,
            read,
            write,
            lambda: self._desk.still_may(caller, Permission.ORDERS_READ),
            lambda talk: talk.live is None,
        )

    async def file(self, caller: Caller) -> Page:
        """Give a file of a conversation; where no complaint stands, that is logged too."""
        file = await self._files.read(read_id(caller.part("order")))
        id = read_id(caller.part("file"))
        talk = await self._talk(caller, file.view.id) if file is not None else None
        if file is None or talk is None:
            return self._desk.problem(caller.request, 404, caller)
        if talk.live is None:
            await self._log_reading(caller, file)
        found = await talks.open_file(self._support, id, file.view.id, _party(caller))
        return found if found is not None else self._desk.problem(caller.request, 404, caller)

    async def write(self, caller: Caller) -> Page:
        """Write to both sides, while a complaint stands."""
        try:
            sent = await talks.read_sent(caller.request)
        except Malformed:
            return self._desk.problem(caller.request, 413, caller)
        order, nonce = read_id(caller.part("order")), read_id(sent.written("nonce"))
        talk = await self._talk(caller, order) if order is not None else None
        if order is None or nonce is None or talk is None or talk.live is None:
            return self._desk.problem(caller.request, 404, caller)
        problem = await talks.send(self._support, nonce, order, _party(caller), sent)
        if problem:
            return await self._show(caller, problem=problem, text=sent.written("text"))
        return onward(f"{_PATH}/{to_serial(order)}#last")

    async def rule(self, caller: Caller) -> Page:
        """Decide a complaint."""
        order = read_id(caller.part("order"))
        talk = await self._talk(caller, order) if order is not None else None
        if order is None or talk is None:
            return self._desk.problem(caller.request, 404, caller)
        case = talk.live
        remedies = {each.value: each for each in Remedy}
        remedy = remedies.get(caller.written("remedy"))
        if case is None or remedy is None:
            status = StepStatus.NOT_THEIR_TURN if remedy else StepStatus.REMEDY_MALFORMED
            return await self._show(caller, problem=talks.SAID[status])
        try:
            part = from_text(caller.written("amount", 20) or "0", case.currency)
        except Malformed:
            part = 0
        amounts = {Remedy.PART: part, Remedy.REFUND: case.amount_minor}
        amount_minor = amounts.get(remedy, 0)
        if remedy is Remedy.PART and not 0 < part < case.amount_minor:
            return await self._show(caller, problem=talks.SAID[StepStatus.AMOUNT_OUT_OF_RANGE])
        said = await self._deeds.do(
            caller,
            _RULED,
            f"order:{to_serial(order)}",
            {
                "complaint": to_serial(case.id),
                "remedy": remedy.value,
                "amount_minor": str(amount_minor),
                "currency": case.currency,
            },
            amount=(amount_minor, case.currency) if amount_minor else None,
            merchant=talk.merchant,
            before={"state": case.state.value},
        )
        if said in GOOD:
            return back_to(f"{_PATH}/{to_serial(order)}", said)
        return await self._show(caller, said=said)

    async def _rule(self, told: Mapping[str, str], person: str) -> Said:
        complaint = read_id(told["complaint"])
        if complaint is None:
            return Said.NOT_FOUND
        remedy, amount_minor = Remedy(told["remedy"]), int(told["amount_minor"])
        words = f"ruling:{remedy}:{amount_minor}:{told['reason']}"
        step = ComplaintStep(
            derive(complaint, words),
            complaint,
            Party(Side.OPERATOR, person=person),
            StepKind.RULE,
            remedy,
            amount_minor if remedy is Remedy.PART else 0,
            told["reason"],
        )
        [status] = await self._support.take_steps([step])
        return _SAID[status]

    async def _talk(self, caller: Caller, order: UUID) -> TalkView | None:
        query = TalkQuery(order, _party(caller), is_seen=True)
        return (await self._support.read_talks([query]))[0]


def _party(caller: Caller) -> Party:
    return Party(Side.OPERATOR, person=caller.person.email)


def _context(talk: TalkView, serial: str) -> dict[str, Any]:
    root = f"{_PATH}/{serial}"
    return {"talk": talk, "base": root, "side": "operator", "complaint": talk.live}


def _wanted(caller: Caller) -> str:
    return asked if (asked := caller.asked("show")) in _FILTERS else "mine"
