"""A merchant's coupons as files: the list, and the orders that have one of them."""

from collections.abc import Sequence

from vendrail.api.promotions import (
    CouponId,
    CouponQuery,
    CouponUse,
    CouponUseQuery,
    CouponView,
)
from vendrail.kernel.ids import to_serial
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk
from vendrail.web.console.exports import AT_ONCE, LISTED, save
from vendrail.web.console.tables import COUPON_USES, COUPONS
from vendrail.web.merchant.acting import log_export
from vendrail.web.storefront.front import Page


async def save_coupons(desk: Desk, caller: Caller) -> Page:
    """Give all coupons as CSV, none of their made codes; who took them is kept."""
    turned = await log_export(desk, caller, LISTED, "list:coupons")
    if turned is not None:
        return turned

    async def read(last: CouponView | None) -> Sequence[CouponView]:
        query = CouponQuery(caller.merchant, last.coupon.id if last else None, AT_ONCE)
        [found] = await desk.apis.promotions.list_coupons([query])
        return found

    return save("coupons", COUPONS, read)


async def save_uses(desk: Desk, caller: Caller, coupon: CouponId) -> Page:
    """Give the orders that have a coupon as CSV; who took them is kept."""
    subject = f"list:coupon:{to_serial(coupon)}"
    turned = await log_export(desk, caller, LISTED, subject)
    if turned is not None:
        return turned

    async def read(last: CouponUse | None) -> Sequence[CouponUse]:
        query = CouponUseQuery(coupon, caller.merchant, last.order if last else None, AT_ONCE)
        [found] = await desk.apis.promotions.list_uses([query])
        return found

    return save("coupon-uses", COUPON_USES, read)
