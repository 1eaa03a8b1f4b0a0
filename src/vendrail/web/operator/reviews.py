"""Reviews: paid orders that wait for a person, who releases or refuses them."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.orders import OrderId
from vendrail.api.risk import Review, ReviewQuery, RiskDecision, Verdict, VerdictStatus
from vendrail.kernel.ids import to_serial
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, LISTED, filters_of, save, saved_at
from vendrail.web.console.lists import is_id
from vendrail.web.console.tables import REVIEWS
from vendrail.web.languages import message
from vendrail.web.operator.deeds import GOOD, Deed, Deeds, Said, back_to
from vendrail.web.operator.files import Files, read_id
from vendrail.web.storefront.front import Page

_PATH = "/operator/reviews"
_SHOWN_MAX = 50
_RELEASED, _REFUSED = "review.released", "review.refused"
_SAID = {
    VerdictStatus.EXISTS: Said.EXISTS,
    VerdictStatus.EXISTS_DIFFERENT: Said.OTHERWISE,
    VerdictStatus.REVIEW_NOT_FOUND: Said.NOT_FOUND,
    VerdictStatus.DECISION_MALFORMED: Said.NOT_FOUND,
}


class Reviews:
    """The desk of risk."""

    entries = (Entry(_PATH, message("Reviews"), "shield", Permission.REVIEWS_WRITE),)

    def __init__(self, desk: Desk, deeds: Deeds, files: Files) -> None:
        self._desk, self._deeds, self._files = desk, deeds, files
        self._risk, self._orders = desk.apis.risk, desk.apis.orders
        deeds.add(Deed(_RELEASED, Permission.REVIEWS_WRITE, self._release))
        deeds.add(Deed(_REFUSED, Permission.REVIEWS_WRITE, self._refuse))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, permission = self._desk, Permission.REVIEWS_WRITE
        return [
            desk.get(_PATH, self.table, permission, fields={"merchant": is_id}),
            desk.get(f"{_PATH}.csv", self.export, permission),
            desk.get(f"{_PATH}/{{order:str}}", self.show, permission),
            desk.post(f"{_PATH}/{{order:str}}", self.settle, permission),
        ]

    async def table(self, caller: Caller) -> Page:
        """List what waits, oldest first."""
        names = await self._files.merchant_names()
        wanted = read_id(caller.asked("merchant"))
        query = ReviewQuery(wanted, read_id(caller.asked("after")), _SHOWN_MAX + 1)
        [found] = await self._risk.list_reviews([query])
        next_page = ""
        if len(found) > _SHOWN_MAX:
            found = found[:_SHOWN_MAX]
            kept = {"merchant": to_serial(wanted)} if wanted else {}
            next_page = f"{_PATH}?{urlencode(kept | {'after': to_serial(found[-1].order)})}"
        return self._desk.page(
            caller,
            "operator/reviews.html",
            reviews=found,
            next_page=next_page,
            names=names,
            exported=saved_at(caller, _PATH, ("merchant",)),
            wanted=wanted,
            done=self._deeds.said(caller),
        )

    async def export(self, caller: Caller) -> Page:
        """Give the orders that the page lists as CSV; who took them is kept."""
        told = filters_of(caller, ("merchant",))
        turned = await self._deeds.log_export(caller, LISTED, "list:reviews", told)
        if turned is not None:
            return turned
        merchant = read_id(caller.asked("merchant"))

        async def read(last: Review | None) -> Sequence[Review]:
            query = ReviewQuery(merchant, last.order if last else None, AT_ONCE)
            [found] = await self._risk.list_reviews([query])
            return found

        return save("reviews", REVIEWS, read)

    async def show(self, caller: Caller) -> Page:
        """Show one order that waits, and the decision."""
        return await self._show(caller)

    async def _show(self, caller: Caller, said: Said | None = None) -> Page:
        file = await self._files.read(read_id(caller.part("order")))
        if file is None:
            return self._desk.problem(caller.request, 404, caller)
        [review] = await self._risk.read_reviews([file.view.id])
        return self._desk.page(
            caller,
            "operator/review.html",
            status=200 if said is None else 422,
            file=file,
            review=review,
            names=await self._files.merchant_names(),
            reason=caller.written("reason"),
            problem=self._deeds.problem(caller, said),
        )

    async def settle(self, caller: Caller) -> Page:
        """Release or refuse."""
        order = read_id(caller.part("order"))
        act = {"release": _RELEASED, "refuse": _REFUSED}.get(caller.written("decision"))
        if order is None or act is None:
            return self._desk.problem(caller.request, 404, caller)
        [review] = await self._risk.read_reviews([order])
        serial = to_serial(order)
        said = await self._deeds.do(
            caller,
            act,
            f"order:{serial}",
            {"order": serial},
            before={"review": "waiting" if review else "none"},
            after={"review": act.rpartition(".")[2]},
        )
        return back_to(_PATH, said) if said in GOOD else await self._show(caller, said)

    async def _release(self, told: Mapping[str, str], person: str) -> Said:
        return await self._settle(told, person, RiskDecision.ALLOW)

    async def _refuse(self, told: Mapping[str, str], person: str) -> Said:
        return await self._settle(told, person, RiskDecision.REFUSE)

    async def _settle(self, told: Mapping[str, str], person: str, decision: RiskDecision) -> Said:
        order = read_id(told["order"])
        if order is None:
            return Said.NOT_FOUND
        [status] = await self._risk.settle_reviews(
            [Verdict(order, decision, person, told["reason"])]
        )
        if status not in (VerdictStatus.SETTLED, VerdictStatus.EXISTS):
            return _SAID[status]
        await self._orders.wake_orders([OrderId(order)])
        if status is VerdictStatus.EXISTS:
            return _SAID[status]
        return Said.GOES_ON if decision is RiskDecision.ALLOW else Said.GIVEN_BACK
