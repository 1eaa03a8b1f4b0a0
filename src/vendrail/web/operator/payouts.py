"""Payouts for operators: what waits for a person, what is on its way, and what it is paid from."""

from collections.abc import Mapping
from urllib.parse import urlencode
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.payouts import (
    PayoutId,
    PayoutQuery,
    PayoutState,
    PayoutVerdict,
    PayoutVerdictStatus,
    PayoutView,
    ReserveChange,
    ReserveSource,
    ReserveStatus,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import derive, from_serial, new_id, to_serial
from vendrail.kernel.money import from_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import (
    AT_ONCE,
    PAYOUT_COLUMNS,
    export,
    filters_of,
    payout_row,
    saved_at,
)
from vendrail.web.console.lists import is_id, one_of
from vendrail.web.languages import message
from vendrail.web.operator.deeds import GOOD, Deed, Deeds, Said, back_to
from vendrail.web.operator.files import known_names, read_id
from vendrail.web.papers.sheets import Rows
from vendrail.web.storefront.front import Page

_PATH, _RESERVES = "/operator/payouts", "/operator/reserves"
_PAGE = 50
_FILTERS = ("view", "merchant")
_ALLOWED, _STOPPED, _CHANGED = "payout.allowed", "payout.stopped", "reserve.changed"
_VIEWS: Mapping[str, list[PayoutState]] = {
    "review": [PayoutState.REVIEW],
    "open": [
        PayoutState.REQUESTED, PayoutState.READY, PayoutState.RESERVED, PayoutState.SENT,
    ],
    "back": [PayoutState.FAILED, PayoutState.RETURNED, PayoutState.DECLINED],
    "all": [],
}  # fmt: skip
_FIELDS = {"view": one_of(_VIEWS), "merchant": is_id}
_SAID = {
    PayoutVerdictStatus.PAYOUT_NOT_FOUND: Said.NOT_FOUND,
    PayoutVerdictStatus.NOT_WAITING: Said.NOT_FOUND,
    PayoutVerdictStatus.NOT_PAYABLE: Said.NOT_PAYABLE,
}
_RESERVE_SAID = {
    ReserveStatus.DONE: Said.BOOKED,
    ReserveStatus.EXISTS: Said.EXISTS,
    ReserveStatus.EXISTS_DIFFERENT: Said.OTHERWISE,
    ReserveStatus.CHANNEL_UNKNOWN: Said.NOT_FOUND,
    ReserveStatus.SOURCE_CLOSED: Said.NO_REMITTANCE,
    ReserveStatus.AMOUNT_MALFORMED: Said.NO_SUM,
    ReserveStatus.RESERVE_TOO_LOW: Said.RESERVE_TOO_LOW,
    ReserveStatus.BANK_TOO_LOW: Said.BANK_TOO_LOW,
}


class PayoutsDesk:
    """The operator's room of payouts and reserves."""

    entries = (
        Entry(_PATH, message("Payouts"), "arrow", Permission.PAYOUTS_WRITE),
        Entry(_RESERVES, message("Payout reserves"), "box", Permission.PAYOUTS_WRITE),
    )

    def __init__(self, desk: Desk, deeds: Deeds) -> None:
        self._desk, self._deeds = desk, deeds
        self._payouts = desk.apis.payouts
        deeds.add(Deed(_ALLOWED, Permission.PAYOUTS_WRITE, self._allow))
        deeds.add(Deed(_STOPPED, Permission.PAYOUTS_WRITE, self._stop))
        deeds.add(Deed(_CHANGED, Permission.PAYOUTS_WRITE, self._change))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, write = self._desk, Permission.PAYOUTS_WRITE
        return [
            desk.get(_PATH, self.table, write, fields=_FIELDS),
            desk.get(f"{_PATH}.csv", self.export, write),
            desk.get(f"{_PATH}/{{serial:str}}", self.show, write),
            desk.post(f"{_PATH}/{{serial:str}}", self.decide, write, is_grave=True),
            desk.post(f"{_PATH}/{{serial:str}}/ask", self.ask, write),
            desk.get(_RESERVES, self.reserves, write),
            desk.post(_RESERVES, self.change, write, is_grave=True),
        ]

    async def _names(self) -> dict[UUID, str]:
        return await known_names(self._desk.apis.identity)

    async def table(self, caller: Caller) -> Page:
        """List payouts, those that wait for a person first."""
        shown = _view(caller)
        before, merchant = read_id(caller.asked("before")), read_id(caller.asked("merchant", 40))
        query = PayoutQuery(
            merchant, _VIEWS[shown], PayoutId(before) if before else None, _PAGE + 1
        )
        [found] = await self._payouts.list_payouts([query])
        next_page = ""
        if len(found) > _PAGE:
            found = found[:_PAGE]
            told = {"view": shown, "before": to_serial(found[-1].id)}
            told |= {"merchant": to_serial(merchant)} if merchant else {}
            next_page = f"{_PATH}?{urlencode(told)}"
        [sums] = await self._payouts.sum_reviews([merchant]) if shown == "review" else [[]]
        return self._desk.page(
            caller,
            "operator/payouts.html",
            payouts=found,
            names=await self._names(),
            exported=saved_at(caller, _PATH, _FILTERS),
            view=shown,
            merchant=merchant,
            sums=[each for each in sums if each.payouts > 1],
            nonce=to_serial(new_id(self._desk.clock.now())),
            next_page=next_page,
            done=self._deeds.said(caller),
        )

    async def export(self, caller: Caller) -> Page:
        """Give the payouts that the page lists as CSV; who took them is kept."""
        told = filters_of(caller, _FILTERS)
        turned = await self._deeds.log_export(caller, "payout.exported", "payouts", told)
        if turned is not None:
            return turned
        states, merchant = _VIEWS[_view(caller)], read_id(caller.asked("merchant", 40))

        async def read(before: PayoutId | None) -> tuple[Rows, PayoutId | None]:
            query = PayoutQuery(merchant, states, before, AT_ONCE)
            [found] = await self._payouts.list_payouts([query])
            return map(payout_row, found), found[-1].id if found else None

        return export("payouts", PAYOUT_COLUMNS, read)

    async def _find(self, caller: Caller) -> PayoutView | None:
        id = read_id(caller.part("serial"))
        [view] = await self._payouts.read_payouts([PayoutId(id)]) if id else [None]
        return view

    async def show(self, caller: Caller) -> Page:
        """Show one payout with its life, and what can be done."""
        view = await self._find(caller)
        if view is None:
            return back_to(_PATH, Said.NOT_FOUND)
        return await self._show(caller, view)

    async def _show(self, caller: Caller, view: PayoutView, said: Said | None = None) -> Page:
        [steps] = await self._payouts.read_steps([view.id])
        return self._desk.page(
            caller,
            "operator/payout.html",
            path=_PATH,
            status=200 if said is None else 422,
            payout=view,
            steps=steps,
            names=await self._names(),
            reason=caller.written("reason"),
            done=self._deeds.said(caller),
            problem=self._deeds.problem(caller, said),
        )

    async def decide(self, caller: Caller) -> Page:
        """Let it go out, or give the money back; large ones with a second person."""
        view = await self._find(caller)
        if view is None:
            return back_to(_PATH, Said.NOT_FOUND)
        is_allowed = caller.written("decision") == "allow"
        said = await self._deeds.do(
            caller,
            _ALLOWED if is_allowed else _STOPPED,
            f"payout:{to_serial(view.id)}",
            {"payout": to_serial(view.id)},
            amount=(view.amount_minor, view.currency) if is_allowed else None,
            merchant=view.merchant,
            before={"state": view.state},
        )
        if said in GOOD:
            return back_to(f"{_PATH}/{to_serial(view.id)}", said)
        return await self._show(caller, view, said)

    async def _allow(self, payload: Mapping[str, str], by: str) -> Said:
        return await self._review(payload, by, is_approved=True)

    async def _stop(self, payload: Mapping[str, str], by: str) -> Said:
        return await self._review(payload, by, is_approved=False)

    async def _review(self, payload: Mapping[str, str], by: str, *, is_approved: bool) -> Said:
        id = PayoutId(from_serial(payload["payout"]))
        verdict = PayoutVerdict(id, is_approved, by, payload["reason"])
        [status] = await self._payouts.review_payouts([verdict])
        if status is not PayoutVerdictStatus.DONE:
            return _SAID[status]
        return Said.PAYOUT_AGREED if is_approved else Said.PAYOUT_STOPPED

    async def ask(self, caller: Caller) -> Page:
        """Let the provider be asked at once."""
        view = await self._find(caller)
        if view is None:
            return back_to(_PATH, Said.NOT_FOUND)
        subject = f"payout:{to_serial(view.id)}"
        await self._deeds.log(caller, "payout.asked", subject, merchant=view.merchant)
        [is_found] = await self._payouts.ask_payouts([view.id])
        if not is_found:
            return await self._show(caller, view, Said.NOTHING_WAITS)
        return back_to(f"{_PATH}/{to_serial(view.id)}", Said.ASKED)

    async def reserves(self, caller: Caller) -> Page:
        """Show what each channel can still pay out."""
        return await self._reserves(caller)

    async def _reserves(self, caller: Caller, said: Said | None = None) -> Page:
        found = await self._payouts.list_reserves()
        standing = [e for e in found if e.there_minor or e.waiting_minor or e.receivable_minor]
        ahead = await self._payouts.forecast_reserves() if standing else []
        return self._desk.page(
            caller,
            "operator/reserves.html",
            path=_RESERVES,
            status=200 if said is None else 422,
            reserves=standing,
            ahead={(each.channel_name, each.currency): each for each in ahead},
            choices=found,
            chosen=caller.written("reserve", 60) or caller.asked("reserve", 60),
            amount=caller.written("amount", 30) or caller.asked("amount", 30),
            source=caller.written("source", 20) or ReserveSource.OWNER.value,
            reason=caller.written("reason"),
            nonce=to_serial(new_id(self._desk.clock.now())),
            done=self._deeds.said(caller),
            problem=self._deeds.problem(caller, said),
        )

    async def change(self, caller: Caller) -> Page:
        """Put money into a reserve, or take it out; much of it with a second person."""
        name, _, currency = caller.written("reserve", 60).partition("|")
        nonce, source = read_id(caller.written("nonce", 40)), caller.written("source", 20)
        try:
            amount_minor = from_text(caller.written("amount", 30), currency)
        except Malformed:
            amount_minor = 0
        if not amount_minor or nonce is None or source not in set(ReserveSource):
            return await self._reserves(caller, Said.NO_SUM)
        if source == ReserveSource.SETTLEMENT:  # Its number is what keeps it from being two.
            return await self._reserves(caller, Said.NO_REMITTANCE)
        payload = {
            "id": to_serial(derive(nonce, "reserve")),
            "channel": name,
            "currency": currency,
            "amount_minor": str(amount_minor),
            "source": source,
        }
        said = await self._deeds.do(
            caller, _CHANGED, f"reserve:{name}", payload, amount=(abs(amount_minor), currency)
        )
        return back_to(_RESERVES, said) if said in GOOD else await self._reserves(caller, said)

    async def _change(self, payload: Mapping[str, str], by: str) -> Said:
        change = ReserveChange(
            from_serial(payload["id"]),
            payload["channel"],
            payload["currency"],
            int(payload["amount_minor"]),
            ReserveSource(payload["source"]),
            payload["reason"],
            by,
        )
        [status] = await self._payouts.change_reserves([change])
        return _RESERVE_SAID[status]


def _view(caller: Caller) -> str:
    return asked if (asked := caller.asked("view", 10)) in _VIEWS else "review"
