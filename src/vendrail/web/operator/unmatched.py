"""The unmatched desk: money that fits nothing, what it may be for, and what becomes of it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.orders import OrderId, OrderQuery, OrderState, SoldOrder, SoldOrderQuery
from vendrail.api.payments import (
    Capture,
    CaptureId,
    UnmatchedQuery,
    UnmatchedStatus,
    UnmatchedVerdict,
)
from vendrail.api.payments.deposits import UnpricedQuery
from vendrail.kernel.ids import to_serial
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, LISTED, filters_of, save, saved_at
from vendrail.web.console.lists import is_name
from vendrail.web.console.tables import CAPTURES
from vendrail.web.languages import message
from vendrail.web.operator.deeds import GOOD, Deed, Deeds, Said, back_to
from vendrail.web.operator.files import Files, read_id
from vendrail.web.operator.unpriced import path_of
from vendrail.web.storefront.front import Page

_PATH = "/operator/unmatched"
_SHOWN_MAX = 50
_LOOKED_AT_MAX = 200
_SUGGESTED_MAX = 5
_BEFORE, _AFTER = timedelta(hours=24), timedelta(minutes=5)
_UNFILLED = (OrderState.PLACED, OrderState.EXPIRED, OrderState.CANCELLED)
_MATCHED, _REFUNDED = "unmatched.matched", "unmatched.refunded"
_SAID = {
    UnmatchedStatus.EXISTS: Said.EXISTS,
    UnmatchedStatus.CAPTURE_NOT_FOUND: Said.NOT_FOUND,
    UnmatchedStatus.ATTEMPT_NOT_FOUND: Said.NEVER_ASKED,
    UnmatchedStatus.AMOUNT_DIFFERS: Said.AMOUNT_DIFFERS,
    UnmatchedStatus.EXISTS_DIFFERENT: Said.OTHERWISE,
    UnmatchedStatus.PROVIDER_DISAGREES: Said.PROVIDER_DISAGREES,
}


class Unmatched:
    """The desk of money in suspense."""

    entries = (Entry(_PATH, message("Unmatched"), "coins", Permission.UNMATCHED_WRITE),)

    def __init__(self, desk: Desk, deeds: Deeds, files: Files) -> None:
        self._desk, self._deeds, self._files = desk, deeds, files
        self._payments, self._orders = desk.apis.payments, desk.apis.orders
        deeds.add(Deed(_MATCHED, Permission.UNMATCHED_WRITE, self._match))
        deeds.add(Deed(_REFUNDED, Permission.UNMATCHED_WRITE, self._refund))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, permission = self._desk, Permission.UNMATCHED_WRITE
        return [
            desk.get(_PATH, self.table, permission, fields={"channel": is_name}),
            desk.get(f"{_PATH}.csv", self.export, permission),
            desk.get(f"{_PATH}/{{capture:str}}", self.show, permission),
            desk.post(f"{_PATH}/{{capture:str}}", self.settle, permission, is_grave=True),
        ]

    async def table(self, caller: Caller) -> Page:
        """List money that waits, oldest first."""
        known = {each.name: each.id for each in await self._payments.list_channels()}
        channel = name if (name := caller.asked("channel")) in known else ""
        after = read_id(caller.asked("after"))
        query = UnmatchedQuery(
            known.get(channel), CaptureId(after) if after else None, _SHOWN_MAX + 1
        )
        [found] = await self._payments.list_unmatched([query])
        [unpriced] = await self._payments.list_unpriced([UnpricedQuery(known.get(channel))])
        next_page = ""
        if len(found) > _SHOWN_MAX:
            found = found[:_SHOWN_MAX]
            kept = {"channel": channel} if channel else {}
            next_page = f"{_PATH}?{urlencode(kept | {'after': to_serial(found[-1].id)})}"
        return self._desk.page(
            caller,
            "operator/unmatched.html",
            captures=found,
            unpriced=[] if after else [(path_of(each), each) for each in unpriced],
            exported=saved_at(caller, _PATH, ("channel",)),
            channels=sorted(known),
            channel=channel,
            next_page=next_page,
            done=self._deeds.said(caller),
        )

    async def export(self, caller: Caller) -> Page:
        """Give the money that the page lists as CSV; who took it is kept."""
        told = filters_of(caller, ("channel",))
        turned = await self._deeds.log_export(caller, LISTED, "list:unmatched", told)
        if turned is not None:
            return turned
        known = {each.name: each.id for each in await self._payments.list_channels()}
        channel = known.get(caller.asked("channel"))

        async def read(last: Capture | None) -> Sequence[Capture]:
            query = UnmatchedQuery(channel, last.id if last else None, AT_ONCE)
            [found] = await self._payments.list_unmatched([query])
            return found

        return save("unmatched", CAPTURES, read)

    async def _find(self, caller: Caller) -> Capture | None:
        wanted = read_id(caller.part("capture"))
        if wanted is None:
            return None
        [found] = await self._payments.read_unmatched([CaptureId(wanted)])
        return found

    async def show(self, caller: Caller) -> Page:
        """Show the money, orders that it may be for, and the decision."""
        capture = await self._find(caller)
        if capture is None:
            return back_to(_PATH, Said.NOT_FOUND)
        return await self._show(caller, capture)

    async def _show(self, caller: Caller, capture: Capture, said: Said | None = None) -> Page:
        return self._desk.page(
            caller,
            "operator/money.html",
            status=200 if said is None else 422,
            capture=capture,
            suggestions=await self._suggest(capture),
            order=caller.written("order"),
            reason=caller.written("reason"),
            problem=self._deeds.problem(caller, said),
        )

    async def _suggest(self, capture: Capture) -> list[SoldOrder]:
        """Give orders that ask for that amount, unpaid, the nearest in time first."""
        query = SoldOrderQuery(
            capture.merchant,
            since=capture.paid_at - _BEFORE,
            until=capture.paid_at + _AFTER,
            orders_max=_LOOKED_AT_MAX,
        )
        [found] = await self._orders.list_orders([query])
        paid = (capture.amount_minor, capture.currency)
        fitting = [
            each
            for each in found
            if each.view.state in _UNFILLED
            and (each.view.due_minor, each.view.due_currency) == paid
        ]
        return fitting[:_SUGGESTED_MAX]

    async def settle(self, caller: Caller) -> Page:
        """Match the money to an order, or give it back."""
        capture = await self._find(caller)
        if capture is None:
            return back_to(_PATH, Said.NOT_FOUND)
        payload = {"capture": to_serial(capture.id)}
        act = _REFUNDED
        if caller.written("decision") == "match":
            act, order = _MATCHED, read_id(caller.written("order"))
            refusal = await self._refusal(capture, order)
            if order is None or refusal is not None:
                return await self._show(caller, capture, refusal)
            payload["order"] = to_serial(order)
        said = await self._deeds.do(
            caller,
            act,
            f"capture:{to_serial(capture.id)}",
            payload | _money_of(capture),
            amount=(capture.amount_minor, capture.currency),
            before={"fit": capture.fit.value},
            after={"fit": act.rpartition(".")[2]},
        )
        return back_to(_PATH, said) if said in GOOD else await self._show(caller, capture, said)

    async def _refusal(self, capture: Capture, order: UUID | None) -> Said | None:
        """Say why an order cannot be filled with the money: what it lacks, nobody would pay."""
        views = await self._orders.read_orders([OrderQuery(OrderId(order), None)] if order else [])
        view = next(iter(views), None)
        if view is None:
            return Said.ORDER_UNKNOWN
        paid = (capture.amount_minor, capture.currency)
        return Said.AMOUNT_DIFFERS if (view.due_minor, view.due_currency) != paid else None

    async def _match(self, told: Mapping[str, str], person: str) -> Said:
        order = read_id(told["order"])
        return await self._settle(told, person, order) if order else Said.ORDER_UNKNOWN

    async def _refund(self, told: Mapping[str, str], person: str) -> Said:
        return await self._settle(told, person, None)

    async def _settle(self, told: Mapping[str, str], person: str, order: UUID | None) -> Said:
        capture = read_id(told["capture"])
        if capture is None:
            return Said.NOT_FOUND
        verdict = UnmatchedVerdict(CaptureId(capture), order, person, told["reason"])
        [status] = await self._payments.settle_unmatched([verdict])
        if status is not UnmatchedStatus.SETTLED:
            return _SAID[status]
        return Said.GIVEN_BACK if order is None else Said.GOES_ON


def _money_of(capture: Capture) -> dict[str, str]:
    return {"amount_minor": str(capture.amount_minor), "currency": capture.currency}
