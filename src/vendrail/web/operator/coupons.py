"""Coupons of all merchants: what is taken off, and how often; operators look, merchants change."""

from collections.abc import Sequence

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.promotions import CouponId, CouponQuery, CouponView
from vendrail.kernel.ids import to_serial
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, LISTED, save, saved_at
from vendrail.web.console.tables import COUPONS
from vendrail.web.languages import message
from vendrail.web.merchant.acting import read_id
from vendrail.web.merchant.coupons import stands
from vendrail.web.operator.deeds import Deeds
from vendrail.web.operator.files import Files
from vendrail.web.storefront.front import Page

_PATH = "/operator/coupons"
_PAGE = 50


class CouponsDesk:
    """The page of coupons."""

    entries = (Entry(_PATH, message("Coupons"), "card", Permission.BALANCE_READ),)

    def __init__(self, desk: Desk, deeds: Deeds, files: Files) -> None:
        self._desk, self._deeds, self._files = desk, deeds, files

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of this page."""
        return [
            self._desk.get(_PATH, self.show, Permission.BALANCE_READ),
            self._desk.get(f"{_PATH}.csv", self.export, Permission.BALANCE_READ),
        ]

    async def show(self, caller: Caller) -> Page:
        """Show a page of coupons, newest first."""
        before = read_id(caller.asked("before"))
        query = CouponQuery(None, CouponId(before) if before else None, _PAGE + 1)
        [found] = await self._desk.apis.promotions.list_coupons([query])
        shown, now = found[:_PAGE], self._desk.clock.now()
        last = f"{_PATH}?before={to_serial(shown[-1].coupon.id)}" if shown else ""
        return self._desk.page(
            caller,
            "operator/coupons.html",
            coupons=[(each, stands(each, now)) for each in shown],
            names=await self._files.merchant_names() if shown else {},
            exported=saved_at(caller, _PATH, ()),
            older=last if len(found) > _PAGE else "",
        )

    async def export(self, caller: Caller) -> Page:
        """Give all coupons as CSV, none of their made codes; who took them is kept."""
        turned = await self._deeds.log_export(caller, LISTED, "list:coupons")
        if turned is not None:
            return turned

        async def read(last: CouponView | None) -> Sequence[CouponView]:
            query = CouponQuery(None, last.coupon.id if last else None, AT_ONCE)
            [found] = await self._desk.apis.promotions.list_coupons([query])
            return found

        return save("coupons", COUPONS, read)
